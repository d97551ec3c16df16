"""The first measures of a metamer, each beside its chance level.

Chance is measured, not assumed: every measure is taken a second time between the reference and a graph in
which each feature's values were shuffled over the nodes (`Variables.shuffled`), so that the features are
unrelated to the reference and have its distribution exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graph_metamers.inputs.slots import read_features
from graph_metamers.metrics.classification import prediction_agreement
from graph_metamers.metrics.fidelity import (
    activation_loss,
    centred_cosine,
    cosine,
    item_loss,
    pearson,
    snr_db,
    spearman,
    word_overlap,
)
from graph_metamers.randomness import generator_for
from graph_metamers.reading.items import items_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from graph_metamers.inputs import Variables
    from graph_metamers.reading import ModelView
    from graph_metamers.types import Graph


@dataclass(frozen=True)
class Measure:
    """One number about a metamer.

    Attributes
    ----------
    name
        Stable name, a column of `Audit.rows()`.
    label
        What a reader sees.
    value, chance
        The measure, and the same measure for shuffled features; nan where it is not defined.
    meaning
        One sentence: what it says, unit, range.
    """

    name: str
    label: str
    value: float
    chance: float
    meaning: str


@dataclass(frozen=True, eq=False)
class LayerMeasures:
    """All measures of a metamer at one layer.

    Attributes
    ----------
    measures
        In the order in which they are shown.
    item_loss, chance_item_loss
        Item loss of every item at this layer, float64 [items], of the metamer and of shuffled features.
    """

    measures: tuple[Measure, ...]
    item_loss: Tensor
    chance_item_loss: Tensor

    def __getitem__(self, name: str) -> Measure:
        """The measure of that name."""
        return next(measure for measure in self.measures if measure.name == name)


@dataclass(frozen=True, eq=False)
class _Pair:
    """What a changed graph and the reference look like to the model and to the eye."""

    activation: Tensor
    reference_activation: Tensor
    output: Tensor | None
    reference_output: Tensor | None
    features: Tensor
    reference_features: Tensor
    scaled_distance: float


_DEFINITIONS: tuple[tuple[str, str, Callable[[_Pair], float], str], ...] = (
    (
        "activation_loss",
        "Activation loss",
        lambda pair: float(activation_loss(pair.activation.double(), pair.reference_activation.double())),
        "Squared error of the layer over its squared size; 0 = matched exactly.",
    ),
    (
        "item_loss_median",
        "Item loss, median",
        lambda pair: _quantile(item_loss(pair.activation, pair.reference_activation), 0.5),
        "The same for single nodes: half of them have less.",
    ),
    (
        "item_loss_95",
        "Item loss, 95%",
        lambda pair: _quantile(item_loss(pair.activation, pair.reference_activation), 0.95),
        "The same for single nodes: 95% of them have less.",
    ),
    (
        "snr_db",
        "Signal to noise (dB)",
        lambda pair: float(
            snr_db(activation_loss(pair.activation.double(), pair.reference_activation.double()))
        ),
        "-10 log10 of the activation loss: 30 dB is a loss of 0.001, 0 dB a layer of zeros.",
    ),
    (
        "spearman",
        "Spearman correlation",
        lambda pair: _mean(spearman(pair.activation, pair.reference_activation)),
        "Rank correlation over the units of a node, mean over nodes, -1 to 1.",
    ),
    (
        "pearson",
        "Pearson correlation",
        lambda pair: _mean(pearson(pair.activation, pair.reference_activation)),
        "Correlation over the units of a node, mean over nodes, -1 to 1.",
    ),
    (
        "prediction_agreement",
        "Same prediction",
        lambda pair: (
            math.nan
            if pair.output is None or pair.reference_output is None
            else prediction_agreement(pair.output, pair.reference_output).share
        ),
        "Share of the model's own predictions that stay, 0 to 1.",
    ),
    (
        "input_distance",
        "Input distance",
        lambda pair: pair.scaled_distance,
        "Distance of the features from the reference: 0 = the reference, 1 = unrelated.",
    ),
    (
        "cosine",
        "Feature cosine",
        lambda pair: _mean(cosine(pair.features, pair.reference_features)),
        "Cosine between a node's features before and after, mean over nodes; positive features have a "
        "high one by chance.",
    ),
    (
        "centred_cosine",
        "Feature cosine, centred",
        lambda pair: _mean(centred_cosine(pair.features, pair.reference_features)),
        "The same after the mean node is taken off; about 0 for unrelated features.",
    ),
)

_WORD_OVERLAP = (
    "word_overlap",
    "Word overlap",
    lambda pair: word_overlap(pair.features, pair.reference_features),
    "Ones in common over ones in either (Jaccard), 0 to 1.",
)


def measure_layer(
    view: ModelView, variables: Variables, layer: str, graph: Graph, *, seed: int = 0
) -> LayerMeasures:
    """Measure a changed graph at a layer, each measure beside its chance level. Call inside `view.borrow()`.

    Parameters
    ----------
    view, variables
        The model, and the reference with what may vary.
    layer
        Where to read; need not be the layer that was matched.
    graph
        A metamer, or any other version of the reference.
    seed
        Of the shuffled features.
    """
    chance_graph = variables.shuffled(generator_for("shuffle", seed))
    reference = _Seen.of(view, variables, layer, variables.reference)
    changed = _pair(_Seen.of(view, variables, layer, graph), reference)
    chance = _pair(_Seen.of(view, variables, layer, chance_graph), reference)
    binary = all(values.kind == "binary" for values in variables.values.values())
    definitions = (*_DEFINITIONS, _WORD_OVERLAP) if binary else _DEFINITIONS
    return LayerMeasures(
        tuple(
            Measure(name, label, compute(changed), compute(chance), meaning)
            for name, label, compute, meaning in definitions
        ),
        item_loss(changed.activation, changed.reference_activation),
        item_loss(chance.activation, chance.reference_activation),
    )


@dataclass(frozen=True, eq=False)
class _Seen:
    activation: Tensor
    output: Tensor | None
    features: Tensor
    scaled_distance: float

    @classmethod
    def of(cls, view: ModelView, variables: Variables, layer: str, graph: Graph) -> _Seen:
        with torch.no_grad():
            activation = view.taps(graph, [layer])[layer].value
            chosen = view.prediction(graph, items_of(layer, len(activation), graph))
        return cls(
            activation,
            None if chosen is None else chosen[1],
            _stacked(variables, graph),
            variables.distance(graph, "none").scaled,
        )


def _pair(changed: _Seen, reference: _Seen) -> _Pair:
    return _Pair(
        changed.activation,
        reference.activation,
        changed.output,
        reference.output,
        changed.features,
        reference.features,
        changed.scaled_distance,
    )


def _stacked(variables: Variables, graph: Graph) -> Tensor:
    """The features that may vary, one row a node, [n, F]; types with fewer features are padded with zeros."""
    features = [read_features(graph)[slot] for slot in variables.values]
    width = max(x.shape[1] for x in features)
    return torch.cat([torch.nn.functional.pad(x, (0, width - x.shape[1])) for x in features])


def _mean(values: Tensor) -> float:
    return float(values.nanmean())


def _quantile(values: Tensor, share: float) -> float:
    # The nearest observed value: between a finite loss and an infinite one there is nothing to interpolate.
    return float(values.quantile(share, interpolation="higher"))
