"""The front of edges: activation loss, and predictions that stay, against the share of edges that stay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from graph_metamers.errors import ParameterError
from graph_metamers.report.axes import base_layout, draw_horizontal, power_ticks
from graph_metamers.report.labels import for_figure
from graph_metamers.report.numbers import fraction, loss_number, percent
from graph_metamers.report.theme import BACKGROUND, CHANCE, series_colour, symbol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.auditing import LayerAudit
    from graph_metamers.report.labels import ModelLabel
    from graph_metamers.synthesis.fronts import FrontPoint

DECADES = 4
"""How many powers of ten below the largest loss the axis reaches; what is below is drawn on its edge."""


@dataclass(frozen=True)
class FoundGraph:
    """The graph from one start of the search: its edge overlap, activation loss and kept predictions."""

    overlap: float
    activation_loss: float
    agreement: float


@dataclass(frozen=True)
class FrontCurve:
    """The front of one layer of one model, beside random swaps and what the searches found.

    Attributes
    ----------
    model, layer
        Where.
    points, random
        The front, and random swaps with the same degrees; see `StructureFront`.
    found
        What each start of the search found.
    tolerance
        Loss that was asked for.
    random_loss, random_agreement
        Of a random graph with the same degrees.
    reach, random_reach
        Least overlap with a loss within the tolerance, of the front and of random swaps.
    """

    model: ModelLabel
    layer: str
    points: tuple[FrontPoint, ...]
    random: tuple[FrontPoint, ...]
    found: tuple[FoundGraph, ...]
    tolerance: float
    random_loss: float
    random_agreement: float
    reach: float
    random_reach: float

    @property
    def has_agreement(self) -> bool:
        """Whether the model has an output whose predictions can be compared."""
        return all(math.isfinite(point.agreement) for point in self.points)

    @property
    def middle(self) -> FrontPoint:
        """The point whose overlap is nearest to a half."""
        return min(self.points, key=lambda point: abs(point.overlap - 0.5))


def front_curve(model: ModelLabel, layer: LayerAudit) -> FrontCurve:
    """The front of an audited layer.

    Raises
    ------
    ParameterError
        If it has none, because features vary.
    """
    front = layer.front
    if front is None:
        raise ParameterError("layer", "one of an audit in which edges vary", layer.name)
    names = ("edge_overlap", "activation_loss", "prediction_agreement")
    found = zip(*(layer.measures[name].values for name in names), strict=True)
    tolerance = layer.metamer.tolerance
    return FrontCurve(
        model,
        layer.name,
        front.points,
        front.random,
        tuple(FoundGraph(*numbers) for numbers in found),
        tolerance,
        front.random_loss,
        front.random_agreement,
        front.least_overlap(tolerance),
        front.least_overlap(tolerance, random=True),
    )


def loss_figure(curve: FrontCurve) -> go.Figure:
    """Activation loss, on an axis of powers of ten, against edge overlap from 1 to 0."""
    low, high = _loss_range(curve)
    figure = _figure(curve, "activation_loss", 10**low)
    figure.update_layout(base_layout("Edge overlap with the reference", "Activation loss (no unit)"))
    _overlap_axis(figure)
    figure.update_yaxes(type="log", range=[low - 0.12, high], tickmode="array", **power_ticks(low, high))
    if curve.tolerance > 0 and math.log10(curve.tolerance) > low:
        draw_horizontal(figure, curve.tolerance, "asked for", dash="dot", above=False, log=True, right=True)
    return figure


def agreement_figure(curve: FrontCurve) -> go.Figure:
    """Share of the predictions that stay against edge overlap from 1 to 0."""
    figure = _figure(curve, "agreement", 0.0)
    figure.update_layout(base_layout("Edge overlap with the reference", "Predictions that stay"))
    _overlap_axis(figure)
    figure.update_yaxes(range=[-0.03, 1.06], tickformat=".0%", dtick=0.25)
    return figure


def _figure(curve: FrontCurve, name: str, least: float) -> go.Figure:
    colour, figure = series_colour(curve.model.index).light, go.Figure()
    figure.add_scatter(
        **_line(curve.random, name, least, "random swaps"),
        line={"color": CHANCE.light, "width": 2, "dash": "dash"},
        mode="lines",
    )
    figure.add_scatter(
        **_line(curve.points, name, least, f"{for_figure(curve.model.flagged)}: front"),
        line={"color": colour, "width": 2.5},
        marker={"color": colour, "size": 5},
        mode="lines+markers",
    )
    figure.add_scatter(
        **_line(curve.found, name, least, f"{for_figure(curve.model.flagged)}: found by a search"),
        marker={
            "symbol": symbol(curve.model.index),
            "size": 11,
            "color": colour,
            "line": {"color": BACKGROUND.light, "width": 1.5},
        },
        mode="markers",
        cliponaxis=False,
    )
    return figure


def _line(
    points: Sequence[FrontPoint] | Sequence[FoundGraph], name: str, least: float, what: str
) -> dict[str, Any]:
    return {
        "x": [point.overlap for point in points],
        "y": [max(least, getattr(point, name)) for point in points],
        "name": what,
        "hovertext": [
            f"{what}<br>edge overlap {escape(fraction(point.overlap))}: "
            f"loss {loss_number(point.activation_loss)}, "
            f"{escape(percent(point.agreement))} of the predictions stay"
            for point in points
        ],
        "hoverinfo": "text",
    }


def _overlap_axis(figure: go.Figure) -> None:
    figure.update_xaxes(range=[1.03, -0.04], tickvals=[1, 0.75, 0.5, 0.25, 0], tickformat=".2~f")


def _loss_range(curve: FrontCurve) -> tuple[float, float]:
    """Exponents of the least and the largest loss that are drawn."""
    losses = [p.activation_loss for p in (*curve.points, *curve.random)]
    losses += [p.activation_loss for p in curve.found]
    known = [loss for loss in losses if 0 < loss < math.inf] or [1.0]
    high = math.log10(max(known))
    low = min(math.log10(min(known)), math.log10(curve.tolerance) - 0.3 if curve.tolerance > 0 else high)
    return max(math.floor(low * 2) / 2, math.floor(high) - DECADES), high + 0.2
