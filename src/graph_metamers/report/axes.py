"""The frame of every figure: layout, ticks, and the lines that show chance and thresholds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from graph_metamers.report.numbers import MINUS
from graph_metamers.report.theme import BACKGROUND, CHANCE, MUTED, RULE, TEXT

if TYPE_CHECKING:
    import plotly.graph_objects as go

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


def power_ticks(low: float, high: float) -> dict[str, list[Any]]:
    """Ticks of an axis of powers of ten that runs from one exponent to another."""
    step = max(1, round((high - low) / 6))
    powers = range(math.ceil(low), math.floor(high) + 1, step)
    return {"tickvals": [10.0**p for p in powers], "ticktext": [_power_text(p) for p in powers]}


def _power_text(power: int) -> str:
    if -3 <= power <= 3:
        return f"{10.0**power:g}"
    return f"10<sup>{power}</sup>".replace("-", MINUS)


def step_ticks(low: int, largest: int) -> dict[str, list[Any]]:
    """Ticks of such an axis of steps: 1, 2, 5, 10, ..., fewer where they would crowd a telephone."""
    values = [k * 10**p for p in range(low, 7) for k in (1, 2, 5) if k * 10**p <= max(2, largest)]
    values = values if len(values) <= 7 else [value for value in values if str(value)[0] == "1"]
    return {"tickvals": values, "ticktext": [f"{value:,}" for value in values]}


def base_layout(x_title: str, y_title: str) -> dict[str, Any]:
    """What all figures have in common, with the titles of their axes."""
    axis: dict[str, Any] = {
        "gridcolor": RULE.light,
        "linecolor": MUTED.light,
        "zerolinecolor": RULE.light,
        "tickcolor": MUTED.light,
        "showline": True,
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
        "ticks": "outside",
        "title": {"standoff": 8},
    }
    return {
        "template": None,
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,
        "paper_bgcolor": BACKGROUND.light,
        "plot_bgcolor": BACKGROUND.light,
        "font": {"family": FONT, "size": 13, "color": TEXT.light},
        "margin": {"l": 56, "r": 12, "t": 14, "b": 52},
        "hoverlabel": {
            "bgcolor": BACKGROUND.light,
            "bordercolor": MUTED.light,
            "font": {"family": FONT, "size": 13, "color": TEXT.light},
        },
        "xaxis": {**axis, "title": {"text": x_title, "standoff": 8}},
        "yaxis": {**axis, "title": {"text": y_title, "standoff": 8}},
    }


def draw_horizontal(
    figure: go.Figure,
    y: float,
    text: str,
    *,
    dash: str,
    above: bool,
    log: bool = False,
    right: bool = False,
) -> None:
    """Draw a grey line across the figure, with its meaning beside it, at the left or the right end."""
    figure.add_shape(
        type="line",
        xref="paper",
        x0=0,
        x1=1,
        y0=y,
        y1=y,
        line={"color": CHANCE.light, "dash": dash, "width": 2},
    )
    figure.add_annotation(
        xref="paper",
        x=0.99 if right else 0.01,
        xanchor="right" if right else "left",
        # Annotations, unlike shapes, are placed in powers of ten on such an axis.
        y=math.log10(y) if log else y,
        yanchor="bottom" if above else "top",
        text=text,
        showarrow=False,
        font={"color": CHANCE.light, "size": 12},
    )
