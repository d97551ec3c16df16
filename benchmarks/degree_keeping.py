"""Graphs with given degrees from what a search of edges prefers: PRBCD chooses edges without regard to them.

Edges are taken in the order of preference as far as both ends have room. Ends that are left over are joined
at random, and where no two of them may be joined, an edge x - y makes place: it becomes u - x and v - y.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

ATTEMPTS = 10_000  # places that are tried for two ends that may not be joined


class DegreeKeeper:
    """A graph that grows up to given degrees.

    Parameters
    ----------
    degrees
        Of every node, int64 [n].
    forbidden
        Pairs (u, v), u < v, that may not be joined.
    """

    def __init__(self, degrees: Ints, forbidden: AbstractSet[tuple[int, int]]) -> None:
        self._room: list[int] = degrees.tolist()
        self._forbidden = forbidden
        self.edges: list[tuple[int, int]] = []
        self._joined: set[tuple[int, int]] = set()

    def take(self, preferred: Iterable[list[int]]) -> None:
        """Take pairs in this order, each if both ends have room."""
        for u, v in preferred:
            if self._room[u] and self._room[v] and self._may_join(u, v):
                self._join(u, v)

    def complete(self, random: np.random.Generator) -> None:
        """Join what is left over.

        Raises
        ------
        ValueError
            If no place is found: there may be no such graph.
        """
        ends = random.permutation(np.repeat(np.arange(len(self._room)), self._room)).tolist()
        while len(ends) > 1:
            u, v = ends.pop(), ends.pop()
            if self._may_join(u, v):
                self._join(u, v)
            else:
                self._make_place(u, v, random)

    @property
    def edge_index(self) -> Ints:
        """The edges in both directions, int64 [2, 2 m]."""
        pairs = np.array(self.edges, dtype=np.int64).reshape(-1, 2).T
        return np.concatenate([pairs, pairs[::-1]], axis=1)

    def _make_place(self, u: int, v: int, random: np.random.Generator) -> None:
        for _ in range(ATTEMPTS if self.edges else 0):
            place = int(random.integers(len(self.edges)))
            x, y = self.edges[place]
            if random.integers(2):
                x, y = y, x
            if self._may_join(u, x) and self._may_join(v, y) and {u, x} != {v, y}:
                self.edges[place] = self.edges[-1]
                self.edges.pop()
                self._joined.remove((min(x, y), max(x, y)))
                self._room[x] += 1
                self._room[y] += 1
                self._join(u, x)
                self._join(v, y)
                return
        raise ValueError(f"no graph with these degrees was found: {u} and {v} are left over")

    def _may_join(self, u: int, v: int) -> bool:
        pair = (min(u, v), max(u, v))
        return u != v and pair not in self._joined and pair not in self._forbidden

    def _join(self, u: int, v: int) -> None:
        self.edges.append((u, v))
        self._joined.add((min(u, v), max(u, v)))
        self._room[u] -= 1
        self._room[v] -= 1
