"""Section 5: why so much looks alike to a layer, counted without a search."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from graph_metamers.evidence.measures import interval_over_starts
from graph_metamers.report.labels import model_labels
from graph_metamers.report.numbers import correlation, count, ends, listed, number, percent, plural
from graph_metamers.report.plots import model_legend
from graph_metamers.report.png import data_uri
from graph_metamers.report.spectra import spectrum_plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.auditing import Audit, DatasetCard
    from graph_metamers.auditing.theory import FeatureReading, FreedomPrediction, LayerTheory, Theory
    from graph_metamers.metrics import Interval
    from graph_metamers.report.labels import ModelLabel
    from graph_metamers.report.plots import LegendEntry, Plot

LAYER_COLUMNS = (
    "Numbers it depends on",
    "Directions it sees",
    "of its units",
    "Not seen",
    "never read",
)
ACTIVATION_COLUMNS = ("Function", "Closed units", "Directions it hides", "Change of volume, nats")
MOST_NAMED = 8
FEWEST_FOR_Z = 10  # nodes from which on the interval over nodes is near enough


@dataclass(frozen=True)
class Row:
    """A line of a table: what it is about, a note, and its numbers as shown."""

    what: str
    note: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class FeaturePicture:
    """How strongly each pixel is read: bright where more than usual.

    Attributes
    ----------
    uri, alt
        The image inside the page, and what it shows.
    low, high
        Gains that are black and white.
    """

    uri: str
    alt: str
    low: str
    high: str


@dataclass(frozen=True)
class ModelTheory:
    """What was counted of one model.

    Attributes
    ----------
    model
        Its name and colour.
    sentences
        What the numbers mean, in plain words.
    layers
        One row a layer; columns are `LAYER_COLUMNS`.
    activations
        One row a layer and function; columns are `ACTIVATION_COLUMNS`, the function in `note`.
    picture
        Of images.
    most, least
        Features that are read most and least, with their gains; empty where features have no names.
    refusals
        What could not be computed, and why.
    """

    model: ModelLabel
    sentences: tuple[str, ...]
    layers: tuple[Row, ...]
    activations: tuple[Row, ...]
    picture: FeaturePicture | None
    most: tuple[str, ...]
    least: tuple[str, ...]
    refusals: tuple[str, ...]


@dataclass(frozen=True)
class TheorySection:
    """Section 5.

    Attributes
    ----------
    models
        One a model.
    layer_columns, activation_columns
        Headings of the tables.
    num_nodes, num_asked
        How many nodes were looked at, and at how many of them activation functions were asked about.
    spectra, legend
        Singular values, a figure a depth, and what their colours mean.
    """

    models: tuple[ModelTheory, ...]
    layer_columns: tuple[str, ...]
    activation_columns: tuple[str, ...]
    num_nodes: int
    num_asked: int
    spectra: tuple[Plot, ...]
    legend: tuple[LegendEntry, ...]


def theory_section(audits: Sequence[Audit]) -> TheorySection | None:
    """Section 5 of some audits; `None` where nothing was counted."""
    models = tuple(
        _model(label, audit.dataset, audit.theory)
        for label, audit in zip(model_labels(audits), audits, strict=True)
        if audit.theory is not None and (audit.theory.layers or audit.theory.refusals)
    )
    layers = [layer for audit in audits if audit.theory for layer in audit.theory.layers]
    if not models:
        return None
    return TheorySection(
        models,
        LAYER_COLUMNS,
        ACTIVATION_COLUMNS,
        max((layer.num_nodes for layer in layers), default=0),
        max((layer.num_asked for layer in layers), default=0),
        _spectra(audits),
        model_legend(model_labels(audits)),
    )


def _spectra(audits: Sequence[Audit]) -> tuple[Plot, ...]:
    """A figure for each place among the layers, with the models that have one there."""
    lines: dict[int, list[tuple[ModelLabel, LayerTheory]]] = {}
    for label, audit in zip(model_labels(audits), audits, strict=True):
        depths = {layer.name: layer.depth for layer in audit.layers}
        for layer in audit.theory.layers if audit.theory else ():
            if layer.spectrum and layer.layer in depths:
                lines.setdefault(depths[layer.layer], []).append((label, layer))
    return tuple(
        spectrum_plot(f"plot-spectrum-{depth}", listed(sorted({layer.layer for _, layer in there})), there)
        for depth, there in sorted(lines.items())
    )


def _model(label: ModelLabel, card: DatasetCard, theory: Theory) -> ModelTheory:
    features = theory.features
    most, least = _named(card, features)
    return ModelTheory(
        model=label,
        sentences=tuple(_sentences(theory, card)),
        layers=tuple(_layer_row(layer) for layer in theory.layers),
        activations=tuple(_activation_rows(theory.layers)),
        picture=_picture(card, features),
        most=most,
        least=least,
        refusals=theory.refusals,
    )


def _mean(value: float) -> str:
    """A mean of counts, or of nats, as shown."""
    return number(round(value, 1) + 0.0, 1)  # no -0.0


def _layer_row(layer: LayerTheory) -> Row:
    ends = "" if layer.least_rank == layer.largest_rank else f" ({layer.least_rank} to {layer.largest_rank})"
    values = (
        f"{count(round(layer.inputs))} ({plural(round(layer.nodes_read), 'node')})",
        f"{_mean(layer.rank)}{ends}",
        count(layer.units),
        percent(layer.unseen, 2),
        percent(layer.unseen_linear),
    )
    return Row(layer.layer, "", values)


def _activation_rows(layers: Sequence[LayerTheory]) -> list[Row]:
    rows = []
    for layer in layers:
        for place, each in enumerate(layer.activations):
            values = (_mean(each.closed), _mean(each.dimension_gain), _mean(each.log_volume))
            note = f"{each.name} (its own)" if place == 0 else each.name
            rows.append(Row(layer.layer, note, values))
    return rows


def _sentences(theory: Theory, card: DatasetCard) -> list[str]:
    if not theory.layers:
        return []
    first, last = theory.layers[0], theory.layers[-1]
    found = [
        f"What {first.layer} computes of a node depends on {count(round(first.inputs))} numbers on average, "
        f"and reacts to small changes of these in {_mean(first.rank)} directions only: "
        f"{percent(first.unseen, 2)} of all directions are not seen."
    ]
    if first.unseen_linear > 0 and theory.features is not None:
        found.append(
            f"{percent(first.unseen_linear)} of the directions of a node's {count(card.num_features)} "
            "features no layer of this model can read: that is the shape of its first weights, not something "
            "that it learned to ignore."
        )
    elif theory.features is not None:
        found.append("Its first weights read every direction of a node's features.")
    own = [layer for layer in theory.layers if layer.activations]
    if own and not any(layer.activations[0].dimension_gain for layer in own):
        found.append("Its activation functions hide no direction at these nodes.")
    elif own:
        gains = [f"{_mean(layer.activations[0].dimension_gain)} at {layer.layer}" for layer in own]
        found.append(
            f"Its activation functions hide directions, on average {listed(gains)}: those of units that are "
            "closed at the reference."
        )
    if last is not first:
        found.append(
            f"At {last.layer} a node depends on {count(round(last.inputs))} numbers and sees "
            f"{_mean(last.rank)} directions of them."
        )
    return found + [_predicted(layer) for layer in theory.layers if layer.predicted]


def _predicted(layer: LayerTheory) -> str:
    """Whether derivatives foretold which nodes the searches moved far."""
    predicted = layer.predicted
    assert predicted is not None  # noqa: S101 (asked by the caller)
    found = _over_starts_and_nodes(predicted)
    begin = (
        f"Prediction against achievement at {layer.layer}: derivatives leave "
        f"{percent(predicted.mean_share)} of a node's own directions free, up to a "
        f"loss of {predicted.tolerance:g}"
    )
    if not math.isfinite(found.estimate):
        return f"{begin}; over {predicted.num_nodes} nodes nothing varies that could be compared."
    shown = correlation(found.estimate)
    interval = f" [{ends(found, correlation)}]" if math.isfinite(found.low) else ""
    if not found.low > 0 and not found.high < 0:
        says = "they do not tell which nodes the searches moved far"
    elif found.estimate > 0:
        says = "nodes that they leave freer were moved farther"
    else:
        says = "nodes that they leave freer were moved less far"
    return (
        f"{begin}; {says} (rank correlation {shown}{interval} over {predicted.num_nodes} nodes, number of "
        "neighbours taken out, 0 by chance)."
    )


def _over_starts_and_nodes(predicted: FreedomPrediction) -> Interval:
    """The mean correlation; its interval holds both the one over starts and the one over nodes.

    All starts move the same nodes: that they agree does not make few nodes many. Over nodes: Fisher's z with
    the variance 1.06 / (n - 3) of Spearman's correlation (Fieller, Hartley and Pearson 1957), and one node
    less for the degrees that are taken out.
    """
    starts = interval_over_starts(predicted.correlations, (-1.0, 1.0))
    if not math.isfinite(starts.low) or predicted.num_nodes < FEWEST_FOR_Z or abs(starts.estimate) >= 1:
        return starts
    reach = 1.96 * math.sqrt(1.06 / (predicted.num_nodes - 4))
    low, high = (math.tanh(math.atanh(starts.estimate) + side * reach) for side in (-1, 1))
    return replace(starts, low=min(starts.low, low), high=max(starts.high, high))


def _named(card: DatasetCard, features: FeatureReading | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if features is None or card.feature_names is None or card.image_shape is not None:
        return (), ()
    order = np.argsort(features.gains)[::-1]
    named = [f"{card.feature_names[i]} ({number(features.gains[i])})" for i in order]
    shown = min(MOST_NAMED, len(named) // 2)
    return tuple(named[:shown]), tuple(named[::-1][:shown])


def _picture(card: DatasetCard, features: FeatureReading | None) -> FeaturePicture | None:
    if features is None or card.image_shape is None:
        return None
    gains = np.asarray(features.gains).reshape(card.image_shape)
    high = float(gains.max())
    if not math.isfinite(high) or high == 0:
        return None
    pixels = np.round(255 * gains / high).astype(np.uint8)
    alt = f"gain of {gains.size} pixels as grey values, from 0 (black) to {number(high)} (white)"
    return FeaturePicture(data_uri(pixels), alt, "0", number(high))
