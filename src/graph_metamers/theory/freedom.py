"""How free each node's features are, as far as derivatives tell: a prediction of what a search finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from graph_metamers.errors import ModelError
from graph_metamers.parameters import check_layer, check_real
from graph_metamers.reading import ModelView
from graph_metamers.reading.items import items_of
from graph_metamers.synthesis.preparing import chosen_items
from graph_metamers.theory.jacobians import layer_readers
from graph_metamers.theory.spectra import EPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

    from graph_metamers.theory.jacobians import ItemJacobians, LayerReader
    from graph_metamers.theory.pairs import Ints
    from graph_metamers.types import Forward, Graph, Transform

TOGETHER = 64  # nodes whose Jacobians are in memory at one time
NODES = "nodes"


@dataclass(frozen=True, eq=False)
class FreeShares:
    """Share of the directions of each node's features in which it can move, neighbours making up for it.

    Attributes
    ----------
    layer
        The layer.
    index
        Nodes that were asked about, int64 [nodes].
    shares
        tr[(I - J^+ J)_vv] / r, float64 [nodes], 0 (fixed) to 1 (free): J [items * d_k, nodes * r] is the
        Jacobian of every item that reads node v by the features of all nodes that these items read, in the r
        directions that the layer reads. With a tolerance J^+ J is J^T (J J^T + lambda I)^-1 J.
    items, ball
        Items that read each node, and nodes whose features these read, int64 [nodes].
    tolerance
        As it was given.

    Notes
    -----
    Items farther away than the ball fix the neighbours' features in turn: shares are upper bounds of those of
    the whole graph's Jacobian.
    """

    layer: str
    index: Tensor
    shares: Tensor
    items: Tensor
    ball: Tensor
    tolerance: float

    def __repr__(self) -> str:
        low, high = (float(end) for end in (self.shares.min(), self.shares.max()))
        return (
            f"FreeShares({self.layer!r}, {len(self.index)} nodes: {low:.3f} to {high:.3f}, "
            f"mean {float(self.shares.mean()):.3f}, tolerance {self.tolerance:g})"
        )


@dataclass(frozen=True, eq=False)
class _Ball:
    """J of the items that read a node.

    Attributes
    ----------
    matrix
        float64 [items * d_k, nodes * r].
    own
        Columns of the node itself.
    items, nodes
        How many.
    """

    matrix: Tensor
    own: slice
    items: int
    nodes: int

    @property
    def columns(self) -> int:
        """Columns of the node itself, r."""
        return self.matrix.shape[1] // self.nodes


def free_shares(
    model: nn.Module,
    graph: Graph,
    layer: str,
    *,
    index: Tensor | Sequence[int] | None = None,
    tolerance: float = 0.0,
    work: float | None = None,
    forward: Forward | None = None,
    transform: Transform | None = None,
) -> FreeShares:
    """Predict how far each node's features can move, from derivatives at the reference.

    Parameters
    ----------
    model, graph, forward, transform
        As in `local_metamer_dimension`.
    layer
        One whose items are nodes.
    index
        Nodes to ask about; default all.
    tolerance
        Activation loss that may be left, >= 0. Above 0 directions that hardly move the layer count as free in
        part: lambda = tolerance * mean(h^2) / mean squared difference of unrelated features, as a ridge; the
        shares are then those of the variance that is left of features drawn at random if the layer is known
        up to noise of that size.
    work
        Multiplications after which no more nodes are begun, > 0, about 10^10 a second; the result has the
        nodes that were done. Default: no limit.

    Returns
    -------
    FreeShares

    Raises
    ------
    ParameterError
        As `local_metamer_dimension`, or if a parameter is out of range.
    ModelError
        If the items of the layer are not the graph's nodes.

    Notes
    -----
    Source: method of the local metamer dimension, for the block of one node. Takes time O(R^2 C) for a node
    with R numbers of items that read it and C numbers that these read, and memory O(R C).

    Examples
    --------
    A layer that adds up the only feature of two nodes: each is free in half of its variance.

    >>> import torch, graph_metamers as gm
    >>> from torch_geometric.data import Data
    >>> from torch_geometric.nn import GCN
    >>> pair = Data(x=torch.tensor([[1.0], [2.0]]), edge_index=torch.tensor([[0, 1], [1, 0]]))
    >>> [round(share, 6) for share in gm.free_shares(GCN(1, 1, num_layers=1), pair, "output").shares.tolist()]
    [0.5, 0.5]
    """
    check_real("tolerance", tolerance, low=0)
    if work is not None:
        check_real("work", work, low=0, low_included=False)
    check_layer("layer", layer)
    view = ModelView(model, forward, transform)
    with view.borrow():
        reader = layer_readers(view, graph, [layer])[layer]
        if items_of(layer, len(reader.activation), graph) != NODES:
            raise ModelError(
                f"the items of the layer must be nodes, got {len(reader.activation)} at {layer!r}"
            )
        chosen = chosen_items(index, len(reader.features))
        nodes = np.arange(len(reader.features)) if chosen is None else chosen.cpu().numpy()
        ridge = ridge_of(reader, tolerance)
        rows, spent = [], 0.0
        for node, ball in _balls(reader, nodes):
            share = _share(ball, ridge, reader)
            rows.append((int(node), share, ball.items, ball.nodes))
            spent += float(min(ball.matrix.shape)) * ball.matrix.numel()
            if work is not None and spent > work:
                break
    done, shares, items, sizes = zip(*rows, strict=True)
    return FreeShares(
        layer=layer,
        index=torch.tensor(done),
        shares=torch.tensor(shares, dtype=torch.float64),
        items=torch.tensor(items),
        ball=torch.tensor(sizes),
        tolerance=float(tolerance),
    )


def ridge_of(reader: LayerReader, tolerance: float) -> float:
    """lambda: squared size of a change of the layer, over that of a change of features, that is let pass."""
    x = reader.features
    unrelated = 2 * float(x.var(dim=0, correction=0).mean())
    if not tolerance or not unrelated:
        return 0.0
    return tolerance * float(reader.activation.square().mean()) / unrelated


def _balls(reader: LayerReader, nodes: Ints) -> Iterator[tuple[int, _Ball]]:
    """The Jacobian around each node, in the order of the nodes."""
    readers = _read_by(reader)
    for begin in range(0, len(nodes), TOGETHER):
        group = nodes[begin : begin + TOGETHER]
        items = np.unique(np.concatenate([readers[node] for node in group]))
        found: dict[int, tuple[Ints, Tensor]] = {}
        for chunk in reader.chunks(items) if len(items) else ():
            found.update(_by_item(chunk))
        for node in group:
            yield int(node), _ball(int(node), [found[int(item)] for item in readers[node]], reader)


def _read_by(reader: LayerReader) -> list[Ints]:
    """Items that read each node, ascending."""
    count = len(reader.features)
    everything = np.arange(len(reader.activation))
    if isinstance(reader.program, str):
        parts = [
            (np.repeat(chunk.items, np.diff(chunk.starts)), chunk.nodes)
            for chunk in reader.chunks(everything)
        ]
        items, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
    else:
        pairs = reader.program.reads(everything)[0]
        items, rows = pairs.items, pairs.rows
    order = np.argsort(rows, kind="stable")
    ends = np.cumsum(np.bincount(rows, minlength=count))[:-1]
    return [np.sort(part) for part in np.split(items[order], ends)]


def _by_item(chunk: ItemJacobians) -> Iterator[tuple[int, tuple[Ints, Tensor]]]:
    for place, item in enumerate(chunk.items):
        begin, end = chunk.starts[place], chunk.starts[place + 1]
        yield int(item), (chunk.nodes[begin:end], chunk.blocks[:, begin:end])


def _ball(node: int, jacobians: Sequence[tuple[Ints, Tensor]], reader: LayerReader) -> _Ball:
    width, columns = reader.activation.shape[1], reader.features.shape[1]
    nodes = np.unique(np.concatenate([[node], *(own for own, _ in jacobians)]))
    matrix = torch.zeros(len(jacobians), width, len(nodes), columns, dtype=torch.float64)
    for row, (own, block) in enumerate(jacobians):
        matrix[row][:, torch.from_numpy(np.searchsorted(nodes, own))] = block
    first = int(np.searchsorted(nodes, node)) * columns
    flat = matrix.view(len(jacobians) * width, len(nodes) * columns)
    return _Ball(flat, slice(first, first + columns), len(jacobians), len(nodes))


def _share(ball: _Ball, ridge: float, reader: LayerReader) -> float:
    """tr[(I - P)_vv] over the directions that are read, P the projector on the rows of J or its soft form."""
    directions = min(reader.rank, ball.columns)
    if not directions:
        return 1.0
    fixed = _fixed_softly(ball, ridge) if ridge else _fixed(ball, reader)
    return min(max(1 - fixed / directions, 0.0), 1.0)


def _fixed(ball: _Ball, reader: LayerReader) -> float:
    """Tr (J^+ J)_vv, by singular vectors."""
    matrix = ball.matrix
    if not matrix.numel():
        return 0.0
    if matrix.shape[0] < matrix.shape[1]:  # V = J^T U S^-1, and U, S are those of the triangular factor
        left, values, _ = torch.linalg.svd(torch.linalg.qr(matrix.mT, mode="r").R.mT)
        basis = matrix[:, ball.own].mT @ left / values
    else:
        _, values, right = torch.linalg.svd(matrix, full_matrices=False)
        basis = right[:, ball.own].mT
    longest = max(matrix.shape[0], ball.nodes * reader.num_features)
    return float(basis[:, values > values[0] * longest * EPS].square().sum())


def _fixed_softly(ball: _Ball, ridge: float) -> float:
    """Tr [J^T (J J^T + lambda I)^-1 J]_vv."""
    matrix, own = ball.matrix, ball.matrix[:, ball.own]
    rows, columns = matrix.shape
    if rows <= columns:
        gram = matrix @ matrix.mT
        gram.diagonal().add_(ridge)
        return float((own * torch.cholesky_solve(own, torch.linalg.cholesky(gram))).sum())
    gram = matrix.mT @ matrix
    gram.diagonal().add_(ridge)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    return ball.columns - ridge * float(inverse.diagonal()[ball.own].sum())
