"""The numbers behind the figures, without any drawing: distributions and search traces."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from graph_metamers.report.varied import unrelated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from graph_metamers.auditing import Audit, LayerAudit
    from graph_metamers.metrics import Interval
    from graph_metamers.report.labels import ModelLabel

MOST_POINTS = 200
SMALLEST_LOSS = 1e-16
"""Where an exact match is drawn on an axis of powers of ten."""


@dataclass(frozen=True)
class Distribution:
    """How the signal-to-noise ratios of single nodes are distributed.

    Attributes
    ----------
    snr
        Ratios in dB, ascending, finite; at most `MOST_POINTS` of them.
    share
        Share of all nodes with at most that ratio, [0, 1]. It starts above 0 where nodes are infinitely bad
        and ends below 1 where nodes are matched exactly.
    exact
        Share of nodes that are matched exactly (infinite ratio).
    hopeless
        Share of nodes whose reference activation is zero and whose metamer's is not (minus infinity).
    """

    snr: tuple[float, ...]
    share: tuple[float, ...]
    exact: float
    hopeless: float

    @property
    def median(self) -> float:
        """Ratio that half of the nodes reach, in dB; infinite where more than half are matched exactly."""
        if self.hopeless >= 0.5:
            return -math.inf
        return next((x for x, y in zip(self.snr, self.share, strict=True) if y >= 0.5), math.inf)


@dataclass(frozen=True)
class LayerDistribution:
    """How alike the nodes of one model are at one layer.

    Attributes
    ----------
    model, layer
        Where.
    found, chance
        What the searches found, and shuffled features; the nodes of all starts together.
    pairs
        Random pairs of real nodes: the pooled null.
    nearest
        Every node's nearest real node with another activation: what gate 2 has to beat.
    unrelated
        What chance is called.
    """

    model: ModelLabel
    layer: str
    found: Distribution
    chance: Distribution
    pairs: Distribution
    nearest: Distribution
    unrelated: str


@dataclass(frozen=True)
class Trace:
    """How the loss fell during one search.

    Attributes
    ----------
    model
        Whose.
    steps, losses
        What the search saw; losses at least `SMALLEST_LOSS`.
    last_step, real_loss
        Steps spent, and the loss of the real graph that was found.
    chance_loss
        Loss of unrelated features, or of random edges.
    tolerance
        What was asked for.
    unrelated
        What chance is called.
    """

    model: ModelLabel
    steps: tuple[int, ...]
    losses: tuple[float, ...]
    last_step: int
    real_loss: float
    chance_loss: float
    tolerance: float
    unrelated: str


@dataclass(frozen=True)
class DepthPoint:
    """One model at one layer: how far its metamers are from the reference.

    Attributes
    ----------
    depth, layer
        Where.
    distance, chance
        Visible distance and its chance level, with their intervals.
    passing_share
        Share of nodes that pass all gates, [0, 1].
    is_matched
        Whether a metamer was found from every start.
    """

    depth: int
    layer: str
    distance: Interval
    chance: Interval
    passing_share: float
    is_matched: bool


def distribution(snr: Tensor) -> Distribution:
    """The distribution of signal-to-noise ratios, dB, any shape; nan is left out."""
    ratios = snr[~snr.isnan()].double().flatten().sort().values
    total = max(1, len(ratios))
    finite = ratios[ratios.isfinite()]
    hopeless = int((ratios == -torch.inf).sum())
    places = _spread(len(finite))
    return Distribution(
        snr=tuple(float(finite[place]) for place in places),
        share=tuple((hopeless + place + 1) / total for place in places),
        exact=float((ratios == torch.inf).sum()) / total,
        hopeless=hopeless / total,
    )


def layer_distribution(model: ModelLabel, layer: LayerAudit) -> LayerDistribution:
    """The distributions of one layer."""
    return LayerDistribution(
        model,
        layer.name,
        found=distribution(torch.cat([start.gates.snr for start in layer.starts])),
        chance=distribution(torch.cat([start.chance_snr for start in layer.starts])),
        pairs=distribution(layer.null.snr),
        nearest=distribution(layer.null.nearest_snr),
        unrelated=unrelated(layer),
    )


def trace(model: ModelLabel, layer: LayerAudit) -> Trace:
    """The search trace of a layer, thinned out evenly on the axis of powers of ten."""
    points = [(max(1, step), loss) for step, loss in layer.metamer.trace if math.isfinite(loss)]
    kept = [points[place] for place in _spread_in_powers(len(points))]
    return Trace(
        model=model,
        steps=tuple(step for step, _ in kept),
        losses=tuple(max(loss, SMALLEST_LOSS) for _, loss in kept),
        last_step=max(1, layer.metamer.steps),
        real_loss=max(layer.metamer.activation_loss, SMALLEST_LOSS),
        chance_loss=layer.measures["activation_loss"].chance,
        tolerance=layer.metamer.tolerance,
        unrelated=unrelated(layer),
    )


def traces(audits: Sequence[tuple[ModelLabel, Audit]], depth: int) -> tuple[Trace, ...]:
    """The search trace of every model that was audited at a depth."""
    return tuple(trace(model, layer) for model, layer in layers_at(audits, depth))


def depth_points(audit: Audit) -> tuple[DepthPoint, ...]:
    """How far the metamers of each layer are from the reference."""
    return tuple(
        DepthPoint(
            depth=layer.depth,
            layer=layer.name,
            distance=layer.measures["visible_distance"].interval,
            chance=layer.measures["visible_distance"].chance_interval,
            passing_share=layer.measures["passing_share"].value,
            is_matched=layer.is_matched,
        )
        for layer in audit.layers
    )


def layers_at(
    audits: Sequence[tuple[ModelLabel, Audit]], depth: int
) -> tuple[tuple[ModelLabel, LayerAudit], ...]:
    """Every model's layer at a depth."""
    return tuple((model, layer) for model, audit in audits for layer in audit.layers if layer.depth == depth)


def _spread(length: int) -> list[int]:
    """At most `MOST_POINTS` places of a sequence, first and last among them."""
    if length <= MOST_POINTS:
        return list(range(length))
    return sorted({round(i * (length - 1) / (MOST_POINTS - 1)) for i in range(MOST_POINTS)})


def _spread_in_powers(length: int) -> list[int]:
    """The same, denser at the start."""
    if length <= MOST_POINTS:
        return list(range(length))
    return sorted({round(length ** (i / (MOST_POINTS - 1))) - 1 for i in range(MOST_POINTS)})
