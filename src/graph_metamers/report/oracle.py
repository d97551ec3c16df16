"""The Bayes oracle in section 7: how often what was found has changed the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from graph_metamers.report.axes import base_layout, draw_horizontal
from graph_metamers.report.labels import ModelLabel, for_figure, model_labels
from graph_metamers.report.numbers import ends, fraction, percent
from graph_metamers.report.plots import LegendEntry, Plot, model_legend, plot
from graph_metamers.report.theme import series_colour, symbol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.auditing import Audit
    from graph_metamers.evidence import ScaledExcess
    from graph_metamers.metrics import Interval

LEAST_TOP = 1.15  # of the vertical axis, on which 1 is a model that sees nothing


@dataclass(frozen=True)
class ExcessRow:
    """Scaled excess invariance at one layer of one model, and its parts, as shown."""

    model: ModelLabel
    layer: str
    matched: str
    flipped: str
    by_noise: str
    excess: str
    interval: Interval


@dataclass(frozen=True)
class OraclePart:
    """What the oracle says: a figure, its legend, and a table."""

    figure: Plot
    legend: tuple[LegendEntry, ...]
    rows: tuple[ExcessRow, ...]


def oracle_part(audits: Sequence[Audit]) -> OraclePart | None:
    """The oracle's part of some audits; `None` where there is no oracle."""
    rows = tuple(
        ExcessRow(
            label,
            layer.name,
            _with_ends(found.matched_share),
            _with_ends(found.numerator),
            _with_ends(found.denominator),
            _excess_text(found),
            found.excess,
        )
        for label, audit in zip(model_labels(audits), audits, strict=True)
        for layer in audit.layers
        if (found := audit.oracle.get(layer.name)) is not None
    )
    if not rows:
        return None
    models = list(dict.fromkeys(row.model for row in rows))
    alt = "; ".join(f"{row.model.flagged} at {row.layer}: {row.excess}" for row in rows)
    figure = plot("plot-oracle", excess_figure(rows), heading="Scaled excess invariance", alt=alt)
    return OraclePart(figure, model_legend(models, line="none"), rows)


def excess_figure(rows: Sequence[ExcessRow]) -> go.Figure:
    """Scaled excess against the layer, between the oracle at 0 and a model that sees nothing at 1."""
    layers = list(dict.fromkeys(row.layer for row in rows))
    models = list(dict.fromkeys(row.model for row in rows))
    figure = go.Figure()
    for row in rows:
        interval = row.interval
        if math.isnan(interval.estimate):
            continue
        shift = 0.12 * (models.index(row.model) - (len(models) - 1) / 2)
        colour = series_colour(row.model.index).light
        has_ends = not math.isnan(interval.low)
        figure.add_scatter(
            x=[layers.index(row.layer) + shift],
            y=[interval.estimate],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [interval.high - interval.estimate if has_ends else 0.0],
                "arrayminus": [interval.estimate - interval.low if has_ends else 0.0],
                "color": colour,
                "thickness": 2,
                "width": 6,
            },
            mode="markers",
            marker={"symbol": symbol(row.model.index), "size": 11, "color": colour},
            hovertext=[f"{for_figure(row.model.flagged)}, {for_figure(row.layer)}<br>{escape(row.excess)}"],
            hoverinfo="text",
            cliponaxis=False,
        )
    reached = [value for row in rows for value in (row.interval.estimate, row.interval.high)]
    top = max([LEAST_TOP, *(1.05 * value for value in reached if not math.isnan(value))])
    figure.update_layout(base_layout("Layer that was matched", "Scaled excess"))
    figure.update_xaxes(
        range=[-0.6, len(layers) - 0.4],
        tickvals=list(range(len(layers))),
        ticktext=[for_figure(layer) for layer in layers],
    )
    figure.update_yaxes(range=[-0.05, top])
    draw_horizontal(figure, 0.0, "the oracle", dash="dash", above=True)
    draw_horizontal(figure, 1.0, "a model that sees nothing", dash="dash", above=True)
    return figure


def _excess_text(found: ScaledExcess) -> str:
    excess = found.excess
    if math.isnan(excess.estimate):
        if not found.matched.sum():
            return "not defined: no node matches"
        also = "what was found does" if found.flipped.sum() else "neither does what was found"
        return f"not defined: noise changes no class, {also}"
    limits = ends(excess, fraction)
    return f"{fraction(excess.estimate)}{f' [{limits}]' if limits else ''}"


def _with_ends(share: Interval) -> str:
    if math.isnan(share.estimate):
        return "not defined: no node matches"
    limits = ends(share, percent)
    return f"{percent(share.estimate)}{f' [{limits}]' if limits else ''}"
