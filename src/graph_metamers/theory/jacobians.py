"""Jacobians of a layer with respect to the features, item by item, in float64 and exact.

For an item v, a node or a graph, J_v [d_k, m_v] holds the derivatives of its d_k activations by the features
of the nodes that it reads: those within its hops, itself only where something of its own enters. Where the
model reads features only through X Q (`inputs.compression`), derivatives are by X Q: J_v is then this
Jacobian times Q^T for every node, with the same singular values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from graph_metamers.errors import ParameterError
from graph_metamers.inputs.compression import Compression, compress
from graph_metamers.inputs.slots import HOMOGENEOUS, read_features, write_features
from graph_metamers.inputs.variables import resolve_variables
from graph_metamers.inputs.visible import visible_space
from graph_metamers.randomness import generator_for
from graph_metamers.reading.opening import OpenUnits
from graph_metamers.reading.precision import in_float64
from graph_metamers.replay import NotReplayable
from graph_metamers.theory.row_program import RowProgram, UnknownOperationError, row_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graph_metamers.reading import ModelView
    from graph_metamers.theory.pairs import Ints, Pairs
    from graph_metamers.types import Graph

SAME = 1e-9
"""Largest difference, over the norm of a layer, between its rows run alone and the model that is rounding."""

MEMORY = 2**26
"""Bytes that one chunk of Jacobians may take, with what is needed to compute them."""

FIRST_CHUNK = 64
POINTS = 2  # random features, beside the reference, at which it is looked what an item reads


@dataclass(frozen=True, eq=False)
class ItemJacobians:
    """Jacobians of some items of a layer.

    Attributes
    ----------
    items
        Which, int64 [c].
    starts
        Item number i reads the nodes `nodes[starts[i]:starts[i + 1]]`, int64 [c + 1].
    nodes
        Ascending for each item, int64 [pairs].
    blocks
        Derivatives of each unit by what is read of each of these nodes, float64 [d_k, pairs, r].
    """

    items: Ints
    starts: Ints
    nodes: Ints
    blocks: Tensor

    def of(self, place: int) -> Tensor:
        """J of item number `place` of these, float64 [d_k, its nodes * r]."""
        begin, end = self.starts[place], self.starts[place + 1]
        return self.blocks[:, begin:end].reshape(len(self.blocks), -1)


@dataclass(frozen=True, eq=False)
class LayerReader:
    """A layer of a copy of a model in float64, whose Jacobians can be read.

    Attributes
    ----------
    layer
        The layer.
    view, graph
        Copy of the model, and of the reference, with what the model reads of features in their place.
    activation
        Of the reference, float64 [items, d_k].
    num_features
        Width of the features of the reference, F.
    rank
        Dimensions of a row of features that the layer reads, r.
    program
        The layer as operations on rows; a sentence that says why not, where it is not known as such.
    compression
        How the model reads the features; `None` where Jacobians are by the features themselves.
    """

    layer: str
    view: ModelView
    graph: Graph
    activation: Tensor
    num_features: int
    rank: int
    program: RowProgram | str
    compression: Compression | None

    @property
    def features(self) -> Tensor:
        """What derivatives are by, float64 [n, r], or [n, F] without compression."""
        return read_features(self.graph)[HOMOGENEOUS]

    def chunks(self, items: Ints, memory: float = MEMORY) -> Iterator[ItemJacobians]:
        """Jacobians of some items, in their order, some at a time.

        Parameters
        ----------
        items
            int64 [c].
        memory
            Bytes that one chunk may take, unless it is of a single item.
        """
        if isinstance(self.program, str):
            yield from _plainly(self, items)
            return
        done, size = 0, FIRST_CHUNK
        while done < len(items):
            chosen = items[done : done + size]
            reads = self.program.reads(chosen)
            needed = self._bytes(self.program, reads)
            if needed > memory and len(chosen) > 1:
                size = max(1, int(len(chosen) * min(0.5, 0.9 * memory / needed)))
                continue
            yield self._jacobians(self.program, chosen, reads)
            done += len(chosen)
            size = max(1, int(len(chosen) * min(4.0, 0.8 * memory / max(needed, 1))))

    def _bytes(self, program: RowProgram, reads: Mapping[int, Pairs]) -> float:
        """About what the Jacobians of a chunk and two copies of all that is on the way take."""
        kinds = program.kinds
        own = len(reads[0]) * self.features.shape[1] * self.activation.shape[1]
        return 8.0 * (own + 2 * sum(len(p) * int(np.prod(kinds[s].shape[1:])) for s, p in reads.items()))

    def _jacobians(self, program: RowProgram, items: Ints, reads: Mapping[int, Pairs]) -> ItemJacobians:
        pairs = reads[0]
        nodes = pairs.rows
        leaf = self.features[torch.from_numpy(nodes)].requires_grad_()
        with torch.enable_grad():
            found = program.run(leaf, reads)
        width = found.shape[1]
        make = torch.empty if found.requires_grad else torch.zeros
        blocks = make(width, *leaf.shape, dtype=torch.float64)
        if found.requires_grad:
            for unit in range(width):
                asked = torch.zeros_like(found)
                asked[:, unit] = 1
                (blocks[unit],) = torch.autograd.grad(found, leaf, asked, retain_graph=unit < width - 1)
        starts = np.searchsorted(pairs.items, np.arange(len(items) + 1))
        return ItemJacobians(items, starts, nodes, blocks)


def layer_readers(view: ModelView, graph: Graph, layers: Sequence[str]) -> dict[str, LayerReader]:
    """Prepare to read the Jacobians of some layers; call inside `view.borrow()`.

    Raises
    ------
    ParameterError
        If the graph has several types of nodes or no real features, or the model does not run in float64.
    LayerNotFoundError
        If a name is no layer of the model.

    Notes
    -----
    Ours. A few runs of the model in float64, and those of `compress`.
    """
    features = read_features(graph)
    if list(features) != [HOMOGENEOUS]:
        raise ParameterError("graph", "a Data or Batch, with one type of nodes", type(graph).__name__)
    if not features[HOMOGENEOUS].is_floating_point():
        raise ParameterError(
            "graph", "one with real features, to take derivatives by", features[HOMOGENEOUS].dtype
        )
    with torch.no_grad():
        view.taps(graph, layers)  # raises what is to be said of the model as it is
        own, precise, values = in_float64(view, graph, layers, on_cpu=True)
        activations = {name: _as_rows(value) for name, value in values.items()}
        compression = _compression(own, precise, activations)
    num_features = features[HOMOGENEOUS].shape[1]
    seen_view, seen = own, precise
    if compression is not None:
        x = read_features(precise)[HOMOGENEOUS]
        seen_view, seen = compression.view, compression.graph(precise, compression.coordinates(x))
    readers = {}
    for name in layers:
        rank = _rank_read(own, precise, name) if compression is None else compression.rank
        activation = activations[name]
        program = _program(seen_view, seen, name, activation)
        readers[name] = LayerReader(
            name, seen_view, seen, activation, num_features, rank, program, compression
        )
    return readers


def _as_rows(activation: Tensor) -> Tensor:
    return activation.reshape(len(activation), -1)


def _compression(view: ModelView, graph: Graph, activations: Mapping[str, Tensor]) -> Compression | None:
    variables = resolve_variables("features", graph)
    x = read_features(graph)[HOMOGENEOUS]
    elsewhere = write_features(graph, {HOMOGENEOUS: _elsewhere(x, 0)})
    names = list(activations)
    here, there = (
        {name: tap.value for name, tap in view.taps(at, names).items()} for at in (graph, elsewhere)
    )
    outcome = compress(view, variables, here, [(elsewhere, there)])
    return outcome if isinstance(outcome, Compression) else None


def _elsewhere(x: Tensor, number: int) -> Tensor:
    """Unrelated features of the same size, half of them negative."""
    noise = torch.rand(x.shape, generator=generator_for("theory", number), dtype=torch.float64)
    return noise.sub_(0.5).mul_(2 * x.abs().max().clamp(min=1e-3))


def _rank_read(view: ModelView, graph: Graph, layer: str) -> int:
    space = visible_space(view, resolve_variables("features", graph), layer)
    return int(space.bases[HOMOGENEOUS].shape[1])


def _program(view: ModelView, graph: Graph, layer: str, activation: Tensor) -> RowProgram | str:
    """The layer as operations on rows, verified on all of its items, or why not."""
    x = read_features(graph)[HOMOGENEOUS]

    def function(features: Tensor) -> Tensor:
        return _as_rows(view.taps(write_features(graph, {HOMOGENEOUS: features}), [layer])[layer].value)

    try:
        program = row_program(function, x)
        with torch.no_grad():
            found = _some_rows(program, x, activation)
    except (NotReplayable, UnknownOperationError) as refusal:
        return str(refusal)
    except Exception as error:  # operations of the user's may do anything
        return f"it cannot be run on rows: {(str(error).splitlines() or [type(error).__name__])[0]}"
    if not found <= SAME:
        return f"rows run alone differ by {found:.1e} of the layer's size"
    return program


def _some_rows(program: RowProgram, x: Tensor, activation: Tensor) -> float:
    """How far the layer's rows, some run alone, are from the model's, relative to them."""
    count = len(activation)
    items = np.unique(np.linspace(0, count - 1, min(count, FIRST_CHUNK)).round().astype(np.int64))
    reads = program.reads(items)
    expected = activation[torch.from_numpy(items)]
    found = program.run(x[torch.from_numpy(reads[0].rows)], reads)
    return float((found - expected).norm() / expected.norm().clamp(min=1e-300))


def _plainly(reader: LayerReader, items: Ints) -> Iterator[ItemJacobians]:
    """Jacobians by a backward pass of the whole graph for each unit, one item at a time."""
    x = reader.features.clone().requires_grad_()
    with torch.enable_grad():
        activation = _activation(reader, x)
    opened = _opened(reader)
    for item in items:
        nodes = _nodes_read(opened, int(item))
        rows = torch.from_numpy(nodes)
        blocks = torch.zeros(activation.shape[1], len(nodes), x.shape[1], dtype=torch.float64)
        for unit, value in enumerate(activation[int(item)]):
            (gradient,) = torch.autograd.grad(value, x, retain_graph=True, allow_unused=True)
            if gradient is not None:
                blocks[unit] = gradient[rows]
        yield ItemJacobians(np.array([item]), np.array([0, len(nodes)]), nodes, blocks)


def _activation(reader: LayerReader, x: Tensor) -> Tensor:
    graph = write_features(reader.graph, {HOMOGENEOUS: x})
    return _as_rows(reader.view.taps(graph, [reader.layer])[reader.layer].value)


def _opened(reader: LayerReader) -> list[tuple[Tensor, Tensor]]:
    """Features and random combinations of activations, rectifiers open, at the reference and elsewhere."""
    found = []
    for number in range(POINTS + 1):
        x = reader.features if number == 0 else _elsewhere(reader.features, number)
        x = x.clone().requires_grad_()
        with OpenUnits(), torch.enable_grad():
            activation = _activation(reader, x)
        weights = torch.rand(activation.shape[1], generator=generator_for("units", number)) + 0.5
        found.append((x, activation @ weights.double()))
    return found


def _nodes_read(opened: Sequence[tuple[Tensor, Tensor]], item: int) -> Ints:
    """Nodes whose features the item's activation depends on."""
    reads = torch.zeros(len(opened[0][0]), dtype=torch.bool)
    for x, combination in opened:
        (gradient,) = torch.autograd.grad(combination[item], x, retain_graph=True, allow_unused=True)
        if gradient is not None:
            reads |= (gradient != 0).any(dim=1)
    return np.asarray(reads.nonzero().flatten().numpy())
