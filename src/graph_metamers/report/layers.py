"""Section 3: how far the metamers of each layer are, what they are elsewhere, and whether models differ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graph_metamers.report.cells import Cell, measure_cell
from graph_metamers.report.comparing import Comparison, comparisons
from graph_metamers.report.curves import depth_points
from graph_metamers.report.figures import depth_figure
from graph_metamers.report.labels import depth_name, depths, model_labels
from graph_metamers.report.numbers import count, ends, number, percent
from graph_metamers.report.plots import LegendEntry, Plot, model_legend, plot
from graph_metamers.report.varied import UNRELATED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graph_metamers.auditing import Audit, LayerAudit
    from graph_metamers.report.curves import DepthPoint
    from graph_metamers.report.labels import ModelLabel

DARKEST_SNR = 40.0
"""Signal-to-noise ratio, dB, from which a cell of the cross-layer table is darkest."""


@dataclass(frozen=True)
class LayerRow:
    """One layer of one model in the table of section 3."""

    model: ModelLabel
    layer: str
    width: str
    is_matched: bool
    found: str
    loss: Cell
    distances: tuple[Cell, ...]
    passing: Cell
    same: Cell


@dataclass(frozen=True)
class LayerTable:
    """The layers of all audits in which the same thing varies.

    Attributes
    ----------
    distances
        Headings of the columns that say how far from the reference the layers' metamers are.
    rows
        One a layer.
    """

    distances: tuple[str, ...]
    rows: tuple[LayerRow, ...]


@dataclass(frozen=True)
class CrossCell:
    """What the metamers of one layer are at another.

    Attributes
    ----------
    loss, closer
        Activation loss there, and share of nodes that are closer to their reference than any real node.
    strength
        How dark the cell is, 0 to 1: the signal-to-noise ratio over `DARKEST_SNR`.
    is_own
        Whether it is the layer that was matched.
    """

    loss: Cell
    closer: Cell
    strength: float
    is_own: bool


@dataclass(frozen=True)
class CrossTable:
    """The cross-layer matrix of one model: a row per matched layer, a cell per layer where it is read."""

    model: ModelLabel
    layers: tuple[str, ...]
    rows: tuple[tuple[str, tuple[CrossCell, ...]], ...]


@dataclass(frozen=True)
class LayersSection:
    """Section 3.

    Attributes
    ----------
    figure
        Distance of the features against depth; `None` where only edges vary.
    tables
        The layers in numbers, a table for features and one for edges.
    of_edges
        Whether any audit has a front of edges.
    cross
        The cross-layer matrices of models with several audited layers.
    comparisons
        Differences between models, paired by start.
    starts
        From how many starts the layers were searched: `5`, or `1 to 5`.
    has_intervals
        Whether any layer was searched from more than one.
    """

    figure: Plot | None
    tables: tuple[LayerTable, ...]
    of_edges: bool
    cross: tuple[CrossTable, ...]
    comparisons: tuple[Comparison, ...]
    starts: str
    has_intervals: bool


def layers_section(audits: Sequence[Audit]) -> LayersSection | None:
    """Section 3 of some audits; `None` without a layer."""
    if not depths(audits):
        return None
    pairs = list(zip(model_labels(audits), audits, strict=True))
    features = [(label, audit) for label, audit in pairs if audit.varies != "structure" and audit.layers]
    alone = [(label, audit) for label, audit in features if audit.varies == "features"]
    counts = sorted({len(layer.starts) for audit in audits for layer in audit.layers})
    return LayersSection(
        _depth_plot(features) if features else None,
        tuple(table for varies in UNRELATED if (table := _table(pairs, varies)).rows),
        any(layer.front is not None for audit in audits for layer in audit.layers),
        tuple(cross_table(label, audit) for label, audit in pairs if len(audit.layers) > 1),
        comparisons(alone),
        str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}",
        counts[-1] > 1,
    )


def _depth_plot(pairs: Sequence[tuple[ModelLabel, Audit]]) -> Plot:
    audits = [audit for _, audit in pairs]
    lines = [(label, depth_points(audit)) for label, audit in pairs]
    names = {depth: depth_name(audits, depth) for depth in depths(audits)}
    minimum = max(layer.metamer.min_distance for audit in audits for layer in audit.layers)
    return plot(
        "plot-depth",
        depth_figure(lines, names, minimum),
        heading="How far the input is from the reference, layer by layer",
        alt="; ".join(_point_alt(label, point) for label, points in lines for point in points)
        + ". Unrelated features: 1.",
        legend=(
            *model_legend([label for label, points in lines if points]),
            LegendEntry("chance: unrelated features", None, "dash"),
            LegendEntry("limit: below it is the reference again", None, "dot"),
        ),
    )


DISTANCES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "features": (("visible_distance", "Visible distance"), ("null_space_distance", "Null-space distance")),
    "structure": (("edge_overlap", "Edge overlap"), ("input_distance", "Input distance")),
    "both": (("visible_distance", "Visible distance"), ("edge_overlap", "Edge overlap")),
}
"""What varies -> (measure, heading) of the columns about distance."""


def _table(pairs: Sequence[tuple[ModelLabel, Audit]], varies: str) -> LayerTable:
    return LayerTable(
        tuple(heading for _, heading in DISTANCES[varies]),
        tuple(
            _layer_row(label, layer)
            for label, audit in pairs
            for layer in audit.layers
            if layer.varies == varies
        ),
    )


def cross_table(model: ModelLabel, audit: Audit) -> CrossTable:
    """The cross-layer matrix of one audit."""
    names = tuple(layer.name for layer in audit.layers)
    return CrossTable(
        model,
        names,
        tuple((layer.name, tuple(_cross_cell(layer, other) for other in names)) for layer in audit.layers),
    )


def _cross_cell(layer: LayerAudit, other: str) -> CrossCell:
    loss = layer.elsewhere[other]["activation_loss"]
    snr = -10 * math.log10(loss.value) if loss.value > 0 else math.inf
    return CrossCell(
        measure_cell(loss),
        measure_cell(layer.elsewhere[other]["closer_share"]),
        0.0 if math.isnan(snr) else min(1.0, max(0.0, snr / DARKEST_SNR)),
        other == layer.name,
    )


def _point_alt(label: ModelLabel, point: DepthPoint) -> str:
    interval = ends(point.distance, number)
    return (
        f"{label.flagged} at {point.layer}: visible distance {number(point.distance.estimate)}"
        f"{f' (95% interval {interval})' if interval else ''}, {percent(point.passing_share)} of nodes pass "
        "all gates"
    )


def _layer_row(model: ModelLabel, layer: LayerAudit) -> LayerRow:
    measures = layer.measures
    return LayerRow(
        model=model,
        layer=layer.name,
        width=count(layer.width),
        is_matched=layer.is_matched,
        found=f"{layer.found} starts" if len(layer.starts) > 1 else _ONE_START[layer.num_metamers],
        loss=measure_cell(measures["activation_loss"]),
        distances=tuple(measure_cell(measures[name]) for name, _ in DISTANCES[layer.varies]),
        passing=measure_cell(measures["passing_share"]),
        same=measure_cell(measures["prediction_agreement"]),
    )


_ONE_START = ("not found", "found")
