"""Draws what `edges.py` and `edge_growth.py` have saved: a page that needs no network, and a picture."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_contenders import SETTINGS
from matplotlib.figure import Figure
from plotly.subplots import make_subplots
from plots import LINES, ROWS, STYLES, Style, add_caption

if TYPE_CHECKING:
    import plotly.graph_objects as go

TITLES = ("Loss after equal time, without an edge of the reference", "Time of annealing")
LOSS, EDGES, TIME = "activation loss (logarithmic)", "edges (logarithmic)", "time (s, logarithmic)"
CHANCE = Style("random graph", "#535c66", "line-ns-open", "|", 0.0)
LOOKS = {
    "straight-through": Style("straight-through", "#d55e00", "square", "s", 0.0),
    "straight-through (paper)": Style("straight-through (paper)", "#cc79a7", "triangle-up", "^", 0.0),
    "PRBCD": Style("PRBCD", "#009e73", "diamond", "D", 0.0),
    "PRBCD (degrees kept)": Style("PRBCD, degrees kept", "#7a5200", "diamond-open", "d", 0.0),
    "ours": STYLES["ours"],
}


def rows(edges: dict[str, Any]) -> list[str]:
    """Names of the cells, the first in row 0."""
    return [
        f"{one['dataset']} {one['model']} {one['layer']}, training {one['seed']}" for one in edges["cells"]
    ]


def losses(edges: dict[str, Any]) -> list[tuple[Style, list[float]]]:
    """Each contender's losses, and those of random graphs, cell after cell; the last one is drawn on top."""
    chance = (CHANCE, [float(cell["random_loss"]) for cell in edges["cells"]])
    names = [*(name for name in SETTINGS if name != "ours"), "ours"]
    return [
        chance,
        *((LOOKS[name], [float(cell[name]["loss"]) for cell in edges["cells"]]) for name in names),
    ]


def caption(edges: dict[str, Any], growth: dict[str, Any]) -> list[str]:
    """What the picture cannot say."""
    last = growth["sizes"][-1]
    return [
        f"Left: {edges['seconds']:g} s each on {edges['threads']} thread, {edges['lanes']} rows at a time; "
        "ours keeps degrees, of the others only the one that is named so.",
        f"Right: {last['proposals'] / last['edges']:g} proposals for every edge, {growth['width']} numbers a "
        f"node, {growth['threads']} thread; exponent {growth['exponent']:.2f}; at {last['edges']:,} edges "
        f"{last['proposals_a_second'] / 1e6:.2f} million proposals a second, "
        f"{last['peak_mib'] / 1024:.1f} GiB.",
    ]


def page(edges: dict[str, Any], growth: dict[str, Any]) -> go.Figure:
    """The figure of the page."""
    names = rows(edges)
    figure = make_subplots(1, 2, column_widths=[0.6, 0.4], horizontal_spacing=0.1, subplot_titles=TITLES)
    for style, found in losses(edges):
        figure.add_scatter(
            x=found,
            y=names,
            mode="markers",
            name=style.label,
            marker={"color": style.colour, "symbol": style.symbol, "size": 11},
            hovertemplate=f"%{{y}}: {style.label} %{{x:.4f}}<extra></extra>",
            row=1,
            col=1,
        )
    figure.add_scatter(
        x=[one["edges"] for one in growth["sizes"]],
        y=[one["seconds"] for one in growth["sizes"]],
        mode="lines+markers",
        marker={"color": STYLES["ours"].colour},
        hovertemplate="%{x:,} edges: %{y:.1f} s<extra></extra>",
        showlegend=False,
        row=1,
        col=2,
    )
    figure.update_xaxes(type="log", title=LOSS, gridcolor=LINES, row=1, col=1)
    figure.update_yaxes(title=ROWS, autorange="reversed", gridcolor=LINES, row=1, col=1)
    figure.update_xaxes(type="log", title=EDGES, gridcolor=LINES, row=1, col=2)
    figure.update_yaxes(type="log", title=TIME, gridcolor=LINES, row=1, col=2)
    add_caption(figure, "<br>".join(caption(edges, growth)))
    figure.update_layout(
        template="plotly_white",
        height=560,
        margin={"t": 110, "b": 130},
        legend={"orientation": "h", "x": 0, "y": 1.15, "yanchor": "bottom"},
    )
    return figure


def picture(edges: dict[str, Any], growth: dict[str, Any]) -> Figure:
    """The same, for matplotlib."""
    names = rows(edges)
    figure = Figure(figsize=(10, 2.8 + 0.35 * len(names)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[0.6, 0.4])
    for style, found in losses(edges):
        left.scatter(
            found, range(len(names)), marker=style.marker, color=style.colour, label=style.label, zorder=3
        )
    left.set(xscale="log", xlabel=LOSS, ylabel=ROWS, yticks=range(len(names)), yticklabels=names)
    left.set_ylim(len(names) - 0.5, -0.5)
    sizes = growth["sizes"]
    right.plot(
        [one["edges"] for one in sizes],
        [one["seconds"] for one in sizes],
        marker="o",
        color=STYLES["ours"].colour,
    )
    right.set(xscale="log", yscale="log", xlabel=EDGES, ylabel=TIME)
    for panel, title in zip((left, right), TITLES, strict=True):
        panel.set_title(title, fontsize="medium")
        panel.grid(color=LINES)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=5, frameon=False)
    figure.supxlabel("\n".join(caption(edges, growth)), fontsize="small", x=0.01, ha="left")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("artefacts/bench"))
    folder: Path = parser.parse_args().folder
    edges, growth = (json.loads((folder / f"{name}.json").read_text()) for name in ("edges", "edge_growth"))
    path = folder / "edges"
    page(edges, growth).write_html(
        path.with_suffix(".html"), include_plotlyjs=True, config={"displayModeBar": False}
    )
    picture(edges, growth).savefig(path.with_suffix(".svg"), metadata={"Date": None})
    print(path.with_suffix(".html"), path.with_suffix(".svg"))


if __name__ == "__main__":
    main()
