"""The best possible classifier of a graph whose block model is known: what each node's class really says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from graph_metamers.errors import DatasetError, ParameterError
from graph_metamers.evidence.belief_propagation import Beliefs, propagate_beliefs, undirected_pairs
from graph_metamers.parameters import check_choice, check_integer

if TYPE_CHECKING:
    from graph_metamers.datasets import ContextualBlockModel, Dataset
    from graph_metamers.types import Graph

__all__ = ["BayesOracle", "Reading"]

Reading = Literal["conditional", "belief_propagation"]
"""How a changed graph is read: node by node given everyone else's true label, or as a whole."""


@dataclass(frozen=True, eq=False, repr=False)
class BayesOracle:
    """Log-odds of every node's class in the data set's graph, or in a changed one with the same nodes.

    No classifier does better on graphs that the block model draws. Two readings:

    - `"conditional"`, the one of Gosch et al. 2023: each node given the *true labels of all others*. In
      a graph that was changed as a whole this is a declaration, not a fact: the others are held to be what
      they were, whatever has become of their features and edges.
    - `"belief_propagation"`: the changed graph as a whole, with the labels of the training nodes as evidence
      and those of all others unknown; see `propagate_beliefs`, also for when it is exact.

    Attributes
    ----------
    block_model
        What drew the reference.
    labels
        Class of every node of the reference, 0 or 1, int64 [n].
    evidence
        Nodes whose label belief propagation is told: those that train, int64 indices.

    Examples
    --------
    >>> import graph_metamers as gm
    >>> dataset = gm.load_dataset("csbm", K=2.0, num_nodes=100)
    >>> gm.BayesOracle.of(dataset).log_odds(dataset.graph).shape
    torch.Size([100])
    """

    block_model: ContextualBlockModel
    labels: Tensor
    evidence: Tensor

    @classmethod
    def of(cls, dataset: Dataset) -> BayesOracle:
        """The oracle of a data set that was drawn from a block model, `load_dataset("csbm")`.

        Raises
        ------
        DatasetError
            If nobody knows what the data set was drawn from.
        """
        if dataset.block_model is None:
            raise DatasetError(
                f"{dataset.name} has no Bayes oracle: nobody knows what drew it. Use load_dataset('csbm')"
            )
        return cls(dataset.block_model, dataset.graph.y.cpu(), dataset.split.train)

    def log_odds(self, graph: Graph, *, reading: Reading = "conditional") -> Tensor:
        """Log-odds of class 1 against class 0 of every node, float64 [n].

        Conditional: (2 / sigma^2) mean.x_v + sum_{u != v} y_u (A_vu log(p/q) + (1 - A_vu) log((1-p)/(1-q))),
        with y = -1, +1; both classes are as likely beforehand. Else those of `beliefs`, infinite for nodes
        whose label is evidence.

        Raises
        ------
        ParameterError
            If the graph has other nodes or features, or is directed.
        """
        check_choice("reading", reading, get_args(Reading))
        self._require_nodes(graph)
        if reading == "belief_propagation":
            return self.beliefs(graph).log_odds
        pairs = undirected_pairs(graph)
        signs = 2 * self.labels.double() - 1
        arrived = np.zeros(len(signs))
        np.add.at(arrived, pairs[:, 0], signs.numpy()[pairs[:, 1]])
        np.add.at(arrived, pairs[:, 1], signs.numpy()[pairs[:, 0]])
        gap = self.block_model.gap_log_ratio
        along = self.block_model.edge_log_ratio - gap
        features = self.block_model.feature_log_odds(graph.x.cpu())
        return features + along * torch.from_numpy(arrived) + gap * (signs.sum() - signs)

    def beliefs(self, graph: Graph) -> Beliefs:
        """What belief propagation says of the graph as a whole; tells whether that is exact."""
        self._require_nodes(graph)
        return propagate_beliefs(self.block_model, graph, labels=self.labels, known=self.evidence)

    def predict(self, graph: Graph, *, reading: Reading = "conditional") -> Tensor:
        """The likelier class of every node, int64 [n]; 0 in a tie."""
        return (self.log_odds(graph, reading=reading) > 0).long()

    def judged(self, reading: Reading = "conditional") -> Tensor:
        """Nodes that the oracle has to judge, bool [n]: all, but for those whose label it is told."""
        check_choice("reading", reading, get_args(Reading))
        judged = torch.ones(len(self.labels), dtype=torch.bool)
        if reading == "belief_propagation":
            judged[self.evidence] = False
        return judged

    def expected_accuracy(self) -> float:
        """How often the conditional oracle is right, over draws of the graph with these classes, in [0, 1].

        Closed form: for the true class, features say N(K^2/2, K^2); S ~ Bin(n_same, p) edges within the class
        and D ~ Bin(n_other, q) out of it say log(p/q) (S - D) + log((1-p)/(1-q)) (n_same - S - n_other + D).
        The accuracy is the mean over S and D of Phi((K^2/2 + what they say) / K); without edges Phi(K/2).
        Ours (a sum of binomials).
        """
        sizes = torch.bincount(self.labels, minlength=2).tolist()
        total = sum(sizes)
        return float(
            sum(
                size / total * closed_form_accuracy(self.block_model, size - 1, total - size)
                for size in sizes
                if size
            )
        )

    def _require_nodes(self, graph: Graph) -> None:
        shape = [len(self.labels), len(self.block_model.mean)]
        if list(graph.x.shape) != shape:
            raise ParameterError("graph", f"one whose x has shape {shape}", list(graph.x.shape))

    def __repr__(self) -> str:
        return (
            f"BayesOracle({len(self.labels)} nodes, {self.block_model!r}, "
            f"{self.expected_accuracy():.1%} right given the others' labels)"
        )


def closed_form_accuracy(block_model: ContextualBlockModel, num_same: int, num_other: int) -> float:
    """How often a node's class is told right from its features and edges; see `expected_accuracy`.

    Parameters
    ----------
    block_model
        What draws it.
    num_same, num_other
        Nodes of its own class beside it, and of the other one.
    """
    check_integer("num_same", num_same, low=0)
    check_integer("num_other", num_other, low=0)
    same, other = np.arange(num_same + 1), np.arange(num_other + 1)
    chance = np.outer(
        stats.binom.pmf(same, num_same, block_model.p), stats.binom.pmf(other, num_other, block_model.q)
    )
    edges = block_model.edge_log_ratio * (same[:, None] - other)
    gaps = block_model.gap_log_ratio * (num_same - same[:, None] - num_other + other)
    K = block_model.K
    return float((chance * stats.norm.cdf((K**2 / 2 + edges + gaps) / K)).sum())
