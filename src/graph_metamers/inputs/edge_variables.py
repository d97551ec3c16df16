"""What graphs with other edges have in common: how far they are from the reference."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from graph_metamers.errors import ParameterError
from graph_metamers.inputs.distance import InputDistance
from graph_metamers.inputs.edges import changed_edges
from graph_metamers.inputs.slots import count_items
from graph_metamers.reading.items import num_graphs

if TYPE_CHECKING:
    import torch

    from graph_metamers.inputs.feature_values import Init
    from graph_metamers.types import Graph


class EdgeVariables(ABC):
    """A reference graph whose edges may vary.

    Attributes
    ----------
    reference
        The graph that is being matched; never changed.
    """

    reference: Graph

    is_smooth = False
    is_binary = False
    bounds = None

    @abstractmethod
    def start(self, init: Init, generator: torch.Generator) -> Tensor:
        """Where a search starts, [p]."""

    @abstractmethod
    def edge_index(self, point: Tensor) -> Tensor:
        """Sources and targets at a point, int64 [2, E]."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What may vary, for the record of a search."""

    def discrete(self, point: Tensor) -> Graph:
        """The real graph at a point."""
        return self.with_edges(self.reference, self.edge_index(point))

    def with_edges(self, graph: Graph, edge_index: Tensor) -> Graph:
        """A shallow copy of a graph with other edges, int64 [2, E] as `edge_index` has them."""
        changed = copy.copy(graph)
        changed.edge_index = edge_index
        return changed

    def distance(self, graph: Graph, items: str) -> InputDistance:
        """Share of edges that are others: 1 - Jaccard index, over its chance level.

        Chance is a random graph with the same degrees (configuration model), in which an edge u - v of the
        reference is there with probability d_u d_v / 2 m at the most: to first order.
        """
        before, after = _keys(self.reference), _keys(graph)
        common = len(np.intersect1d(before, after))
        raw = 1 - common / max(len(before) + len(after) - common, 1)
        expected = self._expected_common()
        chance = 1 - expected / (2 * len(before) - expected)
        per_item = changed_edges(graph, self.reference, items, count_items(items, self.reference))
        return InputDistance(raw / chance if chance > 0 else 0.0, raw, chance, (per_item / chance).float())

    def _expected_common(self) -> float:
        source, target = self.reference.edge_index.cpu().numpy()
        n = int(self.reference.num_nodes or 0)
        out, into = np.bincount(source, minlength=n), np.bincount(target, minlength=n)
        return float(np.minimum(1.0, out[source] * into[target] / max(len(source), 1)).sum())


def require_one_graph(graph: Graph) -> Tensor:
    """The edges of a graph, int64 [2, E]; raises as `require_edges`, and if it is a batch."""
    if isinstance(graph, Data) and num_graphs(graph) > 1:
        raise ParameterError(
            "vary",
            "something else than 'structure' for several graphs with this solver, or beside features",
            type(graph).__name__,
        )
    return require_edges(graph)


def require_edges(graph: Graph) -> Tensor:
    """The edges of a graph or a batch, int64 [2, E].

    Raises
    ------
    ParameterError
        If it has kinds of nodes, or no `edge_index`.
    """
    if isinstance(graph, HeteroData) or not isinstance(graph, Data):
        raise ParameterError(
            "vary",
            "about features or edges alone for several kinds of nodes, edges by rewiring",
            type(graph).__name__,
        )
    edge_index = graph.edge_index
    if not isinstance(edge_index, Tensor):
        raise ParameterError("graph", "a Data with an edge_index, int64 [2, E]", type(edge_index).__name__)
    return edge_index


def _keys(graph: Graph) -> np.ndarray[Any, Any]:
    source, target = graph.edge_index.cpu().numpy()
    return np.unique(source.astype(np.int64) * int(graph.num_nodes or 0) + target)
