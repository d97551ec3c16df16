"""Models whose excess invariance is known, the oracle and a constant, and one that is told labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the field's own name)
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from graph_metamers.parameters import check_choice, check_integer, check_real
from graph_metamers.training.scoring import require_node_level

if TYPE_CHECKING:
    from graph_metamers.datasets import Dataset
    from graph_metamers.evidence.bayes_oracle import BayesOracle

__all__ = ["ConstantModel", "OracleModel", "WithLabelPropagation"]

Place: TypeAlias = Literal["behind", "before"]
"""Where label propagation stands, as seen from a model."""

NUM_ROUNDS = 50
"""Of label propagation, Gosch et al. 2023."""

COLUMNS_AT_ONCE = 256
"""Labels that are passed on together: what bounds the memory."""

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
    """A model with label propagation behind it, as Gosch et al. 2023 put it ("GNN + LP"), or before it.

    Behind: the model's class probabilities, with the training nodes' own labels in place of theirs, are
    passed on along the normalised edges, Z <- alpha D^-1/2 A D^-1/2 Z + (1 - alpha) Z_0. Output are centred
    logarithms of what comes out (ours: so that, as for any network, the difference of the two logits is what
    decides), of numbers of at least 1e-6. It is put behind a model that is trained already.

    Before: the training labels alone are passed on in the same way, and the model reads what arrives beside
    its features, [num_nodes, num_features + num_classes]. What a training node's own label adds to the node's
    own score is taken out (propagation is linear, so exactly): else the model would learn to copy it. Through
    the model's own message passing it can still come back, from the scores of its neighbours. The model is
    trained with it.

    Parameters
    ----------
    model
        Returns logits [num_nodes, num_classes] from (x, edge_index).
    dataset
        Whose training labels are told.
    place
        `"behind"` or `"before"`.
    num_layers, alpha
        Of the propagation; Gosch et al.: 50 and 0.7.

    Notes
    -----
    Before: O(num_layers num_edges training_nodes) once, and again for other edges than those of the last
    call; memory O((num_nodes + num_edges) 256). The first layer reads more than the features, so searches are
    not compressed.
    """

    labels: Tensor
    nodes: Tensor
    scores: Tensor
    edges: Tensor

    def __init__(
        self,
        model: nn.Module,
        dataset: Dataset,
        *,
        place: Place = "behind",
        num_layers: int = NUM_ROUNDS,
        alpha: float = 0.7,
    ) -> None:
        super().__init__()
        require_node_level(dataset)
        self.model = model
        self.place = check_choice("place", place, get_args(Place))
        self.num_layers = check_integer("num_layers", num_layers, low=1)
        self.alpha = check_real("alpha", alpha, low=0.0, high=1.0, high_included=True)
        self.neighbours = _SumOfNeighbours()
        train = dataset.split.train
        self.register_buffer("nodes", train)
        self.register_buffer("labels", F.one_hot(dataset.graph.y[train], dataset.num_classes).float())
        if place == "before":
            graph = dataset.graph
            self.register_buffer("edges", graph.edge_index.clone(), persistent=False)
            self.register_buffer("scores", self._arriving(len(graph.y), graph.edge_index), persistent=False)
            self._last: tuple[Tensor, Tensor] = self.edges, self.scores

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Return logits, [num_nodes, classes], of `x` [num_nodes, num_features] and `edge_index` [2, E]."""
        return self._before(x, edge_index) if self.place == "before" else self._behind(x, edge_index)

    def _before(self, x: Tensor, edge_index: Tensor) -> Tensor:
        scores = self._scores_of(len(x), edge_index.detach())
        logits: Tensor = self.model(torch.cat([x, scores.to(x.dtype)], dim=1), edge_index)
        return logits

    def _scores_of(self, num_nodes: int, edge_index: Tensor) -> Tensor:
        """What arrives along some edges: that of the data set's and of the last ones is kept."""
        for edges, scores in ((self.edges, self.scores), self._last):
            if len(scores) == num_nodes and torch.equal(edges, edge_index):
                return scores
        with torch.no_grad():
            found = self._arriving(num_nodes, edge_index)
        self._last = edge_index.clone(), found
        return found

    def _arriving(self, num_nodes: int, edge_index: Tensor) -> Tensor:
        """What arrives of the training labels, float64 [num_nodes, classes], without a node's own."""
        labels = self.labels.double()
        edges, weights = gcn_norm(edge_index, num_nodes=num_nodes, add_self_loops=False, dtype=labels.dtype)

        def spread(columns: Tensor, nodes: Tensor) -> Tensor:
            told = labels.new_zeros(num_nodes, columns.shape[1]).index_copy(0, nodes, columns)
            passed_on = told
            for _ in range(self.num_layers):
                passed_on = self.alpha * self.neighbours(passed_on, edges, weights) + (1 - self.alpha) * told
            return passed_on

        came_back = [  # of each training node's own
            spread(torch.eye(len(some)).to(labels), some)[some].diagonal()
            for some in torch.split(self.nodes, COLUMNS_AT_ONCE)
        ]
        return spread(labels, self.nodes).index_add(0, self.nodes, -torch.cat(came_back)[:, None] * labels)

    def _behind(self, x: Tensor, edge_index: Tensor) -> Tensor:
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
