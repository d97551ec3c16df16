"""Every pair of nodes has a logit, and the largest ones are the edges: dense, as in the paper."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch_geometric.utils import is_undirected

from graph_metamers.arrays import array_of
from graph_metamers.errors import ParameterError
from graph_metamers.graphs.neighbour_lists import NeighbourLists
from graph_metamers.inputs.edge_variables import EdgeVariables, require_one_graph
from graph_metamers.inputs.feature_values import NUDGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from graph_metamers.inputs.feature_values import Init
    from graph_metamers.inputs.structure import Structure
    from graph_metamers.types import Graph

MOST_NODES = 20_000
"""Of a graph whose pairs have a logit each: 200 million pairs."""
BYTES_OF_A_PAIR = 64
"""That a search takes: logit, start, best, slope, two moments, its place, and what passes by while the
largest are found."""


@dataclass(frozen=True, eq=False)
class PairVariables(EdgeVariables):
    """A reference graph whose edges may be any pairs of nodes, as many as it has.

    A *point* is the vector in which a solver moves, float32 [p]: a logit for each pair that may be joined,
    i < j in an undirected graph, ordered pairs in a directed one. Its edges are the pairs with the largest.

    Attributes
    ----------
    reference
        The graph that is being matched; never changed.
    structure
        What was asked for.
    directed
        Whether edges have a direction.
    num_edges
        How many pairs are joined; edges that stay (self-loops, doubled and protected ones) are not counted.
    places
        i * n + j of every pair that may be joined, int64 [p], ascending.
    own
        Coordinates of the reference's edges that may be joined again, int64.
    fixed
        Edges that stay, int64 [2, k].
    values
        Empty: no features vary.
    """

    reference: Graph
    structure: Structure
    directed: bool
    num_edges: int
    places: Tensor
    own: Tensor
    fixed: Tensor
    values: Mapping[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def num_nodes(self) -> int:
        """Number of nodes, n."""
        return int(self.reference.num_nodes or 0)

    def start(self, init: Init, generator: torch.Generator) -> Tensor:
        """Where a search starts, [p]: normal logits, or +1 on the reference's edges and -1 elsewhere, nudged.

        Raises
        ------
        ParameterError
            For `init="permuted"`, which is about features; for `"reference"` where its edges are forbidden.
        """
        noise = torch.randn(len(self.places), generator=generator).to(self.places.device)
        if init == "noise":
            return noise
        if init == "permuted":
            raise ParameterError("init", "'noise' or 'reference' where edges vary", init)
        if not len(self.own):
            mend = "Pass Structure(reference_edges='free')"
            raise ParameterError("init", "'noise' where no edge of the reference may come back", init, mend)
        signs = torch.full_like(noise, -1.0)
        signs[self.own] = 1.0
        return signs + NUDGE * noise

    def chosen(self, point: Tensor) -> Tensor:
        """Coordinates of the pairs that are joined at a point, int64 [num_edges], ascending; exactly so many.

        Among equal logits the first ones are taken.
        """
        return largest(point.detach(), self.num_edges)

    def edge_index(self, point: Tensor) -> Tensor:
        """Sources and targets at a point, int64 [2, E]; edges that stay are the last ones."""
        return torch.cat([self.ends(self.chosen(point)), self.fixed], dim=1)

    def ends(self, chosen: Tensor) -> Tensor:
        """Sources and targets of some pairs, int64 [k]: [2, k], or [2, 2 k] in both directions."""
        places = self.places[chosen]
        ahead = torch.stack([places // self.num_nodes, places % self.num_nodes])
        return ahead if self.directed else torch.cat([ahead, ahead.flip(0)], dim=1)

    def describe(self) -> dict[str, Any]:
        """What may vary, for the record of a search."""
        return {
            "kind": "structure",
            "preserve": "edges",
            "reference_edges": self.structure.reference_edges,
            "directed": self.directed,
            "mutable": 1 - self.fixed.shape[1] / max(self.reference.edge_index.shape[1], 1),
        }


def count_pairs(structure: Structure, graph: Graph) -> int:
    """About how many pairs of nodes there are to choose from.

    Raises
    ------
    ParameterError
        If the graph is of another kind, or has more than `MOST_NODES` nodes.
    """
    edge_index = require_one_graph(graph)
    num_nodes = int(graph.num_nodes or 0)
    pairs = num_nodes * (num_nodes - 1) // (1 if _is_directed(structure, edge_index, num_nodes) else 2)
    if num_nodes > MOST_NODES:
        raise ParameterError(
            "solver",
            f"'rewire' for more than {MOST_NODES:,} nodes",
            f"'straight_through' for {num_nodes:,} nodes, which needs a logit for each of {pairs:,} pairs, "
            f"in all about {BYTES_OF_A_PAIR * pairs / 2**30:.0f} GiB",
        )
    return pairs


def pair_variables(structure: Structure, graph: Graph) -> PairVariables:
    """The graphs with as many edges as a reference has.

    Raises
    ------
    ParameterError
        If the graph is of another kind, has attributes of edges, no edge that may vary or too many, or if
        edges of the reference are to be charged.
    """
    edge_index = require_one_graph(graph)
    _require_plain(structure, graph)
    num_nodes = int(graph.num_nodes or 0)
    directed = _is_directed(structure, edge_index, num_nodes)
    fixed = structure.fixed(edge_index.cpu().numpy(), num_nodes)
    lists = NeighbourLists.of(edge_index.cpu().numpy(), num_nodes, directed=directed, fixed=fixed)
    varies = np.zeros(edge_index.shape[1], dtype=np.bool_)
    varies[lists.edges[lists.active]] = True
    joined = torch.from_numpy(varies).to(edge_index.device)
    allowed = torch.ones(num_nodes, num_nodes, dtype=torch.bool, device=edge_index.device)
    allowed = allowed.fill_diagonal_(False) if directed else allowed.triu_(1)
    forbidden = edge_index if structure.reference_edges == "forbid" else edge_index[:, ~joined]
    allowed[forbidden[0], forbidden[1]] = False
    places = allowed.flatten().nonzero().flatten()
    source, target = edge_index[:, joined]
    own = (source * num_nodes + target)[allowed[source, target]].sort().values
    count = int(joined.sum()) // (1 if directed else 2)
    if not 0 < count < len(places):
        raise ParameterError(
            "vary",
            "something else than 'structure' where edges cannot be chosen",
            f"{count} edges that may vary and {len(places)} pairs to choose from",
        )
    return PairVariables(
        graph, structure, directed, count, places, torch.searchsorted(places, own), edge_index[:, ~joined]
    )


def largest(logits: Tensor, count: int) -> Tensor:
    """Places of the `count` largest entries, ascending, int64 [count]; among equal ones the first are taken.

    A partition instead of torch.topk: see `BinaryFeatures`.
    """
    threshold = np.partition(array_of(logits), -count)[-count].item()
    above = (logits > threshold).nonzero().flatten()
    equal = (logits == threshold).nonzero().flatten()[: count - len(above)]
    return torch.cat([above, equal]).sort().values


def _is_directed(structure: Structure, edge_index: Tensor, num_nodes: int) -> bool:
    if structure.directed is not None:
        return structure.directed
    return not is_undirected(edge_index, num_nodes=num_nodes)


def _require_plain(structure: Structure, graph: Graph) -> None:
    if structure.reference_edges == "charge":
        raise ParameterError(
            "reference_edges",
            "'forbid' or 'free' with the solver 'straight_through'",
            structure.reference_edges,
        )
    attributes = [name for name in graph.edge_attrs() if name != "edge_index"]
    weights = getattr(graph, "edge_weight", None)
    if weights is not None and bool((weights == 1).all()):  # as many edges, each of weight 1: nothing to tell
        attributes.remove("edge_weight")
    if attributes:
        raise ParameterError(
            "solver",
            "'rewire', in which attributes travel with their edge, for a graph whose edges have some",
            f"'straight_through' and {', '.join(attributes)}",
        )
