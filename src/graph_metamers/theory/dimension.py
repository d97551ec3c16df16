"""How many directions of the features a layer does not see, counted at the reference, item by item."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from torch import Tensor

from graph_metamers.errors import ParameterError
from graph_metamers.parameters import check_real
from graph_metamers.reading import ModelView
from graph_metamers.reading.items import items_of
from graph_metamers.synthesis.preparing import chosen_items
from graph_metamers.theory.jacobians import MEMORY, LayerReader, layer_readers
from graph_metamers.theory.spectra import ranks, singular_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from graph_metamers.types import Forward, Graph, Transform


@dataclass(frozen=True)
class DimensionProgress:
    """Where a count of dimensions is.

    Attributes
    ----------
    layer
        The layer.
    done, items
        Items of it that are done, and all of them.
    """

    layer: str
    done: int
    items: int


@dataclass(frozen=True, eq=False)
class MetamerDimension:
    """Local metamer dimension of a layer's items: directions of what an item reads that it does not see.

    Attributes
    ----------
    layer
        The layer.
    items
        What the items are, as `Layer.items` says: nodes or graphs.
    index
        Which of them, int64 [items].
    nodes
        Nodes whose features reach each item along the graph, n_v, int64 [items]: those within its hops,
        the item's own node only where the model hands it on.
    num_features
        Features of a node, F.
    features_read
        Dimensions of a node's features that the layer reads at all, r <= F.
    rank
        Of the Jacobian J_v [d_k, n_v F], int64 [items].
    singular_values
        Of J_v, descending, with zeros behind, float64 [items, d_k].

    Notes
    -----
    A singular value counts if it is above sigma_max * max(d_k, n_v F) * eps, in float64. `dimension` is
    that of the metamer set {X' : h_v(X') = h_v(X)} near the reference, in the features of N(v), where the
    rank is locally constant: not where a unit is just at its kink.
    """

    layer: str
    items: str
    index: Tensor
    nodes: Tensor
    num_features: int
    features_read: int
    rank: Tensor
    singular_values: Tensor

    @property
    def inputs(self) -> Tensor:
        """m_v = n_v F, the numbers that an item depends on; int64 [items]."""
        return self.nodes * self.num_features

    @property
    def dimension(self) -> Tensor:
        """m_v - rank J_v, int64 [items]."""
        return self.inputs - self.rank

    @property
    def linear(self) -> Tensor:
        """n_v (F - r): the part of `dimension` that no layer can read, int64 [items]."""
        return self.nodes * (self.num_features - self.features_read)

    @property
    def rest(self) -> Tensor:
        """n_v r - rank J_v: what aggregation and activation lose of `dimension`, int64 [items]."""
        return self.dimension - self.linear

    @property
    def share(self) -> Tensor:
        """Share of the inputs' directions that is not seen, dim / m, float64 [items]; nan without inputs."""
        return self.dimension.double() / self.inputs.double()

    def rows(self) -> list[dict[str, Any]]:
        """A dict for each item, for tables: layer, item, nodes, inputs, rank, dimension, linear, rest."""
        columns = {
            "item": self.index,
            "nodes": self.nodes,
            "inputs": self.inputs,
            "rank": self.rank,
            "dimension": self.dimension,
            "linear": self.linear,
            "rest": self.rest,
        }
        listed = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [{"layer": self.layer, **dict(zip(columns, row, strict=True))} for row in listed]

    def __repr__(self) -> str:
        lines = "\n  ".join(f"{label}: {value}" for label, value in self._summary())
        return f"MetamerDimension(\n  {lines}\n)"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(label)}</th><td>{escape(value)}</td></tr>"
            for label, value in self._summary()
        )
        return f"<table>{rows}</table>"

    def _summary(self) -> list[tuple[str, str]]:
        units = self.singular_values.shape[1]
        return [
            ("layer", f"{self.layer}, {units} units, {len(self.index)} {self.items}"),
            ("inputs", f"{_range(self.inputs)} numbers, of {_range(self.nodes)} nodes"),
            ("rank", _range(self.rank)),
            ("dimension", f"{_range(self.dimension)}, a share of {_range(self.share)}"),
            (
                "of it linear",
                f"{_range(self.linear)}: {self.features_read} of {self.num_features} dimensions of a node's "
                "features are read",
            ),
            ("the rest", _range(self.rest)),
        ]


def _range(values: Tensor) -> str:
    """Median, least and greatest of some numbers in words."""
    if not len(values):
        return "none"
    low, middle, high = (float(v) for v in (values.min(), values.double().median(), values.max()))
    if low == high:
        return f"{low:.4g}" if values.is_floating_point() else f"{low:,.0f}"
    form = "{:.4f}" if values.is_floating_point() else "{:,.0f}"
    low_text, middle_text, high_text = (form.format(v) for v in (low, middle, high))
    return f"{low_text} to {high_text} (median {middle_text})"


@overload
def local_metamer_dimension(  # type: ignore[overload-overlap]  # a name is a sequence of names
    model: nn.Module,
    graph: Graph,
    layer: str,
    *,
    index: Tensor | Sequence[int] | None = ...,
    forward: Forward | None = ...,
    transform: Transform | None = ...,
    memory: float = ...,
    callbacks: Sequence[Callable[[DimensionProgress], None]] = ...,
) -> MetamerDimension: ...


@overload
def local_metamer_dimension(
    model: nn.Module,
    graph: Graph,
    layer: Sequence[str],
    *,
    index: Tensor | Sequence[int] | None = ...,
    forward: Forward | None = ...,
    transform: Transform | None = ...,
    memory: float = ...,
    callbacks: Sequence[Callable[[DimensionProgress], None]] = ...,
) -> dict[str, MetamerDimension]: ...


def local_metamer_dimension(
    model: nn.Module,
    graph: Graph,
    layer: str | Sequence[str],
    *,
    index: Tensor | Sequence[int] | None = None,
    forward: Forward | None = None,
    transform: Transform | None = None,
    memory: float = MEMORY,
    callbacks: Sequence[Callable[[DimensionProgress], None]] = (),
) -> MetamerDimension | dict[str, MetamerDimension]:
    """Count the directions in which the features around each item may move without a layer seeing it.

    dim_v = m_v - rank J_v at the reference: m_v is the number of features of the nodes that item v reads, J_v
    [d_k, m_v] the Jacobian of its activation by them. No search is involved: much of what looks like extreme
    invariance is this counting, and its linear part, n_v (F - r), is there before any training.

    Parameters
    ----------
    model
        Any module; it comes back as it was. Its copy is run in float64 on the CPU.
    graph
        A `Data` or a `Batch`.
    layer
        A name out of `layers(model, graph)`, or several: then the result is a dict.
    index
        Items, nodes or graphs, to look at; default all.
    forward, transform
        As in `activations`. Features are those before the transform.
    memory
        Bytes that Jacobians may take at one time, > 0; more is taken if a single item needs it.
    callbacks
        Called with a `DimensionProgress` after each chunk of items.

    Returns
    -------
    MetamerDimension, or dict of str to MetamerDimension

    Raises
    ------
    LayerNotFoundError
        If a name is no layer of the model.
    ParameterError
        If the graph has several types of nodes, the items do not exist, or the model does not run in float64.

    Notes
    -----
    Ours. The model is recorded once on the whole graph, as operations on rows, and run on the rows that items
    need: O(d_k r sum_v n_v) for Jacobians, O(d_k^2 r sum_v n_v) for singular values, r the dimensions
    that are read of a node. A model that is no such list of operations, or gives something else when run so,
    is differentiated with a pass of the whole graph for each unit of each item; what an item reads is then
    told by where gradients are not 0, at the reference and at two matrices of random features.

    Examples
    --------
    >>> import torch, graph_metamers as gm
    >>> from torch_geometric.data import Data
    >>> from torch_geometric.nn import GCN
    >>> graph = Data(x=torch.randn(3, 5), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
    >>> gm.local_metamer_dimension(GCN(5, 2, num_layers=1), graph, "output").dimension
    tensor([ 8, 13,  8])
    """
    check_real("memory", memory, low=0, low_included=False)
    names = [layer] if isinstance(layer, str) else list(layer)
    if not names:
        raise ParameterError("layer", "at least one name", layer)
    view = ModelView(model, forward, transform)
    with view.borrow():
        readers = layer_readers(view, graph, names)
        found = {}
        for name, reader in readers.items():
            kind = items_of(name, len(reader.activation), graph)
            chosen = chosen_items(index, len(reader.activation))
            everything = torch.arange(len(reader.activation))
            found[name] = _dimension(
                reader, kind, everything if chosen is None else chosen, memory, callbacks
            )
    return found[layer] if isinstance(layer, str) else found


def _dimension(
    reader: LayerReader,
    kind: str,
    index: Tensor,
    memory: float,
    callbacks: Sequence[Callable[[DimensionProgress], None]],
) -> MetamerDimension:
    nodes, values, done = [], [], 0
    for jacobians in reader.chunks(index.cpu().numpy(), memory):
        nodes.append(torch.from_numpy(np.diff(jacobians.starts)))
        values.append(singular_values(jacobians))
        done += len(jacobians.items)
        for callback in callbacks:
            callback(DimensionProgress(reader.layer, done, len(index)))
    counts, spectra = torch.cat(nodes), torch.cat(values)
    return MetamerDimension(
        layer=reader.layer,
        items=kind,
        index=index.cpu(),
        nodes=counts,
        num_features=reader.num_features,
        features_read=reader.rank,
        rank=ranks(spectra, counts * reader.num_features),
        singular_values=spectra,
    )
