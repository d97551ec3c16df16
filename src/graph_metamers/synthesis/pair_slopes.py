"""The slope of the activation loss in the weight of every pair of nodes, joined or not.

A pair that is not joined has the weight 0; its slope says what the loss would do if an edge grew there. A run
of the model on all pairs would tell, at the cost of n^2 messages. It is not needed where message passing is a
weighted sum, y_v = sum_u c_uv x_u with c_uv = w_uv a_u b_v, and a and b depend on the weights through sums
over the edges of a node (degrees). Then (ours)

    dL/dw_uv = sum over steps of a_u b_v <g_v, x_u> + alpha_u + beta_v,

with g the gradient at y, which is known at the edges that there are. a, b, alpha and beta are read off
2 n - 1 pairs: all with one node r, and one more. Every other slope is a product of matrices away.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from graph_metamers.errors import ParameterError
from graph_metamers.randomness import generator_for
from graph_metamers.reading.weighted_sums import WeightedSumRecorder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.inputs.pairs import PairVariables
    from graph_metamers.reading.weighted_sums import WeightedSum
    from graph_metamers.synthesis.edge_problem import EdgeProblem

ROUNDING = {torch.float64: 1e-10, torch.float32: 1e-5}
"""Largest change of a layer by edges of weight 0, over its size, that is rounding."""
AGREEMENT = {torch.float64: 1e-8, torch.float32: 1e-3}
"""Largest difference between slopes by the formula and by the model itself, over their size."""
SAMPLE = 1000  # pairs at which they are compared
CHUNK = 100_000  # pairs that are joined with weight 0 in one run, where the formula does not hold
FEWEST_NODES = 8  # with fewer all pairs are one small run
ROWS = 512  # of the matrix of slopes, at once


@dataclass(frozen=True, eq=False)
class PairSlopes:
    """Slopes of the objective of a problem in the weights of pairs.

    Attributes
    ----------
    problem
        Whose `pairs` are asked for.
    by_formula
        Whether the formula above was found to hold for this model and graph; else the model is run with
        all pairs, `CHUNK` of them at a time.
    """

    problem: EdgeProblem
    by_formula: bool

    def at(self, edge_index: Tensor) -> Tensor:
        """Slope in the weight of every pair that may be joined, float32 [p], at other edges, [2, E].

        In an undirected graph that of both directions together. Where the model's slope is not finite (at a
        node without edges, where some normalise by its degree) it is taken to be 0.
        """
        if self.by_formula:
            terms = formula(self.problem, edge_index)
            if terms is not None:  # it was found to hold at other edges
                return _everywhere(terms, self.problem.pairs).nan_to_num(0.0, 0.0, 0.0).float()
        everything = torch.arange(len(self.problem.pairs.places), device=edge_index.device)
        chunks = [slopes_by_model(self.problem, edge_index, some) for some in torch.split(everything, CHUNK)]
        return torch.cat(chunks).nan_to_num(0.0, 0.0, 0.0).float()


def pair_slopes(problem: EdgeProblem, edge_index: Tensor) -> PairSlopes:
    """Find out at some edges, [2, E], whether the model allows it, and how; call inside `view.borrow()`.

    Raises
    ------
    ParameterError
        If the model takes no weights, or a weight of 0 is something else than no edge.
    """
    _require_deletion(problem, edge_index)
    terms = formula(problem, edge_index)
    if terms is None:
        return PairSlopes(problem, by_formula=False)
    generator = generator_for("pair slopes", 0)
    pairs = problem.pairs
    some = torch.randint(len(pairs.places), (SAMPLE,), generator=generator).to(edge_index.device)
    exact = slopes_by_model(problem, edge_index, some)
    return PairSlopes(problem, by_formula=_agree(_everywhere(terms, pairs)[some], exact))


def slopes_by_model(problem: EdgeProblem, edge_index: Tensor, pairs: Tensor) -> Tensor:
    """Slopes in the weights of some pairs, int64 [k], by the model itself; [k].

    The pairs are joined with the weight 0, beside the edges, [2, E]: also those that are joined already,
    since for a sum over neighbours two edges are one with the sum of their weights.
    """
    ends = problem.pairs.ends(pairs)
    run = weighted_run(problem, edge_index, ends)
    slopes = _gradient(run.objective, run.weights)[run.extra : run.extra + ends.shape[1]]
    return slopes if problem.pairs.directed else slopes.view(2, -1).sum(dim=0)


class WeightedRun(NamedTuple):
    """A run of the model with weights 1 on edges and 0 on extra ones.

    Attributes
    ----------
    objective
        Scalar, differentiable in the weights.
    weights
        In the order of `edge_index`, [E + k].
    edge_index
        Edges that may vary, extra ones, and edges that stay; int64 [2, E + k].
    extra
        Where the extra ones begin.
    values
        The matched layers.
    sums
        The steps of message passing; `None` where some are no weighted sums.
    """

    objective: Tensor
    weights: Tensor
    edge_index: Tensor
    extra: int
    values: dict[str, Tensor]
    sums: Sequence[WeightedSum] | None


def weighted_run(problem: EdgeProblem, edge_index: Tensor, ends: Tensor) -> WeightedRun:
    """Run the model on edges, [2, E], with extra ones of weight 0, [2, k]."""
    kept = problem.pairs.fixed.shape[1]  # the last ones; convolutions may move self-loops, so they stay last
    extra = edge_index.shape[1] - kept
    whole = torch.cat([edge_index[:, :extra], ends, edge_index[:, extra:]], dim=1)
    graph = copy.copy(problem.seen)
    dtype = next(iter(problem.targets.values())).dtype
    weights = torch.ones(whole.shape[1], dtype=dtype, device=whole.device)
    weights[extra : extra + ends.shape[1]] = 0
    weights.requires_grad_()
    graph.edge_index, graph.edge_weight = whole, weights
    view = problem.view if problem.compression is None else problem.compression.view
    with torch.enable_grad(), WeightedSumRecorder(view.model) as recorder:
        taps = view.taps(graph, list(problem.targets))
        objective = problem.objective_of(taps)
    sums = recorder.sums if recorder.all_are_weighted and recorder.sums else None
    return WeightedRun(
        objective, weights, whole, extra, {name: tap.value.detach() for name, tap in taps.items()}, sums
    )


class Terms(NamedTuple):
    """Slopes as a product of matrices: dL/dw_uv = <senders_u, receivers_v>, [n, k] each."""

    senders: Tensor
    receivers: Tensor


def formula(problem: EdgeProblem, edge_index: Tensor) -> Terms | None:
    """The slopes of all ordered pairs by the formula; `None` where it cannot be, or is wrong at the edges."""
    n = problem.pairs.num_nodes
    if n < FEWEST_NODES:
        return None
    cross = _Cross.of(edge_index, n)
    pairs = cross.pairs()
    run = weighted_run(problem, edge_index, pairs)
    end = run.extra + pairs.shape[1]
    if run.sums is None or not all(_keeps(one.edge_index, run.edge_index, end) for one in run.sums):
        return None
    found: Any = torch.autograd.grad(  # `None` where the objective does not depend on one
        run.objective, [run.weights, *(one.sums for one in run.sums)], retain_graph=True, allow_unused=True
    )
    slopes, gradients = found[0], found[1:]
    if slopes is None:
        return None
    senders, receivers = [], []
    rest = slopes[run.extra : end]
    for one, gradient in zip(run.sums, gradients, strict=True):
        if gradient is None:  # a step that does not reach the layer
            continue
        factors = _gradient(one.coefficients[run.extra : end].sum(), run.weights)[run.extra : end]
        a, b = cross.product(factors)
        if not bool(a.isfinite().all() and b.isfinite().all()):
            return None
        sent, received = a[:, None] * one.rows.detach(), b[:, None] * gradient
        rest = rest - cross.at_pairs(sent, received)
        senders.append(sent)
        receivers.append(received)
    alpha, beta = cross.sum(rest)
    if not bool(alpha[cross.root].isfinite()):  # its three nodes tell nothing
        return None
    ones = torch.ones_like(alpha)
    terms = Terms(
        torch.cat([*senders, torch.stack([alpha, ones], dim=1)], dim=1),
        torch.cat([*receivers, torch.stack([ones, beta], dim=1)], dim=1),
    )
    source, target = run.edge_index[:, : run.extra]
    at_edges = (terms.senders[source] * terms.receivers[target]).sum(dim=1)
    return terms if _agree(at_edges, slopes[: run.extra]) else None


class _Cross(NamedTuple):
    """The pairs u -> r, r -> v and first -> second, in this order, [2 n - 1]: what is known of a matrix.

    Attributes
    ----------
    root, first, second
        Three nodes: those with the most edges.
    others
        All nodes but the root, int64 [n - 1].
    """

    root: int
    first: int
    second: int
    others: Tensor

    @classmethod
    def of(cls, edge_index: Tensor, num_nodes: int) -> _Cross:
        """Through the nodes with the most edges."""
        root, first, second = (
            torch.bincount(edge_index.flatten(), minlength=num_nodes).topk(3).indices.tolist()
        )
        others = torch.arange(num_nodes, device=edge_index.device)
        return cls(root, first, second, others[others != root])

    def pairs(self) -> Tensor:
        """Sources and targets, int64 [2, 2 n - 1]."""
        roots = torch.full_like(self.others, self.root)
        source = torch.cat([self.others, roots, roots.new_tensor([self.first])])
        target = torch.cat([roots, self.others, roots.new_tensor([self.second])])
        return torch.stack([source, target])

    def product(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """A and b, [n] each, with a_u b_v as given; 0 where a value is not finite."""
        into, out, last = self._split(values.nan_to_num(0.0, 0.0, 0.0))
        corner = into[self.first] * out[self.second] / last
        into[self.root] = corner
        out = out / corner
        out[self.root] = 1
        return into, out

    def sum(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha and beta, [n] each, with alpha_u + beta_v as given; not finite where a value is not."""
        into, out, last = self._split(values)
        corner = into[self.first] + out[self.second] - last
        into[self.root] = corner
        out = out - corner
        out[self.root] = 0
        return into, out

    def at_pairs(self, senders: Tensor, receivers: Tensor) -> Tensor:
        """The product of two matrices, [n, d] each, at these pairs, [2 n - 1]."""
        into = senders[self.others] @ receivers[self.root]
        out = receivers[self.others] @ senders[self.root]
        last = senders[self.first] @ receivers[self.second]
        return torch.cat([into, out, last.reshape(1)])

    def _split(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count = len(self.others)
        into, out = values.new_zeros(2, count + 1)
        into[self.others], out[self.others] = values[:count], values[count : 2 * count]
        return into, out, values[-1]


def _everywhere(terms: Terms, pairs: PairVariables) -> Tensor:
    """Slopes of every pair that may be joined, [p]; some rows of the matrix at a time."""
    senders, receivers = terms
    if not pairs.directed:
        senders, receivers = torch.cat([senders, receivers], dim=1), torch.cat([receivers, senders], dim=1)
    n, found = pairs.num_nodes, []
    starts = torch.arange(0, n, ROWS, device=pairs.places.device)
    bounds = torch.searchsorted(pairs.places, torch.cat([starts, starts.new_tensor([n])]) * n).tolist()
    for block, start in enumerate(starts.tolist()):
        rows = senders[start : start + ROWS] @ receivers.T
        places = pairs.places[bounds[block] : bounds[block + 1]] - start * n
        found.append(rows.flatten()[places])
    return torch.cat(found)


def _agree(found: Tensor, exact: Tensor) -> bool:
    known = exact.isfinite()
    difference = (found - exact)[known].double().norm()
    return bool(difference <= AGREEMENT.get(exact.dtype, 1e-3) * exact[known].double().norm())


def _keeps(found: Tensor, given: Tensor, end: int) -> bool:
    """Whether a convolution left the first edges, up to `end`, where they were."""
    return found.shape[1] >= end and torch.equal(found[:, :end], given[:, :end])


def _gradient(value: Tensor, weights: Tensor) -> Tensor:
    gradient: Any
    (gradient,) = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
    return torch.zeros_like(weights) if gradient is None else gradient


def _require_deletion(problem: EdgeProblem, edge_index: Tensor) -> None:
    """Refuse a model in which a weight of 0 is not the same as no edge; verified at every node."""
    pairs = problem.pairs
    others = torch.arange(pairs.num_nodes, device=edge_index.device)
    ends = torch.stack([others, others.roll(1)])
    ends = torch.cat([ends, ends.flip(0)], dim=1)
    run = weighted_run(problem, edge_index, ends)
    change = 0.0
    for name, plain in problem.activations_at(edge_index).items():
        value = run.values[name]
        change = max(change, float((value - plain).norm() / plain.norm().clamp(min=1e-300)))
    dtype = next(iter(run.values.values())).dtype
    if change <= ROUNDING.get(dtype, 1e-5):
        if run.objective.requires_grad and bool(_gradient(run.objective, run.weights).any()):
            return
        reason = "its layers do not react to edge weights"
    else:
        reason = (
            f"they change its layers by {change:.1e} of their size: it takes no edge weights, or averages"
        )
    raise ParameterError(
        "solver",
        "'rewire' for a model in which edges of weight 0 are something else than no edges",
        f"'straight_through' for {type(problem.view.model).__name__}, and {reason}",
        "Weights of 0 delete edges where neighbours are added up with them and degrees are counted by them: "
        "GCNConv, GraphConv, ChebConv, SGConv, TAGConv, with edge_weight handed to them by name",
    )
