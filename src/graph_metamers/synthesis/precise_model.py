"""A copy of a model in float64, to tell what is equal from what is nearly equal."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graph_metamers.reading.messages import MessageRecorder
from graph_metamers.reading.precision import in_float64

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graph_metamers.reading import ModelView
    from graph_metamers.reading.messages import Hop
    from graph_metamers.types import Graph

SAME = 1e-10
"""Largest change of an activation, over the largest activation of its layer, that is rounding in float64."""


@dataclass(frozen=True, eq=False)
class PreciseModel:
    """A model and a graph in float64.

    Attributes
    ----------
    view
        The copy of the model.
    graph
        The reference with its floating-point tensors in float64.
    layers
        That are read.
    activations
        Of the reference, by layer.
    """

    view: ModelView
    graph: Graph
    layers: tuple[str, ...]
    activations: Mapping[str, Tensor]

    @classmethod
    def of(
        cls, view: ModelView, graph: Graph, layers: Sequence[str], x: Tensor | None = None
    ) -> PreciseModel:
        """Copy a model; call inside `view.borrow()`. One run.

        Parameters
        ----------
        view
            The model.
        graph
            The reference.
        layers
            That are read.
        x
            Features in the place of the graph's, float64 [n, F].

        Raises
        ------
        ParameterError
            If the model cannot be copied, or does not run in float64.
        """
        seen = graph
        if x is not None:
            seen = copy.copy(graph)
            seen.x = x
        own, precise, activations = in_float64(
            view, seen, layers, mend="The solver 'rewire' needs no float64"
        )
        return cls(own, precise, tuple(layers), activations)

    def change(self, columns: Mapping[str, Tensor]) -> float:
        """Largest change of an activation, over the largest of its layer, with other edges. One run.

        Parameters
        ----------
        columns
            Tensors of the graph to replace, such as its `edge_index`.
        """
        changed = copy.copy(self.graph)
        for name, value in columns.items():
            changed[name] = value
        with torch.no_grad():
            taps = self.view.taps(changed, self.layers)
        changes = [
            (taps[name].value - before).abs().max() / before.abs().max().clamp(min=1e-300)
            for name, before in self.activations.items()
        ]
        return float(torch.stack(changes).max())  # NaN if any is

    def hops(self) -> list[Hop]:
        """Steps of message passing up to the last one that reaches the layers. One run, forth and back."""
        with torch.enable_grad(), MessageRecorder(self.view.model) as recorder:
            taps = self.view.taps(self.graph, self.layers)
            hops = list(recorder.hops)
        values = [tap.value.sum() for tap in taps.values() if tap.value.requires_grad]
        places = [place for place, hop in enumerate(hops) if hop.leaf is not None]
        if not values or not places:
            return []
        leaves: list[Any] = [hops[place].leaf for place in places]
        gradients = torch.autograd.grad(values, leaves, allow_unused=True)
        reached = [place for place, gradient in zip(places, gradients, strict=True) if gradient is not None]
        return hops[: max(reached, default=-1) + 1]

    def shuffled_columns(self, seed: int) -> dict[str, Tensor]:
        """The same edges, those into each node in another order among their places, attributes with them."""
        target = self.graph.edge_index[1].cpu().numpy()
        random = np.random.default_rng(seed).random(len(target))
        order = np.empty(len(target), dtype=np.int64)
        order[np.argsort(target, kind="stable")] = np.lexsort((random, target))
        columns = torch.from_numpy(order).to(self.graph.edge_index.device)
        found = {name: self.graph[name][columns] for name in edge_attributes(self.graph)}
        return {"edge_index": self.graph.edge_index[:, columns], **found}


def edge_attributes(graph: Graph) -> list[str]:
    """Names of the tensors with a row for each edge, [E, ...], other than `edge_index`."""
    num_edges = graph.edge_index.shape[1]
    return [
        name
        for name in graph.edge_attrs()
        if name != "edge_index" and isinstance(graph[name], Tensor) and graph[name].shape[:1] == (num_edges,)
    ]
