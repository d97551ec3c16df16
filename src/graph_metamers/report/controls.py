"""Section 6: what gets as far as the metamers with less than a search, or with less than a trained model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graph_metamers.evidence.controls import BASELINE_MEASURES
from graph_metamers.report.cells import interval_text
from graph_metamers.report.control_figures import SHORT, ControlPoint, control_figure
from graph_metamers.report.labels import VARIED, model_labels
from graph_metamers.report.plots import LegendEntry, Plot, model_legend, plot
from graph_metamers.report.varied import unrelated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graph_metamers.auditing import Audit, LayerAudit
    from graph_metamers.evidence.controls import Baseline
    from graph_metamers.metrics import Interval
    from graph_metamers.report.labels import ModelLabel

HEADINGS: Mapping[str, str] = {
    "activation_loss": "Activation loss",
    "input_distance": "Input distance",
    "visible_distance": "Visible distance",
    "prediction_agreement": "Same prediction",
    "passing_share": "Pass all gates",
}
"""Measure -> heading of its column."""


@dataclass(frozen=True)
class Entry:
    """A number as shown, with its interval, which is empty where there is none."""

    text: str
    interval: str


@dataclass(frozen=True)
class ControlRow:
    """A line of the table.

    Attributes
    ----------
    label
        What it is about.
    kind
        `found`, `control` or `chance`.
    entries
        One a column; `None` where the measure does not apply.
    """

    label: str
    kind: str
    entries: tuple[Entry | None, ...]


@dataclass(frozen=True)
class ControlTable:
    """The controls of one layer of one model, between what was found and chance.

    Attributes
    ----------
    model, layer
        Where.
    columns
        Headings.
    rows
        What the searches found first, chance last.
    left_out
        Controls that could not be made, and why.
    """

    model: ModelLabel
    layer: str
    columns: tuple[str, ...]
    rows: tuple[ControlRow, ...]
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ControlsSection:
    """Section 6.

    Attributes
    ----------
    figures, legend
        Loss against distance, one a model and layer.
    tables
        The same and more in numbers.
    meanings
        What each control is: (label, sentence).
    features
        Whether features alone vary in any audit.
    """

    figures: tuple[Plot, ...]
    legend: tuple[LegendEntry, ...]
    tables: tuple[ControlTable, ...]
    meanings: tuple[tuple[str, str], ...]
    features: bool


def controls_section(audits: Sequence[Audit]) -> ControlsSection | None:
    """Section 6 of some audits; `None` where no layer has controls."""
    places = [
        (label, layer)
        for label, audit in zip(model_labels(audits), audits, strict=True)
        for layer in audit.layers
        if layer.baselines
    ]
    if not places:
        return None
    models = list(dict.fromkeys(label for label, _ in places))
    meanings = {
        (_told_apart(baseline.label, layer, places), baseline.meaning): None
        for _, layer in places
        for baseline in layer.baselines
    }
    return ControlsSection(
        tuple(_figure(number, label, layer) for number, (label, layer) in enumerate(places)),
        (
            *model_legend(models, line="none"),
            LegendEntry("loss that was asked for", None, "dot"),
        ),
        tuple(control_table(label, layer) for label, layer in places),
        tuple(meanings),
        any(layer.varies == "features" for _, layer in places),
    )


def _told_apart(name: str, layer: LayerAudit, places: Sequence[tuple[ModelLabel, LayerAudit]]) -> str:
    """The name of a control, with what varies where that is not the same for all of a page."""
    same = len({other.varies for _, other in places}) == 1
    return name if same else f"{name} ({VARIED[layer.varies]})"


def control_table(model: ModelLabel, layer: LayerAudit) -> ControlTable:
    """The controls of one layer in numbers."""
    measures = [name for name in BASELINE_MEASURES if name in layer.measures]
    found = {name: layer.measures[name].interval for name in measures}
    chance = {name: layer.measures[name].chance_interval for name in measures}
    controls = [
        ControlRow(
            baseline.label, "control", tuple(_entry(name, baseline.interval(name)) for name in measures)
        )
        for baseline in layer.baselines
        if not baseline.why_not
    ]
    return ControlTable(
        model,
        layer.name,
        tuple(HEADINGS[name] for name in measures),
        (
            ControlRow(what_was_found(layer), "found", _entries(found)),
            *controls,
            ControlRow(f"chance: {unrelated(layer)}", "chance", _entries(chance)),
        ),
        tuple((one.label, one.why_not) for one in layer.baselines if one.why_not),
    )


def what_was_found(layer: LayerAudit) -> str:
    """What the searches of a layer came to, as in the table of graphs."""
    several = len(layer.starts) > 1
    if layer.is_matched:
        return "metamers" if several else "metamer"
    if layer.num_metamers:
        return "what was found"
    return "best attempts" if several else "best attempt"


def control_points(layer: LayerAudit) -> tuple[ControlPoint, ...]:
    """The points of a layer's figure: those whose loss and distance are numbers."""
    loss, distance = (layer.measures[name] for name in ("activation_loss", "input_distance"))
    points = [ControlPoint("found", "", what_was_found(layer), loss.interval, distance.interval)]
    points += [point for baseline in layer.baselines if (point := _point(baseline)) is not None]
    points.append(ControlPoint("chance", "", "chance", loss.chance_interval, distance.chance_interval))
    return tuple(p for p in points if _is_number(p.loss) and _is_number(p.distance))


def _point(baseline: Baseline) -> ControlPoint | None:
    loss, distance = (baseline.interval(name) for name in ("activation_loss", "input_distance"))
    if loss is None or distance is None:
        return None
    return ControlPoint("control", baseline.name, SHORT[baseline.name], loss, distance)


def _is_number(interval: Interval) -> bool:
    return math.isfinite(interval.estimate)


def _figure(number: int, model: ModelLabel, layer: LayerAudit) -> Plot:
    points = control_points(layer)
    alt = "; ".join(
        f"{point.text}: loss {interval_text('activation_loss', point.loss)[0]} at an input distance of "
        f"{interval_text('input_distance', point.distance)[0]}"
        for point in points
    )
    return plot(
        f"plot-controls-{number}",
        control_figure(model, points, layer.metamer.tolerance),
        heading=f"{model.flagged}, layer {layer.name}",
        alt=alt,
    )


def _entries(intervals: Mapping[str, Interval]) -> tuple[Entry | None, ...]:
    return tuple(_entry(name, interval) for name, interval in intervals.items())


def _entry(name: str, interval: Interval | None) -> Entry | None:
    return None if interval is None else Entry(*interval_text(name, interval))
