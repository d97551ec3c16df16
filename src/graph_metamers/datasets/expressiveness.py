"""Graphs that message passing cannot tell apart: 15 strongly regular graphs, and pairs of BREC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import networkx as nx
import torch
from torch_geometric.data import Data

from graph_metamers.datasets.data_root import ENVIRONMENT_VARIABLE, resolve_data_root
from graph_metamers.datasets.npz_files import read_npz
from graph_metamers.errors import DatasetError, FileFormatError

if TYPE_CHECKING:
    import os
    from pathlib import Path

__all__ = ["BREC_CATEGORIES", "load_brec_pairs", "load_strongly_regular_graphs"]

BREC_CATEGORIES = ("basic", "regular", "str", "extension", "cfi", "4vtx", "dr")
"""Arrays of BREC's file: pairs of small graphs, of regular and of strongly regular ones, pairs for extensions
of Weisfeiler-Leman, pairs of Cai, Fürer and Immerman, with the 4-vertex condition, distance-regular ones."""


def load_strongly_regular_graphs(data_root: str | os.PathLike[str] | None = None) -> list[Data]:
    """The 15 strongly regular graphs srg(25, 12, 5, 6).

    Parameters
    ----------
    data_root
        The folder with sr25/sr251256.g6; default as in `load_dataset`.

    Returns
    -------
    list of Data
        Undirected edges and `num_nodes`, no features. No two are isomorphic.

    Raises
    ------
    DatasetError
        If the file is not there; it is not downloaded.
    FileFormatError
        If it is not in the graph6 format.
    """
    path = _existing(resolve_data_root(data_root) / "sr25" / "sr251256.g6")
    return [_decoded(line, path) for line in path.read_bytes().split()]


def load_brec_pairs(data_root: str | os.PathLike[str] | None = None) -> dict[str, list[tuple[Data, Data]]]:
    """The 400 pairs of BREC (Wang and Zhang 2024, arXiv 2304.07702), by category.

    Parameters
    ----------
    data_root
        The folder with brec/brec_pairs.npz; default as in `load_dataset`.

    Returns
    -------
    dict of str to list of pairs
        Undirected edges and `num_nodes`, no features. The graphs of a pair are not isomorphic.

    Raises
    ------
    DatasetError
        If the file is not there; it is not downloaded.
    FileFormatError
        If it is no archive of graph6 texts, two for each pair. Nothing is unpickled.
    """
    path = _existing(resolve_data_root(data_root) / "brec" / "brec_pairs.npz")
    pairs = {}
    for name, texts in read_npz(path, required=BREC_CATEGORIES).items():
        if texts.ndim != 1 or texts.dtype.kind != "S" or len(texts) % 2:
            raise FileFormatError(
                f"{path} must hold an even number of graph6 texts as {name!r}, "
                f"got {texts.dtype} of shape {list(texts.shape)}"
            )
        graphs = [_decoded(text, path) for text in texts.tolist()]
        pairs[name] = list(zip(graphs[::2], graphs[1::2], strict=True))
    return pairs


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DatasetError(
            f"{path} is not there, and is not downloaded. Point ${ENVIRONMENT_VARIABLE} to the folder that "
            f"holds {path.parent.name}/{path.name}"
        )
    return path


def _decoded(text: bytes, path: Path) -> Data:
    try:
        graph = nx.from_graph6_bytes(text.removeprefix(b">>graph6<<"))
    except (nx.NetworkXError, ValueError, IndexError) as error:
        raise FileFormatError(
            f"{path} must hold graphs in the graph6 format, got {text[:40]!r}: {error}"
        ) from error
    forth = torch.tensor(list(graph.edges), dtype=torch.long).view(-1, 2).T
    return Data(edge_index=torch.cat([forth, forth.flip(0)], dim=1), num_nodes=graph.number_of_nodes())
