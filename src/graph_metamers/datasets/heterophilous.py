"""Minesweeper and Chameleon in the .npz layout of Platonov et al. 2023: dense features and ten splits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.datasets import HeterophilousGraphDataset
from torch_geometric.utils import coalesce, to_undirected

from graph_metamers.datasets.data_root import resolve_data_root
from graph_metamers.datasets.dataset import Dataset
from graph_metamers.datasets.masks import NUM_PUBLISHED_SPLITS, split_of_masks
from graph_metamers.datasets.npz_files import read_npz
from graph_metamers.datasets.raw_files import RawFile, ensure_raw_files
from graph_metamers.errors import FileFormatError
from graph_metamers.graphs import infer_feature_kind

if TYPE_CHECKING:
    import os

    from torch import Tensor

__all__ = ["CHAMELEON", "MINESWEEPER", "HeterophilousSet", "load_heterophilous"]

_MASKS = ("train_masks", "val_masks", "test_masks")


@dataclass(frozen=True)
class HeterophilousSet:
    """What is known beforehand of one of the sets.

    Attributes
    ----------
    name
        Ours.
    folder
        Of the raw file, below the data root.
    file
        Name of the raw file.
    sha256
        Of the file as published (yandex-research/heterophilous-graphs, commit a431395).
    directed
        Whether edges are kept as the file has them; else they run in both directions.
    class_names
        In the order of the labels.
    feature_names
        In the order of the columns; None if nobody knows them.
    source
        Who made the data.
    notes
        Whole sentences for a reader.
    """

    name: str
    folder: str
    file: str
    sha256: str
    directed: bool
    class_names: tuple[str, ...]
    source: str
    feature_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = field(default=())


MINESWEEPER = HeterophilousSet(
    name="minesweeper",
    folder="heterophilous/minesweeper/raw",
    file="minesweeper.npz",
    sha256="e664c8dacf1e8ac466c2c09ed4b237bd2c5541f47a6eae9c6092cb87f16412b3",
    directed=False,
    class_names=("no mine", "mine"),
    # The file names neither; the paper says what they are, and the numbers of mines around confirm it.
    feature_names=(
        "count hidden",
        *(f"{count} mines around" for count in range(5)),
        "5 or more mines around",
    ),
    source="Platonov et al. 2023 (yandex-research/heterophilous-graphs)",
    notes=(
        "Each row of the features has exactly one 1: a count of mines around, or that the count is hidden.",
    ),
)
CHAMELEON = HeterophilousSet(
    name="chameleon",
    folder="wikipedia/chameleon",
    file="chameleon_directed.npz",
    sha256="34aea6b6888063544232100d53d4aa7e87e37953ec8dd3a7092afb25bb2f0328",
    directed=True,
    class_names=tuple(f"traffic class {number}" for number in range(5)),
    source="Rozemberczki et al. 2021, classes and splits of Pei et al. 2020, file of Platonov et al. 2023",
    notes=(
        "The edges are directed.",
        "Many pages are doubles of each other, some in training and test at once (Platonov et al. 2023).",
    ),
)


def load_heterophilous(
    files: HeterophilousSet, *, split: int, data_root: str | os.PathLike[str] | None = None
) -> Dataset:
    """Read one of the sets, downloading its file if it is missing.

    Parameters
    ----------
    files
        `MINESWEEPER` or `CHAMELEON`.
    split
        Which of the ten published splits.
    data_root
        See `resolve_data_root`.

    Returns
    -------
    Dataset
        One graph, equal to that of PyTorch Geometric's loader.

    Raises
    ------
    DatasetError
        If the file is missing and cannot be downloaded.
    FileFormatError
        If the file is damaged or not safe to open.
    OutputError
        If the file is missing and the folder cannot be written.
    """
    needed = RawFile(files.file, f"{HeterophilousGraphDataset.url}/{files.file}", files.sha256)
    raw = ensure_raw_files(resolve_data_root(data_root), files.folder, [needed], title=files.name)
    path = raw / files.file
    arrays = read_npz(path, required=("node_features", "node_labels", "edges", *_MASKS))
    try:
        graph = _graph(arrays, files)
        chosen = [_chosen(arrays[name], name, split) for name in _MASKS]
        parts = split_of_masks(
            *chosen,
            num_nodes=len(graph.y),
            description=f"published split {split} of {NUM_PUBLISHED_SPLITS}, numbered from 0",
        )
        kind = infer_feature_kind(graph.x)
    except (ValueError, IndexError, RuntimeError, TypeError) as error:
        raise FileFormatError(f"{path} is damaged: {error}. Delete it to get it anew") from error
    return Dataset(
        name=files.name,
        graphs=(graph,),
        task_level="node",
        feature_kind=kind,
        feature_names=files.feature_names,
        image_shape=None,
        class_names=files.class_names,
        split=parts,
        source=files.source,
        notes=files.notes,
    )


def _graph(arrays: dict[str, Any], files: HeterophilousSet) -> Data:
    features, labels, edges = arrays["node_features"], arrays["node_labels"], arrays["edges"]
    if features.ndim != 2 or features.dtype.kind not in "biuf":
        raise ValueError("node_features is not a matrix of numbers")
    if files.feature_names is not None and features.shape[1] != len(files.feature_names):
        raise ValueError(f"{features.shape[1]} features instead of {len(files.feature_names)}")
    num_nodes = len(features)
    if labels.shape != (num_nodes,) or edges.ndim != 2 or edges.shape[1] != 2:
        raise ValueError(f"labels {list(labels.shape)} and edges {list(edges.shape)} of {num_nodes} nodes")
    y = _integers(labels, "label", len(files.class_names))
    edge_index = _integers(edges, "number of a node", num_nodes).t().contiguous()
    join = coalesce if files.directed else to_undirected
    return Data(
        x=torch.from_numpy(features.astype(np.float32)),
        edge_index=join(edge_index, num_nodes=num_nodes),
        y=y,
    )


def _integers(values: Any, what: str, count: int) -> Tensor:
    if values.dtype.kind not in "iu" or values.size == 0 or values.min() < 0 or values.max() >= count:
        raise ValueError(f"a {what} is not in 0..{count - 1}")
    return torch.from_numpy(values.astype(np.int64))


def _chosen(masks: Any, name: str, split: int) -> Any:
    if masks.ndim != 2 or len(masks) != NUM_PUBLISHED_SPLITS:
        raise ValueError(f"{name} must be {NUM_PUBLISHED_SPLITS} masks, got {list(masks.shape)}")
    return masks[split]
