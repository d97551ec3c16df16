"""Exact swaps: edges that change ends without any node seeing it, in so many hops.

Edges a - u and b - v of four nodes become a - v and b - u, where neither was there and the edges' attributes
are equal. If a and b have one colour, and u and v have one, after (hops - 1) rounds of `refine_colours`, then
every node keeps its colour after `hops` rounds, and so every message-passing model its activations: by
induction over rounds, each of the four nodes only has a neighbour replaced by one that looked the same.
Colours stay what they were, so that one swap may follow another. *Ours.* In a directed graph, u -> a and v ->
b become v -> a and u -> b, and only senders need one colour: receivers get from another node what they got
before.

**Relabellings.** A swap that does nothing but let two nodes change names leaves the graph what it is. It is
counted apart, and defined so: the nodes a and b (or u and v) have the same label, and the graph in which they
have changed names, with everything else where it is, is the graph after the swap. This is the case if they
have the same neighbours but for those that the swap exchanges. A swap that is none may still give a graph
that is isomorphic to the first one, by a permutation of more than two nodes: `rounds_to_tell_apart` proves
that a graph is another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graph_metamers.errors import ParameterError
from graph_metamers.graphs.colours import joined_colours
from graph_metamers.graphs.rewiring import RULES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from graph_metamers.graphs.neighbour_lists import NeighbourLists
    from graph_metamers.graphs.rewiring import ReferenceEdges


@dataclass(frozen=True)
class SwapCount:
    """How many swaps a graph admits.

    Attributes
    ----------
    swaps
        All of them; two edges may have two, one for each way to join their ends anew.
    relabellings
        Those among them that only let two nodes of one label change names.
    """

    swaps: int
    relabellings: int

    @property
    def others(self) -> int:
        """Swaps that are no relabelling of two nodes."""
        return self.swaps - self.relabellings


@dataclass(frozen=True, eq=False)
class SwapGroups:
    """A graph whose edges are sorted by the colours of their ends: two of one group may be swapped.

    Attributes
    ----------
    lists
        The graph, and which of its edges may change.
    kinds
        What an edge is beside its ends, for every slot of `lists`, int64 [slots].
    labels
        Nodes of one label may change names without anybody noticing, int64 [n].
    groups
        Of every slot that may change, int64 [slots]; -1 of the others.
    members
        Slots that may change, by group, int64 [k].
    bounds
        Where each group begins in `members`, and where the last one ends, int64 [groups + 1].
    both_ends
        Whether receivers need one colour too; always so in an undirected graph.
    """

    lists: NeighbourLists
    kinds: NDArray[np.int64]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    members: NDArray[np.int64]
    bounds: NDArray[np.int64]
    both_ends: bool

    @classmethod
    def of(
        cls,
        lists: NeighbourLists,
        colours: NDArray[np.int64],
        *,
        labels: NDArray[np.int64] | None = None,
        edge_colours: NDArray[np.int64] | None = None,
        both_ends: bool = False,
    ) -> SwapGroups:
        """Sort edges by the colours of their ends.

        Parameters
        ----------
        lists
            The graph. Self-loops, doubled edges and what is not `active` stay.
        colours
            Of nodes, after (hops - 1) rounds of refinement, int64 [n].
        labels
            What tells nodes apart for whoever looks at the graph: their features, int64 [n]. Default:
            `colours`.
        edge_colours
            Edges with equal attributes have equal ones, int64 [E]; default: all the same.
        both_ends
            Whether both ends need one colour also in a directed graph: for models that send messages against
            the direction of edges.

        Raises
        ------
        ParameterError
            If colours have another shape.
        """
        n, num_edges = lists.num_nodes, len(lists.edges)
        for name, given, count in (
            ("colours", colours, n),
            ("labels", labels, n),
            ("edge_colours", edge_colours, num_edges),
        ):
            if given is not None and given.shape != (count,):
                raise ParameterError(name, f"of shape [{count}]", list(given.shape))
        both_ends = both_ends or not lists.directed
        kinds = np.zeros(num_edges, dtype=np.int64) if edge_colours is None else edge_colours[lists.edges]
        if not lists.directed:  # an edge may have other attributes in either direction
            kinds = joined_colours(kinds, kinds[lists.twins])
        receivers = colours[lists.owners] if both_ends else np.zeros(num_edges, dtype=np.int64)
        keys = joined_colours(receivers, colours[lists.neighbours], kinds, lists.graphs[lists.owners])
        active = lists.active
        members = active[np.argsort(keys[active], kind="stable")]
        _, first, place = np.unique(keys[members], return_index=True, return_inverse=True)
        groups = np.full(num_edges, -1, dtype=np.int64)
        groups[members] = place.reshape(-1)
        bounds = np.append(first, len(members)).astype(np.int64)
        return cls(lists, kinds, colours if labels is None else labels, groups, members, bounds, both_ends)

    @property
    def pairs(self) -> int:
        """Pairs of slots with one group: what `count_swaps` looks at."""
        sizes = np.diff(self.bounds)
        return int((sizes * (sizes - 1) // 2).sum())

    @property
    def touches_wanted(self) -> NDArray[np.bool_]:
        """Which edges end in a node whose list has to change (either end, undirected), bool [slots]."""
        wanted = np.zeros(len(self.groups), dtype=np.bool_)
        wanted[self.lists.wanted] = True
        return wanted if self.lists.directed else wanted | wanted[self.lists.twins]


def count_swaps(groups: SwapGroups) -> SwapCount:
    """Count the admissible swaps of a graph that change a list which is wanted, exactly.

    Notes
    -----
    Looks at every pair of edges whose ends have the same colours, `SwapGroups.pairs`, and at no other: some
    million a second. Time grows with the square of the largest group; memory O(E).
    """
    counts = np.zeros(2, dtype=np.int64)
    mirror = _Mirror.of(groups, groups.lists.neighbours.copy())
    _kernel().count_pairs(
        *mirror.arrays(groups), groups.members, groups.bounds, groups.touches_wanted, counts
    )
    if not groups.lists.directed:
        counts //= 2  # each swap was met from either ends of its edges
    return SwapCount(int(counts[0]), int(counts[1]))


def _kernel() -> Any:
    from graph_metamers.graphs import admissible_swaps_kernel  # noqa: PLC0415 (numba loads slowly)

    return admissible_swaps_kernel


@dataclass(frozen=True, eq=False)
class _Mirror:
    """Lists of the nodes that a node sends to; of an undirected graph the lists themselves."""

    starts: NDArray[np.int64]
    neighbours: NDArray[np.int64]
    out_starts: NDArray[np.int64]
    out_held: NDArray[np.int64]
    out_kinds: NDArray[np.int64]
    twins: NDArray[np.int64]
    owners: NDArray[np.int64]

    @classmethod
    def of(cls, groups: SwapGroups, neighbours: NDArray[np.int64]) -> _Mirror:
        lists, owners = groups.lists, groups.lists.owners
        if not lists.directed:
            twins = lists.twins.copy()
            return cls(lists.starts, neighbours, lists.starts, neighbours, groups.kinds, twins, owners)
        order = np.argsort(neighbours, kind="stable")
        counts = np.bincount(neighbours, minlength=lists.num_nodes)
        out_starts = np.concatenate([[0], counts.cumsum()]).astype(np.int64)
        twins = np.empty_like(order)
        twins[order] = np.arange(len(order))
        out = (out_starts, owners[order], groups.kinds[order])
        return cls(lists.starts, neighbours, *out, twins, owners)

    def arrays(self, groups: SwapGroups) -> tuple[object, ...]:
        """As the kernel takes them."""
        out = (self.out_starts, self.out_held, self.out_kinds)
        rest = (self.twins, self.owners, groups.labels, groups.lists.directed)
        return (self.starts, self.neighbours, groups.kinds, *out, *rest)


class Swapper:
    """Makes admissible swaps one after another, from the graph on.

    Parameters
    ----------
    groups
        The graph.
    seed
        Of the choice; one seed gives one result.
    reference_edges
        What is said about edges of the graph that have gone: see `Structure`. With `charge`, a swap may not
        bring back more of them than it takes away.
    relabel
        Whether relabellings are made too.
    apart
        Only swaps in which owners or neighbours differ in one of these, int64 [2, n]; default: any.

    Attributes
    ----------
    neighbours, edges
        Lists as they are now, as `NeighbourLists` has them.
    made
        Swaps so far.
    """

    def __init__(
        self,
        groups: SwapGroups,
        *,
        seed: int,
        reference_edges: ReferenceEdges = "free",
        relabel: bool = False,
        apart: NDArray[np.int64] | None = None,
    ) -> None:
        self._groups, self._relabel = groups, relabel
        self.neighbours, self.edges = groups.lists.neighbours.copy(), groups.lists.edges.copy()
        self.made = 0
        self._mirror = _Mirror.of(groups, self.neighbours)
        self._rule = RULES[reference_edges]
        names = np.arange(groups.lists.num_nodes)
        self._apart = np.stack([names, names]) if apart is None else apart
        self._random = np.random.default_rng(seed)
        self._state = self._random.integers(2**63, size=1, dtype=np.int64).astype(np.uint64)

    def one_pass(self, most: int, *, least: int = 0) -> int:
        """Make at the most so many swaps, one for each slot at the most; returns how many.

        Parameters
        ----------
        most
            At least 1.
        least
            How many reference edges each has to take away, 0 to 2 (net; in an undirected graph an edge counts
            once). A pass that makes none has looked at all pairs: there is no such swap.
        """
        groups, slots = self._groups, self._groups.members
        if groups.lists.is_restricted:
            slots = slots[np.isin(slots, groups.lists.wanted)]  # their nodes are what matters
        if least:
            held = groups.lists.held_before(self.neighbours)
            slots = slots[held[slots]]
        order = self._random.permutation(slots)
        made = int(
            _kernel().make_swaps(
                *self._arrays(), groups.members, groups.bounds, groups.groups, groups.lists.neighbours,
                self._rule, self._apart, least, self._relabel, order, self._state, most,
            )
        )  # fmt: skip
        self.made += made
        return made

    def run(self, most: int | None, *, is_late: Callable[[], bool] = lambda: False) -> bool:
        """Make so many swaps if there are as many, those first that take reference edges away.

        Parameters
        ----------
        most
            How many; `None`: as long as any takes a reference edge away.
        is_late
            Asked between passes; true ends it.

        Returns
        -------
        bool
            Whether it ended because no further swap was possible.
        """
        wanted = np.iinfo(np.int64).max if most is None else most
        levels = (2, 1) if most is None else (2, 1, 0)
        while self.made < wanted and not is_late():
            if not any(self.one_pass(wanted - self.made, least=least) for least in levels):
                return True
        return False

    def _arrays(self) -> tuple[object, ...]:
        starts, held, kinds, out_starts, out_held, out_kinds, twins, owners, labels, directed = (
            self._mirror.arrays(self._groups)
        )
        lists = (starts, held, kinds, out_starts, out_held, out_kinds, twins, owners)
        return (*lists, self.edges, labels, directed)
