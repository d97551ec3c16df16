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
def draw_pool(group, held, status, size, pool, state):  # type: ignore[no-untyped-def]
    """Write items that a group may take behind its `held` own ones; returns how many there are in all.

    All of them if `size` allows, else those among `size` random ones.
    """
    num_items, filled = status.shape[1], held
    if size >= num_items:
        for item in range(num_items):
            if not status[group, item] & (MEMBER | FORBIDDEN):
                pool[filled] = item
                filled += 1
        return filled
    for _ in range(size):
        item = random_below(state, num_items)
        if not status[group, item] & (MEMBER | FORBIDDEN | DRAWN):
            status[group, item] |= DRAWN
            pool[filled] = item
            filled += 1
    for place in range(held, filled):
        status[group, pool[place]] &= ~DRAWN
    return filled


@njit(cache=True, fastmath={"nnan", "nsz", "reassoc"})
def lowest_difference(costs, products):  # type: ignore[no-untyped-def]
    """The lowest of costs - products; without its place, so that the loop is vectorised."""
    lowest = costs.dtype.type(np.inf)
    for j in range(costs.shape[0]):
        lowest = min(lowest, costs[j] - products[j])
    return lowest


@njit(cache=True)
def descend(vectors, probes, pull, ridge, charges, held, most):  # type: ignore[no-untyped-def]
    """Make the exchange that lowers the cost most, until none does.

    The cost is pull . d + ||probes d||^2 + ridge ||d||^2, d being the change of the sum of vectors, and the
    charges of those in the set; at first these are the first `held`. Returns which they are in the end, and
    how many exchanges were made. Taking j for i costs (slope_j + square_j) - (slope_i - square_i) - 2
    product_ij, all of which come from one matrix product.
    """
    seen = np.dot(vectors, probes.T)
    products = np.dot(seen[:held], seen.T) + ridge * np.dot(vectors[:held], vectors.T)
    products += products
    slopes = np.dot(vectors, pull) + charges
    squares = np.empty_like(slopes)
    for j in range(slopes.shape[0]):
        squares[j] = np.dot(seen[j], seen[j]) + ridge * np.dot(vectors[j], vectors[j])
    least = LEAST_GAIN * squares.max()
    inside = np.arange(held)  # where in the pool the item of every slot is
    barred = np.zeros_like(slopes)
    barred[:held] = np.inf
    made = 0
    while made < most:
        lowest, place = -least, -1
        costs = slopes + squares + barred
        for slot in range(held):
            i = inside[slot]
            change = lowest_difference(costs, products[slot]) + squares[i] - slopes[i]
            if change < lowest:
                lowest, place = change, slot
        if place < 0:
            break
        i = inside[place]
        j = int(np.argmin(costs - products[place]))
        row = np.dot(seen, seen[j]) + ridge * np.dot(vectors, vectors[j])
        row += row
        slopes += row - products[place]
        products[place] = row
        barred[i], barred[j] = 0, np.inf
        inside[place] = j
        made += 1
    return inside, made


@njit(cache=True)
def improve_groups(  # type: ignore[no-untyped-def]
    vectors, probes, pulls, ridges, penalties, groups, starts, items, status, size, most, state
):
    """`descend` in each of some groups, one after the other; returns how many exchanges were made."""
    made = 0
    pool = np.empty(vectors.shape[0], dtype=np.int64)
    for number in range(groups.shape[0]):
        group = groups[number]
        first, held = starts[group], starts[group + 1] - starts[group]
        pool[:held] = items[first : first + held]
        filled = draw_pool(group, held, status, size, pool, state)
        if held == 0 or filled == held:  # noqa: PLR1714 (numba)
            continue
        charges = np.empty(filled, vectors.dtype)
        for place in range(filled):
            charges[place] = penalties[number] * (status[group, pool[place]] & CHARGED) / CHARGED
        chosen = vectors[pool[:filled]]
        inside, count = descend(chosen, probes[number], pulls[number], ridges[number], charges, held, most)
        made += count
        for place in range(held):
            status[group, pool[place]] &= ~MEMBER
        for place in range(held):
            items[first + place] = pool[inside[place]]
            status[group, items[first + place]] |= MEMBER
    return made
