"""Look at a changed graph through one layer: every measure, and every item on its own.

Chance is measured, not assumed: each measure is taken a second time for a graph in which each feature's
values were shuffled over the nodes (`Variables.shuffled`), so that the features are unrelated to the
reference and have its distribution exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from graph_metamers.evidence.gating import GateReport, judge
from graph_metamers.evidence.null import NullDistribution, null_of_view
from graph_metamers.inputs.slots import read_features
from graph_metamers.inputs.visible import VisibleSpace, visible_space
from graph_metamers.metrics.classification import predicted_classes
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
from graph_metamers.reading.items import items_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from graph_metamers.inputs import Variables
    from graph_metamers.reading import ModelView
    from graph_metamers.types import Graph


@dataclass(frozen=True, eq=False)
class Observation:
    """One changed graph, seen through one layer.

    Attributes
    ----------
    numbers
        Name of a measure (see `measures.TEXTS`) -> its value.
    gates
        Which items are metamers.
    predictions
        Class that the model predicts for every item, int64 [items].
    """

    numbers: Mapping[str, float]
    gates: GateReport
    predictions: Tensor


@dataclass(frozen=True, eq=False)
class Observer:
    """A layer, with everything that is the same for every graph that is looked at.

    Attributes
    ----------
    view, variables, layer
        The model, the reference with what may vary, and where to read.
    null
        How alike real items are at this layer.
    space
        What the layer reads of the features.
    item_tolerance
        Item loss up to which an item counts as matched.
    min_distance
        Chance-scaled distance that gate 3 asks for.
    """

    view: ModelView
    variables: Variables
    layer: str
    null: NullDistribution
    space: VisibleSpace
    item_tolerance: float
    min_distance: float

    def observe(self, graph: Graph) -> Observation:
        """Measure a changed version of the reference; the model is borrowed meanwhile."""
        gates = judge(graph, self.null, self.variables, self.space, min_distance=self.min_distance)
        with self.view.borrow(), torch.no_grad():
            activation = self.view.taps(graph, [self.layer])[self.layer].value
            chosen = self.view.prediction(graph, items_of(self.layer, len(activation), graph))
        assert chosen is not None  # noqa: S101 (`judge` refuses a model without)
        numbers = {
            **self._fidelity(activation, gates),
            **self._shares(gates),
            **self._distances(graph, gates),
        }
        return Observation(numbers, gates, predicted_classes(chosen[1]))

    def glance(self, activation: Tensor) -> dict[str, float]:
        """The two measures of the cross-layer matrix, of an activation at this layer, [items, ...]."""
        snr = snr_db(item_loss(activation, self.null.activations))
        return {
            "activation_loss": self._loss(activation),
            "closer_share": _share(self.null.beaten_by(snr)),
        }

    def _loss(self, activation: Tensor) -> float:
        ours = activation.double().reshape(self.null.activations.shape)
        return float(activation_loss(ours, self.null.activations))

    def _fidelity(self, activation: Tensor, gates: GateReport) -> dict[str, float]:
        reference, losses = self.null.activations, gates.item_loss
        loss = self._loss(activation)
        return {
            "activation_loss": loss,
            "item_loss_median": _quantile(losses, 0.5),
            "item_loss_95": _quantile(losses, 0.95),
            "snr_db": float(snr_db(torch.tensor(loss, dtype=torch.float64))),
            "spearman": _mean(spearman(activation, reference)),
            "pearson": _mean(pearson(activation, reference)),
            "matched_share": _share(losses <= self.item_tolerance),
        }

    def _shares(self, gates: GateReport) -> dict[str, float]:
        return {
            "prediction_agreement": _share(gates.same_prediction),
            "closer_share": _share(gates.closer),
            "different_share": _share(gates.different),
            "passing_share": _share(gates.passes),
            "visible_share": _share(gates.visible_metamers),
            "null_space_share": _share(gates.null_space_metamers),
        }

    def _distances(self, graph: Graph, gates: GateReport) -> dict[str, float]:
        ours, theirs = _stacked(self.variables, graph), _stacked(self.variables, self.variables.reference)
        distances = {
            "visible_distance": gates.distance.visible,
            "null_space_distance": gates.distance.null_space,
            "input_distance": self.variables.distance(graph, "none").scaled,
            "cosine": _mean(cosine(ours, theirs)),
            "centred_cosine": _mean(centred_cosine(ours, theirs)),
        }
        if all(values.kind == "binary" for values in self.variables.values.values()):
            distances["word_overlap"] = word_overlap(ours, theirs)
        return distances


def observer(
    view: ModelView,
    variables: Variables,
    layer: str,
    *,
    item_tolerance: float,
    min_distance: float,
    pairs: int = 100_000,
    seed: int = 0,
) -> Observer:
    """Prepare a layer for looking at changed graphs; see `Observer`.

    Parameters
    ----------
    pairs, seed
        Random pairs of the pooled null, and their seed.
    """
    return Observer(
        view,
        variables,
        layer,
        null_of_view(view, variables.reference, layer, pairs=pairs, seed=seed),
        visible_space(view, variables, layer),
        item_tolerance,
        min_distance,
    )


def _stacked(variables: Variables, graph: Graph) -> Tensor:
    """The features that may vary, one row a node, [n, F]; types with fewer features are padded with zeros."""
    features = [read_features(graph)[slot] for slot in variables.values]
    width = max(x.shape[1] for x in features)
    return torch.cat([torch.nn.functional.pad(x, (0, width - x.shape[1])) for x in features])


def _share(mask: Tensor) -> float:
    return float(mask.double().mean())


def _mean(values: Tensor) -> float:
    return float(values.nanmean())


def _quantile(values: Tensor, share: float) -> float:
    # The nearest observed value: between a finite loss and an infinite one there is nothing to interpolate.
    return float(values.quantile(share, interpolation="higher"))
