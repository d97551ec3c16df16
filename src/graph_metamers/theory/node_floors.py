"""The least squared error that any choice of its neighbours leaves at each node, in float64. *Ours*."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from graph_metamers.synthesis.fixed_messages import ANYWHERE
from graph_metamers.theory.closest_sums import ClosestSums, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from graph_metamers.graphs.neighbour_lists import NeighbourLists
    from graph_metamers.synthesis.fixed_messages import FixedMessages

ROUNDINGS = 64  # times the coordinates: units of the last place of the largest number that errors may be off
DEVIATIONS = 4  # times what the form was seen to differ from the model
MOST_PAIRS = 8_000_000  # of the nodes of one graph, 400 MB: beyond, nodes of degree 3 and 4 are left at 0


class Limits(NamedTuple):
    """Up to which degree is searched, how much work a node may be, and until when (`time.monotonic`)."""

    max_degree: int
    work: int
    deadline: float | None


@dataclass(eq=False)
class NodeFloors:
    """What is proved of each node so far; `search` goes on until it is done.

    Attributes
    ----------
    form, lists
        The layer, and what may be rewired.
    items
        Nodes that count, bool [n].
    limits
        Of the search.
    bounds
        Squared error that no choice of neighbours is below, float64 [n]; infinite where there is no choice.
    exact
        Whether it is the least error up to rounding, bool [n].
    work
        Boxes and sums looked at.
    """

    form: FixedMessages
    lists: NeighbourLists
    items: NDArray[np.bool_]
    limits: Limits

    def __post_init__(self) -> None:
        lists, n = self.lists, self.lists.num_nodes
        self.degrees = np.bincount(lists.owners[lists.active], minlength=n)
        self._sends = np.bincount(lists.neighbours[lists.active], minlength=n) > 0
        self.bounds = np.zeros(n)
        self.exact = (self.degrees == 0) & self.items  # nothing can change there
        self.work = 0
        in_graph = np.bincount(lists.graphs, self._sends)[lists.graphs]
        for node in np.flatnonzero(self.items & (self.degrees > 0)):
            if in_graph[node] - self._sends[self._excluded(int(node))].sum() < self.degrees[node]:
                self.bounds[node], self.exact[node] = np.inf, True

    @property
    def todo(self) -> NDArray[np.int64]:
        """Nodes that are searched, by degree and graph; first those that are least like the others."""
        searched = self.items & (self.degrees > 0) & (self.degrees <= self.limits.max_degree) & ~self.exact
        nodes = np.flatnonzero(searched)
        unlike = np.square(self.form.values - self.form.values.mean(axis=0)).sum(axis=1)
        return nodes[np.lexsort((-unlike[nodes], self.lists.graphs[nodes], self.degrees[nodes]))]

    def search(self) -> Iterator[int]:
        """Prove what can be proved; tells how many nodes are done."""
        sums: dict[int, _GraphSums] = {}
        done, workers = 0, torch.get_num_threads()
        with ThreadPoolExecutor(workers) as threads:
            for several in _chunks(self.todo, self.lists.graphs, self.degrees, workers):
                if self.limits.deadline is not None and time.monotonic() > self.limits.deadline:
                    return
                place, degree = int(self.lists.graphs[several[0]]), int(self.degrees[several[0]])
                if place not in sums:
                    if len(sums) > 1 and degree > 2:  # trees of pairs are large
                        sums.clear()
                    members = np.flatnonzero((self.lists.graphs == place) & self._sends)
                    sums[place] = _GraphSums.of(self.form, members)
                count = len(sums[place].members)
                if degree > 2 and count * (count - 1) // 2 > MOST_PAIRS:
                    continue
                sums[place].closest.prepare(degree)
                self.work += sum(threads.map(partial(self._search_node, sums=sums[place]), several.tolist()))
                done += len(several)
                yield done

    def _excluded(self, node: int) -> NDArray[np.int64]:
        """Nodes that may not become its neighbours: itself, and those that are."""
        lists = self.lists
        mine = lists.neighbours[lists.starts[node] : lists.starts[node + 1]]
        return np.unique(np.append(mine, node))

    def _search_node(self, node: int, sums: _GraphSums) -> int:
        """Prove what can be proved of one node; the work that it was."""
        form, degree, members = self.form, int(self.degrees[node]), sums.members
        excluded = np.searchsorted(members, np.intersect1d(self._excluded(node), members))
        if not sums.all_known_to(form, node, excluded):
            return 0
        factor = float(form.factors[node])
        target = Target(form.rest[node] @ sums.turned, form.values[node] @ sums.turned, factor, form.slope)
        scale = np.abs(form.rest[node]).max() + degree * abs(factor) * sums.largest
        scale = max(scale, np.abs(form.values[node]).max())
        k = len(target.rest)
        eps = np.finfo(np.float64).eps
        off = np.sqrt(k) * (ROUNDINGS * k * eps * scale + DEVIATIONS * form.deviation)
        floor = sums.closest.floor(degree, target, excluded, enough=off**2, work=self.limits.work)
        self.bounds[node] = max(np.sqrt(floor.bound) - off, 0.0) ** 2
        self.exact[node] = floor.bound >= floor.found or floor.found <= off**2
        return floor.work


@dataclass(frozen=True, eq=False)
class _GraphSums:
    """What the nodes of one graph send, in coordinates for the search.

    Attributes
    ----------
    members
        Nodes that send, int64 [m].
    turned
        To these coordinates, orthogonal [k, k]: principal axes, or a permutation where a ReLU follows.
    closest
        Their vectors.
    largest
        Of the numbers that are sent.
    components
        Of the members' factors.
    """

    members: NDArray[np.int64]
    turned: NDArray[np.float64]
    closest: ClosestSums
    largest: float
    components: NDArray[np.int64]

    @classmethod
    def of(cls, form: FixedMessages, members: NDArray[np.int64]) -> _GraphSums:
        vectors = form.vectors[members]
        centred = vectors - vectors.mean(axis=0)
        if form.slope == 1:
            turned = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]
        else:
            order = np.argsort(-np.square(centred).sum(axis=0), kind="stable")
            turned = np.eye(vectors.shape[1])[:, order]
        largest = float(np.linalg.norm(vectors, axis=1).max())
        return cls(members, turned, ClosestSums(vectors @ turned), largest, form.senders[members])

    def all_known_to(self, form: FixedMessages, node: int, excluded: NDArray[np.int64]) -> bool:
        """Whether it is known what each of them would send to a node."""
        strange = (self.components != ANYWHERE) & (self.components != form.receivers[node])
        strange[excluded] = False
        return not bool(strange.any())


def _chunks(
    nodes: NDArray[np.int64], graphs: NDArray[np.int64], degrees: NDArray[np.int64], size: int
) -> Iterator[NDArray[np.int64]]:
    """Up to `size` nodes at a time, of one graph and degree."""
    starts = np.flatnonzero(np.diff(graphs[nodes], prepend=-1) | np.diff(degrees[nodes], prepend=-1))
    for group in np.split(nodes, starts[1:]):
        yield from (group[first : first + size] for first in range(0, len(group), size))
