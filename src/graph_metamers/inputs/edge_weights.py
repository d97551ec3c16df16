"""Weights of edges may vary: what a user says about it, and the weights that a search may reach."""

from __future__ import annotations

import copy
import functools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graph_metamers.errors import ParameterError
from graph_metamers.inputs.distance import InputDistance
from graph_metamers.inputs.slots import count_items, rows_of_items
from graph_metamers.parameters import check_real

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graph_metamers.inputs.feature_values import Init
    from graph_metamers.types import Graph

LEAST_SPREAD = 0.5
"""Of the logarithms of weights that are drawn: a reference whose weights are all alike has no spread."""
NUDGE = 0.05
"""Of the spread: how far from the reference `init="reference"` starts; nearer than `min_distance` is."""
RANGE = 1e6
"""How many times smaller than the smallest weight of the reference, or larger than its largest one, a weight
may get where nothing else is said: far enough to be no limit, and near enough for float32."""
LEVELS = 200
"""Equally likely values by which the distribution of unrelated weights is represented."""


@dataclass(frozen=True, eq=False)
class EdgeWeights:
    """Positive weights of the reference's edges may vary; edges and features stay.

    Parameters
    ----------
    low
        No weight gets smaller, >= 0. With 0 every weight stays positive all the same: at least `RANGE` (a
        million) times smaller than the smallest one of the reference. An edge is not deleted.
    high
        No weight gets larger; default: a million times the largest one of the reference.
    directed
        Whether the two directions of an edge have weights of their own; default: whether some edge of the
        reference has no reverse with the same weight.
    mutable
        Edges whose weight may vary, bool [E]; those of an undirected graph in either direction. Default: all.

    Notes
    -----
    Weights are `graph.edge_weight`; without one an `edge_attr` of one column if the model reads it; ones
    where the graph has neither. A search moves in their logarithms.

    Examples
    --------
    >>> import graph_metamers as gm
    >>> gm.EdgeWeights(low=0.5, high=2.0).high
    2.0
    """

    low: float = 0.0
    high: float | None = None
    directed: bool | None = None
    mutable: Tensor | None = None

    def __post_init__(self) -> None:
        check_real("low", self.low, low=0)
        if self.high is not None:
            check_real("high", self.high, low=self.low, low_included=False)

    def variables(self, graph: Graph, slot: str) -> EdgeWeightVariables:
        """The weights that may be reached from those of a reference, in `graph[slot]` or 1.

        Raises
        ------
        ParameterError
            If the graph is of another kind, has no edge that may vary, or weights that are not positive or
            outside of the range.
        """
        weights = weights_of_graph(graph, slot)
        low, high = self._range(weights)
        partners = _partners(graph, weights) if self.directed is not True else None
        if self.directed is False and partners is None:
            raise ParameterError(
                "directed", "True for a graph in which an edge has no reverse of the same weight", False
            )
        owners = torch.arange(len(weights), device=weights.device)
        if partners is not None:
            owners = torch.unique(torch.minimum(owners, partners), return_inverse=True)[1]
        count = int(owners.max()) + 1
        mutable = torch.ones(count, dtype=torch.bool, device=weights.device)
        if self.mutable is not None:
            chosen = self._mask(len(weights)).to(weights.device)
            mutable = torch.zeros_like(mutable).index_put((owners[chosen],), torch.ones_like(mutable[:1]))
        if not bool(mutable.any()):
            raise ParameterError(
                "mutable", "true somewhere, or nothing may vary", "a mask without a true entry"
            )
        return EdgeWeightVariables(graph, slot, weights, owners, mutable, low, high, partners is None)

    def _range(self, weights: Tensor) -> tuple[float, float]:
        least, most = (float(end) for end in weights.double().aminmax())
        low = max(self.low, least / RANGE) if self.low == 0 else self.low
        high = most * RANGE if self.high is None else self.high
        if least < low or most > high:
            raise ParameterError(
                "low, high",
                "such that every weight of the reference lies between them",
                f"weights from {least:g} to {most:g} for [{low:g}, {high:g}]",
            )
        return low, high

    def _mask(self, num_edges: int) -> Tensor:
        mask = self.mutable
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != (num_edges,):
            got = f"{mask.dtype} {list(mask.shape)}" if isinstance(mask, Tensor) else mask
            raise ParameterError("mutable", f"a bool tensor of shape [{num_edges}]", got)
        return mask


def edge_weights_of(vary: object) -> EdgeWeights | None:
    """What `vary` asks for about weights: `"edge_weights"` or an `EdgeWeights`; `None` if nothing."""
    if vary == "edge_weights":
        return EdgeWeights()
    return vary if isinstance(vary, EdgeWeights) else None


def weights_of_graph(graph: Graph, slot: str) -> Tensor:
    """The weights of a graph, [E]: what is in a slot, or ones in the dtype of its features.

    Raises
    ------
    ParameterError
        If the graph is of another kind, has no edges, or weights that are not finite and positive.
    """
    edge_index = graph.edge_index if isinstance(graph, Data) else None
    if not isinstance(edge_index, Tensor) or not edge_index.shape[1]:
        raise ParameterError(
            "vary",
            "something else than edge weights for kinds of nodes, or a graph without an edge_index [2, E]",
            type(graph).__name__,
        )
    found = getattr(graph, slot, None)
    if found is None:
        return torch.ones(edge_index.shape[1], dtype=graph.x.dtype, device=edge_index.device)
    weights: Tensor = found.detach().flatten()
    if len(weights) != edge_index.shape[1] or not weights.is_floating_point():
        must = f"a graph whose {slot} is a floating-point tensor [{edge_index.shape[1]}]"
        raise ParameterError("graph", must, f"{found.dtype} {list(found.shape)}")
    if not bool((weights.isfinite() & (weights > 0)).all()):
        bad = weights[~(weights.isfinite() & (weights > 0))][0].item()
        raise ParameterError(
            "graph",
            f"one in which every {slot} is a finite number greater than 0",
            bad,
            "Leave out edges of weight 0",
        )
    return weights


@dataclass(frozen=True, eq=False)
class EdgeWeightVariables:
    """A reference graph whose edge weights may vary.

    A *point* is the vector in which a solver moves, float [p]: the logarithm of each weight, one for both
    directions of an undirected edge.

    Attributes
    ----------
    reference
        The graph that is being matched; never changed.
    slot
        Where its weights are: `edge_weight` or `edge_attr`.
    weights
        The reference's, [E].
    owners
        Coordinate of every edge's weight, int64 [E].
    mutable
        Coordinates that may vary, bool [p].
    low, high
        Least and largest weight.
    directed
        Whether the directions of an edge have weights of their own.
    values
        Empty: no features vary.
    """

    reference: Graph
    slot: str
    weights: Tensor
    owners: Tensor
    mutable: Tensor
    low: float
    high: float
    directed: bool
    values: Mapping[str, Any] = field(default_factory=dict)

    is_smooth = True
    is_binary = False

    @functools.cached_property
    def logarithms(self) -> Tensor:
        """The point of the reference, [p]."""
        found = self.weights.new_zeros(len(self.mutable))
        return found.index_put((self.owners,), self.weights.log())

    @functools.cached_property
    def moments(self) -> tuple[float, float]:
        """Mean and spread of the logarithms of unrelated weights: those of the edges that may vary.

        The spread is at least `LEAST_SPREAD`.
        """
        varying = self.weights[self.mutable[self.owners]].double().log()
        return float(varying.mean()), max(float(varying.std(correction=0)), LEAST_SPREAD)

    @functools.cached_property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """Least and largest value of each coordinate, [p] each."""
        dtype = self.weights.dtype
        least, most = (_log_within(end, dtype, self.low, self.high) for end in (self.low, self.high))
        example = self.logarithms
        # The reference's own weight may be the bound itself, whose logarithm is rounded.
        return torch.minimum(example, least.to(example)), torch.maximum(example, most.to(example))

    def restricted(self, reached: Tensor) -> EdgeWeightVariables:
        """The same, in which only reached coordinates, bool [p], may vary.

        Raises
        ------
        ParameterError
            If there are none.
        """
        mutable = self.mutable & reached
        if not bool(mutable.any()):
            raise ParameterError("index", "items that the weight of some edge reaches", "items without edges")
        return replace(self, mutable=mutable)

    def start(self, init: Init, generator: torch.Generator) -> Tensor:
        """Draw the point at which a search starts, [p].

        `noise`: every weight exp(m + s e) with e normal, m and s as in `moments`. `reference`: every weight
        of the reference times exp(`NUDGE` s e).

        Raises
        ------
        ParameterError
            For `init="permuted"`, which is about features.
        """
        if init == "permuted":
            raise ParameterError("init", "'noise' or 'reference' where edge weights vary", init)
        mean, spread = self.moments
        noise = torch.randn(len(self.mutable), generator=generator, dtype=torch.float64).to(self.logarithms)
        drawn = self.logarithms + NUDGE * spread * noise if init == "reference" else mean + spread * noise
        return self.project(torch.where(self.mutable, drawn, self.logarithms))

    def relaxed(self, point: Tensor) -> Graph:
        """The graph at a point; differentiable in the point."""
        weights = torch.where(self.mutable[self.owners], point.exp()[self.owners], self.weights)
        return self.graph_with_weights(weights)

    def discrete(self, point: Tensor) -> Graph:
        """The real graph at a point: the same, since weights are numbers."""
        return self.relaxed(point.detach().to(self.weights))

    def graph_with_weights(self, weights: Tensor) -> Graph:
        """The reference with other weights, [E]."""
        changed = copy.copy(self.reference)
        before = getattr(self.reference, self.slot, None)
        changed[self.slot] = weights if before is None else weights.view(before.shape)
        return changed

    def project(self, point: Tensor) -> Tensor:
        """Bring a point back into its bounds, [p]."""
        return point.clamp(*self.bounds)

    def distance(self, graph: Graph, items: str) -> InputDistance:
        """Relative change of the weights: root mean square over edges, over its chance level (ours).

        The relative change of a weight is 2 |w' - w| / (w' + w), from 0 to 2, the same up and down. Chance is
        that of unrelated weights, drawn as a search with `init="noise"` starts. Of an item those edges count
        that end in it (in any of its nodes). No edge can carry the distance alone, since its change is at
        most 2.
        """
        changed = weights_of_graph(graph, self.slot).double()
        varies = self.mutable[self.owners]
        squared = torch.where(varies, relative_change(changed, self.weights.double()).square(), 0.0)
        expected = torch.where(varies, self.expected_square(), 0.0)
        count = int(varies.sum())
        raw, chance = (math.sqrt(float(part.sum()) / count) for part in (squared, expected))
        owners, num_items = self._items_of_edges(items)
        per_item = torch.zeros(2, num_items, dtype=torch.float64, device=owners.device)
        per_item.index_add_(1, owners, torch.stack([squared, expected])[:, : len(owners)])
        scaled = (per_item[0] / per_item[1]).sqrt().float()
        return InputDistance(raw / chance, raw, chance, scaled)

    def expected_square(self) -> Tensor:
        """Mean squared relative change of every edge's weight if it is replaced by an unrelated one, [E].

        The mean over `LEVELS` equally likely values of the distribution, inside the range.
        """
        mean, spread = self.moments
        shares = (torch.arange(LEVELS, dtype=torch.float64) + 0.5) / LEVELS
        drawn = (mean + spread * torch.special.ndtri(shares)).exp().clamp(self.low, self.high)
        weights = self.weights.double()
        total = torch.zeros_like(weights)
        for value in drawn.tolist():
            total += relative_change(torch.full_like(weights, value), weights).square()
        return total / LEVELS

    def describe(self) -> dict[str, Any]:
        """What may vary, for the record of a search."""
        return {
            "kind": "edge weights",
            "slot": self.slot,
            "low": self.low,
            "high": self.high,
            "directed": self.directed,
            "mutable": float(self.mutable[self.owners].double().mean()),
        }

    def _items_of_edges(self, items: str) -> tuple[Tensor, int]:
        """The item in which every edge ends, int64 [E], and how many there are; none if they own no edges."""
        owners = rows_of_items(items, self.reference)
        num_items = count_items(items, self.reference)
        target = self.reference.edge_index[1]
        row = next(iter(owners.values()), None)
        if row is None or not num_items:
            return target[:0], 0
        return row[target], num_items


def relative_change(weights: Tensor, reference: Tensor) -> Tensor:
    """2 |w' - w| / (w' + w) of positive numbers, of one shape, from 0 to 2."""
    return 2 * (weights - reference).abs() / (weights + reference)


def _log_within(end: float, dtype: torch.dtype, low: float, high: float) -> Tensor:
    """The logarithm of an end of a range, moved inside by rounding steps until its exponential lies there."""
    value = torch.tensor(end, dtype=torch.float64).log().to(dtype)
    towards = torch.tensor(math.inf if end == low else -math.inf, dtype=dtype)
    while not low <= float(value.exp()) <= high:
        value = torch.nextafter(value, towards)
    return value


def _partners(graph: Graph, weights: Tensor) -> Tensor | None:
    """The reverse of every edge, int64 [E], itself for a self-loop; `None` if one has none of its weight.

    The k-th of doubled edges, by weight, belongs to the k-th of their reverses.
    """
    source, target = graph.edge_index
    num_nodes = int(graph.num_nodes or 0)
    rank = torch.unique(weights, return_inverse=True)[1]
    num_ranks = int(rank.max()) + 1
    ahead = ((source * num_nodes + target) * num_ranks + rank).sort(stable=True)
    back = ((target * num_nodes + source) * num_ranks + rank).sort(stable=True)
    if not torch.equal(ahead.values, back.values):
        return None
    partners = torch.empty_like(ahead.indices)
    partners[back.indices] = ahead.indices
    return torch.where(source == target, torch.arange(len(source), device=source.device), partners)
