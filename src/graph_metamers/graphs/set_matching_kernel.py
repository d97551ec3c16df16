"""The compiled loops of set matching. Importing this module loads numba: import it where a kernel runs.

Random numbers, acceptance and the residual's change are functions of their own: an exchange between sets and
a rewiring of edges differ in what they propose, in nothing else.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

MEMBER, FORBIDDEN, CHARGED = 1, 2, 4  # bits of an entry's status
COOL_EVERY = 64  # proposals between two temperatures
LEAST_GAIN = 1e-5  # of an item's largest square: less is rounding in float32
PROMISING = 80  # items that a group is offered
SCREENED = 8  # groups whose offers are chosen by one matrix product
TURNS = 5  # as often as there are slots is one filled anew in a heat bath
COLD = 12  # temperatures above the best: taken once in so many hundred thousand
PATIENCE = 30  # exchanges beyond the lowest cost, in search of a lower one
STAYS_OUT, STAYS_IN = 8, 3  # exchanges for which an item that was dropped or taken is left alone
LARGEST_REST = 4  # of so many items outside or inside one at most is left alone

_MULTIPLY_1, _MULTIPLY_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, inline="always")
def random_bits(state):  # type: ignore[no-untyped-def]
    """The next 64 random bits (splitmix64, Steele et al. 2014); state is uint64 [1], changed in place."""
    state[0] += _GOLDEN
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * _MULTIPLY_1
    z = (z ^ (z >> np.uint64(27))) * _MULTIPLY_2
    return z ^ (z >> np.uint64(31))


@njit(cache=True, inline="always")
def random_below(state, bound):  # type: ignore[no-untyped-def]
    """A random integer in [0, bound), bound < 2^31; biased by less than bound / 2^32."""
    return np.int64(((random_bits(state) >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))


@njit(cache=True, inline="always")
def accepts(state, change, temperature):  # type: ignore[no-untyped-def]
    """Metropolis: always downhill (and level), uphill with probability exp(-change / temperature)."""
    if change <= 0:
        return True
    if change >= 40 * temperature:  # under 1e-17; also where the temperature is 0
        return False
    uniform = np.float64(random_bits(state) >> np.uint64(11)) * 2.0**-53
    return uniform < math.exp(-change / temperature)


@njit(cache=True, inline="always")
def most_accepted(state, temperature):  # type: ignore[no-untyped-def]
    """The largest change to accept, as often as `accepts` does, drawn before the change is known."""
    uniform = (np.float64(random_bits(state) >> np.uint64(11)) + 0.5) * 2.0**-53
    return -temperature * math.log(uniform)


@njit(cache=True, fastmath={"reassoc", "contract"})
def change_of_square(residual, dropped, taken):  # type: ignore[no-untyped-def]
    """||residual - dropped + taken||^2 - ||residual||^2; O(k)."""
    total = residual.dtype.type(0)
    two = residual.dtype.type(2)
    for c in range(residual.shape[0]):
        step = taken[c] - dropped[c]
        total += step * (two * residual[c] + step)
    return np.float64(total)


@njit(cache=True)
def move_residual(residual, dropped, taken):  # type: ignore[no-untyped-def]
    """Replace residual by residual - dropped + taken, in place; O(k)."""
    for c in range(residual.shape[0]):
        residual[c] += taken[c] - dropped[c]


@njit(cache=True)
def temperature_at(proposed, proposals, hottest, coldest):  # type: ignore[no-untyped-def]
    """Geometric between the first and the last temperature."""
    if hottest == 0.0 or proposals == 0:
        return hottest
    return hottest * math.exp(math.log(coldest / hottest) * proposed / proposals)


@njit(cache=True)
def keep_best(group, costs, best_costs, starts, items, best_items):  # type: ignore[no-untyped-def]
    """Remember a group's items if they are its best so far."""
    if costs[group] < best_costs[group]:
        best_costs[group] = costs[group]
        for slot in range(starts[group], starts[group + 1]):
            best_items[slot] = items[slot]


@njit(cache=True)
def exchange_items(  # type: ignore[no-untyped-def] # noqa: PLR0917 (numba knows no keywords-only)
    vectors, weights, penalty, active, owners, starts, items, status, residuals,
    costs, best_costs, best_items, state, first, count, proposals, hottest, coldest,
):  # fmt: skip
    """Propose "group g drops i and takes j", `count` times; returns how many were made."""
    accepted, num_items, num_active = 0, vectors.shape[0], active.shape[0]
    temperature = hottest
    for number in range(count):
        if number % COOL_EVERY == 0:
            temperature = temperature_at(first + number, proposals, hottest, coldest)
        slot = active[random_below(state, num_active)]
        group, dropped = owners[slot], items[slot]
        taken = random_below(state, num_items)
        if status[group, taken] & (MEMBER | FORBIDDEN):
            continue
        change = weights[group] * change_of_square(residuals[group], vectors[dropped], vectors[taken])
        charge = (status[group, taken] & CHARGED) - (status[group, dropped] & CHARGED)
        change += penalty * charge / CHARGED
        # The temperature is that of a group of weight 1, so that light groups are searched as hard as heavy.
        if not accepts(state, change, temperature * weights[group]):
            continue
        move_residual(residuals[group], vectors[dropped], vectors[taken])
        items[slot] = taken
        status[group, dropped] &= ~MEMBER
        status[group, taken] |= MEMBER
        costs[group] += change
        keep_best(group, costs, best_costs, starts, items, best_items)
        accepted += 1
    return accepted


@njit(cache=True)
def exchange_between_groups(  # type: ignore[no-untyped-def]
    vectors, weights, penalty, active, owners, items, status, residuals,
    costs, state, first, count, proposals, hottest, coldest,
):  # fmt: skip
    """Propose "g drops i and takes j, h drops j and takes i", `count` times; returns how many were made."""
    accepted, num_active = 0, active.shape[0]
    temperature = hottest
    for number in range(count):
        if number % COOL_EVERY == 0:
            temperature = temperature_at(first + number, proposals, hottest, coldest)
        slot, other = active[random_below(state, num_active)], active[random_below(state, num_active)]
        g, h, i, j = owners[slot], owners[other], items[slot], items[other]
        if g == h or i == j:
            continue
        if (status[g, j] | status[h, i]) & (MEMBER | FORBIDDEN):
            continue
        change_g = weights[g] * change_of_square(residuals[g], vectors[i], vectors[j])
        change_g += penalty * ((status[g, j] & CHARGED) - (status[g, i] & CHARGED)) / CHARGED
        change_h = weights[h] * change_of_square(residuals[h], vectors[j], vectors[i])
        change_h += penalty * ((status[h, i] & CHARGED) - (status[h, j] & CHARGED)) / CHARGED
        if not accepts(state, change_g + change_h, temperature * 0.5 * (weights[g] + weights[h])):
            continue
        move_residual(residuals[g], vectors[i], vectors[j])
        move_residual(residuals[h], vectors[j], vectors[i])
        items[slot], items[other] = j, i
        status[g, i] &= ~MEMBER
        status[g, j] |= MEMBER
        status[h, j] &= ~MEMBER
        status[h, i] |= MEMBER
        costs[g] += change_g
        costs[h] += change_h
        accepted += 1
    return accepted


@njit(cache=True, fastmath={"nnan", "nsz", "reassoc"})
def lowest_difference(costs, products):  # type: ignore[no-untyped-def]
    """The lowest of costs - products; without its place, so that the loop is vectorised."""
    lowest = costs.dtype.type(np.inf)
    for j in range(costs.shape[0]):
        lowest = min(lowest, costs[j] - products[j])
    return lowest


@njit(cache=True, fastmath={"nnan", "nsz", "reassoc", "contract"})
def lower_all(lowest, base, products):  # type: ignore[no-untyped-def]
    """lowest_j = min(lowest_j, base - 2 products_j), in place."""
    two = products.dtype.type(2)
    for j in range(lowest.shape[0]):
        lowest[j] = min(lowest[j], base - two * products[j])


@njit(cache=True)
def screen(  # type: ignore[no-untyped-def]
    vectors, columns, squares, probes, pulls, ridges, penalties, groups, starts, items, status
):
    """Slopes of all items for some groups, and about what taking each for the best of a group's own costs.

    The latter is exact but for the square of the item taken, where the mean curvature stands for that of its
    direction, and for the columns that are left out: one narrow matrix product. [groups, items] both.
    """
    first = np.zeros(groups.shape[0] + 1, dtype=np.int64)
    for number in range(groups.shape[0]):
        first[number + 1] = first[number] + starts[groups[number] + 1] - starts[groups[number]]
    lefts = np.empty((first[-1], columns.shape[0]), dtype=vectors.dtype)
    for number in range(groups.shape[0]):
        mine = vectors[items[starts[groups[number]] : starts[groups[number] + 1]]]
        seen = np.dot(np.dot(mine, probes[number].T), probes[number][:, columns])
        lefts[first[number] : first[number + 1]] = seen + ridges[number] * mine[:, columns]
    products = np.dot(lefts, vectors[:, columns].T)
    slopes = np.dot(pulls, vectors.T)
    for number in range(groups.shape[0]):
        if penalties[number] > 0:
            for item in range(slopes.shape[1]):
                charged = (status[groups[number], item] & CHARGED) / CHARGED
                slopes[number, item] += penalties[number] * charged
    scores = slopes.copy()
    for number in range(groups.shape[0]):
        lowest = np.full_like(squares, np.inf)
        for slot in range(first[number], first[number + 1]):
            i = items[starts[groups[number]] + slot - first[number]]
            lower_all(lowest, products[slot, i] - slopes[number, i], products[slot])
        mean = ridges[number] + np.square(probes[number]).sum() / vectors.dtype.type(probes.shape[2])
        scores[number] += lowest + mean * squares
    return slopes, scores


@njit(cache=True)
def add_difference(values, more, less):  # type: ignore[no-untyped-def]
    """Add more - less to values, in place."""
    for j in range(values.shape[0]):
        values[j] += more[j] - less[j]


@njit(cache=True)
def products_of(vectors, probes, ridge):  # type: ignore[no-untyped-def]
    """Twice the product of every two vectors in the metric ||probes d||^2 + ridge ||d||^2."""
    seen = np.dot(vectors, probes.T)
    products = np.dot(seen, seen.T) + ridge * np.dot(vectors, vectors.T)
    products += products
    return products


@njit(cache=True)
def descend(products, slopes, held, most):  # type: ignore[no-untyped-def]
    """Make the exchange that lowers the cost most, until none does, and look for a way on beyond that.

    The cost of a set is the sum of its items' slopes, and the square of the change of the sum of its vectors
    in a metric, of which come `products`; at first the set is the first `held` items. Taking j for i costs
    (slope_j + square_j) - (slope_i - square_i) - 2 product_ij.

    Where no exchange lowers the cost, the one that raises it least is made, and what was exchanged stays so
    for some moves: tabu search (Glover 1989). It ends `PATIENCE` moves after the lowest set, which is what it
    returns, with the number of moves.
    """
    slopes, squares = slopes.copy(), np.diag(products) / slopes.dtype.type(2)
    least = LEAST_GAIN * squares.max()
    inside = np.arange(held)  # where in the pool the item of every slot is
    is_inside = np.zeros(slopes.shape[0], dtype=np.bool_)
    is_inside[:held] = True
    rests = np.zeros(slopes.shape[0], dtype=np.int64)  # the move from which an item may be exchanged again
    stays_out = min(STAYS_OUT, (slopes.shape[0] - held) // LARGEST_REST)
    stays_in = min(STAYS_IN, held // LARGEST_REST)
    costs = np.empty_like(slopes)
    best, made, cost, lowest_cost, since = inside.copy(), 0, 0.0, 0.0, 0
    while made < most and since <= PATIENCE:
        for j in range(costs.shape[0]):
            costs[j] = np.inf if is_inside[j] or rests[j] > made else slopes[j] + squares[j]
        lowest, place = np.inf, -1
        for slot in range(held):
            i = inside[slot]
            change = lowest_difference(costs, products[i]) + squares[i] - slopes[i]
            if change < lowest and rests[i] <= made:
                lowest, place = change, slot
        if place < 0:
            break
        i, j = inside[place], int(np.argmin(costs - products[inside[place]]))
        add_difference(slopes, products[j], products[i])
        is_inside[i], is_inside[j] = False, True
        inside[place] = j
        made += 1
        rests[i], rests[j] = made + stays_out, made + stays_in
        cost += lowest
        since += 1
        if cost < lowest_cost - least:
            lowest_cost, since = cost, 0
            best[:] = inside
            rests[:] = 0
    return best, made


@njit(cache=True)
def settle(products, slopes, held, temperature, state):  # type: ignore[no-untyped-def]
    """Fill slots anew at random, at a temperature: a heat bath on the cost that `descend` lowers.

    An item takes a slot with a probability in proportion to exp(-cost / temperature), where the one that is
    there has its share too (the heat bath of Creutz 1980, or Gibbs sampler). Returns the items, and how many
    times one was new.
    """
    slopes, squares = slopes.copy(), np.diag(products) / slopes.dtype.type(2)
    inside = np.arange(held)
    costs = slopes + squares
    costs[:held] = np.inf
    near, weights = np.empty(slopes.shape[0], dtype=np.int64), np.empty(slopes.shape[0])
    made = 0
    for _ in range(TURNS * held):
        slot = random_below(state, held)
        i = inside[slot]
        costs[i] = slopes[i] + squares[i]
        lowest = lowest_difference(costs, products[i])
        count, total = 0, 0.0
        for j in range(costs.shape[0]):
            change = costs[j] - products[i, j] - lowest
            if change < COLD * temperature:
                total += math.exp(-change / temperature)
                near[count], weights[count] = j, total
                count += 1
        if count == 0:  # costs are not finite
            costs[i] = np.inf
            continue
        drawn = np.float64(random_bits(state) >> np.uint64(11)) * 2.0**-53 * total
        place = 0
        while place < count - 1 and weights[place] <= drawn:
            place += 1
        j = near[place]
        if j != i:
            add_difference(slopes, products[j], products[i])
            add_difference(costs, products[j], products[i])
            inside[slot] = j
            made += 1
        costs[j] = np.inf
    return inside, made


@njit(cache=True)
def improve_groups(  # type: ignore[no-untyped-def]
    vectors, columns, squares, probes, pulls, ridges, penalties, groups, starts, items, status, most,
    temperature, state,
):  # fmt: skip
    """`descend` in each of some groups, one after the other, or `settle` above temperature 0.

    Each chooses among its own items and the most promising ones out of all. Returns how many exchanges were
    tried.
    """
    made = 0
    for first in range(0, groups.shape[0], SCREENED):
        last = min(first + SCREENED, groups.shape[0])
        screened, scores = screen(
            vectors, columns, squares, probes[first:last], pulls[first:last], ridges[first:last],
            penalties[first:last], groups[first:last], starts, items, status,
        )  # fmt: skip
        for number in range(first, last):
            group = groups[number]
            own = items[starts[group] : starts[group + 1]].copy()
            held, score = own.shape[0], scores[number - first]
            if held == 0:
                continue
            for item in range(score.shape[0]):
                if status[group, item] & (MEMBER | FORBIDDEN):
                    score[item] = np.inf
            limit = np.partition(score, PROMISING)[PROMISING] if score.shape[0] > PROMISING else np.inf
            few = np.concatenate((own, np.flatnonzero(score < limit)))
            slopes = screened[number - first][few]
            if temperature > 0:
                offered, seen = vectors[few][:, columns], probes[number][:, columns]
                products = products_of(offered, seen, ridges[number])
                inside, count = settle(products, slopes, held, temperature, state)
            else:
                products = products_of(vectors[few], probes[number], ridges[number])
                inside, count = descend(products, slopes, held, most)
            made += count
            for slot in range(held):
                status[group, own[slot]] &= ~MEMBER
            for slot in range(held):
                item = few[inside[slot]]
                items[starts[group] + slot] = item
                status[group, item] |= MEMBER
    return made
