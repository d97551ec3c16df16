"""What of an audit is computed and not searched for: dimensions, activation functions, visible features."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from graph_metamers.errors import GraphMetamersError
from graph_metamers.randomness import generator_for
from graph_metamers.reading import ModelView
from graph_metamers.theory import feature_visibility, local_metamer_dimension, volume_change

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from graph_metamers.datasets import Dataset
    from graph_metamers.theory import MetamerDimension, VolumeChange
    from graph_metamers.types import Forward, Json, Transform

MOST_NODES = 300  # that are looked at, drawn at random
MOST_FOR_ACTIVATIONS = (
    12  # of these, at random too: what activation functions do costs passes of the whole graph
)


@dataclass(frozen=True)
class ActivationTheory:
    """What an activation function does at a layer's pre-activations; see `volume_change`.

    Attributes
    ----------
    name
        Of the function.
    closed
        Units whose derivative is 0, mean over nodes.
    dimension_gain
        Directions of the features that it hides, mean over nodes.
    log_volume
        Change of the logarithm of the volume of what looks alike, nats, mean over nodes.
    """

    name: str
    closed: float
    dimension_gain: float
    log_volume: float


@dataclass(frozen=True)
class LayerTheory:
    """What can be counted of a layer; means over the nodes that were looked at.

    Attributes
    ----------
    layer
        Its name.
    num_nodes
        How many nodes were looked at.
    units
        Numbers that the layer has for a node.
    nodes_read
        Nodes whose features reach a node, n_v.
    inputs
        Features of those, m_v = n_v F.
    rank, least_rank, largest_rank
        Of the Jacobian: directions of its inputs that a node sees; mean, least and largest.
    unseen
        Share of the inputs' directions that is not seen, (m_v - rank) / m_v.
    unseen_linear
        Share that is not read whatever the activation function: 1 - r / F, with r the directions of a node's
        features that the model reads (the layer, where features enter otherwise than through linear maps).
    activations
        The layer's own activation function, then others at the same pre-activations, at `num_asked` nodes;
        empty if the layer is no activation function.
    full_rank
        Share of nodes whose pre-activations are independent: there what single units do adds up exactly;
        `None` without activation function.
    num_asked
        At how many of the nodes activation functions were asked about.
    """

    layer: str
    num_nodes: int
    units: int
    nodes_read: float
    inputs: float
    rank: float
    least_rank: int
    largest_rank: int
    unseen: float
    unseen_linear: float
    activations: tuple[ActivationTheory, ...] = ()
    full_rank: float | None = None
    num_asked: int = 0


@dataclass(frozen=True)
class FeatureReading:
    """How strongly the model reads each feature; see `feature_visibility`.

    Attributes
    ----------
    gains
        ||W e_i|| over its median, one a feature.
    shares
        diag(Q Q^T), one a feature.
    chance
        Of `shares`: r / F.
    """

    gains: tuple[float, ...]
    shares: tuple[float, ...]
    chance: float


@dataclass(frozen=True)
class Theory:
    """What was computed of a model on a data set; see `LayerTheory` and `FeatureReading`.

    Attributes
    ----------
    layers
        One a layer for which it could be computed.
    features
        `None` where the model reads features otherwise than through linear maps.
    refusals
        What could not be computed, and why.
    """

    layers: tuple[LayerTheory, ...]
    features: FeatureReading | None
    refusals: tuple[str, ...]


def theory_of(
    model: nn.Module,
    dataset: Dataset,
    layers: Sequence[str],
    *,
    forward: Forward | None = None,
    transform: Transform | None = None,
    seed: int = 0,
) -> Theory:
    """Compute what can be computed, at up to `MOST_NODES` random nodes; what cannot is named with the reason.

    Notes
    -----
    Seconds for a graph of some thousand nodes. The model comes back as it was.
    """
    graph = dataset.graph
    calling: dict[str, Any] = {"forward": forward, "transform": transform}
    order = torch.randperm(dataset.num_nodes, generator=generator_for("theory", seed))
    index, few = (order[:most].sort().values for most in (MOST_NODES, MOST_FOR_ACTIVATIONS))
    roles = {layer.name: layer.role for layer in ModelView(model, forward, transform).layers(graph)}
    found, refusals = [], []
    for layer in layers:
        try:
            counted = _layer_theory(local_metamer_dimension(model, graph, layer, index=index, **calling))
            if roles[layer] == "post-activation":
                change = volume_change(model, graph, layer, index=few, **calling)
                counted = _with_activations(counted, change)
            found.append(counted)
        except GraphMetamersError as error:
            refusals.append(f"{layer}: {error}")
    return Theory(tuple(found), _features(model, dataset, calling, refusals), tuple(refusals))


def _layer_theory(counted: MetamerDimension) -> LayerTheory:
    rank = counted.rank.double()
    return LayerTheory(
        layer=counted.layer,
        num_nodes=len(counted.index),
        units=counted.singular_values.shape[1],
        nodes_read=float(counted.nodes.double().mean()),
        inputs=float(counted.inputs.double().mean()),
        rank=float(rank.mean()),
        least_rank=int(rank.min()),
        largest_rank=int(rank.max()),
        unseen=float(counted.share.mean()),
        unseen_linear=1 - counted.features_read / counted.num_features,
    )


def _with_activations(counted: LayerTheory, change: VolumeChange) -> LayerTheory:
    own = change.summary()
    others = [row for row in change.compared() if row["activation"] != own["activation"]]
    rows = tuple(
        ActivationTheory(row["activation"], row["inactive"], row["dimension_gain"], row["log_volume"])
        for row in (own, *others)
    )
    return replace(counted, activations=rows, full_rank=own["full_rank_share"], num_asked=len(change.rank))


def _features(
    model: nn.Module, dataset: Dataset, calling: Mapping[str, Any], refusals: list[str]
) -> FeatureReading | None:
    try:
        found = feature_visibility(model, dataset.graph, **calling)
    except GraphMetamersError as error:
        refusals.append(f"features: {error}")
        return None
    return FeatureReading(tuple(found.gain.tolist()), tuple(found.share.tolist()), found.chance)


def describe_theory(theory: Theory | None) -> dict[str, Any] | None:
    """For JSON; `restored_theory` gives it back."""
    return None if theory is None else asdict(theory)


def restored_theory(stored: Mapping[str, Any] | None) -> Theory | None:
    """What `describe_theory` gave."""
    if stored is None:
        return None
    features = stored["features"]
    return Theory(
        layers=tuple(_restored_layer(layer) for layer in stored["layers"]),
        features=None
        if features is None
        else FeatureReading(tuple(features["gains"]), tuple(features["shares"]), features["chance"]),
        refusals=tuple(stored["refusals"]),
    )


def _restored_layer(stored: Mapping[str, Json]) -> LayerTheory:
    numbers: dict[str, Any] = dict(stored)
    numbers["activations"] = tuple(ActivationTheory(**row) for row in numbers["activations"])
    return LayerTheory(**numbers)
