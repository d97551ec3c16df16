"""A figure as the page shows it: data for plotly's script, a legend, a caption, and the figure in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import plotly.io as pio
from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from graph_metamers.report.labels import ModelLabel

Line = Literal["solid", "dash", "dot", "dashdot", "none"]


@dataclass(frozen=True)
class LegendEntry:
    """One line of a legend.

    Attributes
    ----------
    text
        What it means.
    model
        Whose colour and marker it has; `None` for a line of no model.
    line
        How its line is drawn.
    colour
        CSS variable of the line of no model; default: the grey of chance and of thresholds.
    """

    text: str
    model: ModelLabel | None
    line: Line
    colour: str = "chance"


@dataclass(frozen=True)
class Plot:
    """One figure.

    Attributes
    ----------
    id
        Unique on the page.
    heading, caption, alt
        What it is, how to read it, and what it shows in words.
    legend
        Its legend, which is not plotly's.
    data
        JSON that is safe inside a script element.
    is_tall
        Whether it needs more height than others, as for a long legend of plotly's.
    """

    id: str
    heading: str
    caption: str
    alt: str
    legend: tuple[LegendEntry, ...]
    data: Markup
    is_tall: bool = False


def plot(
    identifier: str,
    figure: go.Figure,
    *,
    heading: str,
    alt: str,
    caption: str = "",
    legend: Sequence[LegendEntry] = (),
    is_tall: bool = False,
) -> Plot:
    """Make a plotly figure ready for the page."""
    return Plot(identifier, heading, caption, alt, tuple(legend), script_json(pio.to_json(figure)), is_tall)


def script_json(json: str) -> Markup:
    """JSON that cannot end the script element it stands in, nor open a comment in it."""
    safe = json.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(safe)  # noqa: S704 (the three characters that HTML knows are gone)


def model_legend(
    models: Sequence[ModelLabel], *, line: Line = "solid", chance: str = "", threshold: str = ""
) -> tuple[LegendEntry, ...]:
    """A legend with a line for each model, and what the dashed and the dotted lines mean."""
    entries = [LegendEntry(model.text, model, line) for model in models]
    entries += [LegendEntry(chance, None, "dash")] if chance else []
    entries += [LegendEntry(threshold, None, "dot")] if threshold else []
    return tuple(entries)
