"""The compiled loops of rewiring. Importing this module loads numba: import it where a kernel runs.

A graph is a list of neighbours for each node. Slot s in the list of node v holds u: the edge u - v, or u -> v
in a directed graph, where lists hold sources. In an undirected one `twins[s]` is the slot in the list of u
that holds v.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from graph_metamers.graphs.set_matching_kernel import (
    COOL_EVERY,
    accepts,
    move_residual,
    random_below,
    temperature_at,
)

FREE, CHARGE, FORBID = 0, 1, 2  # what a reference edge costs


@njit(cache=True)
def holds(starts, neighbours, node, other):  # type: ignore[no-untyped-def]
    """Whether `other` is in the list of `node`; O(length of the list)."""
    for slot in range(starts[node], starts[node + 1]):  # noqa: SIM110 (numba)
        if neighbours[slot] == other:
            return True
    return False


@njit(cache=True)
def is_edge(starts, neighbours, node, other):  # type: ignore[no-untyped-def]
    """Whether two nodes of an undirected graph are joined; looks through the shorter list."""
    if starts[node + 1] - starts[node] > starts[other + 1] - starts[other]:
        node, other = other, node
    return holds(starts, neighbours, node, other)


@njit(cache=True, fastmath={"reassoc", "contract"})
def change_of_cost(residual, weights, hops, dropped, taken):  # type: ignore[no-untyped-def]
    """sum_l weights_l (||r_l - dropped_l + taken_l||^2 - ||r_l||^2); r_l: columns hops[l] to hops[l + 1]."""
    total = 0.0
    two = residual.dtype.type(2)
    for hop in range(weights.shape[0]):
        part = residual.dtype.type(0)
        for c in range(hops[hop], hops[hop + 1]):
            step = taken[c] - dropped[c]
            part += step * (two * residual[c] + step)
        total += weights[hop] * part
    return total


@njit(cache=True)
def share_an_end(a, b, c, d):  # type: ignore[no-untyped-def]
    """Whether the edges a - b and c - d meet."""
    return a in (c, d) or b in (c, d)


@njit(cache=True)
def either_is_edge(starts, neighbours, a, b, c, d):  # type: ignore[no-untyped-def]
    """Whether a - d or c - b is there."""
    return is_edge(starts, neighbours, a, d) or is_edge(starts, neighbours, c, b)


@njit(cache=True)
def change_of_swap(vectors, weights, hops, residuals, a, b, c, d):  # type: ignore[no-untyped-def]
    """What it costs that a - b and c - d become a - d and c - b, four different nodes."""
    change = change_of_cost(residuals[a], weights[a], hops, vectors[b], vectors[d])
    change += change_of_cost(residuals[b], weights[b], hops, vectors[a], vectors[c])
    change += change_of_cost(residuals[c], weights[c], hops, vectors[d], vectors[b])
    return change + change_of_cost(residuals[d], weights[d], hops, vectors[c], vectors[a])


@njit(cache=True)
def move_sums(vectors, residuals, a, b, c, d):  # type: ignore[no-untyped-def]
    """Let a - b and c - d become a - d and c - b in the residuals."""
    move_residual(residuals[a], vectors[b], vectors[d])
    move_residual(residuals[b], vectors[a], vectors[c])
    move_residual(residuals[c], vectors[d], vectors[b])
    move_residual(residuals[d], vectors[c], vectors[a])


@njit(cache=True)
def rewire_undirected(  # type: ignore[no-untyped-def] # noqa: PLR0917 (numba knows no keywords-only)
    vectors, weights, hops, residuals, starts, neighbours, twins, owners, edges, active,
    reference, rule, penalty, state, first, count, proposals, hottest, coldest,
):  # fmt: skip
    """Propose "a - b and c - d become a - d and c - b", `count` times; returns how many were made.

    The cost is sum_v sum_l weights_vl ||residuals_vl||^2, and `penalty` for each reference edge.
    """
    accepted, num_active = 0, active.shape[0]
    temperature = hottest
    for number in range(count):
        if number % COOL_EVERY == 0:
            temperature = temperature_at(first + number, proposals, hottest, coldest)
        s, t = active[random_below(state, num_active)], active[random_below(state, num_active)]
        a, b, c, d = owners[s], neighbours[s], owners[t], neighbours[t]
        if share_an_end(a, b, c, d) or either_is_edge(starts, neighbours, a, b, c, d):
            continue
        charge = 0.0
        if rule != FREE:
            returned = is_edge(starts, reference, a, d) + is_edge(starts, reference, c, b)
            if rule == FORBID and returned:
                continue
            charge = penalty * (
                returned - is_edge(starts, reference, a, b) - is_edge(starts, reference, c, d)
            )
        change = charge + change_of_swap(vectors, weights, hops, residuals, a, b, c, d)
        if not accepts(state, change, temperature):
            continue
        move_sums(vectors, residuals, a, b, c, d)
        swap_ends(neighbours, twins, edges, s, t)
        accepted += 1
    return accepted


@njit(cache=True)
def swap_ends(neighbours, twins, edges, s, t):  # type: ignore[no-untyped-def]
    """Slots s and t change what they hold, and so do their twins; attributes go with s and t."""
    other_s, other_t = twins[s], twins[t]
    neighbours[s], neighbours[t] = neighbours[t], neighbours[s]
    neighbours[other_s], neighbours[other_t] = neighbours[other_t], neighbours[other_s]
    twins[s], twins[other_t] = other_t, s
    twins[t], twins[other_s] = other_s, t
    edges[other_s], edges[other_t] = edges[other_t], edges[other_s]


@njit(cache=True)
def rewire_directed(  # type: ignore[no-untyped-def] # noqa: PLR0917
    vectors, weights, hops, residuals, starts, neighbours, owners, edges, active,
    reference, rule, penalty, state, first, count, proposals, hottest, coldest,
):  # fmt: skip
    """Propose "a -> b and c -> d become a -> d and c -> b", `count` times; as `rewire_undirected`."""
    accepted, num_active = 0, active.shape[0]
    temperature = hottest
    for number in range(count):
        if number % COOL_EVERY == 0:
            temperature = temperature_at(first + number, proposals, hottest, coldest)
        s, t = active[random_below(state, num_active)], active[random_below(state, num_active)]
        b, a, d, c = owners[s], neighbours[s], owners[t], neighbours[t]
        if share_an_end(a, b, c, d):
            continue
        if holds(starts, neighbours, d, a) or holds(starts, neighbours, b, c):
            continue
        charge = 0.0
        if rule != FREE:
            returned = holds(starts, reference, d, a) + holds(starts, reference, b, c)
            if rule == FORBID and returned:
                continue
            charge = penalty * (returned - holds(starts, reference, b, a) - holds(starts, reference, d, c))
        change = charge
        change += change_of_cost(residuals[b], weights[b], hops, vectors[a], vectors[c])
        change += change_of_cost(residuals[d], weights[d], hops, vectors[c], vectors[a])
        if not accepts(state, change, temperature):
            continue
        move_residual(residuals[b], vectors[a], vectors[c])
        move_residual(residuals[d], vectors[c], vectors[a])
        neighbours[s], neighbours[t] = c, a
        edges[s], edges[t] = edges[t], edges[s]
        accepted += 1
    return accepted


@njit(cache=True)
def ball(starts, neighbours, radius, marks, mark, found, filled):  # type: ignore[no-untyped-def]
    """Add the nodes within `radius` steps of found[filled[0]:filled[1]] behind them; False if one is marked.

    Nodes whose mark is positive and not `mark` belong to others. Steps go from a node to those whose lists
    hold it: in an undirected graph its neighbours.
    """
    first, last = filled[0], filled[1]
    for place in range(first, last):
        if marks[found[place]] not in (0, mark):
            return False
        marks[found[place]] = mark
    begin, end = first, last
    for _ in range(radius):
        for place in range(begin, end):
            node = found[place]
            for slot in range(starts[node], starts[node + 1]):
                other = neighbours[slot]
                if marks[other] == mark:
                    continue
                if marks[other] != 0:
                    filled[1] = last
                    return False
                marks[other] = mark
                found[last] = other
                last += 1
        begin, end = end, last
    filled[1] = last
    return True


@njit(cache=True)
def draw_apart(  # type: ignore[no-untyped-def] # noqa: PLR0917
    vectors, weights, hops, residuals, starts, neighbours, twins, owners, edges, active,
    reference, rule, radius, temperature, state, tries, chosen, regions, ends,
):  # fmt: skip
    """Make swaps that change the activations of different nodes, out of `tries` random ones; how many.

    A swap is made if Metropolis accepts it on the guide's cost. Swap p has the slots chosen[p], and changes
    nodes regions[ends[p]:ends[p + 1]]. The residuals are those after all of them.
    """
    num_active, num_nodes = active.shape[0], starts.shape[0] - 1
    marks = np.zeros(num_nodes, dtype=np.int64)
    filled = np.zeros(2, dtype=np.int64)
    made = 0
    for _ in range(tries):
        if made == chosen.shape[0]:
            break
        s, t = active[random_below(state, num_active)], active[random_below(state, num_active)]
        a, b, c, d = owners[s], neighbours[s], owners[t], neighbours[t]
        if share_an_end(a, b, c, d) or either_is_edge(starts, neighbours, a, b, c, d):
            continue
        if rule == FORBID and either_is_edge(starts, reference, a, b, c, d):
            continue
        change = change_of_swap(vectors, weights, hops, residuals, a, b, c, d)
        if not accepts(state, change, temperature):
            continue
        filled[0] = ends[made]
        for place, node in enumerate((a, b, c, d)):
            regions[filled[0] + place] = node
        filled[1] = filled[0] + 4
        free = ball(starts, neighbours, radius, marks, made + 1, regions, filled)
        if not free:
            for place in range(filled[0], filled[1]):
                if marks[regions[place]] == made + 1:
                    marks[regions[place]] = 0
            continue
        move_sums(vectors, residuals, a, b, c, d)
        swap_ends(neighbours, twins, edges, s, t)
        chosen[made, 0], chosen[made, 1] = s, t
        made += 1
        ends[made] = filled[1]
    return made


@njit(cache=True)
def take_back(vectors, residuals, neighbours, twins, owners, edges, chosen, kept):  # type: ignore[no-untyped-def]
    """Undo the swaps that are not kept; those of `draw_apart` do not meet, so their order does not matter."""
    for number in range(chosen.shape[0]):
        if kept[number]:
            continue
        s, t = chosen[number, 0], chosen[number, 1]
        a, d, c, b = owners[s], neighbours[s], owners[t], neighbours[t]
        move_sums(vectors, residuals, a, d, c, b)
        swap_ends(neighbours, twins, edges, s, t)
