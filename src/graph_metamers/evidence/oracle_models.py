"""Models whose excess invariance is known, the oracle and a constant, and one that is told labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the field's own name)
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from graph_metamers.parameters import check_integer, check_real
from graph_metamers.training.scoring import require_node_level

if TYPE_CHECKING:
    from graph_metamers.datasets import Dataset
    from graph_metamers.evidence.bayes_oracle import BayesOracle

__all__ = ["ConstantModel", "OracleModel", "WithLabelPropagation"]

_ROUNDS_AWAY = 1e-12
_SMALLEST = 1e-6


class OracleModel(nn.Module):
    """The conditional oracle as a model: softmax of its logits is the posterior given the others' labels.

    Its logits are (-l/2, l/2), l the log-odds of `BayesOracle`. A metamer of it cannot change a Bayes label:
    a log-odds that stays within less than its own size keeps its sign. Nodes beyond those of the oracle
    (`over_robustness` adds one) count as unlabelled.

    Parameters
    ----------
    oracle
        From `BayesOracle.of`.
    """

    weight: Tensor
    signs: Tensor

    def __init__(self, oracle: BayesOracle) -> None:
        super().__init__()
        block_model = oracle.block_model
        self.register_buffer("weight", (2 * block_model.mean / block_model.sigma**2).float())
        self.register_buffer("signs", (2 * oracle.labels - 1).float())
        self.gap = block_model.gap_log_ratio
        self.along = block_model.edge_log_ratio - self.gap
        self.neighbours = _SumOfNeighbours()

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Return logits, [num_nodes, 2], of `x` [num_nodes, num_features] and `edge_index` [2, E]."""
        signs = F.pad(self.signs, (0, len(x) - len(self.signs)))[:, None].to(x.dtype)
        arrived = self.neighbours(signs, edge_index)
        gaps = self.gap * (signs.sum() - signs)
        log_odds = (x @ self.weight.to(x.dtype))[:, None] + self.along * arrived + gaps
        return torch.cat([-log_odds / 2, log_odds / 2], dim=1)


class _SumOfNeighbours(MessagePassing):  # type: ignore[misc]
    """Sum of what neighbours hold, weighted if there are weights."""

    def __init__(self) -> None:
        super().__init__(aggr="add")

    def forward(self, values: Tensor, edge_index: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return sums, [n, d], of `values` [n, d] over `edge_index` [2, E] with `weights` [E]."""
        sums: Tensor = self.propagate(edge_index, x=values, edge_weight=weights)
        return sums

    def message(self, x_j: Tensor, edge_weight: Tensor | None) -> Tensor:
        return x_j if edge_weight is None else edge_weight[:, None] * x_j


class ConstantModel(nn.Module):
    """The same logits for every node of every graph: all invariance there can be.

    Features enter with a factor of 1e-12, which rounds away in float32: a search refuses a layer that no
    gradient reaches.
    """

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:  # noqa: ARG002 (whatever the edges)
        """Return logits, [num_nodes, 2], of `x` [num_nodes, num_features]."""
        hidden = 1 + _ROUNDS_AWAY * x.sum(dim=1, keepdim=True)
        return torch.cat([-hidden, hidden], dim=1)


class WithLabelPropagation(nn.Module):
    """A trained model with label propagation behind it, as Gosch et al. 2023 put it: "GNN + LP".

    The model's class probabilities, with the training nodes' own labels in place of theirs, are passed on
    along the normalised edges, Z <- alpha D^-1/2 A D^-1/2 Z + (1 - alpha) Z_0. Output are centred logarithms
    of what comes out (ours: so that, as for any network, the difference of the two logits is what decides),
    of numbers of at least 1e-6.

    Parameters
    ----------
    model
        Returns logits [num_nodes, num_classes] from (x, edge_index).
    dataset
        Whose training labels are told.
    num_layers, alpha
        Of the propagation; Gosch et al.: 50 and 0.7.
    """

    labels: Tensor
    nodes: Tensor

    def __init__(
        self, model: nn.Module, dataset: Dataset, *, num_layers: int = 50, alpha: float = 0.7
    ) -> None:
        super().__init__()
        require_node_level(dataset)
        self.model = model
        self.num_layers = check_integer("num_layers", num_layers, low=1)
        self.alpha = check_real("alpha", alpha, low=0.0, high=1.0, high_included=True)
        self.neighbours = _SumOfNeighbours()
        train = dataset.split.train
        self.register_buffer("nodes", train)
        self.register_buffer("labels", F.one_hot(dataset.graph.y[train], dataset.num_classes).float())

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Return logits, [num_nodes, classes], of `x` [num_nodes, num_features] and `edge_index` [2, E]."""
        told = self.model(x, edge_index).softmax(dim=1)
        told = told.index_copy(0, self.nodes, self.labels.to(told.dtype))
        # PyTorch Geometric's own `LabelPropagation` computes the same, but lets no gradient through.
        edges, weights = gcn_norm(edge_index, num_nodes=len(x), add_self_loops=False, dtype=told.dtype)
        spread = told
        for _ in range(self.num_layers):
            arrived = self.neighbours(spread, edges, weights)
            spread = (self.alpha * arrived + (1 - self.alpha) * told).clamp(0, 1)
        spread = spread.clamp(min=_SMALLEST).log()
        logits: Tensor = spread - spread.mean(dim=1, keepdim=True)
        return logits
