"""The drawn figures: pure functions from the numbers in `curves` to plotly figures in the light colours.

Legends are not plotly's: the page has its own, which wrap on a telephone and which a screen reader reads.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from graph_metamers.report.axes import base_layout, draw_horizontal, power_ticks, step_ticks
from graph_metamers.report.labels import for_figure
from graph_metamers.report.numbers import decibel, ends, number, percent
from graph_metamers.report.theme import CHANCE, TEXT, series_colour, symbol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.report.curves import DepthPoint, Distribution, LayerDistribution, Trace
    from graph_metamers.report.labels import ModelLabel

SMALLEST_MARKER, LARGEST_MARKER = 7.0, 19.0
SNR_LOW, SNR_HIGH = -12.0, 62.0
"""Widest range of ratios that is drawn, in dB; what lies outside is counted at the edge."""


def depth_figure(
    lines: Sequence[tuple[ModelLabel, Sequence[DepthPoint]]], names: dict[int, str], min_distance: float
) -> go.Figure:
    """Visible distance against depth: a line a model, the share of nodes that pass the gates as marker size.

    Parameters
    ----------
    lines
        The points of every model.
    names
        What the layers at each depth are called.
    min_distance
        Distance below which a result counts as the reference again.
    """
    figure = go.Figure()
    highest = max((_top(point) for _, points in lines for point in points), default=1.0)
    for place, (model, points) in enumerate(lines):
        colour = series_colour(model.index).light
        # Models whose values agree would hide each other.
        shift = 0.09 * (place - (len(lines) - 1) / 2)
        figure.add_scatter(
            x=[point.depth + shift for point in points],
            y=[point.distance.estimate for point in points],
            error_y=_error_bars(points, colour),
            mode="lines+markers",
            name=for_figure(model.flagged),
            line={"color": colour, "width": 2},
            marker={
                "symbol": [symbol(model.index) + ("" if p.is_matched else "-open") for p in points],
                "size": [_marker_size(point.passing_share) for point in points],
                "color": colour,
                "line": {"width": 2, "color": colour},
                "opacity": 1,
            },
            hovertext=[_depth_hover(model, point) for point in points],
            hoverinfo="text",
        )
    first, last = min(names, default=1), max(names, default=1)
    figure.update_layout(base_layout("Layer", "Visible distance (no unit)"))
    figure.update_xaxes(
        range=[first - 0.5, last + 0.5],
        tickvals=list(names),
        ticktext=[for_figure(name) for name in names.values()],
    )
    figure.update_yaxes(range=[-0.06, max(1.2, highest + 0.12)], tickformat=".1f", dtick=0.2)
    draw_horizontal(figure, 1.0, "unrelated features (chance)", dash="dash", above=True)
    draw_horizontal(figure, min_distance, "below: the reference again", dash="dot", above=True)
    return figure


def distribution_figure(entry: LayerDistribution) -> go.Figure:
    """Share of nodes with at most a signal-to-noise ratio: what was found, and three things to beat.

    Parameters
    ----------
    entry
        One model at one layer.
    """
    figure = go.Figure()
    curves = (
        (entry.unrelated, entry.chance, CHANCE, "dash", 1.8),
        ("random pairs of real nodes", entry.pairs, CHANCE, "dot", 2.2),
        ("nearest real node", entry.nearest, TEXT, "dashdot", 1.8),
        ("found", entry.found, series_colour(entry.model.index), "solid", 2.8),
    )
    for what, values, colour, dash, width in curves:
        x, y = _drawn(values)
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines+markers" if what == "found" else "lines",
            name=what,
            line={"color": colour.light, "width": width, "dash": dash},
            marker={"symbol": symbol(entry.model.index), "size": 8, "color": colour.light, "maxdisplayed": 5},
            hovertext=[
                f"{what}<br>{escape(percent(b))} of nodes: {decibel(a)} or less"
                for a, b in zip(x, y, strict=True)
            ],
            hoverinfo="text",
        )
    figure.update_layout(base_layout("Signal to noise of a node (dB)", "Share of nodes"))
    low, high = _snr_range(entry)
    figure.update_xaxes(range=[low, high], ticksuffix="", dtick=10)
    figure.update_yaxes(range=[-0.03, 1.06], tickformat=".0%", dtick=0.25)
    return figure


def trace_figure(traces: Sequence[Trace]) -> go.Figure:
    """Activation loss against steps on axes of powers of ten, with what was asked for and chance."""
    figure = go.Figure()
    most_steps = max((trace.last_step for trace in traces), default=1)
    for trace in traces:
        colour = series_colour(trace.model.index).light
        name = for_figure(trace.model.flagged)
        figure.add_scatter(
            x=trace.steps,
            y=trace.losses,
            mode="lines",
            name=name,
            line={"color": colour, "width": 2},
            hovertext=[
                f"{name}<br>step {step}: loss {number(loss)}"
                for step, loss in zip(trace.steps, trace.losses, strict=True)
            ],
            hoverinfo="text",
        )
        figure.add_scatter(
            x=[trace.last_step],
            y=[trace.real_loss],
            mode="markers",
            name=name,
            marker={"symbol": symbol(trace.model.index), "size": 11, "color": colour},
            hovertext=[f"{name}<br>real graph: loss {number(trace.real_loss)}"],
            hoverinfo="text",
        )
        figure.add_scatter(
            x=[1, max(2, most_steps)],
            y=[trace.chance_loss] * 2,
            mode="lines",
            name=f"{name}, unrelated",
            line={"color": colour, "width": 1.5, "dash": "dash"},
            hovertext=[f"{name}, {trace.unrelated}: loss {number(trace.chance_loss)}"] * 2,
            hoverinfo="text",
        )
    figure.update_layout(base_layout("Step of the search", "Activation loss (no unit)"))
    low, high = _loss_range(traces)
    figure.update_xaxes(
        type="log", range=[-0.04, math.log10(max(2, most_steps)) * 1.06], **step_ticks(0, most_steps)
    )
    figure.update_yaxes(type="log", range=[low, high], tickmode="array", **power_ticks(low, high))
    for tolerance in sorted({trace.tolerance for trace in traces if trace.tolerance > 0}):
        draw_horizontal(figure, tolerance, "asked for", dash="dot", above=False, log=True)
    return figure


def _marker_size(share: float) -> float:
    return SMALLEST_MARKER + (LARGEST_MARKER - SMALLEST_MARKER) * share


def _top(point: DepthPoint) -> float:
    return max(point.distance.estimate, *(e for e in (point.distance.high,) if not math.isnan(e)), 0.0)


def _error_bars(points: Sequence[DepthPoint], colour: str) -> dict[str, Any]:
    """The intervals; where there is none, no bar."""
    above = [point.distance.high - point.distance.estimate for point in points]
    below = [point.distance.estimate - point.distance.low for point in points]
    return {
        "type": "data",
        "symmetric": False,
        "array": [0.0 if math.isnan(length) else length for length in above],
        "arrayminus": [0.0 if math.isnan(length) else length for length in below],
        "color": colour,
        "thickness": 2,
        "width": 8,
    }


def _depth_hover(model: ModelLabel, point: DepthPoint) -> str:
    ended = "metamers from every start" if point.is_matched else "not from every start a metamer"
    interval = ends(point.distance, number)
    return (
        f"{for_figure(model.flagged)} at {for_figure(point.layer)}: {ended}<br>visible distance "
        f"{number(point.distance.estimate)}{f', 95% interval {interval}' if interval else ''} "
        f"(chance {number(point.chance.estimate)})<br>"
        f"{escape(percent(point.passing_share))} of nodes pass all gates"
    )


def _drawn(values: Distribution) -> tuple[list[float], list[float]]:
    """The points of a distribution inside the drawn range; what lies outside is counted at the edge."""
    x = [min(max(value, SNR_LOW), SNR_HIGH) for value in values.snr]
    y = list(values.share)
    if values.hopeless > 0:
        x, y = [SNR_LOW, *x], [values.hopeless, *y]
    if values.exact > 0:
        x, y = [*x, SNR_HIGH], [*y, 1.0 - values.exact]
    return x, y


def _snr_range(entry: LayerDistribution) -> tuple[float, float]:
    parts = (entry.found, entry.chance, entry.pairs, entry.nearest)
    values = [value for part in parts for value in _drawn(part)[0]]
    low, high = min(values, default=0.0), max(values, default=30.0)
    return max(SNR_LOW - 1, min(low - 2, -4.0)), min(SNR_HIGH + 1, max(high + 2, 34.0))


def _loss_range(traces: Sequence[Trace]) -> tuple[float, float]:
    values = [v for t in traces for v in (*t.losses, t.real_loss, t.tolerance, t.chance_loss) if v > 0]
    values = [value for value in values if math.isfinite(value)] or [1.0]
    return math.floor(math.log10(min(values)) - 0.15), math.log10(max(values)) + 0.25
