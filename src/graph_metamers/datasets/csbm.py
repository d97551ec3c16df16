"""A graph drawn from the contextual stochastic block model, whose best possible classifier is known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch_geometric.data import Data

from graph_metamers.datasets.block_model import ContextualBlockModel
from graph_metamers.datasets.dataset import Dataset
from graph_metamers.datasets.splits import seeded_split
from graph_metamers.errors import DatasetError
from graph_metamers.parameters import check_integer, check_real
from graph_metamers.randomness import generator_for

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GOSCH_P", "GOSCH_Q", "load_csbm"]

GOSCH_P, GOSCH_Q = 0.0063, 0.0015
"""Gosch et al. 2023, fitted on Cora: 3.16 and 0.74 expected neighbours of each class at 1000 nodes."""

FEWEST_NODES = 10


def load_csbm(
    *,
    seed: int,
    K: float = 1.5,
    num_nodes: int = 1000,
    num_features: int | None = None,
    sigma: float = 1.0,
    p: float = GOSCH_P,
    q: float = GOSCH_Q,
) -> Dataset:
    """Draw a graph of two classes; no download. Defaults but K and the split: Gosch et al. 2023.

    Parameters
    ----------
    seed
        Of the graph and of the split: three fifths of the smaller class from each class train, a fifth of
        all nodes validates, the rest is the test (about Gosch et al.'s later 600 / 200 / 200).
    K
        Distance of the classes' means in units of `sigma`, > 0.
    num_nodes
        At least 10.
    num_features
        At least 1; default: round(num_nodes / ln(num_nodes)^2), 21 for 1000 nodes.
    sigma
        Standard deviation of a feature within its class, > 0.
    p, q
        Probability of an edge within a class and between both, in (0, 1).

    Returns
    -------
    Dataset
        One graph, `x` float32 [num_nodes, num_features], `y` 0 or 1, edges in both directions, no
        self-loops; `block_model` is what drew it.

    Raises
    ------
    ParameterError
        If a parameter is out of range.
    DatasetError
        If one class got too few nodes, which can happen with few nodes.

    Notes
    -----
    Takes O(num_nodes^2) time and O(num_nodes * num_features + num_edges) memory.
    """
    num_nodes = check_integer("num_nodes", num_nodes, low=FEWEST_NODES)
    check_real("K", K, low=0.0, low_included=False)
    width = round(num_nodes / math.log(num_nodes) ** 2) if num_features is None else num_features
    width = check_integer("num_features", width, low=1)
    check_real("sigma", sigma, low=0.0, low_included=False)
    block_model = ContextualBlockModel.of(K=K, num_features=width, sigma=sigma, p=p, q=q)
    generator = generator_for("csbm", seed)
    y = torch.randint(2, (num_nodes,), generator=generator)
    signs = 2 * y.double() - 1
    noise = torch.randn(num_nodes, width, generator=generator, dtype=torch.float64)
    x = (signs[:, None] * block_model.mean + sigma * noise).float()
    smallest = int(torch.bincount(y, minlength=2).min())
    if smallest < 2:
        raise DatasetError(
            f"seed {seed} drew {num_nodes} nodes of which {smallest} are of the smaller class: too few for a "
            "split. Choose another seed, or more nodes"
        )
    graph = Data(x=x, edge_index=_edges(y, p, q, generator), y=y)
    split = seeded_split(
        y,
        train_per_class=max(1, 3 * smallest // 5),
        num_validation=num_nodes // 5,
        generator=generator_for("csbm split", seed),
        description=f"seeded: 60% of the smaller class per class, 20% validation, rest test, seed {seed}",
    )
    return Dataset(
        name="csbm",
        graphs=(graph,),
        task_level="node",
        feature_kind="continuous",
        feature_names=None,
        image_shape=None,
        class_names=("minus", "plus"),
        split=split,
        source=f"drawn from {block_model!r}, seed {seed}; Deshpande et al. 2018, Gosch et al. 2023",
        notes=("The graph is drawn, not found: its Bayes classifier is known.",),
        block_model=block_model,
    )


def _edges(y: Tensor, p: float, q: float, generator: torch.Generator) -> Tensor:
    """Edges of both directions, int64 [2, E], sorted by source; one number drawn for every pair."""
    num_nodes = len(y)
    sources, targets = [], []
    for node in range(num_nodes - 1):
        chance = torch.where(y[node + 1 :] == y[node], p, q)
        drawn = torch.rand(num_nodes - node - 1, generator=generator, dtype=torch.float64)
        found = (drawn < chance).nonzero().view(-1) + node + 1
        sources.append(torch.full_like(found, node))
        targets.append(found)
    one = torch.stack([torch.cat(sources), torch.cat(targets)])
    both = torch.cat([one, one.flip(0)], dim=1)
    return both[:, (both[0] * num_nodes + both[1]).argsort()].contiguous()
