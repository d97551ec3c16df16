"""The dimension of the metamer set of a whole graph: all items of a layer at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from graph_metamers.errors import ParameterError
from graph_metamers.parameters import check_integer
from graph_metamers.reading import ModelView
from graph_metamers.theory.jacobians import layer_readers
from graph_metamers.theory.product_form import form_rank, product_form

if TYPE_CHECKING:
    from torch import nn

    from graph_metamers.theory.jacobians import ItemJacobians, LayerReader
    from graph_metamers.theory.pairs import Ints
    from graph_metamers.types import Forward, Graph, Transform

LARGEST = 3000
"""Shorter side up to which matrices are decomposed, by default: about 10 s and 300 MB each."""


@dataclass(frozen=True)
class WholeGraphDimension:
    """Directions in which all features may move at once without any item of a layer changing.

    Attributes
    ----------
    layer
        The layer.
    num_nodes, num_features
        n and F of the graph.
    features_read
        Dimensions of a node's features that the layer reads at all, r <= F.
    units
        Activations of all items together, items * d_k.
    rank
        Of the Jacobian J [units, n F].
    method
        How that was found: `exact`, from singular values of J, or a closed form.
    """

    layer: str
    num_nodes: int
    num_features: int
    features_read: int
    units: int
    rank: int
    method: str

    @property
    def inputs(self) -> int:
        """Numbers that vary, n F."""
        return self.num_nodes * self.num_features

    @property
    def dimension(self) -> int:
        """Local dimension of the metamer set, n F - rank J."""
        return self.inputs - self.rank

    @property
    def linear(self) -> int:
        """The part n (F - r) of `dimension` that no item reads."""
        return self.num_nodes * (self.num_features - self.features_read)

    @property
    def rest(self) -> int:
        """What is left, n r - rank J: what aggregation and activation lose of `dimension`."""
        return self.dimension - self.linear


def whole_graph_dimension(
    model: nn.Module,
    graph: Graph,
    layer: str,
    *,
    forward: Forward | None = None,
    transform: Transform | None = None,
    largest: int = LARGEST,
) -> WholeGraphDimension:
    """Count the directions in which all features may move at once without a layer seeing it.

    n F - rank J, J the Jacobian of all items by all features at the reference, in float64. Matrices are
    decomposed up to a size: of J, in the parts that share no node, or of A and W where the layer is
    sigma(A X W^T + b), as GCN's first layer is: rank J is then rank(A) rank(W) as long as no slope of sigma
    is 0, and else the sum over units of the rank of A in the rows in which the unit is active, if W has full
    row rank.

    Parameters
    ----------
    model, graph, layer, forward, transform
        As in `local_metamer_dimension`.
    largest
        Shorter side up to which a matrix is decomposed, >= 1: the time grows with its cube.

    Raises
    ------
    ParameterError
        If the matrices are larger: then there is no figure, and none is guessed.

    Notes
    -----
    Ours. Where A is singular, as with nodes that have the same neighbours, the rank is less than the number
    of active units.

    Examples
    --------
    >>> import torch, graph_metamers as gm
    >>> from torch_geometric.data import Data
    >>> from torch_geometric.nn import GCN
    >>> graph = Data(x=torch.randn(3, 5), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
    >>> gm.whole_graph_dimension(GCN(5, 2, num_layers=1), graph, "output").dimension
    9
    """
    check_integer("largest", largest, low=1)
    view = ModelView(model, forward, transform)
    with view.borrow():
        reader = layer_readers(view, graph, [layer])[layer]
        rank, method = _closed_form(reader, largest) or _exact(reader, largest)
    return WholeGraphDimension(
        layer=layer,
        num_nodes=len(reader.features),
        num_features=reader.num_features,
        features_read=reader.rank,
        units=reader.activation.numel(),
        rank=rank,
        method=method,
    )


def _closed_form(reader: LayerReader, largest: int) -> tuple[int, str] | None:
    """The rank by A and W, where J itself is too large to be decomposed."""
    if isinstance(reader.program, str):
        return None
    rows, width = reader.activation.shape
    if min(rows * width, reader.features.numel()) <= largest or min(rows, len(reader.features)) > largest:
        return None
    form = product_form(reader.program, reader.features)
    return None if form is None else form_rank(form, reader.num_features)


def _exact(reader: LayerReader, largest: int) -> tuple[int, str]:
    """The rank of J from the singular values of its parts that share neither items nor nodes."""
    width, columns = reader.activation.shape[1], reader.features.shape[1]
    _require_small(reader, largest)
    chunks = list(reader.chunks(np.arange(len(reader.activation))))
    values = [torch.zeros(1, dtype=torch.float64)]
    for items, nodes in _parts(reader, chunks):
        matrix = torch.zeros(len(items), width, len(nodes), columns, dtype=torch.float64)
        for chunk in chunks:
            for place in np.flatnonzero(np.isin(chunk.items, items)):
                row = int(np.searchsorted(items, chunk.items[place]))
                begin, end = chunk.starts[place], chunk.starts[place + 1]
                at = torch.from_numpy(np.searchsorted(nodes, chunk.nodes[begin:end]))
                matrix[row, :, at] = chunk.blocks[:, begin:end]
        values.append(torch.linalg.svdvals(matrix.view(len(items) * width, len(nodes) * columns)))
    together = torch.cat(values)
    longest = max(reader.activation.numel(), len(reader.features) * reader.num_features)
    return int((together > together.max() * longest * torch.finfo(torch.float64).eps).sum()), "exact"


def _parts(reader: LayerReader, chunks: list[ItemJacobians]) -> list[tuple[Ints, Ints]]:
    """Items and nodes of each part; those without the others are left out."""
    items = np.concatenate([np.repeat(chunk.items, np.diff(chunk.starts)) for chunk in chunks])
    nodes = np.concatenate([chunk.nodes for chunk in chunks])
    return _components(items, nodes, len(reader.activation), len(reader.features))


def _components(items: Ints, nodes: Ints, num_items: int, num_nodes: int) -> list[tuple[Ints, Ints]]:
    size = num_items + num_nodes
    joined = coo_array((np.ones(len(items)), (items, num_items + nodes)), shape=(size, size))
    count, part = connected_components(joined, directed=False)
    order = np.argsort(part, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(part, minlength=count))[:-1])
    split = [(group[group < num_items], group[group >= num_items] - num_items) for group in groups]
    return [(own, read) for own, read in split if len(own) and len(read)]


def _require_small(reader: LayerReader, largest: int) -> None:
    rows, width = reader.activation.shape
    total = min(rows * width, reader.features.numel())
    if total > largest and not isinstance(reader.program, str):
        pairs = reader.program.reads(np.arange(rows))[0]
        parts = _components(pairs.items, pairs.rows, rows, len(reader.features))
        columns = reader.features.shape[1]
        total = max((min(len(i) * width, len(n) * columns) for i, n in parts), default=0)
    if total > largest:
        raise ParameterError(
            "largest",
            f"at least {total}, the shorter side of the Jacobian of {reader.layer}, which has no closed form",
            largest,
            mend="Look at single items (local_metamer_dimension), or at a smaller graph",
        )
