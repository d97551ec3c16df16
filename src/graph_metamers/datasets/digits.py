"""Handwritten digits as a graph: 1797 images of 8 x 8 pixels, each joined to those most like it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits
from torch_geometric.data import Data

from graph_metamers.datasets.dataset import Dataset
from graph_metamers.datasets.splits import seeded_split
from graph_metamers.graphs import infer_feature_kind

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

__all__ = ["edges_from_pixels", "has_edges_from_pixels", "load_digits_graph"]

_NAME = "digits"
_SIDE = 8
_NEIGHBOURS = 8
_LARGEST_PIXEL = 16


def load_digits_graph(*, seed: int) -> Dataset:
    """Build the digits from the files inside scikit-learn; no download.

    Parameters
    ----------
    seed
        Decides the split: 20 per class for training, 500 for validation, the rest for the test.

    Returns
    -------
    Dataset
        One graph, `x` float32 [1797, 64] in [0, 1], edges in both directions.
    """
    digits = load_digits()
    x = torch.from_numpy(digits.data / _LARGEST_PIXEL).float()
    y = torch.from_numpy(digits.target.astype(np.int64))
    edge_index = edges_from_pixels(x)
    split = seeded_split(
        y,
        train_per_class=20,
        num_validation=500,
        generator=torch.Generator().manual_seed(seed),
        description=f"seeded: 20 per class, 500 validation, rest test, seed {seed}",
    )
    return Dataset(
        name=_NAME,
        graphs=(Data(x=x, edge_index=edge_index, y=y),),
        task_level="node",
        feature_kind=infer_feature_kind(x),
        feature_names=tuple(f"row {r}, column {c}" for r in range(_SIDE) for c in range(_SIDE)),
        image_shape=(_SIDE, _SIDE),
        class_names=tuple(str(name) for name in digits.target_names),
        split=split,
        source="Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits, from scikit-learn",
        notes=("The edges were computed once from the original pixels; changed pixels leave them.",),
    )


def edges_from_pixels(x: Tensor) -> Tensor:
    """The edges that digits with these pixels have: each is joined to the eight most like it.

    Parameters
    ----------
    x
        Pixels in [0, 1], float [n, 64].

    Returns
    -------
    Tensor
        Sources and targets, int64 [2, E], both directions of each edge. Of equally near digits the first
        ones are taken.
    """
    return torch.from_numpy(_symmetric_neighbours(x.detach().cpu().double().numpy() * _LARGEST_PIXEL))


def has_edges_from_pixels(dataset: Dataset) -> bool:
    """Whether the edges of a data set are those that `edges_from_pixels` computes from its features."""
    if dataset.name != _NAME or len(dataset.graphs) != 1:
        return False
    graph = dataset.graph
    return torch.equal(edges_from_pixels(graph.x), graph.edge_index.cpu())


def _symmetric_neighbours(pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Edges [2, E] from every image to its nearest ones, and back.

    The data set's pixels are whole numbers, so squared distances are exact, and equally near images are taken
    in their order: its edges are the same on every machine. (scikit-learn's search breaks ties by how it was
    divided among threads.)
    """
    distances = cdist(pixels, pixels, "sqeuclidean")
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argsort(axis=1, kind="stable")[:, :_NEIGHBOURS]
    joined = np.zeros(distances.shape, dtype=bool)
    np.put_along_axis(joined, nearest, values=True, axis=1)
    return np.stack((joined | joined.T).nonzero()).astype(np.int64)
