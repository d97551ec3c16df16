"""Every data set by name, and any graph file by path."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from graph_metamers.datasets.digits import load_digits_graph
from graph_metamers.datasets.files import load_graph_file
from graph_metamers.datasets.karate import load_karate
from graph_metamers.datasets.planetoid import CITESEER, CORA, load_planetoid
from graph_metamers.errors import DatasetError, ParameterError
from graph_metamers.graphs import infer_feature_kind
from graph_metamers.parameters import MAX_SEED, check_choice, check_integer
from graph_metamers.types import FeatureKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from graph_metamers.datasets.dataset import Dataset

__all__ = ["DatasetInfo", "list_datasets", "load_dataset"]

_KINDS: tuple[FeatureKind, ...] = get_args(FeatureKind)
_NARROWNESS = {"continuous": 0, "bounded": 1, "binary": 2}


@dataclass(frozen=True)
class DatasetInfo:
    """What can be said of a built-in data set without loading it.

    Attributes
    ----------
    name
        For `load_dataset`.
    summary
        One line.
    source
        Who made it.
    needs_files
        Whether raw files must be in the data root or be downloaded; the others come with the installation.
    """

    name: str
    summary: str
    source: str
    needs_files: bool


_Root = str | os.PathLike[str] | None

_CATALOG: dict[str, tuple[DatasetInfo, Callable[[int, _Root], Dataset]]] = {
    info.name: (info, load)
    for info, load in (
        (
            DatasetInfo(
                "digits", "1797 handwritten digits of 8 x 8 pixels, joined by likeness", "scikit-learn", False
            ),
            lambda seed, _: load_digits_graph(seed=seed),
        ),
        (
            DatasetInfo(
                "karate", "34 members of a karate club, joined by friendship", "PyTorch Geometric", False
            ),
            lambda seed, _: load_karate(seed=seed),
        ),
        (
            DatasetInfo("cora", "2708 papers, joined by citation; 1433 words", CORA.source, True),
            lambda _, root: load_planetoid(CORA, data_root=root),
        ),
        (
            DatasetInfo("citeseer", "3327 papers, joined by citation; 3703 words", CITESEER.source, True),
            lambda _, root: load_planetoid(CITESEER, data_root=root),
        ),
    )
}


def list_datasets() -> list[DatasetInfo]:
    """List the built-in data sets; nothing is loaded.

    Examples
    --------
    >>> [info.name for info in list_datasets()]
    ['digits', 'karate', 'cora', 'citeseer']
    """
    return [info for info, _ in _CATALOG.values()]


def load_dataset(
    name_or_path: str | os.PathLike[str],
    *,
    split: int = 0,
    seed: int = 0,
    data_root: str | os.PathLike[str] | None = None,
    feature_kind: FeatureKind | None = None,
) -> Dataset:
    """Load a built-in data set by name, or a graph of your own by the path of its file.

    Parameters
    ----------
    name_or_path
        A name from `list_datasets` (in any case), or a .pt, .npz or .safetensors file.
    split
        Which split of those the data set has; all that exist today have one, 0.
    seed
        Decides a split that the data set does not bring itself; at least 0.
    data_root
        Folder of raw files; default: $GRAPH_METAMERS_DATA, else the user's cache folder. Never written,
        except to download what is missing.
    feature_kind
        Overrides what the values look like; only to something wider ("continuous" for features that happen
        to lie in [0, 1]).

    Returns
    -------
    Dataset
        The same for the same arguments, on any machine.

    Raises
    ------
    DatasetError
        If the name is unknown, files are missing and cannot be downloaded, or a graph of your own has a
        defect.
    FileFormatError
        If a file is missing, damaged, or not safe to open.
    ParameterError
        If another parameter is out of range.

    Examples
    --------
    >>> load_dataset("digits").num_classes
    10
    """
    if split != 0 or isinstance(split, bool):
        raise ParameterError("split", "0", split, "This data set has one split; 'seed' varies a seeded one")
    check_integer("seed", seed, low=0, high=MAX_SEED)
    if feature_kind is not None:
        check_choice("feature_kind", feature_kind, _KINDS)
    dataset = _load(name_or_path, seed, data_root)
    return dataset if feature_kind is None else _with_kind(dataset, feature_kind)


def _load(name_or_path: str | os.PathLike[str], seed: int, data_root: _Root) -> Dataset:
    name = os.fspath(name_or_path)
    if isinstance(name_or_path, str) and name.lower() in _CATALOG:
        return _CATALOG[name.lower()][1](seed, data_root)
    if isinstance(name_or_path, str) and not _looks_like_path(name):
        raise DatasetError(_unknown(name))
    return load_graph_file(name, seed=seed)


def _looks_like_path(name: str) -> bool:
    path = Path(name)
    return bool(path.suffix) or len(path.parts) > 1 or path.exists()


def _unknown(name: str) -> str:
    close = get_close_matches(name.lower(), _CATALOG, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return (
        f"there is no data set {name!r}.{hint} Known are {', '.join(_CATALOG)}; "
        "a graph of your own is named by the path of its .pt, .npz or .safetensors file"
    )


def _with_kind(dataset: Dataset, asked: FeatureKind) -> Dataset:
    found = infer_feature_kind(dataset.graph.x)
    if asked == found:
        return dataset
    if _NARROWNESS[asked] > _NARROWNESS[found]:
        raise ParameterError("feature_kind", f"{found!r} or wider", asked, f"The features are {found}")
    note = f"The features look {found} and are treated as {asked}, as asked."
    return replace(dataset, feature_kind=asked, notes=(*dataset.notes, note))
