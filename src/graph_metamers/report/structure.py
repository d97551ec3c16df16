"""Section 8: what changed edges cost, from the reference outwards, and what of the graph they leave."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graph_metamers.auditing.floors import rounded_down
from graph_metamers.metrics.structure import clustering_coefficient, label_homophily
from graph_metamers.report.cells import measure_cell
from graph_metamers.report.front_figures import agreement_figure, front_curve, loss_figure
from graph_metamers.report.labels import model_labels
from graph_metamers.report.numbers import fraction, loss_number, number, percent
from graph_metamers.report.plots import LegendEntry, Plot, plot
from graph_metamers.report.varied import vary_edges

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graph_metamers.auditing import Audit, LayerAudit
    from graph_metamers.auditing.layer_results import StructureFloor
    from graph_metamers.report.cells import Cell
    from graph_metamers.report.front_figures import FrontCurve
    from graph_metamers.report.labels import ModelLabel

COLUMNS = (
    ("activation_loss", "Activation loss"),
    ("edge_overlap", "Edge overlap"),
    ("homophily", "Label homophily"),
    ("kept_degrees", "Degrees kept"),
    ("clustering", "Clustering"),
    ("prediction_agreement", "Same prediction"),
)
"""(measure, heading) of the table of graphs."""


@dataclass(frozen=True)
class Value:
    """A number as shown, with its interval, which is empty where there is none."""

    text: str
    interval: str = ""


@dataclass(frozen=True)
class GraphRow:
    """One graph of the table.

    Attributes
    ----------
    what
        Which graph.
    layer
        Where it is read; empty for the reference, which is the same everywhere.
    values
        One for each of `COLUMNS`.
    """

    what: str
    layer: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class GraphTable:
    """The reference, what was found for each layer, and random graphs, of one model."""

    model: ModelLabel
    rows: tuple[GraphRow, ...]


@dataclass(frozen=True)
class StructureSection:
    """Section 8.

    Attributes
    ----------
    losses, agreements
        Activation loss, and share of predictions that stay, against edge overlap; one a model and layer.
        Agreements are left out where a model has no output to compare.
    legend
        Of all figures.
    columns, tables
        The graphs in numbers.
    sentences
        How far the fronts stay within the tolerance.
    proofs
        Below which loss no graph without edges of the reference can be, layer by layer.
    """

    losses: tuple[Plot, ...]
    agreements: tuple[Plot, ...]
    legend: tuple[LegendEntry, ...]
    columns: tuple[str, ...]
    tables: tuple[GraphTable, ...]
    sentences: tuple[str, ...]
    proofs: tuple[str, ...]


def structure_section(audits: Sequence[Audit]) -> StructureSection | None:
    """Section 8 of some audits; `None` where no edges vary."""
    if not any(audit.layers for audit in vary_edges(audits)):
        return None
    pairs = [
        (label, audit)
        for label, audit in zip(model_labels(audits), audits, strict=True)
        if audit.varies != "features"
    ]
    curves = [
        front_curve(label, layer)
        for label, audit in pairs
        for layer in audit.layers
        if layer.front is not None
    ]
    return StructureSection(
        tuple(_plot("loss", place, curve) for place, curve in enumerate(curves)),
        tuple(_plot("agreement", place, curve) for place, curve in enumerate(curves) if curve.has_agreement),
        _legend([label for label, audit in pairs if any(layer.front for layer in audit.layers)]),
        tuple(heading for _, heading in COLUMNS),
        tuple(graph_table(label, audit) for label, audit in pairs if audit.layers),
        tuple(_reach(curve) for curve in curves),
        tuple(
            _proof(label, layer, layer.floor)
            for label, audit in pairs
            for layer in audit.layers
            if layer.floor is not None
        ),
    )


def graph_table(model: ModelLabel, audit: Audit) -> GraphTable:
    """The graphs of one audit in numbers."""
    rows = [_reference_row(audit)]
    for layer in audit.layers:
        rows += [_found_row(layer), _random_row(layer)]
    return GraphTable(model, tuple(rows))


def _reference_row(audit: Audit) -> GraphRow:
    graph = audit.graph
    own = {
        "activation_loss": "0",
        "edge_overlap": "1",
        "homophily": fraction(label_homophily(graph.edge_index, audit.labels)),
        "kept_degrees": "100%",
        "clustering": fraction(clustering_coefficient(graph.edge_index, int(graph.num_nodes or 0))),
        "prediction_agreement": "100%",
    }
    return GraphRow("the reference", "", tuple(Value(own[name]) for name, _ in COLUMNS))


def _found_row(layer: LayerAudit) -> GraphRow:
    starts = len(layer.starts)
    what = "metamers" if layer.is_matched else "what was found" if layer.num_metamers else "best attempts"
    if starts == 1:
        what = "metamer" if layer.is_matched else "best attempt"
    return GraphRow(what, layer.name, _values(layer, lambda cell: (cell.value, cell.interval)))


def _random_row(layer: LayerAudit) -> GraphRow:
    what = "random graphs with the same degrees" if len(layer.starts) > 1 else "random graph, same degrees"
    if layer.varies == "both":
        what += ", unrelated features"
    return GraphRow(what, layer.name, _values(layer, lambda cell: (cell.chance, cell.chance_interval)))


def _values(layer: LayerAudit, part: Callable[[Cell], tuple[str, str]]) -> tuple[Value, ...]:
    return tuple(
        Value(*part(measure_cell(layer.measures[name]))) if name in layer.measures else Value("no labels")
        for name, _ in COLUMNS
    )


def _proof(model: ModelLabel, layer: LayerAudit, floor: StructureFloor) -> str:
    """What is proved of other edges at a layer, beside what was found."""
    where = f"{model.flagged} at {layer.name}"
    if floor.bound == math.inf:
        return f"{where}: {floor.why} What was found keeps some."
    if floor.why:
        return f"{where}: nothing is proved ({floor.why})."
    if not floor.bound:
        return f"{where}: nothing is proved; a loss of 0 may be possible."
    least = min(start.activation_loss for start in layer.starts)
    return (
        f"{where}: none below {loss_number(rounded_down(floor.bound))} is possible; found "
        f"{loss_number(least)}, {number(least / floor.bound, 1)} times as much. Nothing is proved of "
        f"nodes with {percent(floor.unproved_energy, 0)} of the layer's energy."
    )


def _plot(kind: str, place: int, curve: FrontCurve) -> Plot:
    figure = loss_figure(curve) if kind == "loss" else agreement_figure(curve)
    middle = curve.middle
    alt = (
        f"At an edge overlap of {fraction(middle.overlap)} the front has a loss of "
        f"{loss_number(middle.activation_loss)} with {percent(middle.agreement)} of the predictions; random "
        f"graphs with the same degrees have {number(curve.random_loss)} and {percent(curve.random_agreement)}"
    )
    return plot(
        f"plot-front-{kind}-{place}",
        figure,
        heading=f"{curve.model.flagged}, layer {curve.layer}",
        alt=alt,
    )


def _legend(models: Sequence[ModelLabel]) -> tuple[LegendEntry, ...]:
    return (
        *(LegendEntry(f"{model.text}: the front", model, "solid") for model in models),
        *(LegendEntry(f"{model.text}: what each search found", model, "none") for model in models),
        LegendEntry("random swaps from the reference on (chance)", None, "dash"),
        LegendEntry("loss that was asked for", None, "dot"),
    )


def _reach(curve: FrontCurve) -> str:
    where = f"{curve.model.flagged} at {curve.layer}"
    if curve.reach == 1:
        return (
            f"{where}: no point of the front but the reference itself is within the tolerance of "
            f"{curve.tolerance:g}."
        )
    return (
        f"{where}: the front stays within the tolerance of {curve.tolerance:g} down to an edge overlap of "
        f"{fraction(curve.reach)} (random swaps: {fraction(curve.random_reach)})."
    )
