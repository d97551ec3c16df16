"""The dimension of the metamer set of a whole graph: all items of a layer at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from graph_metamers.errors import ParameterError
from graph_metamers.parameters import check_integer, check_layer
from graph_metamers.reading import ModelView
from graph_metamers.theory.jacobians import layer_readers
from graph_metamers.theory.product_form import form_rank, product_form
from graph_metamers.theory.rank_estimates import COUNTED, PROBES, estimate_rank

if TYPE_CHECKING:
    from torch import nn

    from graph_metamers.theory.jacobians import ItemJacobians, LayerReader
    from graph_metamers.theory.pairs import Ints
    from graph_metamers.types import Forward, Graph, Transform

LARGEST = 3000
"""Shorter side up to which matrices are decomposed, by default: about 10 s and 300 MB each."""
MOST_ENTRIES = 500_000_000  # of a sparse Jacobian: 8 GB with its transpose


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
        How that was found: `exact`, from singular values of J; a closed form; or an estimate.
    rank_error
        Half of the 95% interval of an estimate; 0 where the rank is exact.
    counted
        Share of the largest singular value above which a direction counts as seen: of an estimate `COUNTED`
        (a hundredth), which is less strict than the rule of exact ranks, max(shape) * eps.
    """

    layer: str
    num_nodes: int
    num_features: int
    features_read: int
    units: int
    rank: int
    method: str
    rank_error: float = 0.0
    counted: float = 0.0

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
    seed: int = 0,
) -> WholeGraphDimension:
    """Count the directions in which all features may move at once without a layer seeing it.

    n F - rank J, J the Jacobian of all items by all features at the reference, in float64. Matrices are
    decomposed up to a size: of J, in the parts that share no node, or of A and W where the layer is
    sigma(A X W^T + b), as GCN's first layer is: rank J is then rank(A) rank(W) as long as no slope of sigma
    is 0, and else the sum over units of the rank of A in the rows in which the unit is active, if W has full
    row rank. Where neither can be done, the directions that are seen by more than a hundredth of the
    strongest are counted by random probes, and `rank_error` says how sure that is.

    Parameters
    ----------
    model, graph, layer, forward, transform
        As in `local_metamer_dimension`.
    largest
        Shorter side up to which a matrix is decomposed, >= 1: the time grows with its cube.
    seed
        Of the random probes of an estimate.

    Raises
    ------
    ParameterError
        As `local_metamer_dimension`, or if J has so many entries that it can only be looked at item by item.

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
    check_layer("layer", layer)
    check_integer("largest", largest, low=1)
    check_integer("seed", seed, low=0)
    view = ModelView(model, forward, transform)
    with view.borrow():
        reader = layer_readers(view, graph, [layer])[layer]
        found = _closed_form(reader, largest) or _exact(reader, largest) or _estimated(reader, seed)
    return WholeGraphDimension(
        layer=layer,
        num_nodes=len(reader.features),
        num_features=reader.num_features,
        features_read=reader.rank,
        units=reader.activation.numel(),
        rank=found.rank,
        method=found.method,
        rank_error=found.error,
        counted=found.counted,
    )


@dataclass(frozen=True)
class _Rank:
    """A rank, and how it was found; see `WholeGraphDimension`."""

    rank: int
    method: str
    error: float = 0.0
    counted: float = 0.0


def _closed_form(reader: LayerReader, largest: int) -> _Rank | None:
    """The rank by A and W, where J itself is too large to be decomposed."""
    if isinstance(reader.program, str):
        return None
    rows, width = reader.activation.shape
    if min(rows * width, reader.features.numel()) <= largest or min(rows, len(reader.features)) > largest:
        return None
    form = product_form(reader.program, reader.features)
    found = None if form is None else form_rank(form, reader.num_features)
    return None if found is None else _Rank(*found)


def _exact(reader: LayerReader, largest: int) -> _Rank | None:
    """The rank of J from the singular values of its parts that share neither items nor nodes."""
    width, columns = reader.activation.shape[1], reader.features.shape[1]
    if _longest_part(reader, largest) > largest:
        return None
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
    counted = longest * torch.finfo(torch.float64).eps
    return _Rank(int((together > together.max() * counted).sum()), "exact", counted=counted)


def _estimated(reader: LayerReader, seed: int) -> _Rank:
    """How many directions are seen by more than a share of the strongest, by random probes."""
    found = estimate_rank(_sparse(reader), generator=np.random.default_rng(seed))
    method = (
        f"estimate from {PROBES} random probes: directions seen by more than {COUNTED:.0%} of the strongest"
    )
    return _Rank(round(found.rank), method, found.error, COUNTED)


def _sparse(reader: LayerReader) -> csr_array:
    """J as a sparse matrix [items * d_k, n * r].

    Raises
    ------
    ParameterError
        If it has more than `MOST_ENTRIES`.
    """
    width, columns = reader.activation.shape[1], reader.features.shape[1]
    entries = 0
    rows, values, places = [], [], []
    for chunk in reader.chunks(np.arange(len(reader.activation))):
        entries += chunk.blocks.numel()
        if entries > MOST_ENTRIES:
            raise ParameterError(
                "graph",
                f"one on which the Jacobian of {reader.layer} has at most {MOST_ENTRIES:,} entries",
                "more",
                mend="Look at single items: local_metamer_dimension",
            )
        items = np.repeat(chunk.items, np.diff(chunk.starts))
        shape = (width, len(chunk.nodes), columns)
        rows.append(np.broadcast_to(items[:, None] * width + np.arange(width)[:, None, None], shape).ravel())
        places.append(np.broadcast_to(chunk.nodes[:, None] * columns + np.arange(columns), shape).ravel())
        values.append(chunk.blocks.numpy().ravel())
    whole = (reader.activation.numel(), len(reader.features) * columns)
    parts = tuple(np.concatenate(part) for part in (rows, places))
    return coo_array((np.concatenate(values), parts), shape=whole).tocsr()


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


def _longest_part(reader: LayerReader, largest: int) -> int:
    """Largest shorter side of a part of J that shares nothing with the others, as far as that matters."""
    rows, width = reader.activation.shape
    total = min(rows * width, reader.features.numel())
    if total > largest and not isinstance(reader.program, str):
        pairs = reader.program.reads(np.arange(rows))[0]
        parts = _components(pairs.items, pairs.rows, rows, len(reader.features))
        columns = reader.features.shape[1]
        total = max((min(len(i) * width, len(n) * columns) for i, n in parts), default=0)
    return total
