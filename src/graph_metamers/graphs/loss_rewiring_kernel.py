"""The compiled loops of rewiring on a layer's own error. Importing this module loads numba.

Lists, swaps and proposals are those of `rewiring_kernel`. A swap changes the numbers of its four nodes, and
with a second step those of their neighbours. What Metropolis accepts is drawn first, so that most proposals
are seen to be too dear before all of this is known; of those that are made nothing is approximated.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from graph_metamers.graphs.rewiring_draws_kernel import draw_swaps
from graph_metamers.graphs.rewiring_kernel import (
    AHEAD,
    CHARGE,
    charge_of_swap,
    either_is_edge,
    is_edge,
    share_an_end,
    swap_ends,
)
from graph_metamers.graphs.set_matching_kernel import most_accepted, temperature_at

FAST = {"reassoc", "contract", "nnan", "nsz"}  # not "ninf": an edge that is forbidden costs infinitely much
# Behind two steps a proposal is given up if it is dearer than what is accepted, by so many temperatures:
MOST_AT_PARTNERS = 12  # by what its partners feel at once; few that would be made are lost
MOST_FELT_ONCE = 5  # but for what a node feels twice
SENDER_BITS = 15  # of how often a node stands in one list


@njit(cache=True, inline="always")
def activated(z, slope):  # type: ignore[no-untyped-def]
    """z, or slope * z below zero."""
    return max(z, slope * z)


@njit(cache=True, inline="always")
def most_returned(starts, reference, rule, penalty, a, b, c, d):  # type: ignore[no-untyped-def]
    """What a swap gets back for the edges of the reference that it removes."""
    if rule != CHARGE or penalty == 0:
        return 0.0
    return penalty * (is_edge(starts, reference, a, b) + is_edge(starts, reference, c, d))


@njit(cache=True, fastmath=FAST)
def error_of_node(sums, target, slope, node):  # type: ignore[no-untyped-def]
    """||s(sums_v) - target_v||^2 of a node v."""
    error = 0.0
    for c in range(sums.shape[1]):
        rest = activated(sums[node, c], slope) - target[node, c]
        error += rest * rest
    return error


@njit(cache=True, fastmath=FAST, inline="always")
def error_with(sums, target, vectors, factor, slope, node, dropped, taken):  # type: ignore[no-untyped-def]
    """The same if its neighbour `dropped` becomes `taken`."""
    error = 0.0
    for c in range(sums.shape[1]):
        z = sums[node, c] + factor * (vectors[taken, c] - vectors[dropped, c])
        rest = activated(z, slope) - target[node, c]
        error += rest * rest
    return error


@njit(cache=True, fastmath=FAST)
def rewire_one_step(  # type: ignore[no-untyped-def] # noqa: C901, PLR0917
    sums, target, vectors, factors, slope, starts, neighbours, twins, owners, edges, wanted, pool, bounds,
    graphs, reference, rule, penalty, may_move, near, state, first, count, proposals, hottest, coldest,
):  # fmt: skip
    """Propose "a - b and c - d become a - d and c - b", `count` times; returns how many were made.

    The cost is sum_v ||s(sums_v) - target_v||^2, s with `slope` below zero, and `penalty` for each reference
    edge. What it may rise by is drawn first. As no node's error falls by more than itself, most proposals are
    rejected at their first nodes; whether edges are in the way is looked up last.
    """
    made = 0
    drawn = np.empty((3, AHEAD), dtype=np.int64)
    errors = np.empty(sums.shape[0])
    for node in range(sums.shape[0]):
        errors[node] = error_of_node(sums, target, slope, node)
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
            if share_an_end(a, b, c, d):
                continue
            most = most_accepted(state, temperature)
            limit = most + most_returned(starts, reference, rule, penalty, a, b, c, d)
            change = -(errors[a] + errors[b] + errors[c] + errors[d])
            # Partners send nearly the same: of them the neighbours feel little, so these come last.
            quad = ((a, b, d), (c, d, b), (b, a, c), (d, c, a))
            for node, dropped, taken in quad:
                if change <= limit:
                    change += error_with(sums, target, vectors, factors[node], slope, node, dropped, taken)
            if change > limit or either_is_edge(starts, neighbours, a, b, c, d):
                continue
            change += charge_of_swap(starts, reference, rule, penalty, a, b, c, d)
            if change > most:
                continue
            for node, dropped, taken in quad:
                for k in range(sums.shape[1]):
                    sums[node, k] += factors[node] * (vectors[taken, k] - vectors[dropped, k])
                errors[node] = error_of_node(sums, target, slope, node)
            swap_ends(neighbours, twins, edges, s, t)
            made += 1
    return made


@njit(cache=True, fastmath=FAST, inline="always")
def step_of_node(sums, vectors, factor, slope, maps, node, dropped, taken, z, changes, mapped, q):  # type: ignore[no-untyped-def]
    """A node's sums with another neighbour, into z[q], and the change of h times the maps, into mapped[q]."""
    for c in range(sums.shape[1]):
        z[q, c] = sums[node, c] + factor * (vectors[taken, c] - vectors[dropped, c])
        changes[c] = activated(z[q, c], slope) - activated(sums[node, c], slope)
    for k in range(maps.shape[0]):
        total = 0.0
        for c in range(maps.shape[1]):
            total += changes[c] * maps[k, c]
        mapped[q, k] = total


@njit(cache=True, fastmath=FAST)
def gather(starts, neighbours, receive, residuals, node, gathered, squares):  # type: ignore[no-untyped-def]
    """sum_{w in N(v)} f_w residuals_w of a node v, into gathered[v], and sum_w f_w^2, into squares[v]."""
    for k in range(residuals.shape[1]):
        gathered[node, k] = 0.0
    squares[node] = 0.0
    for slot in range(starts[node], starts[node + 1]):
        there = neighbours[slot]
        squares[node] += receive[there] * receive[there]
        for k in range(residuals.shape[1]):
            gathered[node, k] += receive[there] * residuals[there, k]


@njit(cache=True, fastmath=FAST, inline="always")
def change_at_partners(residuals, messages, receive, send, a, b, c, d):  # type: ignore[no-untyped-def]
    """What a and c alone feel if they exchange their neighbours b and d, and these send what they did."""
    change = 0.0
    for k in range(residuals.shape[1]):
        gain = send[d] * messages[d, k] - send[b] * messages[b, k]
        change += receive[a] * gain * (2 * residuals[a, k] + receive[a] * gain)
        change -= receive[c] * gain * (2 * residuals[c, k] - receive[c] * gain)
    return change


@njit(cache=True, fastmath=FAST, inline="always")
def change_felt_once(  # type: ignore[no-untyped-def]
    residuals, messages, keep, receive, send, gathered, squares, nodes, losing, getting, mapped, own, of_four
):
    """What a swap changes the squared error by, as if no node were sent to by two of its four.

    What neighbours of a node feel is known from `gathered` without looking at them. What the four themselves
    are sent by their new neighbours goes into `of_four` [4, k].
    """
    change = 0.0
    for q in range(4):
        node, dropped, taken, other = nodes[q], losing[q], getting[q], 3 - q
        size = send[node] * receive[dropped]
        felt = send[node] * send[node] * (squares[node] - receive[dropped] * receive[dropped])
        for k in range(residuals.shape[1]):
            gained = send[taken] * (messages[taken, k] + mapped[other, k])
            step = keep[node] * mapped[q, own + k]
            step += receive[node] * (gained - send[dropped] * messages[dropped, k])
            of_four[q, k] = step
            change += step * (2 * residuals[node, k] + step)
            around = send[node] * gathered[node, k] - size * residuals[dropped, k]
            change += mapped[q, k] * (2 * around + felt * mapped[q, k])
    return change


@njit(cache=True, fastmath=FAST)
def change_felt_twice(  # type: ignore[no-untyped-def] # noqa: C901
    starts, neighbours, receive, send, nodes, losing, mapped, of_four, senders
):
    """What is missing there: products of what two of the four send to the same node, or send to each other.

    `senders` [n] is 0 everywhere, before and after: how often each of the four sends to a node, side by side.
    """
    missing, width = 0.0, of_four.shape[1]
    for q in range(4):
        node = nodes[q]
        for slot in range(starts[node], starts[node + 1]):
            there = neighbours[slot]
            if there == losing[q]:
                continue
            scale = 2 * receive[there] * send[node]
            before = senders[there]
            for r in range(q + 1):
                times = (before >> (SENDER_BITS * r)) & ((1 << SENDER_BITS) - 1)
                if times:
                    for k in range(width):
                        missing += (
                            scale * times * receive[there] * send[nodes[r]] * mapped[q, k] * mapped[r, k]
                        )
            senders[there] = before + (1 << (SENDER_BITS * q))
            for r in range(4):
                if nodes[r] == there:
                    for k in range(width):
                        missing += scale * of_four[r, k] * mapped[q, k]
    for q in range(4):
        for slot in range(starts[nodes[q]], starts[nodes[q] + 1]):
            senders[neighbours[slot]] = 0
    return missing


@njit(cache=True, fastmath=FAST)
def rewire_two_steps(  # type: ignore[no-untyped-def] # noqa: C901, PLR0912, PLR0915, PLR0917
    sums, vectors, factors, slope, residuals, messages, maps, keep, receive, send, places, touched, steps,
    gathered, squares, starts, neighbours, twins, owners, edges, wanted, pool, bounds, graphs, reference,
    rule, penalty, may_move, near, state, first, count, proposals, hottest, coldest,
):  # fmt: skip
    """The same for a layer behind two steps; the cost is sum_v ||residuals_v||^2.

    `maps` are the rows of M^T, and of R^T below them where R is another one; `messages` are h M. `places` [n]
    is -1 everywhere, before and after; `touched` and `steps` [n, k] are room for what a swap changes,
    `gathered` [n, k] and `squares` [n] for what `gather` says of every node.
    """
    made, width = 0, residuals.shape[1]
    for node in range(residuals.shape[0]):
        gather(starts, neighbours, receive, residuals, node, gathered, squares)
    drawn = np.empty((3, AHEAD), dtype=np.int64)
    z, changes, mapped = np.empty((4, sums.shape[1])), np.empty(sums.shape[1]), np.empty((4, maps.shape[0]))
    own = maps.shape[0] - width  # where h R begins
    of_four, senders = np.empty((4, width)), np.zeros(residuals.shape[0], dtype=np.int64)
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
            if share_an_end(a, b, c, d):
                continue
            most = most_accepted(state, temperature)
            limit = most + most_returned(starts, reference, rule, penalty, a, b, c, d)
            at_once = change_at_partners(residuals, messages, receive, send, a, b, c, d)
            if temperature > 0 and at_once > limit + MOST_AT_PARTNERS * temperature:
                continue
            # Node q loses one and gets node 3 - q.
            nodes, losing, getting = (a, b, c, d), (b, a, d, c), (d, c, b, a)
            for q in range(4):
                node, dropped, taken = nodes[q], losing[q], getting[q]
                step_of_node(
                    sums, vectors, factors[node], slope, maps, node, dropped, taken, z, changes, mapped, q
                )
            change = change_felt_once(
                residuals, messages, keep, receive, send, gathered, squares, nodes, losing, getting, mapped,
                own, of_four,
            )  # fmt: skip
            if temperature > 0 and change > limit + MOST_FELT_ONCE * temperature:
                continue
            if either_is_edge(starts, neighbours, a, b, c, d):
                continue
            change += charge_of_swap(starts, reference, rule, penalty, a, b, c, d)
            if change == np.inf:
                continue
            change += change_felt_twice(
                starts, neighbours, receive, send, nodes, losing, mapped, of_four, senders
            )
            if change > most:
                continue
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
                node, dropped = nodes[q], losing[q]
                for k in range(width):
                    steps[places[node], k] += of_four[q, k]
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
                    residuals[node, k] += steps[place, k]
            for q in range(4):
                node = nodes[q]
                sums[node] = z[q]
                for k in range(width):
                    messages[node, k] += mapped[q, k]
            swap_ends(neighbours, twins, edges, s, t)
            for place in range(changed):
                node = touched[place]
                for slot in range(starts[node], starts[node + 1]):
                    for k in range(width):
                        gathered[neighbours[slot], k] += receive[node] * steps[place, k]
            for node in nodes:
                gather(starts, neighbours, receive, residuals, node, gathered, squares)
            made += 1
    return made
