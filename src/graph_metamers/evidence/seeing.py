"""What distances read of a graph object, and the unrelated graphs that stand at 1 on their scales."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from graph_metamers.arrays import array_of
from graph_metamers.errors import ParameterError
from graph_metamers.graphs.random_edges import random_edges
from graph_metamers.inputs import Structure, resolve_variables
from graph_metamers.inputs.slots import read_features
from graph_metamers.metrics.distances import Chance, Seen
from graph_metamers.randomness import generator_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graph_metamers.inputs import StructureVariables
    from graph_metamers.types import Graph


def seen_of(graph: Graph, reference: Graph) -> Seen:
    """What distances read of a graph; classes of nodes are the reference's.

    Parameters
    ----------
    graph
        A version of the reference, or it itself.
    reference
        The graph with the classes, `y`: int64 [n], where it has them.
    """
    has_features = isinstance(graph, HeteroData) or isinstance(graph.x, Tensor)
    features = tuple(x.detach() for x in read_features(graph).values()) if has_features else ()
    num_nodes = int(graph.num_nodes or 0)
    if not isinstance(graph, Data) or not isinstance(graph.edge_index, Tensor):
        return Seen(features, None, num_nodes)
    of_nodes = {name: _of_nodes(reference.get(name), num_nodes) for name in ("y", "batch")}
    return Seen(features, graph.edge_index, num_nodes, of_nodes["y"], of_nodes["batch"])


def _of_nodes(values: object, num_nodes: int) -> Tensor | None:
    """Whole numbers that nodes have, int64 [n]; `None` for anything else."""
    if not isinstance(values, Tensor) or values.shape != (num_nodes,):
        return None
    return None if values.is_floating_point() or values.is_complex() else values.long()


@dataclass(frozen=True, eq=False)
class ChanceGraphs:
    """Unrelated graphs of a reference, drawn when they are first asked for.

    Attributes
    ----------
    reference
        The graph.
    seen
        What distances read of it.
    seed
        One seed gives the same graphs.
    """

    reference: Graph
    seen: Seen
    seed: int
    _drawn: dict[tuple[Chance, int], Seen] = field(default_factory=dict, init=False)

    @cached_property
    def _rewiring(self) -> StructureVariables | None:
        try:
            return Structure(reference_edges="free").variables(self.reference)
        except ParameterError:
            return None

    def why_none(self, chance: Chance) -> str:
        """Why there is no such graph; empty if there is one."""
        needed = chance in ("rewired", "shuffled_and_rewired")
        return "no two edges can change places" if needed and self._rewiring is None else ""

    def draw(self, chance: Chance, number: int) -> Seen:
        """The `number`-th graph of a kind, from 0, as distances read it."""
        if (chance, number) not in self._drawn:
            generator = generator_for(f"distances/{chance}/{number}", self.seed)
            changes: Mapping[str, object] = _DRAWS[chance](self, generator)
            self._drawn[chance, number] = replace(self.seen, **changes)  # type: ignore[arg-type]
        return self._drawn[chance, number]

    def _shuffled(self, generator: torch.Generator) -> Mapping[str, object]:
        shuffled = resolve_variables("features", self.reference).shuffled(generator)
        return {"features": tuple(read_features(shuffled).values())}

    def _resampled(self, generator: torch.Generator) -> Mapping[str, object]:
        return {"features": tuple(_resampled(x, generator) for x in self.seen.features)}

    def _rewired(self, generator: torch.Generator) -> Mapping[str, object]:
        assert self._rewiring is not None  # noqa: S101 (`why_none`)
        return {"edge_index": self._rewiring.shuffled(generator).edge_index}

    def _random_edges(self, generator: torch.Generator) -> Mapping[str, object]:
        seed = int(torch.randint(2**62, (), generator=generator))
        graphs = None if self.seen.graphs is None else array_of(self.seen.graphs)
        edges = random_edges(
            array_of(self.seen.edges), self.seen.num_nodes, np.random.default_rng(seed), graphs=graphs
        )
        return {"edge_index": torch.from_numpy(edges)}

    def _both(self, generator: torch.Generator) -> Mapping[str, object]:
        return {**self._shuffled(generator), **self._rewired(generator)}


_DRAWS = {
    "shuffled": ChanceGraphs._shuffled,
    "resampled": ChanceGraphs._resampled,
    "rewired": ChanceGraphs._rewired,
    "random_edges": ChanceGraphs._random_edges,
    "shuffled_and_rewired": ChanceGraphs._both,
}


def _resampled(x: Tensor, generator: torch.Generator) -> Tensor:
    rows = torch.randint(len(x), x.shape, generator=generator).to(x.device)
    return x.gather(0, rows)
