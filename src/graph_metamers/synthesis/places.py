"""Where the hops of a model send, among the nodes of the graph that is rewired.

In a graph with one type of nodes every hop sends from all nodes to all nodes. With several types each hop
sends along one edge type. What it adds up then stands in the rows of this type's nodes, and hops along
different types share columns. *Ours.*
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from graph_metamers.errors import ModelError
from graph_metamers.reading.messages import MessageRecorder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from graph_metamers.inputs.relations import Relation, Relations
    from graph_metamers.reading import ModelView
    from graph_metamers.reading.messages import Hop
    from graph_metamers.synthesis.neighbour_sums import NeighbourSums
    from graph_metamers.types import Graph


@dataclass(frozen=True)
class Place:
    """Where a hop sends.

    Attributes
    ----------
    senders, receivers
        Nodes of the graph that is rewired, from which and to which.
    group
        Which columns it has: those of hops along other edge types too.
    """

    senders: slice
    receivers: slice
    group: int


Places = tuple["Place | None", ...]  # one for each hop; None for those along edges that stay


def places_of(count: int, num_nodes: int) -> Places:
    """Those of hops from all nodes to all nodes."""
    return tuple(Place(slice(num_nodes), slice(num_nodes), group) for group in range(count))


def find_places(view: ModelView, graph: Graph, layers: Sequence[str], relations: Relations) -> Places:
    """Those of the hops along edge types that vary.

    Parameters
    ----------
    view
        The model; call inside `view.borrow()`.
    graph, layers
        The reference, and what has to match.
    relations
        The edge types that vary.

    Raises
    ------
    ModelError
        If a hop sends along other edges than those of one type and self-loops.

    Notes
    -----
    Ours. Each edge type's columns are reversed, which is the same graph: the hops whose edges are in
    another order then are those along this type. One run of the model for each type, and one.
    """
    before = _hops(view, graph, layers)
    found: list[Relation | None] = [None] * len(before)
    for relation in relations.parts:
        edges = relations.joined(graph)
        edges[:, relation.columns] = edges[:, relation.columns].flip(1)
        after = _hops(view, relations.written(graph, edges), layers)
        if len(after) != len(before):
            raise _refusal(relation, "another number of steps when edges are in another order")
        for number, (ours, theirs) in enumerate(zip(before, after, strict=True)):
            if torch.equal(ours.edge_index, theirs.edge_index):
                continue
            if not _sends_along(ours, relation, graph[relation.name].edge_index):
                raise _refusal(relation, "a step along other edges than these")
            found[number] = relation
    seen: Counter[Relation] = Counter()
    places: list[Place | None] = []
    for one in found:
        places.append(None if one is None else Place(one.sources, one.targets, seen[one]))
        seen.update([one] if one is not None else [])
    return tuple(places)


def _refusal(relation: Relation, got: str) -> ModelError:
    return ModelError(
        f"messages must be sent along one edge type at a time where edges of {relation.name} vary, "
        f"got {got}. Use a model made by to_hetero or of HeteroConv"
    )


def _hops(view: ModelView, graph: Graph, layers: Sequence[str]) -> list[Hop]:
    with torch.no_grad(), MessageRecorder(view.model) as recorder:
        view.taps(graph, layers)
    hops = [hop for hop in recorder.hops if hop.leaf is not None and hop.messages is not None]
    if not all(isinstance(hop.edge_index, Tensor) and hop.edge_index.layout == torch.strided for hop in hops):
        raise ModelError("messages must be sent along an edge_index where edges vary, got a sparse matrix")
    return hops


def _sends_along(hop: Hop, relation: Relation, edge_index: Tensor) -> bool:
    """Whether a hop has the edges of a type, and nothing else but self-loops where both ends are one type."""
    if hop.sums is None or len(hop.sums) != relation.num_targets:
        return False
    size = max(relation.num_sources, relation.num_targets)
    ours, theirs = hop.edge_index, edge_index
    if relation.source == relation.target:
        ours, theirs = (edges[:, edges[0] != edges[1]] for edges in (ours, theirs))
    return torch.equal(*((edges[0] * size + edges[1]).sort().values for edges in (ours, theirs)))


@dataclass(frozen=True, eq=False)
class Spaces:
    """What is summed over neighbours at every hop, each in its place.

    Attributes
    ----------
    sums
        Of the hops along edges that vary.
    places
        Of all hops.
    num_nodes
        Of the graph that is rewired, n.
    """

    sums: Sequence[NeighbourSums]
    places: Places
    num_nodes: int

    @property
    def used(self) -> list[Place]:
        """Where `sums` are."""
        return [place for place in self.places if place is not None]

    @property
    def hops(self) -> NDArray[np.int64]:
        """Where the columns of each group begin, and where the last ones end, int64 [groups + 1]."""
        widths = [0] * (1 + max((place.group for place in self.used), default=-1))
        for place, one in zip(self.used, self.sums, strict=True):
            widths[place.group] = max(widths[place.group], one.vectors.shape[1])
        return np.cumsum([0, *widths]).astype(np.int64)

    def vectors(self) -> list[NDArray[np.float64]]:
        """What a node sends, group by group, float64 [n, k_l]."""
        whole = self._placed([one.vectors for one in self.sums], "senders")
        return np.split(whole, self.hops[1:-1], axis=1)

    def weights(self) -> NDArray[np.float64]:
        """What a squared change of a node's sum costs at each group, float64 [n, groups]."""
        found = np.zeros((self.num_nodes, len(self.hops) - 1))
        for place, one in zip(self.used, self.sums, strict=True):
            found[place.receivers, place.group] = one.weights.numpy()
        return found

    def sent(self, hops: Sequence[Hop]) -> NDArray[np.float64]:
        """What a node sends in another graph, float64 [n, k], from its hops along edges that vary."""
        return self._placed([one.sent(hop) for hop, one in zip(hops, self.sums, strict=True)], "senders")

    def pulls(self, gradients: Sequence[Tensor]) -> NDArray[np.float64]:
        """Gradients of what arrives as those of sums of vectors, float64 [n, k]."""
        pulls = [one.pulls(gradient) for gradient, one in zip(gradients, self.sums, strict=True)]
        return self._placed(pulls, "receivers")

    def _placed(self, parts: Sequence[Tensor], side: str) -> NDArray[np.float64]:
        hops = self.hops
        found = np.zeros((self.num_nodes, hops[-1]))
        for place, part in zip(self.used, parts, strict=True):
            first = hops[place.group]
            found[getattr(place, side), first : first + part.shape[1]] = part.cpu().numpy()
        return found


def placed_masks(masks: Sequence[Tensor], places: Places, num_nodes: int) -> list[Tensor]:
    """Nodes of every group, bool [n] each, from those of each hop, bool [receivers]; only of placed hops."""
    used = [(place, mask) for place, mask in zip(places, masks, strict=True) if place is not None]
    found = torch.zeros(1 + max((place.group for place, _ in used), default=-1), num_nodes, dtype=torch.bool)
    for place, mask in used:
        found[place.group, place.receivers] |= mask
    return list(found)
