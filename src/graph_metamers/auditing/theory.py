"""What of an audit is computed and not searched for, and whether it predicts what the searches found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from graph_metamers.errors import GraphMetamersError
from graph_metamers.metrics.ranking import partial_rank_correlation
from graph_metamers.randomness import generator_for
from graph_metamers.reading import ModelView
from graph_metamers.storage import to_number
from graph_metamers.theory import feature_visibility, free_shares, local_metamer_dimension, volume_change

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from graph_metamers.datasets import Dataset
    from graph_metamers.theory import MetamerDimension, VolumeChange
    from graph_metamers.types import Forward, Graph, Json, Transform

MOST_NODES = 300  # that are looked at, drawn at random
MOST_FOR_ACTIVATIONS = 12  # of these, at random too: activation functions cost passes of the whole graph
MOST_PREDICTED = 100  # nodes whose freedom is predicted
WORK = 4e10  # multiplications for that at one layer
FEWEST_PREDICTED = 50  # fewer nodes say nothing about a correlation
BAND = (0.1, 0.5, 0.9)  # quantiles of singular values over nodes


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
class FreedomPrediction:
    """Whether the directions that derivatives leave free say which nodes the searches moved far.

    Attributes
    ----------
    num_nodes
        Nodes that were compared.
    tolerance
        Activation loss that counts as free; see `free_shares`.
    mean_share
        Free share of a node's directions, mean over them.
    correlations
        One a start: Spearman's correlation over nodes of the free share with the visible distance that was
        found, with what the ranks of degrees explain taken out; chance level 0. nan where nothing varies.
    """

    num_nodes: int
    tolerance: float
    mean_share: float
    correlations: tuple[float, ...]


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
    spectrum
        Singular values of the nodes' Jacobians over the largest of the same node, from the largest on: the
        quantiles `BAND` of each over nodes, [units][3].
    predicted
        Whether freedom by derivatives predicts what searches found; `None` where that was not asked.
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
    spectrum: tuple[tuple[float, ...], ...] = ()
    predicted: FreedomPrediction | None = None


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
    moved: Mapping[str, Sequence[Tensor]] | None = None,
    tolerance: float = 0.0,
) -> Theory:
    """Compute what can be computed, at up to `MOST_NODES` random nodes; what cannot is named with the reason.

    Parameters
    ----------
    moved
        Layer -> visible distance of every node in what was found from each start, [n] each; what is predicted
        is compared with it.
    tolerance
        Activation loss of the searches.

    Notes
    -----
    Seconds for a graph of some thousand nodes. The model comes back as it was.
    """
    graph = dataset.graph
    calling: dict[str, Any] = {"forward": forward, "transform": transform}
    order = torch.randperm(dataset.num_nodes, generator=generator_for("theory", seed))
    index, few = (order[:most].sort().values for most in (MOST_NODES, MOST_FOR_ACTIVATIONS))
    roles = {layer.name: layer.role for layer in ModelView(model, forward, transform).layers(graph)}
    found: list[LayerTheory] = []
    refusals: list[str] = []
    for layer in layers:
        try:
            counted = _layer_theory(local_metamer_dimension(model, graph, layer, index=index, **calling))
            if roles[layer] == "post-activation":
                change = volume_change(model, graph, layer, index=few, **calling)
                counted = _with_activations(counted, change)
            if moved is not None and layer in moved:
                counted = _with_prediction(
                    counted, model, graph, order[:MOST_PREDICTED], moved[layer], tolerance, calling, refusals
                )
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
        spectrum=_band(counted.singular_values),
    )


def _band(values: Tensor) -> tuple[tuple[float, ...], ...]:
    """Quantiles over nodes of singular values over the largest, [units][3], of nodes that see something."""
    values = values[values[:, 0] > 0]
    if not len(values):
        return ()
    shares = values / values[:, :1]
    quantiles = torch.quantile(shares, torch.tensor(BAND, dtype=shares.dtype), dim=0)
    return tuple(tuple(row) for row in quantiles.T.tolist())


def _with_prediction(
    counted: LayerTheory,
    model: nn.Module,
    graph: Graph,
    nodes: Tensor,
    moved: Sequence[Tensor],
    tolerance: float,
    calling: Mapping[str, Any],
    refusals: list[str],
) -> LayerTheory:
    """Compare free shares of some nodes with how far searches moved them."""
    shares = free_shares(model, graph, counted.layer, index=nodes, tolerance=tolerance, work=WORK, **calling)
    if len(shares.index) < min(FEWEST_PREDICTED, len(nodes)):
        refusals.append(
            f"{counted.layer}: how free each node is, since nodes read too much of the graph for an audit; "
            "free_shares() computes it"
        )
        return counted
    degrees = torch.bincount(graph.edge_index[1].cpu(), minlength=int(graph.num_nodes or 0))[shares.index]
    correlations = tuple(
        partial_rank_correlation(shares.shares, distances.cpu()[shares.index], degrees) for distances in moved
    )
    predicted = FreedomPrediction(len(shares.index), tolerance, float(shares.shares.mean()), correlations)
    return replace(counted, predicted=predicted)


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
    numbers["spectrum"] = tuple(tuple(map(to_number, row)) for row in numbers.get("spectrum", ()))
    predicted = numbers.get("predicted")
    if predicted is not None:
        correlations = tuple(map(to_number, predicted["correlations"]))
        numbers["predicted"] = FreedomPrediction(**{**predicted, "correlations": correlations})
    return LayerTheory(**numbers)
