"""Every data set by name, and any graph file by path."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from difflib import get_close_matches
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, get_args

from graph_metamers.datasets.attributed import (
    AMAZON_COMPUTERS,
    CITESEER_FULL,
    COAUTHOR_CS,
    CORA_ML,
    load_attributed,
)
from graph_metamers.datasets.csbm import load_csbm
from graph_metamers.datasets.digits import load_digits_graph
from graph_metamers.datasets.files import GRAPH_FILE_SUFFIXES, load_graph_file
from graph_metamers.datasets.geom_gcn import ACTOR, CORNELL, TEXAS, WISCONSIN, load_geom_gcn
from graph_metamers.datasets.heterophilous import CHAMELEON, MINESWEEPER, load_heterophilous
from graph_metamers.datasets.karate import load_karate
from graph_metamers.datasets.masks import NUM_PUBLISHED_SPLITS
from graph_metamers.datasets.planetoid import CITESEER, CORA, load_planetoid
from graph_metamers.errors import DatasetError, ParameterError
from graph_metamers.graphs import infer_feature_kind
from graph_metamers.parameters import MAX_SEED, check_choice, check_integer
from graph_metamers.types import FeatureKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from graph_metamers.datasets.attributed import AttributedSet
    from graph_metamers.datasets.dataset import Dataset
    from graph_metamers.datasets.geom_gcn import GeomGCNSet
    from graph_metamers.datasets.heterophilous import HeterophilousSet
    from graph_metamers.datasets.planetoid import PlanetoidFiles

    _Loader = Callable[..., Dataset]

__all__ = ["DatasetInfo", "list_datasets", "load_dataset"]

_KINDS: tuple[FeatureKind, ...] = get_args(FeatureKind)
_NARROWNESS = {"continuous": 0, "bounded": 1, "binary": 2}


class BlockModelOptions(TypedDict, total=False):
    """What `load_dataset("csbm")` takes beside the seed; what is left out has its default in `load_csbm`."""

    K: float
    num_nodes: int
    num_features: int | None
    sigma: float
    p: float
    q: float


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
    num_splits
        How many splits it brings; those of a set that brings none are seeded, and count as one.
    options
        Names of what else `load_dataset` takes for it.
    """

    name: str
    summary: str
    source: str
    needs_files: bool
    num_splits: int = 1
    options: tuple[str, ...] = ()


_Root = str | os.PathLike[str] | None


def _attributed(files: AttributedSet, summary: str) -> tuple[DatasetInfo, _Loader]:
    return (
        DatasetInfo(files.name, summary, files.source, True),
        lambda seed, _, root: load_attributed(files, seed=seed, data_root=root),
    )


def _geom_gcn(files: GeomGCNSet, summary: str) -> tuple[DatasetInfo, _Loader]:
    return (
        DatasetInfo(files.name, summary, files.source, True, NUM_PUBLISHED_SPLITS),
        lambda _, split, root: load_geom_gcn(files, split=split, data_root=root),
    )


def _heterophilous(files: HeterophilousSet, summary: str) -> tuple[DatasetInfo, _Loader]:
    return (
        DatasetInfo(files.name, summary, files.source, True, NUM_PUBLISHED_SPLITS),
        lambda _, split, root: load_heterophilous(files, split=split, data_root=root),
    )


def _planetoid(files: PlanetoidFiles, summary: str) -> tuple[DatasetInfo, _Loader]:
    return (
        DatasetInfo(files.name.lower(), summary, files.source, True),
        lambda _seed, _split, root: load_planetoid(files, data_root=root),
    )


_CATALOG: dict[str, tuple[DatasetInfo, _Loader]] = {
    info.name: (info, load)
    for info, load in (
        (
            DatasetInfo(
                "digits", "1797 handwritten digits of 8 x 8 pixels, joined by likeness", "scikit-learn", False
            ),
            lambda seed, _split, _root: load_digits_graph(seed=seed),
        ),
        (
            DatasetInfo(
                "karate", "34 members of a karate club, joined by friendship", "PyTorch Geometric", False
            ),
            lambda seed, _split, _root: load_karate(seed=seed),
        ),
        _planetoid(CORA, "2708 papers, joined by citation; 1433 words"),
        _planetoid(CITESEER, "3327 papers, joined by citation; 3703 words"),
        _attributed(CORA_ML, "2995 papers, joined by citation; 2879 words, with their spelling"),
        _attributed(CITESEER_FULL, "4230 papers, joined by citation; 602 words"),
        _attributed(AMAZON_COMPUTERS, "13752 goods, joined if often bought together; 767 words of reviews"),
        _attributed(
            COAUTHOR_CS, "18333 authors, joined by a common paper; 6805 key words, with their spelling"
        ),
        _geom_gcn(TEXAS, "183 web pages of a university, joined by links; 1703 words; heterophilous"),
        _geom_gcn(WISCONSIN, "251 web pages of a university, joined by links; 1703 words; heterophilous"),
        _geom_gcn(CORNELL, "183 web pages of a university, joined by links; 1703 words; heterophilous"),
        _geom_gcn(ACTOR, "7600 actors, joined if on one Wikipedia page; 932 words; heterophilous"),
        _heterophilous(CHAMELEON, "2277 Wikipedia pages, joined by links; 2325 words; heterophilous"),
        _heterophilous(MINESWEEPER, "10000 cells of a board, joined to their neighbours; which are mines?"),
        (
            DatasetInfo(
                "csbm",
                "1000 nodes, drawn from a block model whose Bayes classifier is known",
                "Deshpande et al. 2018, Gosch et al. 2023",
                False,
                options=tuple(BlockModelOptions.__annotations__),
            ),
            lambda seed, _split, _root, **options: load_csbm(seed=seed, **options),
        ),
    )
}


def list_datasets() -> list[DatasetInfo]:
    """List the built-in data sets; nothing is loaded.

    Examples
    --------
    >>> [info.name for info in list_datasets()][:5]
    ['digits', 'karate', 'cora', 'citeseer', 'cora_ml']
    """
    return [info for info, _ in _CATALOG.values()]


def load_dataset(
    name_or_path: str | os.PathLike[str],
    *,
    split: int = 0,
    seed: int = 0,
    data_root: str | os.PathLike[str] | None = None,
    feature_kind: FeatureKind | None = None,
    **options: Unpack[BlockModelOptions],
) -> Dataset:
    """Load a built-in data set by name, or a graph of your own by the path of its file.

    Parameters
    ----------
    name_or_path
        A name from `list_datasets` (in any case), or a .pt, .npz, .safetensors or .graphml file.
    split
        Which split of those the data set brings, from 0; `DatasetInfo.num_splits` says how many there are.
    seed
        Decides a split that the data set does not bring itself, and the graph where it is drawn; at least 0.
    data_root
        Folder of raw files; default: $GRAPH_METAMERS_DATA, else the user's cache folder. Never written,
        except to download what is missing.
    feature_kind
        Overrides what the values look like; only to something wider ("continuous" for features that happen
        to lie in [0, 1]).
    **options
        For "csbm" alone: `K` (distance of the classes' means in standard deviations, default 1.5),
        `num_nodes` (1000), `num_features` (round(num_nodes / ln(num_nodes)^2)), `sigma` (1), `p` and `q`
        (probability of an edge within a class and between both, 0.0063 and 0.0015).

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
    check_integer("seed", seed, low=0, high=MAX_SEED)
    if feature_kind is not None:
        check_choice("feature_kind", feature_kind, _KINDS)
    dataset = _load(name_or_path, split, seed, data_root, dict(options))
    return dataset if feature_kind is None else _with_kind(dataset, feature_kind)


def _load(
    name_or_path: str | os.PathLike[str], split: int, seed: int, data_root: _Root, options: dict[str, Any]
) -> Dataset:
    name = os.fspath(name_or_path)
    if isinstance(name_or_path, str) and name.lower() in _CATALOG:
        info, load = _CATALOG[name.lower()]
        _refuse_options(options, info.name, info.options)
        return load(seed, _checked_split(split, info.name, info.num_splits), data_root, **options)
    if isinstance(name_or_path, str) and not _looks_like_path(name):
        raise DatasetError(_unknown(name))
    _refuse_options(options, "a graph of your own", ())
    _checked_split(split, "a graph of your own", 1)
    return load_graph_file(name, seed=seed)


def _refuse_options(options: dict[str, Any], name: str, known: tuple[str, ...]) -> None:
    for option, value in options.items():
        if option not in known:
            mend = f"It takes {', '.join(known)}" if known else ""
            raise ParameterError(option, f"left out for {name}", value, mend)


def _checked_split(split: object, name: str, count: int) -> int:
    if isinstance(split, bool) or not isinstance(split, Integral) or not 0 <= int(split) < count:
        must = "0" if count == 1 else f"an integer from 0 to {count - 1}"
        how_many = "one split; 'seed' varies a seeded one" if count == 1 else f"{count} splits"
        raise ParameterError("split", must, split, f"{name[0].upper()}{name[1:]} has {how_many}")
    return int(split)


def _looks_like_path(name: str) -> bool:
    path = Path(name)
    return bool(path.suffix) or len(path.parts) > 1 or path.exists()


def _unknown(name: str) -> str:
    close = get_close_matches(name.lower(), _CATALOG, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    *others, last = GRAPH_FILE_SUFFIXES
    return (
        f"there is no data set {name!r}.{hint} Known are {', '.join(_CATALOG)}; "
        f"a graph of your own is named by the path of its {', '.join(others)} or {last} file"
    )


def _with_kind(dataset: Dataset, asked: FeatureKind) -> Dataset:
    found = infer_feature_kind(dataset.graph.x)
    if asked == found:
        return dataset
    if _NARROWNESS[asked] > _NARROWNESS[found]:
        raise ParameterError("feature_kind", f"{found!r} or wider", asked, f"The features are {found}")
    note = f"The features look {found} and are treated as {asked}, as asked."
    return replace(dataset, feature_kind=asked, notes=(*dataset.notes, note))
