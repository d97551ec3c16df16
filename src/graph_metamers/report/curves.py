"""The numbers behind the figures, without any drawing: distributions and search traces."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from graph_metamers.metrics.fidelity import snr_db

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from graph_metamers.auditing import Audit, LayerAudit
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
    """The distributions of one model at one layer: of its metamer, and of unrelated features."""

    model: ModelLabel
    layer: str
    found: Distribution
    chance: Distribution


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
        Loss of unrelated features.
    tolerance
        What was asked for.
    """

    model: ModelLabel
    steps: tuple[int, ...]
    losses: tuple[float, ...]
    last_step: int
    real_loss: float
    chance_loss: float
    tolerance: float


@dataclass(frozen=True)
class DepthPoint:
    """One model at one layer: how far its metamer is from the reference."""

    depth: int
    layer: str
    distance: float
    chance: float
    matched_share: float
    is_metamer: bool


def distribution(item_loss: Tensor) -> Distribution:
    """The distribution of signal-to-noise ratios of item losses, [items]; nan losses are left out."""
    losses = item_loss.double()
    ratios = snr_db(losses[~losses.isnan()]).sort().values
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


def distributions(audits: Sequence[tuple[ModelLabel, Audit]], depth: int) -> tuple[LayerDistribution, ...]:
    """The distributions of every model that was audited at a depth."""
    return tuple(
        LayerDistribution(
            model,
            layer.name,
            distribution(layer.evidence.item_loss),
            distribution(layer.evidence.chance_item_loss),
        )
        for model, layer in layers_at(audits, depth)
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
        chance_loss=layer.evidence["activation_loss"].chance,
        tolerance=layer.metamer.tolerance,
    )


def traces(audits: Sequence[tuple[ModelLabel, Audit]], depth: int) -> tuple[Trace, ...]:
    """The search trace of every model that was audited at a depth."""
    return tuple(trace(model, layer) for model, layer in layers_at(audits, depth))


def depth_points(audit: Audit) -> tuple[DepthPoint, ...]:
    """How far the metamer of each layer is from the reference."""
    return tuple(
        DepthPoint(
            depth=layer.depth,
            layer=layer.name,
            distance=layer.metamer.input_distance.scaled,
            chance=layer.evidence["input_distance"].chance,
            matched_share=float(layer.metamer.matched_items.double().mean()),
            is_metamer=layer.metamer.is_metamer,
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
