"""The figure of controls: activation loss against input distance, every control a labelled point."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import plotly.graph_objects as go

from graph_metamers.evidence.controls import BASELINE_NAMES
from graph_metamers.report.axes import base_layout, draw_horizontal, power_ticks
from graph_metamers.report.cells import interval_text
from graph_metamers.report.labels import for_figure
from graph_metamers.report.theme import BACKGROUND, CHANCE, MUTED, TEXT, series_colour, symbol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graph_metamers.metrics import Interval
    from graph_metamers.report.labels import ModelLabel

DECADES = 8
"""How many powers of ten below the largest loss the axis reaches; what is below is drawn on its edge."""
ROOM = 0.4
"""Share of the width that is kept for names."""
LINES = 12
"""How many names fit one below the other."""

SYMBOLS = ("square", "diamond", "triangle-up", "triangle-down", "pentagon", "star", "hexagon")
"""Plotly's marker symbols of the controls, in the order of `BASELINE_NAMES`."""

SHORT: Mapping[str, str] = {
    "random_perturbation": "random change",
    "nearest_item": "nearest real node",
    "flat_step": "flat directions",
    "null_space": "null space",
    "random_weights": "random weights",
    "recomputed_edges": "edges anew",
    "label_propagation": "label propagation",
}
"""What the controls are called beside their points."""


@dataclass(frozen=True)
class ControlPoint:
    """One point of the figure.

    Attributes
    ----------
    kind
        What the search found, a control, or chance.
    name
        Of the control; else empty.
    text
        What stands beside it.
    loss, distance
        Activation loss and input distance, each with its interval.
    """

    kind: Literal["found", "control", "chance"]
    name: str
    text: str
    loss: Interval
    distance: Interval


def control_figure(model: ModelLabel, points: Sequence[ControlPoint], tolerance: float) -> go.Figure:
    """Activation loss, on an axis of powers of ten, against input distance.

    Parameters
    ----------
    model
        Whose: the colour of what its searches found.
    points
        Those whose loss and distance are numbers.
    tolerance
        Loss that was asked for.
    """
    low, high = loss_range(points, tolerance)
    left, right, edge = _widths(points)
    heights = label_heights([_height(point, low) for point in points], low, high)
    figure = go.Figure()
    for point, height in zip(points, heights, strict=True):
        _draw_name(figure, point, (right, 10**height), low)
    for point in points:
        _draw_point(figure, model, point, low)
    figure.update_layout(base_layout("Input distance (no unit)", "Activation loss (no unit)"))
    figure.update_xaxes(range=[left, edge], tickvals=_ticks(right), tickformat=".2~f")
    figure.update_yaxes(type="log", range=[low, high], tickmode="array", **power_ticks(low, high))
    if tolerance > 0 and math.log10(tolerance) > low:
        draw_horizontal(figure, tolerance, "asked for", dash="dot", above=False, log=True)
    return figure


def loss_range(points: Sequence[ControlPoint], tolerance: float) -> tuple[float, float]:
    """Exponents of the least and the largest loss that are drawn."""
    losses = [value for point in points for value in (point.loss.estimate, point.loss.low, point.loss.high)]
    known = [loss for loss in [*losses, tolerance] if 0 < loss < math.inf] or [1.0]
    high = math.log10(max(known)) + 0.3
    return max(math.log10(min(known)) - 0.4, high - DECADES), high


def label_heights(heights: Sequence[float], low: float, high: float) -> list[float]:
    """Where names stand, so that none hides another: as near to their points as `LINES` lines allow.

    Examples
    --------
    >>> label_heights([0.5, 0.5], low=0.0, high=1.2)
    [0.5, 0.6]
    """
    step = (high - low) / LINES
    order = sorted(range(len(heights)), key=lambda place: (heights[place], place))
    placed = [0.0] * len(heights)
    floor = low + step / 2
    for place in order:  # upwards, each at least a line above the one before
        placed[place] = max(heights[place], floor)
        floor = placed[place] + step
    ceiling = high - step / 2
    for place in reversed(order):  # and back down from the upper edge
        placed[place] = min(placed[place], ceiling)
        ceiling = placed[place] - step
    return [round(height, 9) for height in placed]


def _widths(points: Sequence[ControlPoint]) -> tuple[float, float, float]:
    """Where the axis begins, where names begin, and where it ends."""
    farthest = max((_top(point.distance) for point in points), default=1.0)
    left, right = -0.05 * max(1.0, farthest), 1.08 * max(1.0, farthest)
    return left, right, left + (right - left) / (1 - ROOM)


def _ticks(right: float) -> list[float]:
    """Places of ticks from 0 up to where names begin, few enough for a telephone."""
    step = next((step for step in (0.5, 1.0, 2.0, 5.0, 10.0) if right / step < 4), right / 4)
    return [place * step for place in range(int(right / step) + 1)]


def _top(interval: Interval) -> float:
    return interval.estimate if math.isnan(interval.high) else interval.high


def _height(point: ControlPoint, low: float) -> float:
    """The exponent at which a point is drawn; a loss of 0 stands at the lower edge."""
    return max(low, math.log10(point.loss.estimate)) if point.loss.estimate > 0 else low


def _draw_name(figure: go.Figure, point: ControlPoint, place: tuple[float, float], low: float) -> None:
    """The name at the right, and a thin line to it."""
    figure.add_scatter(
        x=[point.distance.estimate, place[0]],
        y=[10 ** _height(point, low), place[1]],
        mode="lines+text",
        text=["", for_figure(point.text)],
        textposition="middle right",
        textfont={"color": TEXT.light, "size": 12},
        line={"color": MUTED.light, "width": 0.8},
        hoverinfo="skip",
        cliponaxis=False,
    )


def _draw_point(figure: go.Figure, model: ModelLabel, point: ControlPoint, low: float) -> None:
    colours = {"found": series_colour(model.index), "control": TEXT, "chance": CHANCE}
    marks = {"found": symbol(model.index), "chance": "x-thin"}
    colour = colours[point.kind].light
    mark = marks.get(point.kind) or SYMBOLS[BASELINE_NAMES.index(point.name)]
    size = 13 if point.kind == "found" else 10
    edge = {"color": colour if point.kind == "chance" else BACKGROUND.light, "width": 1.5}
    loss, distance = (
        " ".join(filter(None, (value, f"[{ends}]" if ends else "")))
        for value, ends in (
            interval_text("activation_loss", point.loss), interval_text("input_distance", point.distance),
        )
    )  # fmt: skip
    figure.add_scatter(
        x=[point.distance.estimate],
        y=[10 ** _height(point, low)],
        error_x=_bars(point.distance, colour),
        error_y=_bars(point.loss, colour),
        mode="markers",
        name=for_figure(point.text),
        marker={"symbol": mark, "size": size, "color": colour, "line": edge, "opacity": 1},
        hovertext=[f"{for_figure(point.text)}<br>loss {loss}<br>input distance {distance}"],
        hoverinfo="text",
        cliponaxis=False,
    )


def _bars(interval: Interval, colour: str) -> dict[str, Any]:
    """The interval; where there is none, no bar."""
    known = not math.isnan(interval.low)
    return {
        "type": "data",
        "symmetric": False,
        "array": [interval.high - interval.estimate if known else 0.0],
        "arrayminus": [interval.estimate - interval.low if known else 0.0],
        "color": colour,
        "thickness": 1.5,
        "width": 5,
    }
