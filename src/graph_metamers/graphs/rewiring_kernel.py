"""The compiled loops of rewiring. Importing this module loads numba: import it where a kernel runs.

A graph is a list of neighbours for each node. Slot s in the list of node v holds u: the edge u - v, or u -> v
in a directed graph, where lists hold sources. In an undirected one `twins[s]` is the slot in the list of u
that holds v.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from graph_metamers.graphs.rewiring_draws_kernel import (
    draw_in_turn,
    draw_partner,
    draw_swaps,
    fetch_lists,
    fetch_rows,
    has_shorter_list,
)
from graph_metamers.graphs.set_matching_kernel import (
    COOL_EVERY,
    accepts,
    move_residual,
    random_below,
    temperature_at,
)

FREE, CHARGE, FORBID = 0, 1, 2  # what a reference edge costs
AHEAD = 32  # proposals that are drawn at once; what they read fits the second cache


@njit(cache=True)
def holds(starts, neighbours, node, other):  # type: ignore[no-untyped-def]
    """Whether `other` is in the list of `node`; O(length of the list)."""
    for slot in range(starts[node], starts[node + 1]):  # noqa: SIM110 (numba)
        if neighbours[slot] == other:
            return True
    return False


@njit(cache=True)
def is_edge(starts, neighbours, node, other):  # type: ignore[no-untyped-def]
    """Whether two nodes of an undirected graph are joined."""
    if has_shorter_list(starts, other, node):
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
def change_of_swap(rows, weights, hops, a, b, c, d):  # type: ignore[no-untyped-def]
    """What it costs that a - b and c - d become a - d and c - b, four different nodes."""
    change = change_of_cost(rows[a, 0], weights[a], hops, rows[b, 1], rows[d, 1])
    change += change_of_cost(rows[b, 0], weights[b], hops, rows[a, 1], rows[c, 1])
    change += change_of_cost(rows[c, 0], weights[c], hops, rows[d, 1], rows[b, 1])
    return change + change_of_cost(rows[d, 0], weights[d], hops, rows[c, 1], rows[a, 1])


@njit(cache=True)
def move_sums(rows, a, b, c, d):  # type: ignore[no-untyped-def]
    """Let a - b and c - d become a - d and c - b in the residuals."""
    move_residual(rows[a, 0], rows[b, 1], rows[d, 1])
    move_residual(rows[b, 0], rows[a, 1], rows[c, 1])
    move_residual(rows[c, 0], rows[d, 1], rows[b, 1])
    move_residual(rows[d, 0], rows[c, 1], rows[a, 1])


@njit(cache=True)
def fill_residuals(rows, starts, neighbours, before):  # type: ignore[no-untyped-def]
    """Let rows[v, 0] be the sum over neighbours' rows[u, 1] minus that over those before, in float64."""
    total = np.empty(rows.shape[2], dtype=np.float64)
    for node in range(rows.shape[0]):
        total[:] = 0
        for slot in range(starts[node], starts[node + 1]):
            if neighbours[slot] != before[slot]:
                for c in range(rows.shape[2]):
                    gained, lost = rows[neighbours[slot], 1, c], rows[before[slot], 1, c]
                    total[c] += np.float64(gained) - np.float64(lost)
        for c in range(rows.shape[2]):
            rows[node, 0, c] = total[c]


@njit(cache=True)
def charge_of_swap(starts, reference, rule, penalty, a, b, c, d):  # type: ignore[no-untyped-def]
    """What reference edges cost that a - b and c - d become a - d and c - b; infinite if it is forbidden."""
    if rule == FREE:
        return 0.0
    returned = is_edge(starts, reference, a, d) + is_edge(starts, reference, c, b)
    if rule == FORBID and returned > 0:
        return np.inf
    if penalty == 0:
        return 0.0  # without reading two lists more
    return penalty * (returned - is_edge(starts, reference, a, b) - is_edge(starts, reference, c, d))


@njit(cache=True)
def charge_of_directed_swap(starts, reference, rule, penalty, a, b, c, d):  # type: ignore[no-untyped-def]
    """The same of a -> b and c -> d that become a -> d and c -> b."""
    if rule == FREE:
        return 0.0
    returned = holds(starts, reference, d, a) + holds(starts, reference, b, c)
    if rule == FORBID and returned > 0:
        return np.inf
    if penalty == 0:
        return 0.0  # without reading two lists more
    return penalty * (returned - holds(starts, reference, b, a) - holds(starts, reference, d, c))


@njit(cache=True)
def rewire_undirected(  # type: ignore[no-untyped-def] # noqa: PLR0917
    rows, weights, hops, starts, neighbours, twins, owners, edges, wanted, pool, bounds, graphs, reference,
    rule, penalty, may_move, near, in_turn, phase, state, first, count, proposals, hottest, coldest,
):  # fmt: skip
    """Propose "a - b and c - d become a - d and c - b", `count` times; returns how many were made.

    `rows` are for each node its residual and what it sends, [n, 2, k]. The cost is
    sum_v sum_l weights_vl ||rows_v0l||^2, and `penalty` for each reference edge. With `in_turn` edges are
    taken by `draw_in_turn`.
    """
    # In large graphs nearly all time is waiting for memory: what a proposal reads is elsewhere. So AHEAD of
    # them are drawn first, their memory is asked for, and then each is judged by what is there.
    accepted = 0
    drawn = np.empty((3, AHEAD), dtype=np.int64)
    # Since a turn began: the first turn is the one that is cut short, so that the last and coldest is whole.
    since = first + (-proposals) % wanted.shape[0]
    for begun in range(0, count, AHEAD):
        size = min(AHEAD, count - begun)
        if in_turn:
            draw_in_turn(
                drawn, size, since + begun, phase, starts, twins, owners, wanted, pool, may_move, near, state
            )
        else:
            draw_swaps(
                drawn, size, begun, starts, twins, owners, wanted, pool, bounds, graphs, may_move, near, state
            )
        fetch_rows(drawn, size, rows, weights, starts, neighbours, twins, owners, edges)
        fetch_lists(drawn, size, starts, neighbours, twins, owners, edges, reference, rule)
        temperature = temperature_at(first + begun, proposals, hottest, coldest)
        for i in range(size):
            s, t = drawn[0, i], drawn[2, i]
            if t < 0:
                continue
            if drawn[1, i] == 1:
                s = twins[s]  # now: swaps since it was drawn may have changed it
            a, b, c, d = owners[s], neighbours[s], owners[t], neighbours[t]
            if share_an_end(a, b, c, d) or either_is_edge(starts, neighbours, a, b, c, d):
                continue
            charge = charge_of_swap(starts, reference, rule, penalty, a, b, c, d)
            if charge == np.inf:
                continue
            change = charge + change_of_swap(rows, weights, hops, a, b, c, d)
            if not accepts(state, change, temperature):
                continue
            move_sums(rows, a, b, c, d)
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
    rows, weights, hops, starts, neighbours, owners, edges, wanted, pool, bounds, graphs,
    reference, rule, penalty, state, first, count, proposals, hottest, coldest,
):  # fmt: skip
    """Propose "a -> b and c -> d become a -> d and c -> b", `count` times; as `rewire_undirected`."""
    accepted, num_wanted = 0, wanted.shape[0]
    several, first_slot, size = bounds.shape[0] > 2, 0, pool.shape[0]
    temperature = hottest
    for number in range(count):
        if number % COOL_EVERY == 0:
            temperature = temperature_at(first + number, proposals, hottest, coldest)
        s = wanted[random_below(state, num_wanted)]
        b, a = owners[s], neighbours[s]
        if several:
            first_slot, size = bounds[graphs[b]], bounds[graphs[b] + 1] - bounds[graphs[b]]
        t = pool[first_slot + random_below(state, size)]
        d, c = owners[t], neighbours[t]
        if share_an_end(a, b, c, d):
            continue
        if holds(starts, neighbours, d, a) or holds(starts, neighbours, b, c):
            continue
        change = charge_of_directed_swap(starts, reference, rule, penalty, a, b, c, d)
        if change == np.inf:
            continue
        change += change_of_cost(rows[b, 0], weights[b], hops, rows[a, 1], rows[c, 1])
        change += change_of_cost(rows[d, 0], weights[d], hops, rows[c, 1], rows[a, 1])
        if not accepts(state, change, temperature):
            continue
        move_residual(rows[b, 0], rows[a, 1], rows[c, 1])
        move_residual(rows[d, 0], rows[c, 1], rows[a, 1])
        neighbours[s], neighbours[t] = c, a
        edges[s], edges[t] = edges[t], edges[s]
        accepted += 1
    return accepted


@njit(cache=True, fastmath={"reassoc", "contract"})
def change_of_model(slope, curvature, hops, blocks, dropped, taken, step):  # type: ignore[no-untyped-def]
    """Slope . d + sum_l d_l . C_l d_l for d = taken - dropped, which is left in `step`; O(sum of k_l^2).

    C_l is curvature[blocks[l]:], row by row.
    """
    for c in range(step.shape[0]):
        step[c] = taken[c] - dropped[c]
    total = 0.0
    for hop in range(blocks.shape[0]):
        first, width = hops[hop], hops[hop + 1] - hops[hop]
        for c in range(width):
            row = blocks[hop] + c * width
            curved = slope[first + c]
            for e in range(width):
                curved += curvature[row + e] * step[first + e]
            total += step[first + c] * curved
    return total


@njit(cache=True, fastmath={"reassoc", "contract"})
def move_slope(slope, curvature, hops, blocks, step):  # type: ignore[no-untyped-def]
    """Let slope be that of the model after a step: slope + 2 C step, in place."""
    for hop in range(blocks.shape[0]):
        first, width = hops[hop], hops[hop + 1] - hops[hop]
        for c in range(width):
            row = blocks[hop] + c * width
            curved = slope.dtype.type(0)
            for e in range(width):
                curved += curvature[row + e] * step[first + e]
            slope[first + c] += 2 * curved


@njit(cache=True)
def improve_undirected(  # type: ignore[no-untyped-def] # noqa: C901, PLR0917
    vectors, slopes, curvatures, hops, blocks, starts, neighbours, twins, owners, edges,
    wanted, pool, bounds, graphs, reference, rule, penalty, may_move, near, state, count, most,
):  # fmt: skip
    """Propose swaps, `count` times, and make those that lower a model of the loss, `most` at most; how many.

    For a change d_v of each node's sum the model is slopes_v . d_v + d_v . C_v d_v.
    """
    made = 0
    several, first_slot, size = bounds.shape[0] > 2, 0, pool.shape[0]
    some_wanted = wanted.shape[0] < pool.shape[0]
    steps = np.empty((4, vectors.shape[1]), dtype=vectors.dtype)
    for number in range(count):
        if made == most:
            break
        s = wanted[random_below(state, wanted.shape[0])]
        if some_wanted and random_below(state, 2) == 1:
            s = twins[s]  # from either end of the edge, as where all are wanted
        a, b = owners[s], neighbours[s]
        if several:
            first_slot, size = bounds[graphs[a]], bounds[graphs[a] + 1] - bounds[graphs[a]]
        t = draw_partner(a, starts, pool, first_slot, size, may_move, near, number, state)
        if t < 0:
            continue
        c, d = owners[t], neighbours[t]
        if share_an_end(a, b, c, d) or either_is_edge(starts, neighbours, a, b, c, d):
            continue
        change = charge_of_swap(starts, reference, rule, penalty, a, b, c, d)
        if change == np.inf:
            continue
        quad = ((a, b, d), (b, a, c), (c, d, b), (d, c, a))
        for place in range(4):
            node, dropped, taken = quad[place]
            change += change_of_model(
                slopes[node], curvatures[node], hops, blocks, vectors[dropped], vectors[taken], steps[place]
            )
        if change >= 0:
            continue
        for place in range(4):
            move_slope(slopes[quad[place][0]], curvatures[quad[place][0]], hops, blocks, steps[place])
        swap_ends(neighbours, twins, edges, s, t)
        made += 1
    return made


@njit(cache=True)
def improve_directed(  # type: ignore[no-untyped-def] # noqa: PLR0917
    vectors, slopes, curvatures, hops, blocks, starts, neighbours, owners, edges,
    wanted, pool, bounds, graphs, reference, rule, penalty, state, count, most,
):  # fmt: skip
    """The same with edges that have a direction: a -> b and c -> d become a -> d and c -> b."""
    made, num_wanted = 0, wanted.shape[0]
    several, first_slot, size = bounds.shape[0] > 2, 0, pool.shape[0]
    steps = np.empty((2, vectors.shape[1]), dtype=vectors.dtype)
    for _ in range(count):
        if made == most:
            break
        s = wanted[random_below(state, num_wanted)]
        b, a = owners[s], neighbours[s]
        if several:
            first_slot, size = bounds[graphs[b]], bounds[graphs[b] + 1] - bounds[graphs[b]]
        t = pool[first_slot + random_below(state, size)]
        d, c = owners[t], neighbours[t]
        if share_an_end(a, b, c, d):
            continue
        if holds(starts, neighbours, d, a) or holds(starts, neighbours, b, c):
            continue
        change = charge_of_directed_swap(starts, reference, rule, penalty, a, b, c, d)
        if change == np.inf:
            continue
        change += change_of_model(slopes[b], curvatures[b], hops, blocks, vectors[a], vectors[c], steps[0])
        change += change_of_model(slopes[d], curvatures[d], hops, blocks, vectors[c], vectors[a], steps[1])
        if change >= 0:
            continue
        move_slope(slopes[b], curvatures[b], hops, blocks, steps[0])
        move_slope(slopes[d], curvatures[d], hops, blocks, steps[1])
        neighbours[s], neighbours[t] = c, a
        edges[s], edges[t] = edges[t], edges[s]
        made += 1
    return made
