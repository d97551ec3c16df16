"""Zachary's karate club: 34 people, the smallest graph that everybody knows."""

from __future__ import annotations

import torch
from torch_geometric.data import Data
from torch_geometric.datasets import KarateClub

from graph_metamers.datasets.dataset import Dataset
from graph_metamers.datasets.splits import Split
from graph_metamers.graphs import infer_feature_kind

__all__ = ["load_karate"]


def load_karate(*, seed: int) -> Dataset:
    """Build the karate club from the numbers inside PyTorch Geometric; no download.

    Parameters
    ----------
    seed
        Decides which of the nodes that do not train are for validation and which for the test.

    Returns
    -------
    Dataset
        One graph, `x` the identity, float32 [34, 34].
    """
    original = KarateClub()[0]
    graph = Data(x=original.x, edge_index=original.edge_index, y=original.y)
    rest = (~original.train_mask).nonzero().view(-1)
    rest = rest[torch.randperm(len(rest), generator=torch.Generator().manual_seed(seed))]
    half = len(rest) // 2
    split = Split(
        train=original.train_mask.nonzero().view(-1),
        validation=rest[:half].sort().values,
        test=rest[half:].sort().values,
        description=f"Kipf and Welling's one per class; half of the rest validation, half test, seed {seed}",
    )
    return Dataset(
        name="karate",
        graphs=(graph,),
        task_level="node",
        feature_kind=infer_feature_kind(graph.x),
        feature_names=tuple(f"is person {number}" for number in range(graph.num_nodes)),
        image_shape=None,
        class_names=tuple(f"community {number}" for number in range(int(graph.y.max()) + 1)),
        split=split,
        source="Zachary 1977, classes by Kipf and Welling 2017, from PyTorch Geometric",
        notes=("The features are the identity: they name the node and say nothing else about it.",),
    )
