"""A number in a table: its value and interval beside its chance level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graph_metamers.report.numbers import correlation, decibel, ends, fraction, loss_number, number, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graph_metamers.evidence.measures import Measure
    from graph_metamers.metrics import Interval


@dataclass(frozen=True)
class Cell:
    """A value beside its chance level, each with its interval; empty where there is none."""

    value: str
    chance: str
    interval: str = ""
    chance_interval: str = ""


def measure_cell(measure: Measure) -> Cell:
    """A measure as shown, in its unit."""
    show = _FORMATS.get(measure.name, number)
    return Cell(
        show(measure.value),
        show(measure.chance),
        ends(measure.interval, show),
        ends(measure.chance_interval, show),
    )


def interval_text(name: str, interval: Interval) -> tuple[str, str]:
    """Mean and interval of the measure of that name as shown; the interval is empty where there is none."""
    show = _FORMATS.get(name, number)
    return show(interval.estimate), ends(interval, show)


_SHARES = (
    "prediction_agreement",
    "matched_share",
    "closer_share",
    "different_share",
    "passing_share",
    "visible_share",
    "null_space_share",
    "kept_degrees",
)

_FORMATS: Mapping[str, Callable[[float], str]] = {
    "snr_db": decibel,
    "activation_loss": loss_number,
    **dict.fromkeys(("edge_overlap", "homophily", "clustering"), fraction),
    **dict.fromkeys(_SHARES, percent),
    **dict.fromkeys(("spearman", "pearson", "cosine", "centred_cosine"), correlation),
}
