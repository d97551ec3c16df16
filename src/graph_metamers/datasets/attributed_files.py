"""The .npz layout of attributed graphs: two sparse matrices and labels, put together as PyG does.

PyG's `parse_npz` drops the words and the names of classes that some of these files hold; here they are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from torch_geometric.data import Data
from torch_geometric.utils import remove_self_loops, to_undirected

from graph_metamers.datasets.npz_files import read_npz
from graph_metamers.datasets.zip_limits import MAX_UNPACKED_BYTES
from graph_metamers.errors import FileFormatError
from graph_metamers.graphs import infer_feature_kind

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from graph_metamers.types import FeatureKind

__all__ = ["AttributedGraph", "read_attributed_graph"]

_MATRIX_PARTS = ("data", "indices", "indptr", "shape")
_REQUIRED = (*(f"{matrix}_{part}" for matrix in ("attr", "adj") for part in _MATRIX_PARTS), "labels")
_NAMES = ("attr_names", "class_names")
_FLOAT_BYTES = 4


@dataclass(frozen=True, eq=False)
class AttributedGraph:
    """What such a file says.

    Attributes
    ----------
    graph
        `x` float32 [num_nodes, F], `edge_index` in both directions without loops, `y`.
    feature_kind
        What values `x` has.
    feature_names, class_names
        As the file has them; None if it has none in plain text.
    """

    graph: Data
    feature_kind: FeatureKind
    feature_names: tuple[str, ...] | None
    class_names: tuple[str, ...] | None


def read_attributed_graph(path: Path) -> AttributedGraph:
    """Read a file; takes the memory of one dense `x` beside the sparse matrices.

    Parameters
    ----------
    path
        An .npz file of CitationFull, Amazon or Coauthor.

    Raises
    ------
    FileFormatError
        If the file is damaged, not safe to open, or its arrays do not fit together.
    """
    arrays = read_npz(path, required=_REQUIRED, optional=_NAMES)
    try:
        features = _matrix(arrays, "attr")
        adjacency = _matrix(arrays, "adj")
        num_nodes, num_features = features.shape
        if adjacency.shape != (num_nodes, num_nodes):
            raise ValueError(f"{num_nodes} nodes and an adjacency of {list(adjacency.shape)}")
        graph = Data(
            x=_dense(features),
            edge_index=_edge_index(adjacency),
            y=_labels(arrays["labels"], num_nodes),
        )
        # The same as looking at all of `x`, without three masks as large as a quarter of it.
        stored = torch.from_numpy(features.data)
        kind = infer_feature_kind(torch.cat([stored, stored.new_zeros(1)]))
        return AttributedGraph(
            graph=graph,
            feature_kind=kind,
            feature_names=_names(arrays, "attr_names", num_features, "columns"),
            class_names=_names(arrays, "class_names", int(graph.y.max()) + 1, "classes"),
        )
    except (ValueError, IndexError, RuntimeError, TypeError) as error:
        raise FileFormatError(f"{path} is damaged: {error}. Delete it to get it anew") from error


def _matrix(arrays: dict[str, Any], name: str) -> Any:
    """Make a CSR matrix with float32 values; every positive feature is 1, as in PyG."""
    data, indices, indptr, shape = (arrays[f"{name}_{part}"] for part in _MATRIX_PARTS)
    if shape.shape != (2,) or data.dtype.kind not in "biuf":
        raise ValueError(f"{name} is not a sparse matrix of numbers")
    rows, columns = (int(size) for size in shape)
    if min(rows, columns) < 1 or (name == "attr" and rows * columns * _FLOAT_BYTES > MAX_UNPACKED_BYTES):
        raise ValueError(f"{name} declares {rows} rows and {columns} columns")
    matrix = sparse.csr_matrix((data, indices, indptr), shape=(rows, columns))
    # SciPy trusts the index arrays and would read or write out of bounds with forged ones.
    matrix.check_format(full_check=True)
    if name == "attr":
        matrix.sum_duplicates()
        matrix.data = matrix.data.astype(np.float32)
        if not np.isfinite(matrix.data).all():
            raise ValueError("a feature is NaN or infinite")
        matrix.data[matrix.data > 0] = 1
    return matrix


def _dense(features: Any) -> Tensor:
    """Fill `x` [num_nodes, F] in place; `todense` and a conversion would hold it two times."""
    x = torch.zeros(features.shape)
    entries = features.tocoo()
    x[torch.from_numpy(entries.row).long(), torch.from_numpy(entries.col).long()] = torch.from_numpy(
        entries.data
    )
    return x


def _edge_index(adjacency: Any) -> Tensor:
    entries = adjacency.tocoo()
    edges = torch.stack([torch.from_numpy(entries.row).long(), torch.from_numpy(entries.col).long()])
    edges, _ = remove_self_loops(edges)
    if edges.numel() == 0:
        raise ValueError("there is no edge")
    edge_index: Tensor = to_undirected(edges, num_nodes=adjacency.shape[0])
    return edge_index


def _labels(labels: Any, num_nodes: int) -> Tensor:
    if labels.shape != (num_nodes,) or labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be {num_nodes} integers, got {labels.dtype} {list(labels.shape)}")
    y = torch.from_numpy(labels.astype(np.int64))
    if int(y.min()) < 0 or int(y.max()) >= num_nodes:
        raise ValueError("a label is not the number of a class")
    return y


def _names(arrays: dict[str, Any], name: str, count: int, what: str) -> tuple[str, ...] | None:
    if name not in arrays:
        return None
    names = arrays[name]
    if names.dtype.kind != "U" or names.ndim != 1 or len(names) < count:
        raise ValueError(f"{name} must be text for {count} {what}, got {names.dtype} {list(names.shape)}")
    if name == "attr_names" and len(names) != count:
        raise ValueError(f"{name} has {len(names)} names for {count} {what}")
    return tuple(str(text) for text in names)
