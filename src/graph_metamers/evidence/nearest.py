"""The nearest other real node as a stand-in: how alike it is to the layer, and how different it is."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graph_metamers.inputs import StructureVariables
from graph_metamers.inputs.both import BothVariables
from graph_metamers.inputs.slots import HOMOGENEOUS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graph_metamers.evidence.observing import Observer
    from graph_metamers.inputs import Variables
    from graph_metamers.inputs.asking import Varying
    from graph_metamers.types import Graph


def nearest_numbers(observing: Observer, predictions: Tensor) -> Mapping[str, float] | None:
    """Put the nearest real node with another activation in the place of every node, and measure it.

    Parameters
    ----------
    observing
        The layer, and how alike real nodes are there.
    predictions
        Class that the model predicts for every node, int64 [n].

    Returns
    -------
    mapping
        The numbers of `Observation` that a stand-in has; `None` where no node has another one. Nodes without
        one are left out of losses and shares, and keep their input.

    Notes
    -----
    Ours. No graph has these activations: nodes are compared, and not rewired. The distance of features is
    that of the matrix whose rows are those of the stand-ins; of edges, that of the lists of edges into them.
    """
    null = observing.null
    nearest = null.nearest_item.cpu()
    known = nearest >= 0
    if not bool(known.any()):
        return None
    places = torch.where(known, nearest, torch.arange(len(nearest)))
    h = null.activations.cpu()
    error = (h[places] - h)[known].square().sum()
    same = (predictions.cpu()[places] == predictions.cpu())[known]
    closer = null.beaten_by(null.nearest_snr).cpu()[known]
    graph = stand_ins(observing.variables, places)
    numbers = {
        "activation_loss": float(error / h[known].square().sum()),
        "input_distance": observing.variables.distance(graph, "none").scaled,
        "prediction_agreement": float(same.double().mean()),
        "passing_share": float((same & closer).double().mean()),
    }
    features = _features_of(observing.variables)
    if features is not None and observing.space is not None:
        numbers["visible_distance"] = observing.space.split(graph, features, "nodes").visible
    return numbers


def stand_ins(variables: Varying, places: Tensor) -> Graph:
    """The reference in which every node has the features, or the edges into it, of another one.

    Parameters
    ----------
    variables
        The reference and what may vary.
    places
        Whose, int64 [n].
    """
    graph = copy.copy(variables.reference)
    features = _features_of(variables)
    if features is not None:
        values = features.values[HOMOGENEOUS]
        x, mutable = values.reference, values.mutable
        graph = features.graph_with({HOMOGENEOUS: torch.where(mutable, x[places.to(x.device)], x)})
    if not isinstance(variables, BothVariables | StructureVariables):
        return graph
    edges = variables.reference.edge_index.cpu()
    order = edges[1].argsort(stable=True)
    source = edges[0][order]
    degrees = torch.bincount(edges[1], minlength=len(places))
    starts = degrees.cumsum(0) - degrees
    counts = degrees[places]
    owners = torch.repeat_interleave(torch.arange(len(places)), counts)
    within = torch.arange(len(owners)) - torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    into = source[starts[places][owners] + within]
    graph.edge_index = torch.stack([into, owners])
    return graph


def _features_of(variables: Varying) -> Variables | None:
    if isinstance(variables, BothVariables):
        return variables.features
    return None if isinstance(variables, StructureVariables) else variables
