"""Sections 3 and 4: how far the metamers of each layer are, and how well single nodes are matched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graph_metamers.report.curves import depth_points, distributions, layers_at
from graph_metamers.report.figures import depth_figure, distribution_figure
from graph_metamers.report.labels import depth_name, depths, model_labels
from graph_metamers.report.numbers import correlation, count, decibel, number, percent
from graph_metamers.report.plots import LegendEntry, Plot, model_legend, plot
from graph_metamers.synthesis import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graph_metamers.auditing import Audit, LayerAudit
    from graph_metamers.evidence.measures import Measure
    from graph_metamers.report.curves import LayerDistribution
    from graph_metamers.report.labels import ModelLabel


@dataclass(frozen=True)
class Cell:
    """A value beside its chance level."""

    value: str
    chance: str


@dataclass(frozen=True)
class LayerRow:
    """One layer of one model in the table of section 3."""

    model: ModelLabel
    layer: str
    width: str
    is_metamer: bool
    status: str
    loss: Cell
    distance: Cell
    matched: Cell
    same: Cell


@dataclass(frozen=True)
class LayersSection:
    """Section 3."""

    figure: Plot
    rows: tuple[LayerRow, ...]


@dataclass(frozen=True)
class MeasureRow:
    """One measure of every layer, beside chance."""

    label: str
    meaning: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class EvidenceSection:
    """Section 4.

    Attributes
    ----------
    figures
        One for each depth.
    columns
        Model and layer of each column of the table.
    rows
        The measures.
    odd
        Sentences about nodes that no axis can show.
    """

    figures: tuple[Plot, ...]
    legend: tuple[LegendEntry, ...]
    columns: tuple[tuple[ModelLabel, str], ...]
    rows: tuple[MeasureRow, ...]
    odd: tuple[str, ...]


def layers_section(audits: Sequence[Audit]) -> LayersSection | None:
    """Section 3 of some audits; `None` without a layer."""
    if not depths(audits):
        return None
    labels = model_labels(audits)
    lines = [(label, depth_points(audit)) for label, audit in zip(labels, audits, strict=True)]
    names = {depth: depth_name(audits, depth) for depth in depths(audits)}
    minimum = max(layer.metamer.min_distance for audit in audits for layer in audit.layers)
    figure = plot(
        "plot-depth",
        depth_figure(lines, names, minimum),
        heading="How far the input is from the reference, layer by layer",
        alt="; ".join(
            f"{label.flagged} at {point.layer}: distance {number(point.distance)}, "
            f"{percent(point.matched_share)} of nodes matched"
            for label, points in lines
            for point in points
        )
        + ". Unrelated features: 1.",
        legend=(
            *model_legend([label for label, points in lines if points]),
            LegendEntry("chance: unrelated features", None, "dash"),
            LegendEntry("limit: below it is the reference again", None, "dot"),
        ),
    )
    rows = [
        _layer_row(label, layer)
        for label, audit in zip(labels, audits, strict=True)
        for layer in audit.layers
    ]
    return LayersSection(figure, tuple(rows))


def evidence_section(audits: Sequence[Audit]) -> EvidenceSection | None:
    """Section 4 of some audits; `None` without a layer."""
    pairs = list(zip(model_labels(audits), audits, strict=True))
    if not depths(audits):
        return None
    figures, odd = [], []
    for depth in depths(audits):
        found = distributions(pairs, depth)
        tolerance = max(layer.metamer.item_tolerance for _, layer in layers_at(pairs, depth))
        name = depth_name(audits, depth)
        figures.append(
            plot(
                f"plot-snr-{depth}",
                distribution_figure(found, tolerance),
                heading=f"Layer {name}",
                alt=_distribution_alt(found),
            )
        )
        odd += [sentence for entry in found for sentence in _odd_nodes(entry)]
    columns = [(label, layer) for label, audit in pairs for layer in audit.layers]
    return EvidenceSection(
        tuple(figures),
        _evidence_legend([label for label, audit in pairs if audit.layers]),
        tuple((label, layer.name) for label, layer in columns),
        _measure_rows([layer for _, layer in columns]),
        tuple(odd),
    )


def measure_cell(measure: Measure) -> Cell:
    """A measure as shown, in its unit."""
    show = _FORMATS.get(measure.name, number)
    return Cell(show(measure.value), show(measure.chance))


_FORMATS: Mapping[str, Callable[[float], str]] = {
    "snr_db": decibel,
    "prediction_agreement": percent,
    **dict.fromkeys(("spearman", "pearson", "cosine", "centred_cosine"), correlation),
}


_ENDED: Mapping[Status, str] = {
    Status.CONVERGED: "metamer found",
    Status.MAX_STEPS: "none found in {steps} steps",
    Status.TIME_LIMIT: "none found in time",
    Status.STALLED: "stalled, none found",
    Status.NON_FINITE: "stopped: not finite",
    Status.DISCRETISATION_LOST: "lost on the real graph",
    Status.RECOVERED_REFERENCE: "the reference again",
}


def _layer_row(model: ModelLabel, layer: LayerAudit) -> LayerRow:
    metamer = layer.metamer
    chance_matched = float((layer.evidence.chance_item_loss <= metamer.item_tolerance).double().mean())
    return LayerRow(
        model=model,
        layer=layer.name,
        width=count(layer.width),
        is_metamer=metamer.is_metamer,
        status=_ENDED[metamer.status].format(steps=metamer.steps),
        loss=measure_cell(layer.evidence["activation_loss"]),
        distance=measure_cell(layer.evidence["input_distance"]),
        matched=Cell(percent(float(metamer.matched_items.double().mean())), percent(chance_matched)),
        same=measure_cell(layer.evidence["prediction_agreement"]),
    )


def _measure_rows(layers: Sequence[LayerAudit]) -> tuple[MeasureRow, ...]:
    known: dict[str, Measure] = {}
    for layer in layers:
        for measure in layer.evidence.measures:
            known.setdefault(measure.name, measure)
    by_name = [{measure.name: measure for measure in layer.evidence.measures} for layer in layers]
    return tuple(
        MeasureRow(
            measure.label,
            measure.meaning,
            tuple(measure_cell(own[name]) if name in own else None for own in by_name),
        )
        for name, measure in known.items()
    )


def _evidence_legend(models: Sequence[ModelLabel]) -> tuple[LegendEntry, ...]:
    return (
        *(LegendEntry(f"{model.text}: what was found", model, "solid") for model in models),
        LegendEntry("dashed, hollow, same colour: unrelated features (chance)", None, "dash"),
        LegendEntry("a node right of this counts as matched", None, "dot"),
    )


def _distribution_alt(found: Sequence[LayerDistribution]) -> str:
    return "; ".join(
        f"{entry.model.flagged} at {entry.layer}: half of the nodes have {decibel(entry.found.median)} "
        f"or more, with unrelated features {decibel(entry.chance.median)}"
        for entry in found
    )


def _odd_nodes(entry: LayerDistribution) -> list[str]:
    sentences = []
    where = f"{entry.model.flagged} at {entry.layer}"
    if entry.found.exact > 0:
        sentences.append(
            f"{where}: {percent(entry.found.exact)} of the nodes are matched exactly (infinite signal to "
            "noise; they are the step up at the right edge)."
        )
    if entry.found.hopeless > 0:
        sentences.append(
            f"{where}: {percent(entry.found.hopeless)} of the nodes have an activation of zero in the "
            "reference and another one in the metamer (no ratio; they are the step at the left edge)."
        )
    return sentences
