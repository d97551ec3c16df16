"""Draws what `features.py` has saved: a page that needs no network, and a picture for the documentation."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from plotly.subplots import make_subplots
from tables import TOLERANCES, arrival, cell_name, summary

if TYPE_CHECKING:
    import plotly.graph_objects as go

TITLE, TIME, ROWS = "Time to a feature metamer", "time (s, logarithmic)", "data set, model, layer"
TICKS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100]
LINES, BUDGET = "#d5dae0", "#535c66"

mpl.rcParams["svg.fonttype"] = "none"  # text stays text
mpl.rcParams["svg.hashsalt"] = "graph-metamers"  # the same numbers give the same file


@dataclass(frozen=True)
class Style:
    """How a contender looks: the palette of Okabe and Ito, and a shape of its own."""

    label: str
    colour: str
    symbol: str  # of plotly
    marker: str  # of matplotlib
    shift: float  # rows; so that those who did not arrive do not hide each other


STYLES = {  # the last one is drawn on top
    "adam": Style("Adam on X", "#d55e00", "square", "s", -0.27),
    "plenoptic": Style("plenoptic", "#009e73", "diamond", "D", 0.27),
    "ours": Style("ours", "#0072b2", "circle", "o", 0.0),
}


@dataclass(frozen=True)
class Dot:
    """One contender on one cell: seconds to a tolerance, or its budget if it did not arrive."""

    cell: str
    row: float
    seconds: float
    arrived: bool


def dots(told: dict[str, Any], contender: str, tolerance: str) -> list[Dot]:
    """A contender's dots of all cells, the first cell in row 0."""
    found = []
    for row, cell in enumerate(told["cells"]):
        seconds = min(arrival(cell[contender], tolerance), told["budget"])
        arrived = arrival(cell[contender], tolerance) < math.inf
        found.append(Dot(cell_name(cell), row + STYLES[contender].shift, seconds, arrived))
    return found


def caption(told: dict[str, Any]) -> list[str]:
    """What the picture cannot say: threads, budget, and the ratios, which depend least on the machine."""
    return [
        f"Threads: {told['threads']}. At most {told['budget']:g} s each (dotted); white: not arrived.",
        "All contenders of a cell ran in turns on one machine, so that ratios say more than seconds:",
        "the better peer's over ours, where a peer that does not arrive counts as at its budget.",
        *summary(told["cells"], told["budget"]),
    ]


def page(told: dict[str, Any]) -> go.Figure:
    """The figure of the page: a panel for each tolerance, a row for each cell."""
    figure = make_subplots(
        1, 2, shared_xaxes="all", shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=_titles()
    )
    for column, tolerance in enumerate(TOLERANCES, 1):
        for contender, style in STYLES.items():
            found = dots(told, contender, tolerance)
            figure.add_scatter(
                x=[dot.seconds for dot in found],
                y=[dot.row for dot in found],
                text=[f"{dot.cell}: {'' if dot.arrived else 'not in '}{dot.seconds:.2f} s" for dot in found],
                mode="markers",
                marker={
                    "color": [style.colour if dot.arrived else "white" for dot in found],
                    "symbol": style.symbol,
                    "size": 9,
                    "line": {"width": 2, "color": style.colour},
                },
                hovertemplate=f"{style.label}, %{{text}}<extra></extra>",
                showlegend=False,
                row=1,
                col=column,
            )
        line = {"dash": "dot", "color": BUDGET}
        figure.add_vline(told["budget"], line=line, layer="below", row=1, col=column)
    for style in STYLES.values():  # a legend of its own: plotly's would show each first marker, white or not
        marker = {"color": style.colour, "symbol": style.symbol, "size": 9}
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=style.label)
    _dress(figure, [cell_name(cell) for cell in told["cells"]], "<br>".join(caption(told)))
    return figure


def _dress(figure: go.Figure, names: list[str], below: str) -> None:
    """Axes, caption, legend and size."""
    figure.update_xaxes(type="log", title=TIME, tickvals=TICKS, gridcolor=LINES)
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=names,
        range=[len(names) - 0.5, -0.5],
        gridcolor=LINES,
        zeroline=False,
    )
    figure.update_yaxes(title=ROWS, row=1, col=1)
    add_caption(figure, below)
    figure.update_layout(
        title=TITLE,
        template="plotly_white",
        height=330 + 26 * len(names),
        margin={"t": 100, "b": 170},
        legend={
            "orientation": "h",
            "x": 1,
            "xanchor": "right",
            "yref": "container",
            "y": 0.93,
            "yanchor": "bottom",
        },
    )


def picture(told: dict[str, Any]) -> Figure:
    """The same, for matplotlib."""
    names = [cell_name(cell) for cell in told["cells"]]
    figure = Figure(figsize=(9, 2.4 + 0.3 * len(names)), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for panel, tolerance, title in zip(panels, TOLERANCES, _titles(), strict=True):
        panel.axvline(told["budget"], linestyle=":", color=BUDGET)
        for contender, style in STYLES.items():
            for arrived in (True, False):
                chosen = [dot for dot in dots(told, contender, tolerance) if dot.arrived is arrived]
                panel.scatter(
                    [dot.seconds for dot in chosen],
                    [dot.row for dot in chosen],
                    marker=style.marker,
                    edgecolors=style.colour,
                    facecolors=style.colour if arrived else "white",
                    label=style.label if arrived else None,
                    zorder=3,
                )
        panel.set(xscale="log", xlabel=TIME, title=title)
        panel.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
        panel.grid(color=LINES)
        panel.autoscale()
    panels[0].set(ylabel=ROWS, yticks=range(len(names)), yticklabels=names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    figure.suptitle(TITLE, x=0.01, ha="left")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False)
    figure.supxlabel("\n".join(caption(told)), fontsize="small", x=0.01, ha="left")
    return figure


def _titles() -> list[str]:
    return [f"to a loss of {float(tolerance):g}" for tolerance in TOLERANCES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, default=Path("artefacts/bench/features.json"))
    path: Path = parser.parse_args().input
    told = json.loads(path.read_text())
    page(told).write_html(path.with_suffix(".html"), include_plotlyjs=True, config={"displayModeBar": False})
    picture(told).savefig(path.with_suffix(".svg"), metadata={"Date": None})
    print(path.with_suffix(".html"), path.with_suffix(".svg"))


def add_caption(figure: go.Figure, text: str) -> None:
    """What a picture shows, in words below it."""
    figure.add_annotation(
        text=text,
        xref="paper",
        yref="paper",
        x=0,
        y=0,
        yshift=-60,
        xanchor="left",
        yanchor="top",
        align="left",
        showarrow=False,
    )


if __name__ == "__main__":
    main()
