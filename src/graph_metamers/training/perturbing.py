"""Perturbations in training: the worst of a given size, and a random one of exactly the same size.

Both kinds lie on the surface of the same ball, at every node, in every epoch. So whatever adversarial
training does that training with random changes of that size does not, is due to their direction.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

from graph_metamers.errors import ParameterError
from graph_metamers.graphs import infer_feature_kind
from graph_metamers.parameters import check_choice, check_integer, check_real
from graph_metamers.training.edge_removal import EdgePairs, removed_pairs, without_pairs
from graph_metamers.training.feature_moves import flipped, moved

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import Tensor, nn

    from graph_metamers.types import Graph

Norm: TypeAlias = Literal["l2", "linf", "flips", "share"]

_NORMS = {"features": ("l2", "linf", "flips"), "edges": ("share",)}


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """A change of the training graph, drawn anew in every epoch; for `fit`.

    Parameters
    ----------
    kind
        `"pgd"`: the change that raises the training loss most, by projected gradient ascent (Madry et al.
        2018; of a graph: Xu et al. 2019), and never less than the random one it starts from. `"random"`: one
        of the same size, without a look at the loss: the control.
    on
        `"features"` or `"edges"`.
    norm
        In what the size is told, at every node alike:

        - `"l2"`: every node's features move by exactly `radius`, in their own unit;
        - `"linf"`: every feature of every node moves by exactly `radius`;
        - `"flips"`: exactly `radius` (a whole number) binary features of every node are flipped;
        - `"share"`: of edges, exactly this share (rounded to whole edges) is taken away, the two directions
          of an undirected edge together.

        Default: flips of binary features, l2 of others, share of edges.
    radius
        The size, > 0.
    steps
        Gradient steps of `"pgd"`, >= 1.

    Raises
    ------
    ParameterError
        If a value is unknown or out of range.

    Notes
    -----
    Features may leave their range, so that both kinds have the same size everywhere (ours). A pgd step costs
    a forward and a backward pass in eval mode. Edges are ranked by the slope of the loss in factors of their
    messages, which is not the effect of a deletion; so the model is run on the real graph without these
    edges, and the worst of the graphs tried is taken.

    Examples
    --------
    >>> Perturbation(kind="pgd", norm="flips", radius=2).on
    'features'
    """

    kind: Literal["pgd", "random"]
    on: Literal["features", "edges"] = "features"
    norm: Norm | None = None
    radius: float
    steps: int = 5

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, ("pgd", "random"))
        check_choice("on", self.on, tuple(_NORMS))
        check_integer("steps", self.steps, low=1)
        check_real("radius", self.radius, low=0.0, low_included=False)
        if self.norm is None:
            return
        check_choice("norm", self.norm, _NORMS[self.on])
        self._require_radius(self.norm)

    def norm_for(self, x: Tensor) -> Norm:
        """The norm, chosen by the features [n, F] where none is named.

        Raises
        ------
        ParameterError
            If flips are asked for of features that are not binary or are fewer, or the radius does not
            fit the norm.
        """
        if self.on == "edges":
            self._require_radius("share")
            return "share"
        binary = infer_feature_kind(x) == "binary"
        norm = self.norm or ("flips" if binary else "l2")
        self._require_radius(norm)
        if norm == "flips" and not binary:
            raise ParameterError("norm", "'l2' or 'linf' where features are not all 0 or 1", norm)
        if norm == "flips" and self.radius > x.shape[1]:
            raise ParameterError("radius", f"at most {x.shape[1]}, the number of features", self.radius)
        return norm

    def _require_radius(self, norm: Norm) -> None:
        if norm == "flips" and not float(self.radius).is_integer():
            raise ParameterError("radius", "a whole number of features to flip in every node", self.radius)
        if norm == "share" and self.radius >= 1:
            raise ParameterError("radius", "less than 1, a share of the edges", self.radius)


@dataclass(frozen=True, eq=False)
class Disturbance:
    """What a training sees in place of its graph: another graph in every epoch.

    Attributes
    ----------
    graph
        The graph as it is, before any transform; never changed.
    perturbation
        What is added; `None` for nothing.
    drop_edge
        Share of the edges that is dropped at random, in [0, 1).
    generator
        Where chance comes from.
    loss
        Training loss of the model on a graph, in eval mode, scalar.
    """

    graph: Graph
    perturbation: Perturbation | None
    drop_edge: float
    generator: torch.Generator
    loss: Callable[[Graph], Tensor]

    def drawn(self, model: nn.Module) -> Graph:
        """The graph of the next epoch. The model must be in eval mode; nothing of it is changed."""
        graph = self.graph
        if self.drop_edge:
            pairs = EdgePairs.of(graph)
            graph = without_pairs(graph, pairs, pairs.random(pairs.count(self.drop_edge), self.generator))
        return graph if self.perturbation is None else self._perturbed(graph, self.perturbation, model)

    @cached_property
    def _norm(self) -> Norm:
        """Of the perturbation; the kind of the features is not looked up in every epoch."""
        assert self.perturbation is not None  # noqa: S101 (asked where there is one)
        return self.perturbation.norm_for(self.graph.x)

    def _perturbed(self, graph: Graph, perturbation: Perturbation, model: nn.Module) -> Graph:
        steps = perturbation.steps if perturbation.kind == "pgd" else 0
        norm = self._norm
        if norm == "share":
            pairs = EdgePairs.of(graph)
            chosen = removed_pairs(
                model, graph, pairs, pairs.count(perturbation.radius), self.loss, self.generator, steps=steps
            )
            return without_pairs(graph, pairs, chosen)

        def loss(x: Tensor) -> Tensor:
            return self.loss(with_features(graph, x))

        if norm == "flips":
            x = flipped(graph.x, int(perturbation.radius), loss, self.generator, steps=steps)
        else:
            x = moved(graph.x, perturbation.radius, norm, loss, self.generator, steps=steps)
        return with_features(graph, x)


def with_features(graph: Graph, x: Tensor) -> Graph:
    """The graph with other features, [n, F]; all else is shared with it."""
    changed = copy.copy(graph)
    changed.x = x
    return changed


def check_drop_edge(value: object) -> float:
    """Return a share of edges in [0, 1).

    Raises
    ------
    ParameterError
        If it is none.
    """
    return check_real("drop_edge", value, low=0.0, high=1.0)
