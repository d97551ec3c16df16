"""The compiled search of edit distances. Importing this module loads numba: import it where a kernel runs."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def fewest_changes(first, second, best):  # type: ignore[no-untyped-def]
    """Fewest entries in which two matrices differ, over all orders of one's rows and columns; `best` if more.

    Depth first: node k of the first is laid on each free node of the second. A branch is left where what
    differs already, and what has to differ still, is not less than the best. Entries between a node that is
    laid and all that are not differ at least by the difference of their numbers, and so do those among these.
    """
    n = first.shape[0]
    chosen = np.full(n, -1, dtype=np.int64)
    used = np.zeros(n, dtype=np.bool_)
    cost = np.zeros(n + 1, dtype=np.int64)
    k = 0
    while k >= 0:
        if chosen[k] >= 0:
            used[chosen[k]] = False
        v = chosen[k] + 1
        while v < n and used[v]:
            v += 1
        if v == n:
            chosen[k] = -1
            k -= 1
            continue
        chosen[k] = v
        used[v] = True
        changes = abs(first[k, k] - second[v, v])
        for j in range(k):
            u = chosen[j]
            changes += abs(first[k, j] - second[v, u]) + abs(first[j, k] - second[u, v])
        cost[k + 1] = cost[k] + changes
        if cost[k + 1] + _still(first, second, chosen, used, k) >= best:
            continue
        if k + 1 == n:
            best = cost[n]
            continue
        k += 1
        chosen[k] = -1
    return best


@njit(cache=True)
def _still(first, second, chosen, used, k):  # type: ignore[no-untyped-def]
    """What has to differ still, once nodes 0 to k are laid."""
    n = first.shape[0]
    least = 0
    for j in range(k + 1):
        v, out, into = chosen[j], 0, 0
        for i in range(k + 1, n):
            out += first[j, i]
            into += first[i, j]
        for u in range(n):
            if not used[u]:
                out -= second[v, u]
                into -= second[u, v]
        least += abs(out) + abs(into)
    inside = 0
    for i in range(k + 1, n):
        for h in range(k + 1, n):
            inside += first[i, h]
    for u in range(n):
        for w in range(n):
            if not used[u] and not used[w]:
                inside -= second[u, w]
    return least + abs(inside)
