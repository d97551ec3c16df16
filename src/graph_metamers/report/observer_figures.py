"""Who still recognises what was found: the figure of Feather et al. 2023, for classes of observers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from graph_metamers.errors import ParameterError
from graph_metamers.evidence.panel_members import KIND_TEXTS, KINDS
from graph_metamers.evidence.panel_report import CHANCE, REFERENCE
from graph_metamers.report.axes import base_layout, draw_horizontal
from graph_metamers.report.labels import for_figure
from graph_metamers.report.numbers import ends, percent
from graph_metamers.report.theme import series_colour, symbol
from graph_metamers.report.varied import unrelated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.auditing import Audit
    from graph_metamers.evidence.panel_members import ObserverKind
    from graph_metamers.metrics import Interval
    from graph_metamers.report.labels import ModelLabel


@dataclass(frozen=True)
class Recognition:
    """How much one class of observers recognises, on each kind of graph.

    Attributes
    ----------
    kind
        Which class.
    num_observers
        How many there are of it.
    reference, chance
        Share of the judged nodes whose label they give, on the reference and on unrelated graphs.
    found
        The same on what was found for every layer, in the order of the layers.
    """

    kind: ObserverKind
    num_observers: int
    reference: Interval
    found: tuple[Interval, ...]
    chance: Interval

    @property
    def index(self) -> int:
        """Its place among the classes of observers, from 0: colour and marker shape."""
        return KINDS.index(self.kind)

    @property
    def text(self) -> str:
        """How it is called."""
        name = KIND_TEXTS[self.kind]
        return f"{name} ({self.num_observers})" if self.num_observers > 1 else name


@dataclass(frozen=True)
class RecognitionCurves:
    """Recognition against the generating layer, of one audited model.

    Attributes
    ----------
    model
        Which model.
    layers
        Names of the layers, the columns between the reference and chance.
    lines
        One a class of observers.
    majority
        Share of the most frequent class.
    unrelated
        What the last column is called.
    """

    model: ModelLabel
    layers: tuple[str, ...]
    lines: tuple[Recognition, ...]
    majority: float
    unrelated: str


def recognition_curves(model: ModelLabel, audit: Audit) -> RecognitionCurves:
    """The numbers behind the figure of one audit.

    Raises
    ------
    ParameterError
        If nobody watched it.
    """
    watched = audit.observers
    if watched is None:
        raise ParameterError("audit", "one with observers", audit.model_name)
    lines = tuple(
        Recognition(
            kind,
            len(watched.of_kind(kind)),
            watched.interval("accuracy", kind, REFERENCE),
            tuple(watched.interval("accuracy", kind, layer) for layer in watched.layers),
            watched.interval("accuracy", kind, CHANCE),
        )
        for kind in watched.kinds
    )
    return RecognitionCurves(model, watched.layers, lines, watched.majority, unrelated(audit))


def recognition_figure(curves: RecognitionCurves) -> go.Figure:
    """Share of nodes that are recognised against the layer whose metamers are shown, a line a class."""
    figure = go.Figure()
    columns = [REFERENCE, *curves.layers]
    last = len(columns)
    for place, line in enumerate(curves.lines):
        # Classes whose values agree would hide each other.
        shift = 0.07 * (place - (len(curves.lines) - 1) / 2)
        seen = [line.reference, *line.found]
        figure.add_scatter(
            **_points(line, [column + shift for column in range(last)], seen, columns),
            mode="lines+markers",
        )
        figure.add_scatter(
            **_points(line, [last + shift], [line.chance], [curves.unrelated], is_open=True),
            mode="markers",
        )
    figure.update_layout(base_layout("Shown to the observers", "Nodes recognised"))
    texts = ["the reference", *(f"found for<br>{for_figure(layer)}" for layer in curves.layers), "chance"]
    figure.update_xaxes(range=[-0.5, last + 0.5], tickvals=list(range(last + 1)), ticktext=texts)
    figure.update_yaxes(range=[-0.03, 1.06], tickformat=".0%", dtick=0.25)
    draw_horizontal(figure, curves.majority, "most frequent class", dash="dash", above=True)
    return figure


def _points(
    line: Recognition,
    places: Sequence[float],
    seen: Sequence[Interval],
    columns: Sequence[str],
    *,
    is_open: bool = False,
) -> dict[str, Any]:
    colour = series_colour(line.index).light
    return {
        "x": list(places),
        "y": [interval.estimate for interval in seen],
        "error_y": _bars(seen, colour),
        "name": line.text,
        "line": {"color": colour, "width": 2},
        "marker": {
            "symbol": symbol(line.index) + ("-open" if is_open else ""),
            "size": 10,
            "color": colour,
            "line": {"width": 2, "color": colour},
        },
        "hovertext": [_hover(line, *pair) for pair in zip(columns, seen, strict=True)],
        "hoverinfo": "text",
        "cliponaxis": False,
    }


def _bars(seen: Sequence[Interval], colour: str) -> dict[str, Any]:
    """The intervals; where there is none, no bar."""
    above = [interval.high - interval.estimate for interval in seen]
    below = [interval.estimate - interval.low for interval in seen]
    return {
        "type": "data",
        "symmetric": False,
        "array": [0.0 if math.isnan(length) else length for length in above],
        "arrayminus": [0.0 if math.isnan(length) else length for length in below],
        "color": colour,
        "thickness": 2,
        "width": 6,
    }


def _hover(line: Recognition, column: str, interval: Interval) -> str:
    limits = ends(interval, percent)
    return (
        f"{line.text}, {for_figure(column)}<br>{escape(percent(interval.estimate))} recognised"
        f"{f', 95% interval {escape(limits)}' if limits else ''}"
    )
