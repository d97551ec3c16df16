"""The compiled loops of restoring. Importing this module loads numba: import it where a kernel runs.

Lists are those of `rewiring_kernel`. `inside` are nodes whose lists have to stay.
"""

from __future__ import annotations

from numba import njit

from graph_metamers.graphs.rewiring_kernel import holds, is_edge, swap_ends


@njit(cache=True)
def restore_undirected(  # type: ignore[no-untyped-def]
    starts, neighbours, twins, owners, edges, reference, inside, may_move
):
    """One pass: bring each edge of the reference back for which a swap of two others does; how many.

    Edges u - x and y - v that are new become u - v, of the reference, and y - x.
    """
    made = 0
    for r in range(owners.shape[0]):
        u, v = owners[r], reference[r]
        if u > v or inside[u] or inside[v] or not may_move[r] or is_edge(starts, neighbours, u, v):
            continue
        found = False
        for s in range(starts[u], starts[u + 1]):
            x = neighbours[s]
            if inside[x] or not may_move[s] or is_edge(starts, reference, u, x):
                continue
            for q in range(starts[v], starts[v + 1]):
                y = neighbours[q]
                if inside[y] or not may_move[q] or is_edge(starts, reference, v, y):
                    continue
                if x == y or is_edge(starts, neighbours, x, y):
                    continue
                swap_ends(neighbours, twins, edges, s, twins[q])
                found = True
                break
            if found:
                made += 1
                break
    return made


@njit(cache=True)
def restore_directed(  # type: ignore[no-untyped-def]
    starts, neighbours, owners, edges, reference, inside, may_move, by_source, source_starts
):
    """The same with edges that have a direction: x -> v and u -> y become u -> v and x -> y.

    `by_source` are all slots sorted by what they hold as the pass begins, from `source_starts` on.
    """
    made = 0
    for r in range(owners.shape[0]):
        v, u = owners[r], reference[r]
        if inside[v] or not may_move[r] or holds(starts, neighbours, v, u):
            continue
        found = False
        for s in range(starts[v], starts[v + 1]):
            x = neighbours[s]
            if not may_move[s] or holds(starts, reference, v, x):
                continue
            for place in range(source_starts[u], source_starts[u + 1]):
                t = by_source[place]
                y = owners[t]
                if neighbours[t] != u or inside[y] or not may_move[t] or holds(starts, reference, y, u):
                    continue
                if x == y or holds(starts, neighbours, y, x):
                    continue
                neighbours[s], neighbours[t] = u, x
                edges[s], edges[t] = edges[t], edges[s]
                found = True
                break
            if found:
                made += 1
                break
    return made
