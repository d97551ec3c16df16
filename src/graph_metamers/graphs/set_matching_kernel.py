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
