"""What a model can tell of a graph's structure: classes of nodes, and swaps that it cannot notice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

from graph_metamers.parameters import check_choice
from graph_metamers.reading import default_layers, layers
from graph_metamers.synthesis.alike_nodes import Alike, alike_nodes
from graph_metamers.synthesis.preparing import prepared
from graph_metamers.synthesis.settings import SearchSettings
from graph_metamers.synthesis.solvers import ExactSwaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from graph_metamers.types import Forward, Graph


@dataclass(frozen=True)
class LayerClasses:
    """What a layer can tell of a graph's edges.

    Attributes
    ----------
    layer
        Its name.
    hops
        Steps of message passing up to it.
    num_nodes
        n.
    classes_per_round
        Classes of nodes after 0, 1, ..., `hops` rounds of Weisfeiler-Leman refinement, from what the model
        reads of a node's own inputs (and its degree, where `reads_degrees`). The last one bounds from above
        how many different rows the layer can have, whatever the weights behind the first maps.
    swaps
        Admissible exact swaps: pairs of edges that may change ends without any change up to this layer;
        `None` where there are too many pairs to count (see `ExactSwaps`).
    relabellings
        Those among them that only let two nodes with equal features change names: they give the same graph.
    reads_degrees
        Whether the model was seen to read degrees beside what it adds up, by swaps of nodes that differ in
        nothing else; `None` where there was nothing to try it with.
    largest_change
        Of an activation over the largest of its layer in float64, after so many of these swaps that none
        takes away an edge of the graph any more: rounding, at the most 1e-10.
    """

    layer: str
    hops: int
    num_nodes: int
    classes_per_round: tuple[int, ...]
    swaps: int | None
    relabellings: int | None
    reads_degrees: bool | None
    largest_change: float

    def row(self) -> dict[str, Any]:
        """The same as a flat dictionary; classes as `classes_0`, `classes_1`, ..."""
        others = {name: value for name, value in vars(self).items() if name != "classes_per_round"}
        return others | {f"classes_{i}": count for i, count in enumerate(self.classes_per_round)}


def structure_classes(
    model: nn.Module,
    graph: Graph,
    layer: str | Sequence[str] | None = None,
    *,
    alike: Alike = "messages",
    forward: Forward | None = None,
) -> list[LayerClasses]:
    """Count classes of nodes and admissible exact swaps for each layer.

    Parameters
    ----------
    model
        Any module that sends messages along the graph's edges; not changed.
    graph
        A `Data` or `Batch`.
    layer
        A name or names; default: the layers that an audit reads.
    alike
        For swaps: when two nodes look alike, as in `ExactSwaps`. Classes per round are by `"inputs"` always.
    forward
        How the model is called; see `activations`.

    Returns
    -------
    list of LayerClasses
        One for each layer.

    Raises
    ------
    ParameterError
        If swaps would not be exact for this model; see `ExactSwaps`.

    Notes
    -----
    Weisfeiler and Leman 1968; swaps are *ours*. Each layer costs some runs of the model in float64, and the
    pairs of edges whose ends have the same colours.

    Examples
    --------
    >>> import torch, graph_metamers as gm
    >>> from torch_geometric.nn import GIN
    >>> graph = gm.load_dataset("karate").graph.clone()
    >>> graph.x = torch.ones(34, 1)
    >>> found = gm.structure_classes(GIN(1, 8, num_layers=2), graph, ["convs.0", "output"])
    >>> [(each.hops, each.classes_per_round) for each in found]
    [(1, (1, 11)), (2, (1, 11, 27))]
    """
    check_choice("alike", alike, get_args(Alike))
    names = default_layers(layers(model, graph, forward=forward)) if layer is None else layer
    names = [names] if isinstance(names, str) else list(names)
    return [_of_layer(model, graph, name, alike, forward) for name in names]


def _of_layer(
    model: nn.Module, graph: Graph, name: str, alike: Alike, forward: Forward | None
) -> LayerClasses:
    settings = SearchSettings.of(
        name,
        vary="structure",
        objective="match",
        index=None,
        transform=None,
        forward=forward,
        solver=ExactSwaps(alike=alike),
        init="reference",
        budget=None,
        tolerance=0.0,
        min_distance=0.0,
        task="auto",
        prediction_tolerance=None,
        callbacks=(),
    )
    with prepared(model, graph, settings) as searches:
        found: Any = searches.search(0).config["findings"]
        nodes = alike_nodes(searches.problem, "inputs")  # type: ignore[arg-type]
        reads = [told for told in (found["reads_degrees"], nodes.reads_degrees) if told is not None]
        classes = tuple(
            int(replace(nodes, hops=rounds + 1).colours(degrees=any(reads)).max()) + 1
            for rounds in range(nodes.hops + 1)
        )
    return LayerClasses(
        name,
        nodes.hops,
        len(nodes.base),
        classes,
        found["admissible_swaps"],
        found["relabellings"],
        any(reads) if reads else None,
        found["largest_change"],
    )
