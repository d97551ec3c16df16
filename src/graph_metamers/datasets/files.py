"""A user's own graph from a file: .pt, .npz, .graphml, or the .safetensors files of `save_graph`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graph_metamers.datasets.dataset import Dataset
from graph_metamers.datasets.npz_files import read_npz
from graph_metamers.datasets.splits import split_that_fits
from graph_metamers.datasets.torch_files import graph_attributes, read_pt
from graph_metamers.datasets.validation import (
    checked_edge_index,
    checked_edge_values,
    checked_names,
    checked_split,
    checked_x,
    checked_y,
)
from graph_metamers.errors import DatasetError, FileFormatError
from graph_metamers.graphs import infer_feature_kind
from graph_metamers.storage import load_graph

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    _Reader = Callable[[Path], tuple[dict[str, Any], tuple[str, ...]]]

__all__ = ["GRAPH_FILE_SUFFIXES", "load_graph_file"]

_EDGE_VALUES = ("edge_weight", "edge_attr")
_NOT_ON_THE_GRAPH = frozenset(
    {
        "x",
        "edge_index",
        "y",
        *_EDGE_VALUES,
        "train_mask",
        "val_mask",
        "test_mask",
        "feature_names",
        "class_names",
    }
)


def load_graph_file(path: str | os.PathLike[str], *, seed: int) -> Dataset:
    """Read, check and describe one graph with a class for each node.

    The file holds `x` [N, F], `edge_index` [2, E] and `y` [N]; it may hold `edge_weight` [E], `edge_attr`
    [E, D], the three masks `train_mask`, `val_mask` and `test_mask` (bool [N]), `feature_names` and
    `class_names`. Any other tensor stays on the graph, for models that ask for it by name.

    Parameters
    ----------
    path
        A .pt, .npz, .safetensors or .graphml file; for what the last holds see `read_graphml`.
    seed
        Decides the split if the file has no masks.

    Raises
    ------
    FileFormatError
        If the file is missing, of another format, damaged, or not safe to open.
    DatasetError
        If what it holds is not a graph one can train on; the message says what and how to mend it.
    """
    file = Path(path)
    reader = _reader(file)
    try:
        parts, notes = reader(file)
        return _dataset(parts, file, seed, notes)
    except DatasetError as error:
        raise DatasetError(f"{file}: {error}") from error


def _reader(file: Path) -> _Reader:
    reader = _READERS.get(file.suffix.lower())
    if file.is_dir():
        raise FileFormatError(f"{file} is a folder, not a file. Name the file in it")
    if not file.is_file():
        raise FileFormatError(f"there is no file {file}. Check the name")
    if reader is None:
        raise FileFormatError(
            f"{file} has the unknown ending {file.suffix!r}; known are {', '.join(GRAPH_FILE_SUFFIXES)}. "
            "Save the graph as one of these"
        )
    return reader


def _read_npz_parts(file: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    arrays = read_npz(file)
    try:
        return {
            name: array if array.dtype.kind in "USO" else torch.from_numpy(array)
            for name, array in arrays.items()
        }, ()
    except TypeError as error:
        raise FileFormatError(f"{file} holds an array that is neither numbers nor text: {error}") from error


def _read_graphml_parts(file: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    from graph_metamers.datasets.graphml_files import read_graphml  # noqa: PLC0415 (networkx takes half a second)

    return read_graphml(file)


_READERS: dict[str, _Reader] = {
    ".pt": lambda file: (graph_attributes(read_pt(file), file), ()),
    ".npz": _read_npz_parts,
    ".safetensors": lambda file: (graph_attributes(load_graph(file), file), ()),
    ".graphml": _read_graphml_parts,
}
"""Each gives the parts of the graph, and sentences on what it left out."""

GRAPH_FILE_SUFFIXES = tuple(_READERS)
"""Endings of the files that `load_dataset` reads."""


def _dataset(parts: Mapping[str, Any], file: Path, seed: int, notes: tuple[str, ...]) -> Dataset:
    x, more_notes = checked_x(parts)
    notes += more_notes
    num_nodes = len(x)
    edge_index = checked_edge_index(parts, num_nodes)
    y = checked_y(parts, num_nodes)
    graph = Data(x=x, edge_index=edge_index, y=y)
    for name in _EDGE_VALUES:
        if parts.get(name) is not None:
            graph[name] = checked_edge_values(parts, name, edge_index.size(1))
    kept, left_out = _other_attributes(parts)
    for name, value in kept.items():
        graph[name] = value
    if left_out:
        notes += (f"Left out of the graph, because they are no tensors: {', '.join(left_out)}.",)
    return Dataset(
        name=file.stem,
        graphs=(graph,),
        task_level="node",
        feature_kind=infer_feature_kind(x),
        feature_names=_feature_names(parts, x.size(1)),
        image_shape=None,
        class_names=_class_names(parts, int(y.max()) + 1),
        split=checked_split(parts, num_nodes) or split_that_fits(y, seed=seed),
        source=f"own file {file.name}",
        notes=notes,
    )


def _other_attributes(parts: Mapping[str, Any]) -> tuple[dict[str, Tensor], list[str]]:
    others = {name: value for name, value in parts.items() if name not in _NOT_ON_THE_GRAPH}
    kept = {name: value for name, value in others.items() if isinstance(value, Tensor)}
    # A number of nodes says what `x` says.
    left_out = [name for name in others if name not in kept and name != "num_nodes"]
    return kept, left_out


def _feature_names(parts: Mapping[str, Any], count: int) -> tuple[str, ...] | None:
    names = parts.get("feature_names")
    return None if names is None else checked_names(names, "feature_names", count)


def _class_names(parts: Mapping[str, Any], count: int) -> tuple[str, ...]:
    names = parts.get("class_names")
    if names is None:
        return tuple(f"class {number}" for number in range(count))
    # More names than classes in use are welcome: a class may have no node.
    return checked_names(names, "class_names", count, or_more=True)
