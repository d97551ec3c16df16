"""Figures of a study: invariance and accuracy side by side, over the levels of a question."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from graph_metamers.report.axes import base_layout
from graph_metamers.report.labels import for_figure
from graph_metamers.report.plots import Plot, plot
from graph_metamers.report.theme import CHANCE, SERIES, series_colour, symbol
from graph_metamers.study.cells import ACCURACY, EXCESS, INVARIANCE, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.study.answers import Answer
    from graph_metamers.study.cells import Cell

LABELS = {
    INVARIANCE: "Nodes that pass all gates",
    EXCESS: "Scaled excess invariance (Bayes oracle)",
    ACCURACY: "Test accuracy",
}
AXES = LABELS | {EXCESS: "Scaled excess (no unit)"}
MEASURES = tuple(LABELS)
DASHES = ("solid", "dash", "dot", "dashdot")
SHORTEST_TICK_LINE, LONGEST_TICK_LINE = 8, 14
TICK_CHARACTERS = 130  # that fit side by side under a figure
MOST_AT_USUAL_HEIGHT = 10  # lines whose legend leaves enough of it
MOST_LINES = len(SERIES) * len(DASHES)
"""A figure with more lines is not drawn; the table has them."""


@dataclass(frozen=True)
class Point:
    """One level of one line.

    Attributes
    ----------
    level
        In words.
    estimate, low, high
        The mean and the ends of its 95% interval; nan where there is none.
    """

    level: str
    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Line:
    """One context of a question.

    Attributes
    ----------
    label
        What tells it from the other lines of its figure.
    points
        In the order of the levels.
    """

    label: str
    points: tuple[Point, ...]


def lines_of(answer: Answer, measure: str, dataset: str, vary: str) -> list[Line]:
    """The lines of one figure: a pure function of the answer.

    Parameters
    ----------
    answer
        Of a question.
    measure
        Which measure.
    dataset, vary
        Of which cells.
    """
    groups = {
        context: group
        for context, group in answer.groups.items()
        if dict(context)["dataset"] == dataset and dict(context)["vary"] == vary
    }
    told = _told_apart([dict(context) for context in groups], by_layer=measure != ACCURACY)
    lines: dict[str, Line] = {}
    for context, group in groups.items():
        points = tuple(
            _point(level, group[level], measure)
            for level in answer.levels
            if level in group and (measure != EXCESS or group[level].is_known(EXCESS))
        )
        if not points:
            continue
        label = ", ".join(_setting(name, dict(context)[name]) for name in told) or dataset
        # Accuracy is that of the model, whatever the layer: one line for all of its layers.
        lines.setdefault(label, Line(label, points))
    return list(lines.values())


def panels(answer: Answer) -> list[tuple[str, str]]:
    """Data set and what varied, of each pair of figures."""
    found = {(str(dict(context)["dataset"]), str(dict(context)["vary"])) for context in answer.groups}
    return sorted(found)


def question_plots(answer: Answer) -> list[Plot]:
    """Figures for each data set: invariance, its excess where an oracle knows it, and accuracy beside."""
    plots = []
    for dataset, vary in panels(answer):
        for measure in MEASURES:
            lines = lines_of(answer, measure, dataset, vary)
            if not 0 < len(lines) <= MOST_LINES:
                continue
            # Sizes of perturbations differ from data set to data set.
            drawn = {point.level for line in lines for point in line.points}
            levels = [level for level in answer.levels if level in drawn]
            name = f"{answer.question.id}-{dataset}-{vary}-{measure}".replace(" ", "-")
            plots.append(
                plot(
                    f"plot-{name}",
                    level_figure(lines, levels, AXES[measure], is_share=measure != EXCESS),
                    heading=f"{LABELS[measure]}: {dataset}, other {'edges' if vary == 'structure' else vary}",
                    alt=_in_words(lines, measure != EXCESS),
                    is_tall=len(lines) > MOST_AT_USUAL_HEIGHT,
                )
            )
    return plots


def not_drawn(answer: Answer) -> list[str]:
    """What has more lines than a figure can show, in words."""
    return [
        f"{LABELS[measure]} on {dataset}, other {vary}: {len(lines)} lines, more than {MOST_LINES}"
        for dataset, vary in panels(answer)
        for measure in MEASURES
        if len(lines := lines_of(answer, measure, dataset, vary)) > MOST_LINES
    ]


def level_figure(
    lines: Sequence[Line], levels: Sequence[str], y_title: str, *, is_share: bool = True
) -> go.Figure:
    """A measure against the levels of a question, a line for each context, with 95% intervals.

    Parameters
    ----------
    lines
        From `lines_of`.
    levels
        All levels in their order.
    y_title
        What is drawn.
    is_share
        Whether it is a share; else a ratio to chance, which is drawn at 1.
    """
    figure = go.Figure()
    places = {level: place for place, level in enumerate(levels)}
    for number, line in enumerate(lines):
        colour = series_colour(number).light
        shift = 0.03 * (number - (len(lines) - 1) / 2)
        figure.add_scatter(
            x=[places[point.level] + shift for point in line.points],
            y=[point.estimate for point in line.points],
            error_y=_error_bars(line.points, colour),
            mode="lines+markers",
            name=for_figure(line.label),
            line={"color": colour, "width": 2, "dash": DASHES[number // len(SERIES) % len(DASHES)]},
            marker={"symbol": symbol(number), "size": 9, "color": colour},
            hovertext=[escape(f"{line.label}, {_point_text(point, is_share)}") for point in line.points],
            hoverinfo="text",
        )
    figure.update_layout(base_layout("", y_title))
    figure.update_layout(
        showlegend=len(lines) > 1,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
    )
    figure.update_xaxes(
        tickvals=list(places.values()),
        ticktext=[_in_lines(level, len(levels)) for level in levels],
        tickangle=0,
        automargin=True,
        range=[-0.5, len(levels) - 0.5],
    )
    if is_share:
        figure.update_yaxes(range=[-0.03, 1.06], tickformat=".0%", dtick=0.25)
    else:
        figure.update_yaxes(rangemode="tozero")
        chance = {"color": CHANCE.light, "width": 1.4, "dash": "dot"}
        figure.add_hline(y=1, line=chance, annotation_text="as noise does", annotation_font_size=12)
    figure.add_hline(y=0, line={"color": CHANCE.light, "width": 1})
    return figure


def _in_lines(level: str, num_levels: int) -> str:
    """A level under its tick: a line for each of its parts, and more for long ones."""
    longest = max(SHORTEST_TICK_LINE, min(LONGEST_TICK_LINE, TICK_CHARACTERS // num_levels))
    return "<br>".join(
        for_figure(line) for part in level.split(" + ") for line in textwrap.wrap(part, longest)
    )


def _point(level: str, cell: Cell, measure: str) -> Point:
    interval = cell.interval(measure)
    return Point(level, interval.estimate, interval.low, interval.high)


def _told_apart(contexts: Sequence[dict[str, Any]], *, by_layer: bool) -> list[str]:
    """The settings that differ among contexts of one data set."""
    return [
        name
        for name in SETTINGS
        if name not in ("dataset", "vary")
        and (by_layer or name not in ("layer", "solver"))
        and len({context[name] for context in contexts if name in context}) > 1
    ]


def _setting(name: str, value: Any) -> str:
    words = {
        "residual": "residual" if value else "plain",
        "num_layers": f"{value} layers",
        "hidden_channels": f"width {value}",
        "perturbation": "no perturbation" if value == "none" else str(value),
        "drop_edge": f"drop edge {value}",
        "label_propagation": "bare" if value == "none" else f"label propagation {value}",
        "weights": f"{value} weights",
        "split": f"split {value}",
    }
    return words.get(name, str(value))


def _error_bars(points: Sequence[Point], colour: str) -> dict[str, Any]:
    def reach(end: float, estimate: float) -> float:
        return 0.0 if math.isnan(end) else abs(end - estimate)

    return {
        "type": "data",
        "symmetric": False,
        "array": [reach(point.high, point.estimate) for point in points],
        "arrayminus": [reach(point.low, point.estimate) for point in points],
        "color": colour,
        "thickness": 1.4,
        "width": 4,
    }


def _point_text(point: Point, is_share: bool) -> str:
    form = ".1%" if is_share else ".2f"
    ends = "" if math.isnan(point.low) else f" [{point.low:{form}}, {point.high:{form}}]"
    return f"{point.level}: {point.estimate:{form}}{ends}"


def _in_words(lines: Sequence[Line], is_share: bool) -> str:
    return "; ".join(
        f"{line.label}: {', '.join(_point_text(point, is_share) for point in line.points)}" for line in lines
    )
