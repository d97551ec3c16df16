"""The colours and marker shapes of the report, light and dark.

All data colours are of the palette of Okabe and Ito (2008), which people with the common colour
blindnesses can tell apart. Each model has a marker shape besides, so that no figure needs its colours.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Colour:
    """One colour of the page.

    Attributes
    ----------
    name
        Name of its CSS variable, without the dashes.
    light, dark
        `#rrggbb` in either scheme.
    """

    name: str
    light: str
    dark: str


BACKGROUND = Colour("background", "#ffffff", "#14171c")
PANEL = Colour("panel", "#f4f6f8", "#1d2229")
TEXT = Colour("text", "#1b1f24", "#e7eaee")
MUTED = Colour("muted", "#535c66", "#a9b2bd")
RULE = Colour("rule", "#d5dae0", "#39414b")
LINK = Colour("link", "#005f95", "#7cc4ee")
FLAG_TEXT = Colour("flag-text", "#fffefd", "#15181d")
FLAG = Colour("flag", "#b34f00", "#e79f01")
CHANCE = Colour("chance", "#5f6873", "#b9c1cb")
"""Everything that shows chance: the same grey in every figure, always dashed."""

SERIES = (
    Colour("series-0", "#0072b2", "#56b4e9"),
    Colour("series-1", "#d55e00", "#e69f00"),
    Colour("series-2", "#009e73", "#009e74"),
    Colour("series-3", "#cc79a7", "#cc79a8"),
    Colour("series-4", "#000000", "#f0e442"),
    Colour("series-5", "#56b4e9", "#0072b2"),
)
"""One a model. The schemes use other members of the palette where one would not stand out."""

SYMBOLS = ("circle", "square", "triangle-up", "diamond", "cross", "star-triangle-down")
"""Plotly's marker symbols, one a model."""

SYMBOL_PATHS = (
    "M8 3a5 5 0 1 0 0 10a5 5 0 1 0 0-10z",
    "M3.5 3.5h9v9h-9z",
    "M8 2.5l6 10.5h-12z",
    "M8 2l6 6-6 6-6-6z",
    "M6 2h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
    "M2 4q6 3 12 0q-4 4-6 10q-2-6-6-10z",
)
"""The same symbols as SVG paths in a box of 16 x 16, for the legends."""

ALL_COLOURS = (BACKGROUND, PANEL, TEXT, MUTED, RULE, LINK, FLAG_TEXT, FLAG, CHANCE, *SERIES)


def series_colour(index: int) -> Colour:
    """The colour of the model with this place among the audits, from 0; they repeat after six."""
    return SERIES[index % len(SERIES)]


def symbol(index: int) -> str:
    """The plotly marker symbol of the model with this place; shifted at each repetition of the colours."""
    return SYMBOLS[symbol_index(index)]


def symbol_index(index: int) -> int:
    """Which of `SYMBOLS` the model with this place has."""
    return (index + index // len(SERIES)) % len(SYMBOLS)


def recolouring() -> dict[str, str]:
    """Light colour -> dark colour: what the page's script replaces in every figure.

    Figures are made with the light colours; each of them is the key of exactly one dark colour.
    """
    return {colour.light: colour.dark for colour in ALL_COLOURS}


def css_variables(scheme: str) -> str:
    """The colours as CSS declarations, for `light` or `dark`."""
    return " ".join(f"--{colour.name}: {getattr(colour, scheme)};" for colour in ALL_COLOURS)
