"""The compiled loops of rewiring on a layer's own error. Importing this module loads numba.

Lists, swaps and proposals are those of `rewiring_kernel`. For a swap the numbers of its four nodes are
computed anew, and with a second step those of their neighbours: nothing is approximated.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from graph_metamers.graphs.rewiring_draws_kernel import draw_swaps
from graph_metamers.graphs.rewiring_kernel import (
    AHEAD,
    charge_of_swap,
    either_is_edge,
    share_an_end,
    swap_ends,
)
from graph_metamers.graphs.set_matching_kernel import accepts, temperature_at


@njit(cache=True, inline="always")
def activated(z, slope):  # type: ignore[no-untyped-def]
    """z, or slope * z below zero."""
    return max(z, slope * z)


@njit(cache=True, fastmath={"reassoc", "contract"})
def change_of_node(sums, target, vectors, factor, slope, dropped, taken):  # type: ignore[no-untyped-def]
    """What a node's squared error changes by if its neighbour `dropped` becomes `taken`."""
    change = 0.0
    for c in range(sums.shape[0]):
        before = activated(sums[c], slope) - target[c]
        after = activated(sums[c] + factor * (vectors[taken, c] - vectors[dropped, c]), slope) - target[c]
        change += after * after - before * before
    return change


@njit(cache=True)
def rewire_one_step(  # type: ignore[no-untyped-def] # noqa: PLR0917
    sums, target, vectors, factors, slope, starts, neighbours, twins, owners, edges, wanted, pool, bounds,
    graphs, reference, rule, penalty, may_move, near, state, first, count, proposals, hottest, coldest,
):  # fmt: skip
    """Propose "a - b and c - d become a - d and c - b", `count` times; returns how many were made.

    The cost is sum_v ||s(sums_v) - target_v||^2, s with `slope` below zero, and `penalty` for each reference
    edge.
    """
    made = 0
    drawn = np.empty((3, AHEAD), dtype=np.int64)
    for begun in range(0, count, AHEAD):
        size = min(AHEAD, count - begun)
        draw_swaps(
            drawn, size, begun, starts, twins, owners, wanted, pool, bounds, graphs, may_move, near, state
        )
        temperature = temperature_at(first + begun, proposals, hottest, coldest)
        for i in range(size):
            s, t = drawn[0, i], drawn[2, i]
            if t < 0:
                continue
            a, b, c, d = owners[s], neighbours[s], owners[t], neighbours[t]
            if share_an_end(a, b, c, d) or either_is_edge(starts, neighbours, a, b, c, d):
                continue
            change = charge_of_swap(starts, reference, rule, penalty, a, b, c, d)
            if change == np.inf:
                continue
            quad = ((a, b, d), (b, a, c), (c, d, b), (d, c, a))
            for node, dropped, taken in quad:
                change += change_of_node(
                    sums[node], target[node], vectors, factors[node], slope, dropped, taken
                )
            if not accepts(state, change, temperature):
                continue
            for node, dropped, taken in quad:
                for k in range(sums.shape[1]):
                    sums[node, k] += factors[node] * (vectors[taken, k] - vectors[dropped, k])
            swap_ends(neighbours, twins, edges, s, t)
            made += 1
    return made


@njit(cache=True, fastmath={"reassoc", "contract"})
def step_of_node(sums, vectors, factor, slope, maps, node, dropped, taken, z, step, q):  # type: ignore[no-untyped-def]
    """A node's sums with another neighbour, into z[q], and the change of h times the maps, into step[q]."""
    for k in range(maps.shape[1]):
        step[q, k] = 0.0
    for c in range(sums.shape[1]):
        z[q, c] = sums[node, c] + factor * (vectors[taken, c] - vectors[dropped, c])
        change = activated(z[q, c], slope) - activated(sums[node, c], slope)
        if change != 0.0:
            for k in range(maps.shape[1]):
                step[q, k] += change * maps[c, k]


@njit(cache=True, fastmath={"reassoc", "contract"})
def rewire_two_steps(  # type: ignore[no-untyped-def] # noqa: C901, PLR0912, PLR0917
    sums, vectors, factors, slope, errors, messages, maps, keep, receive, send, places, touched, steps,
    starts, neighbours, twins, owners, edges, wanted, pool, bounds, graphs, reference, rule, penalty,
    may_move, near, state, first, count, proposals, hottest, coldest,
):  # fmt: skip
    """The same for a layer behind two steps; the cost is sum_v ||errors_v||^2.

    `maps` are M, or M and R side by side where R is another one; `messages` are h M. `places` [n] is -1
    everywhere, before and after; `touched` and `steps` [n, k] are room for the nodes that a swap changes.
    """
    made, width = 0, errors.shape[1]
    drawn = np.empty((3, AHEAD), dtype=np.int64)
    z, mapped = np.empty((4, sums.shape[1])), np.empty((4, maps.shape[1]))
    own = maps.shape[1] - width  # where h R begins
    for begun in range(0, count, AHEAD):
        size = min(AHEAD, count - begun)
        draw_swaps(
            drawn, size, begun, starts, twins, owners, wanted, pool, bounds, graphs, may_move, near, state
        )
        temperature = temperature_at(first + begun, proposals, hottest, coldest)
        for i in range(size):
            s, t = drawn[0, i], drawn[2, i]
            if t < 0:
                continue
            a, b, c, d = owners[s], neighbours[s], owners[t], neighbours[t]
            if share_an_end(a, b, c, d) or either_is_edge(starts, neighbours, a, b, c, d):
                continue
            change = charge_of_swap(starts, reference, rule, penalty, a, b, c, d)
            if change == np.inf:
                continue
            # Node q loses one and gets node 3 - q.
            nodes, losing, getting = (a, b, c, d), (b, a, d, c), (d, c, b, a)
            for q in range(4):
                node, dropped, taken = nodes[q], losing[q], getting[q]
                step_of_node(sums, vectors, factors[node], slope, maps, node, dropped, taken, z, mapped, q)
            changed = 0
            for node in nodes:  # each of them is a neighbour of another one
                for slot in range(starts[node], starts[node + 1]):
                    there = neighbours[slot]
                    if places[there] < 0:
                        places[there], touched[changed] = changed, there
                        for k in range(width):
                            steps[changed, k] = 0.0
                        changed += 1
            for q in range(4):
                node, dropped, taken, other = nodes[q], losing[q], getting[q], 3 - q
                at = places[node]
                for k in range(width):
                    gained = send[taken] * (messages[taken, k] + mapped[other, k])
                    steps[at, k] += keep[node] * mapped[q, own + k]
                    steps[at, k] += receive[node] * (gained - send[dropped] * messages[dropped, k])
                for slot in range(starts[node], starts[node + 1]):
                    there = neighbours[slot]
                    if there == dropped:
                        continue
                    at = places[there]
                    scale = receive[there] * send[node]
                    for k in range(width):
                        steps[at, k] += scale * mapped[q, k]
            for place in range(changed):
                node = touched[place]
                places[node] = -1
                for k in range(width):
                    change += steps[place, k] * (2 * errors[node, k] + steps[place, k])
            if not accepts(state, change, temperature):
                continue
            for place in range(changed):
                for k in range(width):
                    errors[touched[place], k] += steps[place, k]
            for q in range(4):
                node = nodes[q]
                sums[node] = z[q]
                for k in range(width):
                    messages[node, k] += mapped[q, k]
            swap_ends(neighbours, twins, edges, s, t)
            made += 1
    return made
