"""The compiled loops of exact swaps. Importing this module loads numba: import it where a kernel runs.

Lists are those of `rewiring_kernel`: slot s in the list of node v holds u. Of a directed graph there are two
kinds of lists, sources into a node and targets out of it, and `twins[s]` is the slot of the same edge in the
second kind. Of an undirected one both kinds are the same arrays.
"""

from __future__ import annotations

from numba import njit

from graph_metamers.graphs.rewiring_kernel import FORBID, FREE, holds, is_edge, share_an_end, swap_ends
from graph_metamers.graphs.set_matching_kernel import random_below


@njit(cache=True)
def joins(starts, neighbours, directed, node, other):  # type: ignore[no-untyped-def]
    """Whether there is an edge from `other` to `node`."""
    if directed:
        return holds(starts, neighbours, node, other)
    return is_edge(starts, neighbours, node, other)


@njit(cache=True)
def may_swap(starts, neighbours, owners, directed, s, t):  # type: ignore[no-untyped-def]
    """Whether slots s and t may change what they hold: four nodes, and both new edges are absent."""
    a, u, b, v = owners[s], neighbours[s], owners[t], neighbours[t]
    if share_an_end(a, u, b, v):
        return False
    return not (joins(starts, neighbours, directed, a, v) or joins(starts, neighbours, directed, b, u))


@njit(cache=True)
def occurs(starts, held, kinds, node, other, kind, skipped):  # type: ignore[no-untyped-def]
    """How often `other` is in the list of `node` by an edge of some kind, one slot left out."""
    count = 0
    for slot in range(starts[node], starts[node + 1]):
        count += slot != skipped and held[slot] == other and kinds[slot] == kind
    return count


@njit(cache=True)
def differ_by_name(starts, held, kinds, p, q, skipped_p, skipped_q):  # type: ignore[no-untyped-def]
    """Whether the list of p, but for a slot, is that of q, but for a slot, once p and q change names.

    O(d^2) where it is, and usually O(d) where it is not.
    """
    if starts[p + 1] - starts[p] != starts[q + 1] - starts[q]:
        return False
    for slot in range(starts[p], starts[p + 1]):
        if slot == skipped_p:
            continue
        other, kind = held[slot], kinds[slot]
        renamed = q if other == p else (p if other == q else other)
        ours = occurs(starts, held, kinds, p, other, kind, skipped_p)
        if ours != occurs(starts, held, kinds, q, renamed, kind, skipped_q):
            return False
    return True


@njit(cache=True)
def is_relabelling(  # type: ignore[no-untyped-def]
    starts, held, kinds, out_starts, out_held, out_kinds, twins, owners, labels, directed, s, t
):
    """Whether the swap of s and t is what two nodes of one label do when they change names."""
    a, u, b, v = owners[s], held[s], owners[t], held[t]
    same = labels[a] == labels[b] and differ_by_name(starts, held, kinds, a, b, s, t)
    if same and (not directed or differ_by_name(out_starts, out_held, out_kinds, a, b, -1, -1)):
        return True
    same = labels[u] == labels[v]
    same = same and differ_by_name(out_starts, out_held, out_kinds, u, v, twins[s], twins[t])
    return same and (not directed or differ_by_name(starts, held, kinds, u, v, -1, -1))


@njit(cache=True)
def count_pairs(  # type: ignore[no-untyped-def]
    starts, held, kinds, out_starts, out_held, out_kinds, twins, owners, labels, directed,
    members, bounds, touches_wanted, counts,
):  # fmt: skip
    """Add admissible pairs of slots of one group, and relabellings among them, to counts[0] and counts[1].

    Those of which at least one is wanted.
    """
    for group in range(bounds.shape[0] - 1):
        for i in range(bounds[group], bounds[group + 1]):
            for j in range(i + 1, bounds[group + 1]):
                s, t = members[i], members[j]
                if not (touches_wanted[s] or touches_wanted[t]):
                    continue
                if not may_swap(starts, held, owners, directed, s, t):
                    continue
                counts[0] += 1
                counts[1] += is_relabelling(
                    starts,
                    held,
                    kinds,
                    out_starts,
                    out_held,
                    out_kinds,
                    twins,
                    owners,
                    labels,
                    directed,
                    s,
                    t,
                )


@njit(cache=True)
def swap_slots(neighbours, out_held, twins, edges, directed, s, t):  # type: ignore[no-untyped-def]
    """Slots s and t change what they hold, and the edges' other ends follow."""
    if not directed:
        swap_ends(neighbours, twins, edges, s, t)
        return
    other_s, other_t = twins[s], twins[t]
    neighbours[s], neighbours[t] = neighbours[t], neighbours[s]
    out_held[other_s], out_held[other_t] = out_held[other_t], out_held[other_s]
    twins[s], twins[t] = other_t, other_s


@njit(cache=True)
def is_wanted(  # type: ignore[no-untyped-def]
    starts, neighbours, owners, reference, directed, rule, least, apart, s, t
):
    """Whether a swap takes at least so many reference edges away, and brings none back that may not.

    Owners or neighbours have to differ in apart[0] or apart[1].
    """
    a, u, b, v = owners[s], neighbours[s], owners[t], neighbours[t]
    if apart[0, a] == apart[0, b] and apart[1, u] == apart[1, v]:
        return False
    gone = joins(starts, reference, directed, a, u) + joins(starts, reference, directed, b, v)
    back = 0
    if rule != FREE or least > 0:
        back = joins(starts, reference, directed, a, v) + joins(starts, reference, directed, b, u)
    if rule == FORBID and back > 0:
        return False
    if rule != FREE and back > gone:
        return False
    return gone - back >= least


@njit(cache=True)
def make_swaps(  # type: ignore[no-untyped-def] # noqa: PLR0917
    starts, neighbours, kinds, out_starts, out_held, out_kinds, twins, owners, edges, labels, directed,
    members, bounds, groups, reference, rule, apart, least, relabel, order, state, most,
):  # fmt: skip
    """One pass: for each slot of `order` the first partner of its group with which a swap may be made.

    Returns how many were made, at the most `most`. Partners are looked through from a random place on, all of
    them, so that a pass that makes none says that there is none.
    """
    made = 0
    for s in order:
        if made >= most:
            break
        first, size = bounds[groups[s]], bounds[groups[s] + 1] - bounds[groups[s]]
        offset = random_below(state, size)
        for step in range(size):
            t = members[first + (offset + step) % size]
            if not may_swap(starts, neighbours, owners, directed, s, t):
                continue
            if not is_wanted(starts, neighbours, owners, reference, directed, rule, least, apart, s, t):
                continue
            if not relabel and is_relabelling(
                starts,
                neighbours,
                kinds,
                out_starts,
                out_held,
                out_kinds,
                twins,
                owners,
                labels,
                directed,
                s,
                t,
            ):
                continue
            swap_slots(neighbours, out_held, twins, edges, directed, s, t)
            made += 1
            break
    return made
