"""Look at a changed graph through one layer: every measure, and every item on its own.

Chance is measured, not assumed: each measure is taken a second time for a graph in which each feature's
values were shuffled over the nodes (`Variables.shuffled`), so that the features are unrelated to the
reference and have its distribution exactly; where edges vary, for a random graph with the same degrees; where
both vary, for shuffled features on such a graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from graph_metamers.evidence.gating import GateReport, judge, space_of
from graph_metamers.evidence.null import NullDistribution, null_of_view
from graph_metamers.evidence.seeing import seen_of
from graph_metamers.inputs import StructureVariables
from graph_metamers.inputs.asking import varies_of
from graph_metamers.inputs.both import BothVariables
from graph_metamers.inputs.slots import read_features
from graph_metamers.metrics.classification import predicted_classes
from graph_metamers.metrics.distances import Seen, registered
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
from graph_metamers.metrics.structure import (
    clustering_coefficient,
    edge_overlap,
    kept_degrees,
    label_homophily,
)
from graph_metamers.reading.items import items_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from graph_metamers.inputs import Variables
    from graph_metamers.inputs.asking import Varying
    from graph_metamers.inputs.visible import SplitDistance, VisibleSpace
    from graph_metamers.reading import ModelView
    from graph_metamers.types import Graph


OF_FEATURES = ("standardised_rms", "idf_cosine")
OF_EDGES = ("weisfeiler_leman_class", "spectrum")
"""Distances of the list that every audit measures: those that quickly tell what the others do not."""


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
        What the layer reads of the features; `None` where edges alone vary.
    item_tolerance
        Item loss up to which an item counts as matched.
    min_distance
        Chance-scaled distance that gate 3 asks for.
    """

    view: ModelView
    variables: Varying
    layer: str
    null: NullDistribution
    space: VisibleSpace | None
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
            **self._distances(graph, gates.distance),
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
        shares = {
            "prediction_agreement": _share(gates.same_prediction),
            "closer_share": _share(gates.closer),
            "different_share": _share(gates.different),
            "passing_share": _share(gates.passes),
        }
        if varies_of(self.variables) != "features":
            return shares
        return shares | {
            "visible_share": _share(gates.visible_metamers),
            "null_space_share": _share(gates.null_space_metamers),
        }

    def _distances(self, graph: Graph, split: SplitDistance | None) -> dict[str, float]:
        own = {"input_distance": self.variables.distance(graph, "none").scaled}
        features = self.variables
        if isinstance(features, BothVariables):
            features = features.features
        if split is None or isinstance(features, StructureVariables):
            return {**own, **self._of_edges(graph)}
        edges = {} if features is self.variables else self._of_edges(graph)
        parts = {"visible_distance": split.visible, "null_space_distance": split.null_space}
        return {**parts, **own, **self._likeness(features, graph), **edges}

    def _of_edges(self, graph: Graph) -> dict[str, float]:
        reference = self.variables.reference
        num_nodes = int(reference.num_nodes or 0)
        ours, theirs = graph.edge_index, reference.edge_index
        numbers = {
            "edge_overlap": edge_overlap(ours, theirs, num_nodes),
            "kept_degrees": kept_degrees(ours, theirs, num_nodes),
            "clustering": clustering_coefficient(ours, num_nodes),
        }
        labels = reference.get("y")
        if labels is not None and labels.shape == (num_nodes,):
            numbers["homophily"] = label_homophily(ours, labels)
        return numbers | _registered(OF_EDGES, *(seen_of(g, reference) for g in (graph, reference)))

    @staticmethod
    def _likeness(variables: Variables, graph: Graph) -> dict[str, float]:
        """How alike features are before and after."""
        reference = variables.reference
        ours, theirs = _stacked(variables, graph), _stacked(variables, reference)
        found = {"cosine": _mean(cosine(ours, theirs)), "centred_cosine": _mean(centred_cosine(ours, theirs))}
        if all(values.kind == "binary" for values in variables.values.values()):
            found["word_overlap"] = word_overlap(ours, theirs)
        seen = [_features_of(variables, one) for one in (graph, reference)]
        return found | _registered(OF_FEATURES, *seen)


def observer(
    view: ModelView,
    variables: Varying,
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
        space_of(view, variables, layer),
        item_tolerance,
        min_distance,
    )


def _registered(names: Sequence[str], ours: Seen, theirs: Seen) -> dict[str, float]:
    """Those of some distances that apply, each as `..._distance`."""
    chosen = [registered()[name]() for name in names]
    return {
        f"{distance.name}_distance": distance.raw(ours, theirs).value
        for distance in chosen
        if not distance.why_not(ours, theirs)
    }


def _features_of(variables: Variables, graph: Graph) -> Seen:
    """What distances read of the features that may vary."""
    features = read_features(graph)
    return Seen(tuple(features[slot] for slot in variables.values), None, int(graph.num_nodes or 0))


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
