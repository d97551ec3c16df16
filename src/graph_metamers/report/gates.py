"""Section 4: is it a metamer? Every node against the nearest real node, and every measure beside chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graph_metamers.report.cells import Cell, measure_cell
from graph_metamers.report.curves import layer_distribution
from graph_metamers.report.figures import distribution_figure
from graph_metamers.report.labels import depths, model_labels
from graph_metamers.report.numbers import count, decibel, percent
from graph_metamers.report.plots import LegendEntry, Plot, plot
from graph_metamers.report.varied import all_unrelated, of_kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.auditing import Audit, LayerAudit
    from graph_metamers.evidence.measures import Measure
    from graph_metamers.report.curves import LayerDistribution
    from graph_metamers.report.labels import ModelLabel

GATES = (
    ("prediction_agreement", "1: same class"),
    ("closer_share", "2: closer than any real node"),
    ("different_share", "3: not the reference"),
    ("passing_share", "All three"),
    ("visible_share", "of kind visible"),
    ("null_space_share", "of kind null space"),
)
"""(measure, column) of the table of gates."""


@dataclass(frozen=True)
class GateRow:
    """The gates of one layer of one model, a cell for each column; `None` where it does not apply."""

    model: ModelLabel
    layer: str
    cells: tuple[Cell | None, ...]


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
        One for each model and layer.
    gate_columns, gates
        The table of gates.
    columns
        Model and layer of each column of the table of measures.
    rows
        The measures.
    odd
        Sentences about nodes that no axis can show.
    num_pairs
        How many random pairs of real nodes the pooled null has, at the fewest.
    num_equal
        How many pairs were left out because their activations are equal, at the most.
    unrelated
        What chance is.
    features, edges, both
        Whether features alone, edges alone, and both together vary in any audit.
    """

    figures: tuple[Plot, ...]
    legend: tuple[LegendEntry, ...]
    gate_columns: tuple[str, ...]
    gates: tuple[GateRow, ...]
    columns: tuple[tuple[ModelLabel, str], ...]
    rows: tuple[MeasureRow, ...]
    odd: tuple[str, ...]
    num_pairs: str
    num_equal: str
    unrelated: str
    features: bool
    edges: bool
    both: bool


def evidence_section(audits: Sequence[Audit]) -> EvidenceSection | None:
    """Section 4 of some audits; `None` without a layer."""
    if not depths(audits):
        return None
    pairs = zip(model_labels(audits), audits, strict=True)
    columns = [(label, layer) for label, audit in pairs for layer in audit.layers]
    found = [layer_distribution(label, layer) for label, layer in columns]
    gates = [(name, text) for name, text in GATES if any(name in layer.measures for _, layer in columns)]
    return EvidenceSection(
        tuple(_figure(number, entry) for number, entry in enumerate(found)),
        _legend(
            [label for label, audit in zip(model_labels(audits), audits, strict=True) if audit.layers],
            all_unrelated(audits),
        ),
        tuple(text for _, text in gates),
        tuple(
            GateRow(label, layer.name, tuple(_cell(layer, name) for name, _ in gates))
            for label, layer in columns
        ),
        tuple((label, layer.name) for label, layer in columns),
        _measure_rows([layer for _, layer in columns]),
        tuple(sentence for entry in found for sentence in _odd_nodes(entry)),
        count(min(layer.null.num_pairs for _, layer in columns)),
        count(max(layer.null.num_equal for _, layer in columns)),
        all_unrelated(audits),
        bool(of_kind(audits, "features")),
        bool(of_kind(audits, "structure")),
        bool(of_kind(audits, "both")),
    )


def _figure(number: int, entry: LayerDistribution) -> Plot:
    return plot(
        f"plot-snr-{number}",
        distribution_figure(entry),
        heading=f"{entry.model.flagged}, layer {entry.layer}",
        alt=f"Half of the nodes have {decibel(entry.found.median)} or more; their nearest real nodes "
        f"{decibel(entry.nearest.median)}, random pairs of real nodes {decibel(entry.pairs.median)}, "
        f"{entry.unrelated} {decibel(entry.chance.median)}",
    )


def _legend(models: Sequence[ModelLabel], unrelated: str) -> tuple[LegendEntry, ...]:
    return (
        *(LegendEntry(f"{model.text}: what was found", model, "solid") for model in models),
        LegendEntry("each node's nearest real node", None, "dashdot", "text"),
        LegendEntry("random pairs of real nodes", None, "dot"),
        LegendEntry(f"{unrelated} (chance)", None, "dash"),
    )


def _cell(layer: LayerAudit, name: str) -> Cell | None:
    return measure_cell(layer.measures[name]) if name in layer.measures else None


def _measure_rows(layers: Sequence[LayerAudit]) -> tuple[MeasureRow, ...]:
    in_gates = {name for name, _ in GATES}
    known: dict[str, Measure] = {}
    for layer in layers:
        known |= {name: measure for name, measure in layer.measures.items() if name not in known}
    return tuple(
        MeasureRow(
            measure.label,
            measure.meaning,
            tuple(_cell(own, name) for own in layers),
        )
        for name, measure in known.items()
        if name not in in_gates
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
