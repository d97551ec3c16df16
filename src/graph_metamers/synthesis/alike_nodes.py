"""Which nodes a model cannot tell apart as neighbours, and for which models that question makes sense."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from graph_metamers.arrays import array_of
from graph_metamers.errors import ParameterError
from graph_metamers.graphs.admissible_swaps import SwapGroups, Swapper
from graph_metamers.graphs.colours import joined_colours, refine_colours, rows_as_colours
from graph_metamers.reading.binding import bind_by_name
from graph_metamers.synthesis.precise_model import SAME, PreciseModel, edge_attributes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from graph_metamers.reading import ModelView
    from graph_metamers.reading.messages import Hop
    from graph_metamers.synthesis.edge_problem import EdgeProblem
    from graph_metamers.types import Graph

Alike = Literal["messages", "inputs"]
EQUAL = 1e-12  # of the largest number: what differs by rounding of sums in another order
TRIED = 64  # swaps by which it is found out whether a model reads degrees
FROM_EDGES = ("lambda_max", "pe", "pos_enc")  # and what ends in "_pe": PyTorch Geometric's names


@dataclass(frozen=True, eq=False)
class AlikeNodes:
    """Nodes of one colour send the same at every hop.

    Attributes
    ----------
    precise
        The model in float64.
    hops
        Steps of message passing up to the layers.
    base
        What nodes are beside their degree, int64 [n].
    labels
        The nodes' inputs as they are in the graph, int64 [n].
    edge_colours
        The edges' attributes; self-loops have their own, int64 [E].
    alike
        How nodes are compared; see `ExactSwaps`.
    both_ends
        Whether messages go against the direction of edges too.
    reads_degrees
        Whether the model was seen to read degrees beside what it adds up (GCN's normalisation); `None` where
        this makes no difference.
    """

    precise: PreciseModel
    hops: int
    base: NDArray[np.int64]
    labels: NDArray[np.int64]
    edge_colours: NDArray[np.int64]
    alike: Alike
    both_ends: bool
    reads_degrees: bool | None = None

    def colours(self, *, degrees: bool) -> NDArray[np.int64]:
        """A colour for each node, int64 [n], after (hops - 1) rounds; with or without its degree at first."""
        edge_index = self.precise.graph.edge_index.cpu().numpy()
        n, marks = len(self.base), self.edge_colours
        start = self.base
        if degrees:
            ends = (edge_index, edge_index[::-1])
            counted = [refine_colours(e, n, rounds=1, edge_colours=marks)[1] for e in ends]
            start = joined_colours(start, *counted)
        if self.alike == "messages":
            return start
        if self.both_ends:
            edge_index = np.concatenate([edge_index, edge_index[::-1]], axis=1)
            marks = np.concatenate([marks, marks + marks.max(initial=0) + 1])
        found = refine_colours(edge_index, n, rounds=self.hops - 1, colours=start, edge_colours=marks)
        last: NDArray[np.int64] = found[-1]
        return last

    def groups(self, problem: EdgeProblem) -> SwapGroups:
        """Edges that may be swapped."""
        return self._groups(problem, self.colours(degrees=bool(self.reads_degrees)))

    def _groups(self, problem: EdgeProblem, colours: NDArray[np.int64]) -> SwapGroups:
        return SwapGroups.of(
            problem.structure.lists,
            colours,
            labels=self.labels,
            edge_colours=self.edge_colours,
            both_ends=self.both_ends,
        )

    def with_degrees_tried(self, problem: EdgeProblem) -> AlikeNodes:
        """Whether the model reads degrees, by swaps of nodes that differ in nothing else. One run."""
        fine = self.colours(degrees=True)
        groups = self._groups(problem, self.colours(degrees=False))
        receivers = fine if groups.both_ends else np.zeros_like(fine)
        apart = np.stack([receivers, fine])
        # No edge comes back: swaps that are undone by later ones would tell nothing.
        swapper = Swapper(groups, seed=0, reference_edges="forbid", relabel=True, apart=apart)
        if not len(groups.members) or not swapper.one_pass(TRIED):
            return self
        variables = problem.structure
        changed = variables.edge_index(variables.point_of(swapper.neighbours, swapper.edges))
        reads = not self.precise.change({"edge_index": changed}) <= SAME
        return replace(self, reads_degrees=reads)


def alike_nodes(problem: EdgeProblem, alike: Alike) -> AlikeNodes:
    """Compare the nodes of a problem's reference; call inside `view.borrow()`.

    Raises
    ------
    ParameterError
        If swaps would not be exact: a transform or encodings that depend on edges, aggregation that depends
        on the order of neighbours, messages along other edges, or none; or if the model does not run in
        float64.

    Notes
    -----
    Ours. Five runs of the model in float64 at the most, one of them with gradients.
    """
    reference = problem.structure.reference
    _refuse_what_edges_decide(problem.view, reference)
    layers = list(problem.targets)
    precise = PreciseModel.of(problem.view, reference, layers)
    if not precise.change(precise.shuffled_columns(seed=0)) <= SAME:
        raise _refusal(
            "a model to which the order of neighbours is nothing", "aggregation that depends on it"
        )
    hops = _seen(problem, precise).hops()
    _refuse_other_edges(hops, precise.graph)
    labels = _labels(problem.view, reference)
    base = _sent(hops, len(labels)) if alike == "messages" else _inputs(problem, labels)
    against = any(hop.module is not None and hop.module.flow != "source_to_target" for hop in hops)
    both_ends = against or not problem.structure.lists.directed
    found = AlikeNodes(precise, len(hops), base, labels, _edge_colours(reference), alike, both_ends)
    return found.with_degrees_tried(problem)


def _refusal(must: str, got: object) -> ParameterError:
    return ParameterError("solver", f"'rewire', or 'exact_swaps' for {must}", got)


def _refuse_what_edges_decide(view: ModelView, graph: Graph) -> None:
    if view.transform is not None:
        raise _refusal(
            "a model without a transform, which may depend on edges", f"transform {view.transform!r}"
        )
    for name in sorted(_read(view, graph)):
        if name in FROM_EDGES or name.endswith("_pe"):
            raise _refusal("graphs without attributes that are computed from their edges", name)


def _refuse_other_edges(hops: Sequence[Hop], graph: Graph) -> None:
    if not hops:
        raise ParameterError(
            "vary", "'features' for a model whose layer receives no messages along edges", "structure"
        )
    n = int(graph.num_nodes or 0)
    known = _keys(graph.edge_index, n)
    for hop in hops:
        if not isinstance(hop.edge_index, Tensor) or hop.edge_index.layout != torch.strided:
            raise _refusal("a model that sends messages along an edge_index", type(hop.edge_index).__name__)
        sent = _keys(hop.edge_index, n)
        others = sent[(sent // n != sent % n) & ~np.isin(sent, known)]
        if len(others):
            raise _refusal(
                "a model that sends messages along the graph's edges", f"{len(others)} along other ones"
            )


def _keys(edge_index: Tensor, n: int) -> NDArray[np.int64]:
    source, target = edge_index.detach().cpu().numpy()
    return np.asarray(source.astype(np.int64) * n + target)


def _seen(problem: EdgeProblem, precise: PreciseModel) -> PreciseModel:
    """The smaller model that reads X Q, if there is one: rows that it reads as one are one there."""
    compression = problem.compression
    if compression is None:
        return precise
    x = precise.graph.x @ (compression.basis * compression.scales).to(precise.graph.x)
    return PreciseModel.of(compression.view, problem.seen, list(problem.targets), x)


def _sent(hops: Sequence[Hop], n: int) -> NDArray[np.int64]:
    """A colour for each node, int64 [n]: the same where all that steps are handed of it is."""
    colours = [np.zeros(n, dtype=np.int64)]
    for hop in hops:
        for given in hop.given:
            rows = _rows(given, n, hop)
            if rows is not None:
                colours.append(rows_as_colours(rows, EQUAL))
    return joined_colours(*colours)


def _rows(given: Tensor, n: int, hop: Hop) -> NDArray[Any] | None:
    """What a step is handed of each node, [n, k]; `None` if it is not about nodes."""
    axis = -2 if hop.module is None else hop.module.node_dim
    if not -given.ndim <= axis < given.ndim or given.shape[axis] != n:
        axis = 0
    if given.ndim == 0 or given.shape[axis] != n:
        return None
    return np.asarray(array_of(given.movedim(axis, 0).reshape(n, -1)))


def _inputs(problem: EdgeProblem, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """A colour for each node, int64 [n]: the same where the model reads the same of its inputs."""
    compression, reference = problem.compression, problem.structure.reference
    if compression is None:
        return labels
    coordinates = reference.x.double() @ (compression.basis * compression.scales).to(reference.x.device)
    read = rows_as_colours(array_of(coordinates), EQUAL)
    return joined_colours(read, *_other_inputs(problem.view, reference))


def _labels(view: ModelView, graph: Graph) -> NDArray[np.int64]:
    own = array_of(graph.x)
    return joined_colours(rows_as_colours(own), *_other_inputs(view, graph))


def _other_inputs(view: ModelView, graph: Graph) -> list[NDArray[np.int64]]:
    """Colours by what a model may read of nodes beside x, int64 [n] each."""
    n = int(graph.num_nodes or 0)
    found = []
    for name in sorted(_read(view, graph) & set(graph.node_attrs()) - {"x", "y"}):
        value = graph[name]
        if isinstance(value, Tensor) and value.shape[:1] == (n,) and not name.endswith("_mask"):
            found.append(rows_as_colours(array_of(value.reshape(n, -1))))
    return found


def _read(view: ModelView, graph: Graph) -> set[str]:
    """Attributes that the model can read: those bound to its forward, or all if it gets the whole graph."""
    everything = set(graph.keys())
    if view.forward is not None:
        return everything
    bound = bind_by_name(view.model, graph)
    return everything if any(value is graph for value in bound.values()) else set(bound)


def _edge_colours(graph: Graph) -> NDArray[np.int64]:
    source, target = graph.edge_index.cpu().numpy()
    rows = [array_of(graph[name].reshape(len(source), -1)) for name in edge_attributes(graph)]
    return joined_colours((source == target).astype(np.int64), *map(rows_as_colours, rows))
