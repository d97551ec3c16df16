"""Texas, Wisconsin, Cornell and Actor, with the ten splits of Geom-GCN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch_geometric.datasets import WebKB

from graph_metamers.datasets.data_root import resolve_data_root
from graph_metamers.datasets.dataset import Dataset
from graph_metamers.datasets.geom_gcn_files import needed_files, read_graph, read_split
from graph_metamers.datasets.raw_files import ensure_raw_files
from graph_metamers.graphs import infer_feature_kind

if TYPE_CHECKING:
    import os

__all__ = ["ACTOR", "CORNELL", "TEXAS", "WISCONSIN", "GeomGCNSet", "load_geom_gcn"]

_NUM_CLASSES = 5


@dataclass(frozen=True)
class GeomGCNSet:
    """What is known beforehand of one of the sets.

    Attributes
    ----------
    name
        Ours.
    published_name
        Geom-GCN's, in the names of files.
    folder
        Of the raw files, below the data root, as PyG's loader has it.
    listed
        Whether the file lists the features that are 1.
    source
        Who made the data.
    notes
        Whole sentences for a reader.
    """

    name: str
    published_name: str
    folder: str
    listed: bool
    source: str
    notes: tuple[str, ...]


_DIRECTED = "The edges are directed."
_SAME = "The published words and classes of Texas and Cornell are the same file; only their edges differ."
_WEBKB = "CMU WebKB (Craven et al. 1998), files and splits of Pei et al. 2020 (geom-gcn)"

TEXAS = GeomGCNSet("texas", "texas", "webkb/texas/raw", False, _WEBKB, (_DIRECTED, _SAME))
WISCONSIN = GeomGCNSet("wisconsin", "wisconsin", "webkb/wisconsin/raw", False, _WEBKB, (_DIRECTED,))
CORNELL = GeomGCNSet("cornell", "cornell", "webkb/cornell/raw", False, _WEBKB, (_DIRECTED, _SAME))
ACTOR = GeomGCNSet(
    name="actor",
    published_name="film",
    folder="actor/raw",
    listed=True,
    source="Tang et al. 2009, files and splits of Pei et al. 2020 (geom-gcn)",
    notes=(_DIRECTED,),
)


def load_geom_gcn(
    files: GeomGCNSet, *, split: int, data_root: str | os.PathLike[str] | None = None
) -> Dataset:
    """Read one of the sets, downloading what is missing.

    Parameters
    ----------
    files
        `TEXAS`, `WISCONSIN`, `CORNELL` or `ACTOR`.
    split
        Which of the ten published splits.
    data_root
        See `resolve_data_root`.

    Returns
    -------
    Dataset
        One graph, equal to that of PyTorch Geometric's loader. Which class has which number is not published,
        so that classes have numbers for names.

    Raises
    ------
    DatasetError
        If files are missing and cannot be downloaded.
    FileFormatError
        If a file is damaged or not safe to open.
    OutputError
        If files are missing and the folder cannot be written.
    """
    needed = needed_files(files.published_name, WebKB.url, split)
    raw = ensure_raw_files(resolve_data_root(data_root), files.folder, needed, title=files.name)
    graph = read_graph(raw, listed=files.listed, num_classes=_NUM_CLASSES)
    return Dataset(
        name=files.name,
        graphs=(graph,),
        task_level="node",
        feature_kind=infer_feature_kind(graph.x),
        feature_names=None,
        image_shape=None,
        class_names=tuple(f"class {number}" for number in range(_NUM_CLASSES)),
        split=read_split(raw, files.published_name, split, num_nodes=len(graph.y)),
        source=files.source,
        notes=files.notes,
    )
