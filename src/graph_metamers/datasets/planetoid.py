"""Cora and CiteSeer with their public split, read from the raw files that PyTorch Geometric downloads.

PyG's own reader unpickles these files and writes beside them. This one reads them with a restricted
unpickler and never writes, except to download files that are not there; the result is the same graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch_geometric.datasets import Planetoid

from graph_metamers.datasets.data_root import resolve_data_root
from graph_metamers.datasets.dataset import Dataset
from graph_metamers.datasets.planetoid_files import PARTS, raw_file, read_raw
from graph_metamers.datasets.raw_files import RawFile, ensure_raw_files
from graph_metamers.graphs import infer_feature_kind

if TYPE_CHECKING:
    import os

__all__ = ["CITESEER", "CORA", "PlanetoidFiles", "load_planetoid"]


@dataclass(frozen=True)
class PlanetoidFiles:
    """What is known beforehand of one of the sets.

    Attributes
    ----------
    name
        PyG's name, which is also the folder's.
    class_names
        In the order of the raw labels. The files do not name them; the sizes of the classes do, since they
        are all different and known from the original data (linqs.org).
    source
        Who made the data.
    sha256
        Of each file as published (kimiyoung/planetoid, commit af6abf4), by its last part of name. Downloads
        are checked, because PyG's `download_url` does not verify certificates.
    """

    name: str
    class_names: tuple[str, ...]
    source: str
    sha256: dict[str, str]


CORA = PlanetoidFiles(
    name="Cora",
    class_names=(
        "Theory",
        "Reinforcement Learning",
        "Genetic Algorithms",
        "Neural Networks",
        "Probabilistic Methods",
        "Case Based",
        "Rule Learning",
    ),
    source="Sen et al. 2008, words and split of Yang et al. 2016 (kimiyoung/planetoid)",
    sha256={
        "x": "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
        "tx": "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
        "allx": "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
        "y": "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
        "ty": "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
        "ally": "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
        "graph": "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
        "test.index": "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
    },
)

CITESEER = PlanetoidFiles(
    name="CiteSeer",
    class_names=(
        "Artificial Intelligence",
        "Machine Learning",
        "Information Retrieval",
        "Databases",
        "Agents",
        "Human-Computer Interaction",
    ),
    source="Sen et al. 2008, words and split of Yang et al. 2016 (kimiyoung/planetoid)",
    sha256={
        "x": "d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6",
        "tx": "539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21",
        "allx": "2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668",
        "y": "8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924",
        "ty": "55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce",
        "ally": "f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95",
        "graph": "d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7",
        "test.index": "2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4",
    },
)


def load_planetoid(files: PlanetoidFiles, *, data_root: str | os.PathLike[str] | None = None) -> Dataset:
    """Read one of the sets, downloading what is missing.

    Parameters
    ----------
    files
        `CORA` or `CITESEER`.
    data_root
        See `resolve_data_root`; the files are in `<data_root>/planetoid/<name>/raw`.

    Returns
    -------
    Dataset
        One graph, equal to that of `torch_geometric.datasets.Planetoid`, with the public split.

    Raises
    ------
    DatasetError
        If files are missing and cannot be downloaded.
    FileFormatError
        If a file is damaged or not safe to open.
    OutputError
        If files are missing and the folder cannot be written.
    """
    folder = f"planetoid/{files.name}/raw"
    needed = [
        RawFile(name, f"{Planetoid.url}/{name}", files.sha256[part])
        for part in PARTS
        for name in [raw_file(Path(), files.name, part).name]
    ]
    raw = ensure_raw_files(resolve_data_root(data_root), folder, needed, title=files.name)
    graph, split, notes = read_raw(raw, files.name, num_classes=len(files.class_names))
    return Dataset(
        name=files.name.lower(),
        graphs=(graph,),
        task_level="node",
        feature_kind=infer_feature_kind(graph.x),
        feature_names=None,
        image_shape=None,
        class_names=files.class_names,
        split=split,
        source=files.source,
        notes=notes,
    )
