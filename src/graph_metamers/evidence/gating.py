"""Is it a metamer? Three questions to every item, after Feather et al. 2023, made to work on graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graph_metamers.errors import ParameterError
from graph_metamers.evidence.null import NullDistribution
from graph_metamers.inputs import EdgeWeights, StructureVariables, Vary, what_varies
from graph_metamers.inputs.both import BothVariables
from graph_metamers.inputs.edges import changed_edges
from graph_metamers.inputs.visible import visible_space
from graph_metamers.metrics.classification import predicted_classes
from graph_metamers.metrics.fidelity import item_loss, snr_db
from graph_metamers.parameters import check_real
from graph_metamers.reading.items import items_of
from graph_metamers.synthesis import Metamer

if TYPE_CHECKING:
    from graph_metamers.inputs.asking import Varying
    from graph_metamers.inputs.visible import SplitDistance, VisibleSpace
    from graph_metamers.reading import ModelView
    from graph_metamers.types import Graph


MIN_DISTANCE = 0.1
"""What gate 3 asks for of a graph that no search has made; the default of `generate`."""


@dataclass(frozen=True, eq=False)
class GateReport:
    """Which items of a graph are metamers of the reference's.

    Attributes
    ----------
    same_prediction
        Gate 1: the model predicts the same class, bool [items].
    closer
        Gate 2: the activation is nearer to the reference's than any real item with another activation is, or
        equals it, bool [items].
    different
        Gate 3: the input is not the reference again, bool [items]: the item's own features are at least
        `min_distance` away (0 = the reference, 1 = chance), or at least that share of its neighbours changed,
        or, of a metamer whose edge weights varied, the weights of its edges are that far away. Where features
        and edges varied together, both have to be.
    visible
        Whether the difference lies where the layer reads at all, bool [items]: the distance in the visible
        space is at least `min_distance`, or edges or their weights differ as above. What passes without is
        of kind "null space": a metamer by counting dimensions.
    item_loss
        ||h'_v - h_v||^2 / ||h_v||^2 at the layer, float64 [items]; 0 where it is equal.
    min_distance
        What gate 3 asked for.
    item_distance
        Chance-scaled distance of every item's own features, [items]; empty for items without features. Where
        edges vary, that of its neighbours: the share that are others, over its chance level; where both do,
        the smaller of the two.
    distance
        Visible and null-space distance of the features as a whole, and of every item in the visible space;
        `None` where edges alone vary, which have no such parts: every change of them counts as visible.
    """

    same_prediction: Tensor
    closer: Tensor
    different: Tensor
    visible: Tensor
    item_loss: Tensor
    min_distance: float
    item_distance: Tensor
    distance: SplitDistance | None

    @property
    def snr(self) -> Tensor:
        """Signal-to-noise ratio of the activation in dB, float64 [items]; infinity where it is equal."""
        return snr_db(self.item_loss)

    @property
    def passes(self) -> Tensor:
        """Items that pass all three gates, whatever their kind, bool [items]."""
        return self.same_prediction & self.closer & self.different

    @property
    def visible_metamers(self) -> Tensor:
        """Items that pass and differ where the layer reads, bool [items] (headlines speak of them)."""
        return self.passes & self.visible

    @property
    def null_space_metamers(self) -> Tensor:
        """Items that pass, but differ only where the layer does not read, bool [items]."""
        return self.passes & ~self.visible

    @property
    def kind(self) -> str:
        """`visible` or `null space`: what most of the items that pass are; `none` if none does."""
        if not bool(self.passes.any()):
            return "none"
        return "visible" if 2 * int(self.visible_metamers.sum()) >= int(self.passes.sum()) else "null space"

    def shares(self) -> dict[str, float]:
        """Share of the items that passes each gate and all of them, [0, 1]."""
        return {
            "same_prediction": _share(self.same_prediction),
            "closer_than_any_real_item": _share(self.closer),
            "not_the_reference": _share(self.different),
            "passes": _share(self.passes),
            "visible": _share(self.visible_metamers),
            "null_space": _share(self.null_space_metamers),
        }

    def __repr__(self) -> str:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in self.shares().items())
        return f"GateReport({len(self.passes)} items, kind {self.kind}: {shares})"


def gates(
    candidate: Metamer | Graph,
    null: NullDistribution,
    *,
    vary: Vary = "features",
    min_distance: float | None = None,
) -> GateReport:
    """Ask every item of a changed graph whether it is a metamer.

    Parameters
    ----------
    candidate
        A `Metamer`, or any changed version of the null's reference.
    null
        From `null_distribution`, for the layer at which to judge.
    vary
        What was allowed to vary: features, edges, or both, is what gate 3 looks at.
    min_distance
        What gate 3 asks for, on the chance scale; default: what the metamer was searched with, else 0.1.

    Returns
    -------
    GateReport

    Raises
    ------
    ParameterError
        If the candidate has another number of items than the reference.

    Notes
    -----
    Method: after Feather et al. 2023; per item instead of their pooled maximum, which fails every node of a
    graph that has nodes with equal activations (ours).
    """
    if min_distance is None:
        min_distance = candidate.min_distance if isinstance(candidate, Metamer) else MIN_DISTANCE
    check_real("min_distance", min_distance, low=0)
    graph = candidate.graph if isinstance(candidate, Metamer) else candidate
    if not hasattr(graph, "edge_stores"):
        raise ParameterError("candidate", "a Metamer, or a changed version of the null's graph", candidate)
    if not isinstance(null, NullDistribution):
        raise ParameterError("null", "a NullDistribution, from null_distribution", null)
    variables = what_varies(vary, null.reference)
    space = space_of(null.view, variables, null.layer)
    weights = _weights_of(candidate)
    return judge(graph, null, variables, space, min_distance=min_distance, weights=weights)


def space_of(view: ModelView, variables: Varying, layer: str) -> VisibleSpace | None:
    """What a layer reads of the features; `None` where edges alone vary."""
    if isinstance(variables, StructureVariables):
        return None
    features = variables.features if isinstance(variables, BothVariables) else variables
    return visible_space(view, features, layer)


def judge(
    graph: Graph,
    null: NullDistribution,
    variables: Varying,
    space: VisibleSpace | None,
    *,
    min_distance: float,
    weights: str | None = None,
) -> GateReport:
    """The same as `gates`, for many graphs: what does not depend on the graph is given.

    Parameters
    ----------
    graph
        A changed version of the null's reference.
    null, min_distance
        As in `gates`.
    variables, space
        What was allowed to vary, and what the null's layer reads of it (`None` for edges).
    weights
        Where edge weights are that varied too, and to which the model was found to react.
    """
    view, reference = null.view, null.reference
    with view.borrow(), torch.no_grad():
        value = view.taps(graph, [null.layer])[null.layer].value
        activation = value.double().reshape(value.shape[0], -1)
        if activation.shape != null.activations.shape:
            must = f"a graph with activations {list(null.activations.shape)} at {null.layer!r}"
            raise ParameterError("candidate", must, list(activation.shape))
        items = items_of(null.layer, len(activation), reference)
        same = _same_prediction(view, graph, reference, items, len(activation))
    losses = item_loss(activation, null.activations)
    snr = snr_db(losses)
    split = None
    features = variables.features if isinstance(variables, BothVariables) else variables
    if space is not None and not isinstance(features, StructureVariables):
        split = space.split(graph, features, items)
    rewired = changed_edges(graph, reference, items, len(activation)) >= min_distance
    if weights is not None:
        changed = EdgeWeights(directed=True).variables(reference, weights).distance(graph, items).items
        rewired |= changed >= min_distance
    own = variables.distance(graph, items).items
    together = isinstance(variables, BothVariables)  # then the distance is the smaller of both
    different = own >= min_distance if together else _reaches(own, min_distance, rewired)
    # Other neighbours are visible in any case.
    seen = different if together or split is None else _reaches(split.visible_items, min_distance, rewired)
    return GateReport(
        same_prediction=same,
        closer=null.beaten_by(snr),
        different=different,
        visible=seen,
        item_loss=losses,
        min_distance=min_distance,
        item_distance=own,
        distance=split,
    )


def _weights_of(candidate: Metamer | Graph) -> str | None:
    """Where the weights of a metamer are, if they varied."""
    config: Any = candidate.config if isinstance(candidate, Metamer) else {}
    edges = config.get("vary", {}).get("edges", {})
    return str(edges["slot"]) if "slot" in edges else None


def _same_prediction(view: ModelView, graph: Graph, reference: Graph, items: str, num_items: int) -> Tensor:
    """Gate 1, bool [items]; an output with another number of rows has no class for every item."""
    chosen = view.prediction(reference, items)
    if chosen is None or len(chosen[1]) != num_items:
        raise ParameterError(
            "layer",
            "one whose items the model predicts a class for",
            f"{num_items} {items} without one",
        )
    name, expected = chosen
    same = predicted_classes(view.outputs(graph)[name]) == predicted_classes(expected)
    return same if same.ndim == 1 else same.all(dim=1)


def _reaches(distance: Tensor, least: float, rewired: Tensor) -> Tensor:
    """Items whose features or edges changed by at least the least distance, bool [items]."""
    return rewired | (distance >= least) if len(distance) else rewired


def _share(mask: Tensor) -> float:
    return float(mask.double().mean())
