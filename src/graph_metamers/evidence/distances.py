"""measure_distances(): how far a changed graph is from its reference, beside chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from graph_metamers.errors import ParameterError
from graph_metamers.evidence.distance_report import DistanceReport, MeasuredDistance
from graph_metamers.evidence.gating import space_of
from graph_metamers.evidence.layer_distances import NullSpaceDistance, VisibleDistance
from graph_metamers.evidence.seeing import ChanceGraphs, seen_of
from graph_metamers.inputs import resolve_variables
from graph_metamers.metrics.consistency_score import Consistency, consistency
from graph_metamers.metrics.distances import CHANCES, Distance, Kind, Seen, model_free, registered
from graph_metamers.metrics.structure import edge_overlap
from graph_metamers.parameters import MAX_SEED, check_choice, check_integer, check_layer
from graph_metamers.reading import ModelView
from graph_metamers.synthesis import Metamer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from graph_metamers.types import Forward, Graph, Transform

NEEDS_MODEL = "it is about one layer of a model: pass model and layer"
KINDS: tuple[Kind, ...] = ("features", "structure", "both")


@dataclass(frozen=True)
class DistanceInfo:
    """What can be said of a distance without measuring it.

    Attributes
    ----------
    name
        For `measure_distances`.
    kind
        What it looks at: `features`, `structure` or `both`.
    text
        One sentence: what it measures.
    unit, limits
        Of its raw values: their unit, and the smallest and the largest.
    chance
        Which unrelated graph stands at 1 on the scale.
    is_symmetric
        Whether the two graphs may change places.
    is_aligned
        Whether it compares node by node.
    needs_model
        Whether it is about one layer of a model.
    """

    name: str
    kind: str
    text: str
    unit: str
    limits: tuple[float, float]
    chance: str
    is_symmetric: bool
    is_aligned: bool
    needs_model: bool


def list_distances() -> list[DistanceInfo]:
    """List the distances that `measure_distances` knows.

    Examples
    --------
    >>> [info.name for info in list_distances() if info.needs_model]
    ['visible', 'null_space']
    """
    return [
        DistanceInfo(
            kind.name,
            kind.kind,
            kind.text,
            kind.unit,
            kind.limits,
            CHANCES[kind.chance],
            kind.is_symmetric,
            kind.is_aligned,
            kind.needs_model,
        )
        for kind in _in_order()
    ]


def _in_order() -> list[type[Distance]]:
    """Every distance: of features, those of a layer first, of structure, of both."""
    kinds = registered().values()
    return sorted(kinds, key=lambda kind: (KINDS.index(kind.kind), not kind.needs_model))


def measure_distances(
    changed: Metamer | Graph,
    reference: Graph | None = None,
    *,
    names: Sequence[str] | None = None,
    model: nn.Module | None = None,
    layer: str | None = None,
    forward: Forward | None = None,
    transform: Transform | None = None,
    draws: int = 3,
    seed: int = 0,
) -> DistanceReport:
    """Measure how far a changed graph is from its reference, in features and in structure, beside chance.

    Parameters
    ----------
    changed
        A `Metamer`, or another version of the reference: the same nodes in the same order, as many features.
    reference
        The graph it is compared with; default, for a metamer: its own.
    names
        Which distances, as `list_distances` names them; default: all that apply. Of features, edges or both
        that are those of the reference, none is measured then if the rest has changed.
    model, layer
        For the two distances that are about a layer, `visible` and `null_space`: the model, not changed, and
        the name of the layer; default, for a metamer: the layer that it matches, if that is one.
    forward, transform
        How the model is called; see `activations`.
    draws
        Unrelated graphs from which each chance level is estimated, at least 1.
    seed
        Of these graphs, and of what is sampled.

    Returns
    -------
    DistanceReport

    Raises
    ------
    ParameterError
        If the two graphs have other nodes or numbers of features, a name is unknown, or a distance that is
        asked for by name does not apply; the error says why not.

    Notes
    -----
    Every distance costs 1 + `draws` measurements. On Cora (2708 nodes, 1433 words) all that need no model
    take most of a minute. Chance assumes that all features and all edges may vary. Source: *ours*, unless the
    distance's own text names one; what each means and when it misleads is in the documentation.

    Examples
    --------
    >>> import graph_metamers as gm
    >>> graph = gm.load_dataset("karate").graph
    >>> gm.measure_distances(graph, graph, names=["cosine", "edge_jaccard"])
    DistanceReport(raw over chance: 0 = the reference, 1 = unrelated
      features: cosine 0
      structure: edge_jaccard 0
    )
    """
    graph, reference = _both_graphs(changed, reference)
    check_integer("draws", draws, low=1)
    check_integer("seed", seed, low=0, high=MAX_SEED)
    _check_names(names)
    ours, theirs = seen_of(graph, reference), seen_of(reference, reference)
    _check_alike(ours, theirs)
    known = model_free()
    if model is not None or layer is not None:
        known |= _of_layer(model, _layer_of(layer, changed), reference, forward, transform)
    chosen, left_out = _chosen(known, names, ours, theirs)
    chances = ChanceGraphs(reference, theirs, seed)
    return DistanceReport(
        tuple(_measured(distance, ours, chances, draws) for distance in chosen),
        left_out,
        _consistency_of(changed) if isinstance(changed, Metamer) else None,
    )


def _both_graphs(changed: Metamer | Graph, reference: Graph | None) -> tuple[Graph, Graph]:
    graph = changed.graph if isinstance(changed, Metamer) else changed
    if reference is None and isinstance(changed, Metamer):
        reference = changed.reference
    for name, value in (("changed", graph), ("reference", reference)):
        if not hasattr(value, "edge_stores"):
            must = "a Metamer, a Data or a HeteroData" if name == "changed" else "a Data or a HeteroData"
            raise ParameterError(name, must, value)
    assert reference is not None  # noqa: S101 (it has edge stores)
    return graph, reference


def _check_names(names: Sequence[str] | None) -> None:
    if names is None:
        return
    if isinstance(names, str) or not names:
        raise ParameterError("names", "a list of names of distances", names, "list_distances() lists them")
    for name in names:
        check_choice("names", name, registered())


def _check_alike(ours: Seen, theirs: Seen) -> None:
    shapes = [([list(x.shape) for x in seen.features], seen.num_nodes) for seen in (ours, theirs)]
    if shapes[0] != shapes[1]:
        must = "a graph with the reference's nodes and as many features, {} of {} nodes".format(*shapes[1])
        raise ParameterError("changed", must, "{} of {} nodes".format(*shapes[0]))


def _layer_of(layer: str | None, changed: Metamer | Graph) -> str:
    if layer is None and isinstance(changed, Metamer) and len(changed.layer) == 1:
        return changed.layer[0]
    return check_layer("layer", layer)


def _of_layer(
    model: nn.Module | None,
    layer: str,
    reference: Graph,
    forward: Forward | None,
    transform: Transform | None,
) -> dict[str, Distance]:
    if not isinstance(model, torch.nn.Module):
        raise ParameterError("model", "a torch.nn.Module where a layer is given", model)
    variables = resolve_variables("features", reference)
    space = space_of(ModelView(model, forward, transform), variables, layer)
    assert space is not None  # noqa: S101 (features vary)
    return {kind.name: kind(space, variables) for kind in (VisibleDistance, NullSpaceDistance)}


def _chosen(
    known: dict[str, Distance], names: Sequence[str] | None, ours: Seen, theirs: Seen
) -> tuple[list[Distance], dict[str, str]]:
    """The distances to measure, and why each of the others is not."""
    reasons = {}
    same = _unchanged(ours, theirs) if names is None else {}
    for kind in _in_order():
        distance = known.get(kind.name)
        why_not = NEEDS_MODEL if distance is None else distance.why_not(ours, theirs)
        reasons[kind.name] = why_not or same.get(kind.kind, "")
    if names is not None:
        for name in names:
            if reasons[name]:
                raise ParameterError("names", "distances that apply", name, f"It does not: {reasons[name]}")
        reasons = {name: reasons[name] for name in reasons if name in names}
    chosen = [known[name] for name, reason in reasons.items() if not reason]
    return chosen, {name: reason for name, reason in reasons.items() if reason}


def _unchanged(ours: Seen, theirs: Seen) -> dict[str, str]:
    """Kind -> why its distances need not be measured, where the other kind has changed."""
    features = all(bool((x == y).all()) for x, y in zip(ours.features, theirs.features, strict=True))
    edges = theirs.edge_index is None or torch.equal(ours.edges, theirs.edges)
    if not edges:
        edges = edge_overlap(ours.edges, theirs.edges, theirs.num_nodes) == 1
    if features == edges:
        return {}
    return {"features": "the features are the reference's"} if features else {"structure": SAME_EDGES}


SAME_EDGES = "the edges are the reference's"


def _measured(distance: Distance, ours: Seen, chances: ChanceGraphs, draws: int) -> MeasuredDistance:
    theirs, seed = chances.seen, chances.seed
    reading = distance.raw(ours, theirs, seed=seed)
    why_none = chances.why_none(distance.chance)
    chance, error = math.nan, math.nan
    closed = distance.expected(theirs)
    if closed is not None:
        chance, error = closed, 0.0
    elif not why_none:
        values = [
            distance.raw(chances.draw(distance.chance, number), theirs, seed=seed).value
            for number in range(draws)
        ]
        chance = float(np.mean(values))
        error = float(np.std(values, ddof=1) / math.sqrt(draws)) if draws > 1 else math.nan
    low, high = reading.ends
    return MeasuredDistance(
        name=distance.name,
        kind=distance.kind,
        text=distance.text,
        unit=distance.unit,
        raw=reading.value,
        low=low,
        high=high,
        error=reading.error,
        method=reading.method,
        chance=chance,
        chance_error=error,
        chance_is=why_none or CHANCES[distance.chance],
    )


def _consistency_of(metamer: Metamer) -> Consistency:
    match = 1 - min(1.0, math.sqrt(metamer.activation_loss)) if metamer.activation_loss >= 0 else 0.0
    return consistency(match, 1 - min(1.0, metamer.input_distance.scaled))
