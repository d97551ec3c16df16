"""Spectra of section 5: how strongly layers see the directions that they see."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from graph_metamers.report.axes import base_layout, power_ticks
from graph_metamers.report.labels import for_figure
from graph_metamers.report.numbers import loss_number
from graph_metamers.report.plots import Plot, plot
from graph_metamers.report.theme import series_colour, symbol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.auditing.theory import LayerTheory
    from graph_metamers.report.labels import ModelLabel

LEAST = 1e-6
FEW_DIRECTIONS = 12  # so few have a tick each
"""Smaller singular values, over the largest, are not drawn: they are rounding, or as good as not seen."""

Line = tuple["ModelLabel", "LayerTheory"]


def spectrum_plot(identifier: str, heading: str, lines: Sequence[Line]) -> Plot:
    """Singular values of the Jacobians of a layer's nodes, one line a model."""
    ends = [f"{model.flagged}: {_end(layer)}" for model, layer in lines]
    alt = f"Singular value over the largest, median over nodes, falls from 1 to: {'; '.join(ends)}"
    return plot(identifier, spectrum_figure(lines), heading=heading, alt=alt)


def _end(layer: LayerTheory) -> str:
    """The last direction that the median node sees."""
    seen = sum(row[1] >= LEAST for row in layer.spectrum)
    return f"{loss_number(layer.spectrum[seen - 1][1])} at direction {seen} of {len(layer.spectrum)}"


def spectrum_figure(lines: Sequence[Line]) -> go.Figure:
    """Singular values over the largest of the same node: medians, and bars from 10% to 90% of the nodes."""
    figure = go.Figure()
    drawn = [value for _, layer in lines for row in layer.spectrum if row[1] >= LEAST for value in row[:2]]
    bottom = math.floor(math.log10(min(value for value in drawn if value >= LEAST)) * 2) / 2
    edge = 10 ** (bottom - 0.05)
    for place, (model, layer) in enumerate(lines):
        colour = series_colour(model.index).light
        shift = 0.08 * (place - (len(lines) - 1) / 2)  # bars of models that agree would hide each other
        seen = [row for row in layer.spectrum if row[1] >= LEAST]
        low, middle, high = (list(column) for column in zip(*seen, strict=True))
        figure.add_scatter(
            x=[number + 1 + shift for number in range(len(middle))],
            y=middle,
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [top - at for top, at in zip(high, middle, strict=True)],
                "arrayminus": [at - max(edge, under) for at, under in zip(middle, low, strict=True)],
                "color": colour,
                "thickness": 1,
                "width": 2,
            },
            mode="lines+markers",
            name=for_figure(model.flagged),
            line={"color": colour, "width": 2},
            marker={"symbol": symbol(model.index), "size": 6, "color": colour},
            hovertext=[
                f"{for_figure(model.flagged)}<br>direction {number + 1}: {loss_number(value)} of the first"
                for number, value in enumerate(middle)
            ],
            hoverinfo="text",
        )
    width = max(len(layer.spectrum) for _, layer in lines)
    figure.update_layout(base_layout("Direction, the strongest first", "Singular value / largest"))
    few = {"dtick": 1} if width <= FEW_DIRECTIONS else {}
    figure.update_xaxes(tickformat="d", range=[0.5, width + 0.5], **few)
    figure.update_yaxes(type="log", range=[bottom - 0.05, 0.1], tickmode="array", **power_ticks(bottom, 0.1))
    return figure
