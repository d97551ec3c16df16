"""Class of every node of a block-model graph, given features, edges and the labels of some nodes.

With signs s = -1, +1 the posterior of the contextual stochastic block model is a fully coupled Ising model::

    log P(s | X, A) = sum_v h_v s_v + sum_{u-v joined} (J - L) s_u s_v + L/2 (sum_v s_v)^2 + const
    h_v = mean.x_v / sigma^2,   J = log(p / q) / 2,   L = log((1 - p) / (1 - q)) / 2

since every pair, joined or not, couples its two ends; the pairs that are not joined couple through the
*count* of each sign alone. Two ways to its marginals:

- **exact**: messages that carry the count. A message of ordinary belief propagation is a function of a
  receiver's sign; here also of how many nodes behind it are +1, so that the last factor can be applied at
  the end. On a forest this is exact. A graph with cycles is opened by conditioning on a set of nodes whose
  removal leaves a forest (a loop cutset; Pearl 1988, chapter 4.4): exact too, at a cost that doubles with
  each of these nodes. Nodes whose label is known are removed first, and cost nothing.
- **loopy**: ordinary belief propagation along the edges, the other pairs by their mean field, as Decelle et
  al. 2011 ("Asymptotic analysis of the stochastic block model") do; damped. *Not exact*: cycles count
  evidence twice, and the mean field is right to first order in 1 / num_nodes. Exact on a forest where L = 0.

`propagate_beliefs` is exact where the first way costs at most `MOST_WORK`; always up to 12 nodes, whatever
the edges. It says which way it went.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from graph_metamers.arrays import array_of
from graph_metamers.errors import ParameterError
from graph_metamers.evidence.counting_messages import cutset_of, exact_marginals, work_of
from graph_metamers.parameters import check_choice, check_integer, check_real

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_metamers.datasets import ContextualBlockModel
    from graph_metamers.types import Graph

__all__ = ["Beliefs", "propagate_beliefs"]

Method = Literal["auto", "exact", "loopy"]

MOST_WORK = 2**23
"""Cutset assignments x (free nodes)^2 up to which `auto` is exact, in seconds; 12 nodes need 2^10 x 144."""

MOST_MEMORY_WORK = 2**27
"""The same for `method="exact"`: messages of such a problem fill about a gigabyte."""


@dataclass(frozen=True, eq=False, repr=False)
class Beliefs:
    """What each node's class is, by features, edges and known labels.

    Attributes
    ----------
    log_odds
        Of class 1 against class 0, float64 [n]; plus or minus infinity where the label is known.
    exact
        Whether these are the posterior's marginals up to rounding.
    iterations
        Rounds of messages; 0 if exact.
    residual
        Largest change of a node's log-odds in the last round; 0 if exact.
    converged
        Whether `residual` met the tolerance.
    cutset
        How many nodes were conditioned on; 0 if not exact.
    """

    log_odds: Tensor
    exact: bool
    iterations: int
    residual: float
    converged: bool
    cutset: int

    @property
    def predictions(self) -> Tensor:
        """The likelier class of every node, int64 [n]; 0 in a tie."""
        return (self.log_odds > 0).long()

    def __repr__(self) -> str:
        how = (
            f"exact, {self.cutset} nodes conditioned on"
            if self.exact
            else f"loopy, {self.iterations} rounds, residual {self.residual:.1e}"
            + ("" if self.converged else ", NOT converged")
        )
        return f"Beliefs({len(self.log_odds)} nodes; {how})"


def propagate_beliefs(
    block_model: ContextualBlockModel,
    graph: Graph,
    *,
    labels: Tensor | None = None,
    known: Tensor | None = None,
    method: Method = "auto",
    damping: float = 0.3,
    max_iterations: int = 1000,
    tolerance: float = 1e-10,
) -> Beliefs:
    """Marginal log-odds of every node's class in a whole graph, changed or not.

    Parameters
    ----------
    block_model
        What the graph is read as a draw from.
    graph
        Undirected, no self-loops; `x` [n, num_features] and `edge_index`.
    labels
        Class of every node, 0 or 1, int64 [n]; needed with `known`, and read there alone.
    known
        Nodes whose label is evidence, int64 indices. Default: none. Without features that tell classes
        apart, the posterior without known labels is symmetric: every log-odds is then 0.
    method
        `"exact"`, `"loopy"`, or `"auto"`: exact where that is cheap enough; see the head of this module.
    damping
        Share of the old message that a new one keeps, in [0, 1); loopy only.
    max_iterations, tolerance
        Loopy only: rounds at most, and the largest change of a log-odds at which it has converged.

    Returns
    -------
    Beliefs
        Also if loopy propagation did not converge: read `converged`.

    Raises
    ------
    ParameterError
        If a parameter is out of range, the graph is directed or has loops or other features, or
        `method="exact"` would take more than memory allows.

    Notes
    -----
    Time: exact O(2^cutset free_nodes^2), loopy O(rounds num_edges). Source: the head of this module; counting
    messages are ours.
    """
    check_choice("method", method, get_args(Method))
    check_real("damping", damping, low=0.0, high=1.0)
    check_integer("max_iterations", max_iterations, low=1)
    check_real("tolerance", tolerance, low=0.0)
    pairs = undirected_pairs(graph)
    problem = _IsingProblem.of(block_model, graph, pairs, labels, known)
    work, cutset = _exact_cost(problem)
    if method == "exact" and work > MOST_MEMORY_WORK:
        raise ParameterError(
            "method", f"'loopy' for a graph whose cycles need {len(cutset)} nodes to open", method
        )
    if method == "exact" or (method == "auto" and work <= MOST_WORK):
        half = exact_marginals(problem.fields, problem.pairs, problem.along, problem.gap, problem.sum, cutset)
        return Beliefs(problem.all_nodes(half), True, 0, 0.0, True, len(cutset))
    half, iterations, residual = _loopy(problem, damping, max_iterations, tolerance)
    return Beliefs(problem.all_nodes(half), False, iterations, residual, residual <= tolerance, 0)


@dataclass(frozen=True, eq=False)
class _IsingProblem:
    """The free nodes, with everything known folded into their fields.

    Attributes
    ----------
    free
        Nodes without a known label, int64 [f].
    signs
        -1 or +1 where known, 0 elsewhere, float64 [n].
    fields
        Half of each free node's log-odds by features and known neighbours, *without* the gaps, float64 [f].
    pairs
        Edges among free nodes, int64 [m, 2], as positions in `free`.
    along, gap
        J - L, and L.
    sum
        Sum of the known signs.
    """

    free: NDArray[np.int64]
    signs: NDArray[np.float64]
    fields: NDArray[np.float64]
    pairs: NDArray[np.int64]
    along: float
    gap: float
    sum: float

    @classmethod
    def of(
        cls,
        block_model: ContextualBlockModel,
        graph: Graph,
        pairs: NDArray[np.int64],
        labels: Tensor | None,
        known: Tensor | None,
    ) -> _IsingProblem:
        num_nodes = int(graph.num_nodes or 0)
        signs = _signs(num_nodes, labels, known)
        along, gap = _couplings(block_model)
        arrived = np.zeros(num_nodes)
        np.add.at(arrived, pairs[:, 0], signs[pairs[:, 1]])
        np.add.at(arrived, pairs[:, 1], signs[pairs[:, 0]])
        features = array_of(block_model.feature_log_odds(_features(block_model, graph))) / 2
        free = np.flatnonzero(signs == 0)
        place = np.full(num_nodes, -1, dtype=np.int64)
        place[free] = np.arange(len(free))
        among = place[pairs]
        return cls(
            free,
            signs,
            (features + along * arrived)[free],
            among[(among >= 0).all(axis=1)],
            along,
            gap,
            float(signs.sum()),
        )

    def all_nodes(self, half: NDArray[np.float64]) -> Tensor:
        """Log-odds of all nodes, float64 [n], from half of those of the free ones."""
        log_odds = np.where(self.signs == 0, 0.0, np.inf * np.where(self.signs == 0, 1.0, self.signs))
        log_odds[self.free] = 2 * half
        return torch.from_numpy(log_odds)


def undirected_pairs(graph: Graph) -> NDArray[np.int64]:
    """Both ends of every edge once, int64 [m, 2], the smaller first.

    Raises
    ------
    ParameterError
        If the graph is directed, or has self-loops or doubled edges: the block model draws none.
    """
    source, target = np.asarray(graph.edge_index.cpu().numpy(), dtype=np.int64)
    num_nodes = int(graph.num_nodes or 0)
    forth, back = np.sort(source * num_nodes + target), np.sort(target * num_nodes + source)
    if (
        bool((source == target).any())
        or len(np.unique(forth)) < len(forth)
        or not np.array_equal(forth, back)
    ):
        raise ParameterError(
            "graph", "undirected, without self-loops or doubled edges", "an edge_index with some of these"
        )
    smaller = source < target
    return np.stack([source[smaller], target[smaller]], axis=1)


def _features(block_model: ContextualBlockModel, graph: Graph) -> Tensor:
    x: Tensor = graph.x
    width = len(block_model.mean)
    if x.dim() != 2 or x.shape[1] != width:
        raise ParameterError("graph", f"one with {width} features, as the block model", list(x.shape))
    return x.cpu()


def _signs(num_nodes: int, labels: Tensor | None, known: Tensor | None) -> NDArray[np.float64]:
    signs = np.zeros(num_nodes)
    if known is None or not len(known):
        return signs
    if labels is None or labels.shape != (num_nodes,) or not set(labels.tolist()) <= {0, 1}:
        raise ParameterError("labels", f"0 or 1 for each of {num_nodes} nodes, with 'known'", labels)
    index = array_of(known)
    if index.dtype != np.int64 or index.ndim != 1 or index.min() < 0 or index.max() >= num_nodes:
        raise ParameterError("known", f"int64 indices from 0 to {num_nodes - 1}", known)
    signs[index] = 2.0 * array_of(labels)[index] - 1
    return signs


def _couplings(block_model: ContextualBlockModel) -> tuple[float, float]:
    """J - L of a pair that is joined beside L, which every pair has."""
    gap = block_model.gap_log_ratio / 2
    return block_model.edge_log_ratio / 2 - gap, gap


def _exact_cost(problem: _IsingProblem) -> tuple[float, NDArray[np.int64]]:
    cutset = cutset_of(len(problem.free), problem.pairs)
    return work_of(len(problem.free), cutset), cutset


def _loopy(
    problem: _IsingProblem, damping: float, max_iterations: int, tolerance: float
) -> tuple[NDArray[np.float64], int, float]:
    """Half of the free nodes' log-odds by damped propagation, rounds and the last change of a log-odds."""
    count, pairs = len(problem.free), problem.pairs
    source = np.concatenate([pairs[:, 0], pairs[:, 1]])
    target = np.concatenate([pairs[:, 1], pairs[:, 0]])
    back = np.concatenate([np.arange(len(pairs)) + len(pairs), np.arange(len(pairs))])
    weight = np.tanh(problem.along)
    messages = np.zeros(len(source))
    half = problem.fields + problem.gap * problem.sum
    residual, rounds = np.inf, 0
    while residual > tolerance and rounds < max_iterations:
        rounds += 1
        cavity = half[source] - messages[back]
        new = np.arctanh(weight * np.tanh(cavity))
        messages = damping * messages + (1 - damping) * new
        means = np.tanh(half)
        # Each node feels the mean of all others through the pairs; its own is left out.
        field = problem.gap * (problem.sum + means.sum() - means)
        updated = problem.fields + field + np.bincount(target, weights=messages, minlength=count)
        residual = 2 * float(np.abs(updated - half).max()) if count else 0.0
        half = updated
    return half, rounds, residual
