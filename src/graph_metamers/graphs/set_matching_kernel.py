"""The compiled loops of set matching. Importing this module loads numba: import it where a kernel runs.

Random numbers, acceptance and the residual's change are functions of their own: an exchange between sets and
a rewiring of edges differ in what they propose, in nothing else.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

MEMBER, FORBIDDEN, CHARGED = 1, 2, 4  # bits of an entry's status
DRAWN = 8  # the same, while a pool is drawn
COOL_EVERY = 64  # proposals between two temperatures
LEAST_GAIN = 1e-5  # of an item's largest square: less is rounding in float32
PROMISING = 150  # items that a group is offered
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


@njit(cache=True)
def draw_pool(group, own, status, size, pool, state):  # type: ignore[no-untyped-def]
    """Write `own` items and, behind them, others that a group may take, out of `size` random ones."""
    num_items, filled = status.shape[1], own.shape[0]
    pool[:filled] = own
    for _ in range(size):
        item = random_below(state, num_items)
        if not status[group, item] & (MEMBER | FORBIDDEN | DRAWN):
            status[group, item] |= DRAWN
            pool[filled] = item
            filled += 1
    for place in range(own.shape[0], filled):
        status[group, pool[place]] &= ~DRAWN
    return filled


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
def most_promising(vectors, squares, probes, slopes, ridge, own):  # type: ignore[no-untyped-def]
    """The cost of taking each item in exchange for the best one of `own`, about; [items].

    Exact but for the square of the item taken, where the mean curvature stands for that of its direction: one
    narrow matrix product instead of a wide one.
    """
    mine = vectors[own]
    mean = ridge + np.square(probes).sum() / vectors.dtype.type(probes.shape[1])
    products = np.dot(np.dot(np.dot(mine, probes.T), probes) + ridge * mine, vectors.T)
    lowest = np.full_like(slopes, np.inf)
    for slot in range(own.shape[0]):
        i = own[slot]
        lower_all(lowest, products[slot, i] - slopes[i], products[slot])
    return lowest + slopes + mean * squares


@njit(cache=True)
def descend(vectors, probes, slopes, ridge, held, most):  # type: ignore[no-untyped-def]
    """Make the exchange that lowers the cost most, until none does, and look for a way on beyond that.

    The cost of a set is the sum of its items' slopes, and ||probes d||^2 + ridge ||d||^2 for the change d of
    the sum of its vectors; at first the set is the first `held` items. Taking j for i costs (slope_j +
    square_j) - (slope_i - square_i) - 2 product_ij, all of which come from one matrix product.

    Where no exchange lowers the cost, the one that raises it least is made, and what was exchanged stays so
    for some moves: tabu search (Glover 1989). It ends `PATIENCE` moves after the lowest set, which is what it
    returns, with the number of moves.
    """
    seen = np.dot(vectors, probes.T)
    products = np.dot(seen[:held], seen.T) + ridge * np.dot(vectors[:held], vectors.T)
    products += products
    slopes = slopes.copy()
    squares = np.empty_like(slopes)
    for j in range(slopes.shape[0]):
        squares[j] = np.dot(seen[j], seen[j]) + ridge * np.dot(vectors[j], vectors[j])
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
            change = lowest_difference(costs, products[slot]) + squares[i] - slopes[i]
            if change < lowest and rests[i] <= made:
                lowest, place = change, slot
        if place < 0:
            break
        i, j = inside[place], int(np.argmin(costs - products[place]))
        row = np.dot(seen, seen[j]) + ridge * np.dot(vectors, vectors[j])
        row += row
        slopes += row - products[place]
        products[place] = row
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
def improve_groups(  # type: ignore[no-untyped-def]
    vectors, squares, probes, pulls, ridges, penalties, groups, starts, items, status, size, most, state
):  # fmt: skip
    """`descend` in each of some groups, one after the other; returns how many exchanges were tried.

    Each chooses among its own items and the most promising ones out of all, or out of `size` random ones if
    there are more.
    """
    made, num_items = 0, vectors.shape[0]
    pool = np.arange(num_items)
    for number in range(groups.shape[0]):
        group = groups[number]
        own = items[starts[group] : starts[group + 1]].copy()
        held, offered, filled = own.shape[0], vectors, num_items
        if held == 0:
            continue
        if num_items > size:
            filled = draw_pool(group, own, status, size, pool, state)
            offered, own = vectors[pool[:filled]], np.arange(held)
        slopes = np.dot(offered, pulls[number])
        for place in range(filled):
            slopes[place] += penalties[number] * (status[group, pool[place]] & CHARGED) / CHARGED
        scores = most_promising(offered, squares[pool[:filled]], probes[number], slopes, ridges[number], own)
        for place in range(filled):
            if status[group, pool[place]] & (MEMBER | FORBIDDEN):
                scores[place] = np.inf
        limit = np.partition(scores, PROMISING)[PROMISING] if filled > PROMISING else np.inf
        few = np.concatenate((own, np.flatnonzero(scores < limit)))
        inside, count = descend(offered[few], probes[number], slopes[few], ridges[number], held, most)
        made += count
        for slot in range(starts[group], starts[group + 1]):
            status[group, items[slot]] &= ~MEMBER
        for place in range(held):
            item = pool[few[inside[place]]]
            items[starts[group] + place] = item
            status[group, item] |= MEMBER
    return made
