"""Drawing proposals of rewiring ahead of judging them. Importing this module loads numba.

In large graphs nearly all time is waiting for memory: what a proposal reads is somewhere else. Of proposals
that are drawn many at once the memory can be asked for together, before any of them is judged; and if edges
are taken in the order of the lists, half of it is still in the caches. Lists are those of `rewiring_kernel`.
"""

from __future__ import annotations

from numba import njit

from graph_metamers.graphs.prefetching import LINE, prefetch
from graph_metamers.graphs.set_matching_kernel import random_below

ANY_EVERY = 4  # every so many proposals are between any two edges
SHORT = 16  # a list of at most so many slots is looked through without asking whether another is shorter
PART = 2**16  # slots of which partners are drawn at a time
GOLDEN = (5**0.5 - 1) / 2  # multiples of it, modulo 1, are spread evenly however many there are


@njit(cache=True)
def has_shorter_list(starts, node, other):  # type: ignore[no-untyped-def]
    """Whether the list of `node` is shorter than that of `other`, unless that is `SHORT` already.

    In that case nothing is read of `node`.
    """
    length = starts[other + 1] - starts[other]
    return length > SHORT and length > starts[node + 1] - starts[node]


@njit(cache=True)
def draw_partner(  # type: ignore[no-untyped-def]
    node, starts, pool, first, size, may_move, near, number, state
):
    """A slot to swap with, or -1: one of `size` in `pool`, or more often of a node that sends about the same.

    What the neighbours of `node` and that one lose and gain is then little, so a swap is more likely made.
    """
    if near.shape[1] == 0 or number % ANY_EVERY == 0:
        return pool[first + random_below(state, size)]
    return draw_near(node, starts, may_move, near, state)


@njit(cache=True)
def draw_near(node, starts, may_move, near, state):  # type: ignore[no-untyped-def]
    """A slot of a node that sends about the same, or -1."""
    other = near[node, random_below(state, near.shape[1])]
    degree = starts[other + 1] - starts[other]
    if degree == 0:
        return -1
    slot = starts[other] + random_below(state, degree)
    return slot if may_move[slot] else -1


@njit(cache=True)
def draw_swaps(  # type: ignore[no-untyped-def]
    drawn, count, number, starts, twins, owners, wanted, pool, bounds, graphs, may_move, near, state
):
    """Draw the slots s and t of `count` proposals, of which `number` is the first.

    Into drawn [3, count or more]: a slot that is wanted, whether its twin is meant, and t, or -1. What a
    round of a loop reads depends on no other round, so the processor waits for several at once.
    """
    some_wanted, several = wanted.shape[0] < pool.shape[0], bounds.shape[0] > 2
    first, size = 0, pool.shape[0]
    for i in range(count):
        drawn[0, i] = wanted[random_below(state, wanted.shape[0])]
        # From either end of the edge, as where all are wanted.
        drawn[1, i] = random_below(state, 2) if some_wanted else 0
    for i in range(count):
        node = owners[twins[drawn[0, i]] if drawn[1, i] == 1 else drawn[0, i]]
        if several:
            first, size = bounds[graphs[node]], bounds[graphs[node] + 1] - bounds[graphs[node]]
        drawn[2, i] = draw_partner(node, starts, pool, first, size, may_move, near, number + i, state)


@njit(cache=True)
def draw_in_turn(  # type: ignore[no-untyped-def]
    drawn, count, number, phase, starts, twins, owners, wanted, pool, may_move, near, state
):
    """As `draw_swaps` for a single large graph: every wanted slot has its turn, in the order of the lists.

    Partners are from a part of the pool that moves along and is elsewhere in the next turn; `phase`, from 0
    to 1, says where. If that is drawn at random all pairs are as likely as others. `number` counts from the
    start of a turn.
    """
    some_wanted, size, part = wanted.shape[0] < pool.shape[0], pool.shape[0], min(PART, pool.shape[0])
    for i in range(count):
        drawn[0, i] = wanted[(number + i) % wanted.shape[0]]
        drawn[1, i] = random_below(state, 2) if some_wanted else 0
    for i in range(count):
        turn, place = divmod(number + i, wanted.shape[0])
        if near.shape[1] == 0 or (turn + place) % ANY_EVERY == 0:
            first = int(((phase + turn * GOLDEN) % 1.0 + place / wanted.shape[0]) * size)
            drawn[2, i] = pool[(first + random_below(state, part)) % size]
        else:
            node = owners[twins[drawn[0, i]] if drawn[1, i] == 1 else drawn[0, i]]
            drawn[2, i] = draw_near(node, starts, may_move, near, state)


@njit(cache=True)
def fetch_rows(  # type: ignore[no-untyped-def]
    drawn, count, rows, weights, starts, neighbours, twins, owners, edges
):
    """Ask for what proposals read of the four nodes, and of the two slots if they are accepted."""
    flat_rows, flat_weights = rows.reshape(-1), weights.reshape(-1)
    length, step = 2 * rows.shape[2], LINE // rows.itemsize
    for i in range(count):
        for slot in (drawn[0, i], max(0, drawn[2, i])):
            prefetch(twins, slot)
            prefetch(edges, slot)
            for node in (owners[slot], neighbours[slot]):
                prefetch(starts, node)
                prefetch(flat_weights, node * weights.shape[1])
                for place in range(node * length, (node + 1) * length, step):
                    prefetch(flat_rows, place)


@njit(cache=True)
def fetch_lists(  # type: ignore[no-untyped-def]
    drawn, count, starts, neighbours, twins, owners, edges, reference, rule
):
    """Ask for the beginnings of the lists in which proposals are looked up, and for the slots' twins."""
    step = LINE // neighbours.itemsize
    for i in range(count):
        s, t = drawn[0, i], max(0, drawn[2, i])
        for node, other in ((owners[s], neighbours[t]), (owners[t], neighbours[s])):
            if has_shorter_list(starts, other, node):
                node = other  # noqa: PLW2901 (as `is_edge`)
            for place in (starts[node], min(starts[node] + step, starts[node + 1] - 1)):
                prefetch(neighbours, place)
                if rule != 0:  # else nobody asks for edges of the reference
                    prefetch(reference, place)
        for twin in (twins[s], twins[t]):
            prefetch(neighbours, twin)
            prefetch(twins, twin)
            prefetch(edges, twin)
