"""Features and edges may vary together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graph_metamers.inputs.distance import InputDistance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graph_metamers.inputs.feature_values import FeatureValues, Init
    from graph_metamers.inputs.structure import StructureVariables
    from graph_metamers.inputs.variables import Variables
    from graph_metamers.types import Graph


@dataclass(frozen=True, eq=False)
class BothVariables:
    """A reference graph of which features and edges may vary.

    A *point* is a point of the edges and one of the features, one after the other, float64 [p]: slots and
    nodes are whole numbers far below 2^53.

    Attributes
    ----------
    features, edges
        What may vary of each.
    """

    features: Variables
    edges: StructureVariables

    is_smooth = False
    is_binary = False
    bounds = None

    @property
    def reference(self) -> Graph:
        """The graph that is being matched; never changed."""
        return self.features.reference

    @property
    def values(self) -> Mapping[str, FeatureValues]:
        """Slot -> what its features may be."""
        return self.features.values

    def start(self, init: Init, generator: torch.Generator) -> Tensor:
        """Where a search starts, [p]; edges and features are drawn apart."""
        edges = self.edges.start(init, generator)
        return self.point_of(edges, self.features.start(init, generator))

    @staticmethod
    def point_of(edges: Tensor, features: Tensor) -> Tensor:
        """A point, [p], from one of the edges and one of the features."""
        return torch.cat([edges.double(), features.detach().cpu().double()])

    def split(self, point: Tensor) -> tuple[Tensor, Tensor]:
        """The points of the edges, int64, and of the features."""
        count = 2 * len(self.edges.lists.neighbours)
        example = next(iter(self.values.values())).reference
        return point[:count].long(), point[count:].to(example)

    def discrete(self, point: Tensor) -> Graph:
        """The real graph at a point."""
        edges, features = self.split(point.detach())
        graph = self.features.discrete(features)
        graph.edge_index = self.edges.edge_index(edges)
        return graph

    def shuffled(self, generator: torch.Generator) -> Graph:
        """The chance level: unrelated features on a random graph with the same degrees."""
        graph = self.features.shuffled(generator)
        graph.edge_index = self.edges.shuffled(generator).edge_index
        return graph

    def distance(self, graph: Graph, items: str) -> InputDistance:
        """The smaller of both distances, in all and item by item: a graph is as far as its nearer part."""
        parts = [variables.distance(graph, items) for variables in (self.features, self.edges)]
        nearer = min(parts, key=lambda part: part.scaled)
        least = torch.fmin(*(part.items.double() for part in parts))
        return InputDistance(nearer.scaled, nearer.raw, nearer.chance, least.float())

    def describe(self) -> dict[str, Any]:
        """What may vary of the edges, for the record of a search."""
        return self.edges.describe()
