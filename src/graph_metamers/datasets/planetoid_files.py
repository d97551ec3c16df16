"""The eight raw files of a Planetoid set, read safely and put together as PyTorch Geometric does."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from torch_geometric.data import Data
from torch_geometric.utils import coalesce, remove_self_loops

from graph_metamers.datasets.restricted_pickle import load_restricted
from graph_metamers.datasets.splits import Split
from graph_metamers.errors import FileFormatError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

__all__ = ["PARTS", "raw_file", "read_raw"]

PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
"""Last parts of the names of the files."""

_MATRICES = PARTS[:6]
_NUM_VALIDATION = 500


def raw_file(raw: Path, name: str, part: str) -> Path:
    """Name a raw file, such as raw/ind.cora.x."""
    return raw / f"ind.{name.lower()}.{part}"


def read_raw(raw: Path, name: str, *, num_classes: int) -> tuple[Data, Split, tuple[str, ...]]:
    """Read a set from its raw files.

    Parameters
    ----------
    raw
        The folder of the files.
    name
        "Cora" or "CiteSeer".
    num_classes
        Columns that the labels must have.

    Returns
    -------
    graph
        `x` float32 [num_nodes, F], `edge_index` in both directions, `y`.
    split
        The public one.
    notes
        Sentences for a reader.

    Raises
    ------
    FileFormatError
        If a file is damaged, not safe to open, or does not fit the others.
    """
    matrices = {part: _read_matrix(raw_file(raw, name, part)) for part in _MATRICES}
    test_index = _read_index(raw_file(raw, name, "test.index"))
    neighbours = _read_neighbours(raw_file(raw, name, "graph"))
    num_nodes, num_train = len(neighbours), len(matrices["y"])
    try:
        _check_lengths({part: len(matrix) for part, matrix in matrices.items()}, test_index)
        x = _assemble(matrices["allx"], matrices["tx"], test_index, num_nodes)
        # A row without a class is all zeros, and the first of equal maxima is class 0: so does PyG.
        one_hot = _assemble(matrices["ally"], matrices["ty"], test_index, num_nodes)
        edge_index = _edge_index(neighbours, num_nodes)
        split = Split(
            train=torch.arange(num_train),
            validation=torch.arange(num_train, num_train + _NUM_VALIDATION),
            test=test_index.sort().values,
            description="public split",
        )
        _check_numbers(one_hot, edge_index, split, num_classes)
    except (ValueError, IndexError, RuntimeError, TypeError) as error:
        raise FileFormatError(f"the files in {raw} do not fit together: {error}. Delete them") from error
    missing = int((one_hot.sum(dim=1) == 0).sum())
    graph = Data(x=x, edge_index=edge_index, y=one_hot.argmax(dim=1))
    return graph, split, _notes(missing)


def _notes(missing: int) -> tuple[str, ...]:
    if not missing:
        return ()
    return (
        f"{missing} nodes have neither words nor a class in the raw files; as in PyTorch Geometric they get "
        "zeros and class 0. They are in no part of the split.",
    )


def _read_matrix(path: Path) -> Tensor:
    """Read a matrix, dense or CSR, as float32 [rows, columns]."""
    value = load_restricted(path)
    try:
        if isinstance(value, sparse.csr_matrix):
            # SciPy trusts the index arrays and would read or write out of bounds with forged ones.
            value.check_format(full_check=True)
            value = value.toarray()
        if type(value) is not np.ndarray or value.ndim != 2 or value.dtype.kind not in "fiu":
            raise ValueError(f"a matrix of numbers was expected, got {type(value).__name__}")
        return torch.from_numpy(np.ascontiguousarray(value, dtype=np.float32))
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise FileFormatError(f"{path} is damaged: {error}. Delete it to get it anew") from error


def _read_index(path: Path) -> Tensor:
    try:
        return torch.tensor(
            [int(line) for line in path.read_text(encoding="ascii").split()], dtype=torch.int64
        )
    except ValueError as error:
        raise FileFormatError(
            f"{path} is not a list of numbers: {error}. Delete it to get it anew"
        ) from error


def _read_neighbours(path: Path) -> dict[int, list[int]]:
    value: Any = load_restricted(path)
    if not isinstance(value, dict) or not all(isinstance(nodes, list) for nodes in value.values()):
        raise FileFormatError(f"{path} is not a dict of lists of neighbours. Delete it to get it anew")
    return dict(value)


def _assemble(known: Tensor, test: Tensor, test_index: Tensor, num_nodes: int) -> Tensor:
    """Put the rows of the test nodes, which the file has in order of `test_index`, where they belong.

    Nodes that no row belongs to get zeros (CiteSeer has 15).
    """
    rows = torch.zeros(num_nodes, known.size(1))
    rows[: len(known)] = known
    rows[test_index] = test
    return rows


def _edge_index(neighbours: dict[int, list[int]], num_nodes: int) -> Tensor:
    """Make edges [2, E] in PyG's order, without the loops and doubles of the raw files."""
    sources = [node for node, nodes in neighbours.items() for _ in nodes]
    targets = list(chain.from_iterable(neighbours.values()))
    edge_index, _ = remove_self_loops(torch.tensor([sources, targets], dtype=torch.int64))
    edges: Tensor = coalesce(edge_index, num_nodes=num_nodes, sort_by_row=False)
    return edges


def _check_lengths(rows: dict[str, int], test_index: Tensor) -> None:
    """Raise ValueError unless features and labels are of the same nodes, and test nodes follow the others."""
    for features, labels in (("x", "y"), ("tx", "ty"), ("allx", "ally")):
        if rows[features] != rows[labels]:
            raise ValueError(f"{features} has {rows[features]} rows and {labels} has {rows[labels]}")
    if rows["tx"] != len(test_index) or len(test_index) != len(set(test_index.tolist())):
        raise ValueError(f"test.index must name {rows['tx']} different nodes, one for each row of tx")
    if int(test_index.min()) < rows["allx"]:
        raise ValueError(f"test.index must name nodes after the {rows['allx']} of allx")


def _check_numbers(one_hot: Tensor, edge_index: Tensor, split: Split, num_classes: int) -> None:
    num_nodes = len(one_hot)
    if one_hot.size(1) != num_classes:
        raise ValueError(f"labels of {one_hot.size(1)} classes instead of {num_classes}")
    for index in (edge_index, split.train, split.validation, split.test):
        if index.numel() == 0 or int(index.min()) < 0 or int(index.max()) >= num_nodes:
            raise ValueError(f"a number of a node is not in 0..{num_nodes - 1}")
