"""The same problem in fewer numbers: features in the coordinates that the model reads.

Where raw features enter a model only through linear maps W_1, W_2, ... of single rows, or of sums of rows,
its activations depend on X only through C = X Q, with Q [F, r] an orthonormal basis of the row space of the
stacked maps. A copy of the model whose first weights are W_i Q computes the same from C as the model does
from X, at the cost of r columns instead of F. Whatever X does outside this space is free.

A search takes fewer steps if each direction is measured by how strongly the model reads it: with coordinates
C S, S the singular values of the stacked maps, a step is as long as what it changes in the model.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graph_metamers.inputs.slots import read_features, write_features
from graph_metamers.reading.entrances import PROBE_WIDTH, Entrance, EntranceWatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graph_metamers.inputs.variables import Variables
    from graph_metamers.reading import ModelView
    from graph_metamers.types import Graph

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
"""Largest relative difference, in the norm of a layer, between the copy and the model that is rounding."""


LEAST_SCALE = 0.1
"""Of the largest singular value. Smaller scales save few steps, and carry features far out of their range in
directions that the model hardly reads."""


@dataclass(frozen=True, eq=False)
class Compression:
    """A model that computes from C = X Q what another one computes from X.

    Attributes
    ----------
    view
        The model with weights W_i Q S^-1; everything else is that of the original.
    slot
        Where the features are.
    basis
        Q, float64 [F, r], orthonormal columns.
    maps
        The stacked maps W_1, W_2, ... [total_out, F], float64: what the model reads of a row.
    scales
        S, float64 [r], at the most 1 and at least `LEAST_SCALE`; ones where coordinates are not scaled.
    into, back
        Q S and Q S^-1 in the dtype of the features, [F, r] each.
    known
        Features whose coordinates were needed to verify, [n, F], and these, [n, r].
    """

    view: ModelView
    slot: str
    basis: Tensor
    maps: Tensor
    scales: Tensor
    into: Tensor
    back: Tensor
    known: list[tuple[Tensor, Tensor]] = field(default_factory=list, repr=False)

    @property
    def rank(self) -> int:
        """Numbers per row that the model reads, r."""
        return self.basis.shape[1]

    def coordinates(self, x: Tensor) -> Tensor:
        """X Q S in the dtype of X, [n, r]; differentiable."""
        for features, coordinates in self.known:
            if features is x:
                return coordinates
        return x @ self.into

    def lift(self, coordinates: Tensor, x: Tensor) -> Tensor:
        """The features with these coordinates that are X outside the space, [n, F].

        X (I - Q Q^T) + C S^-1 Q^T.
        """
        return torch.addmm(x, coordinates - self.coordinates(x), self.back.T)

    def graph(self, reference: Graph, coordinates: Tensor) -> Graph:
        """The reference with coordinates instead of features, as the copy of the model takes it."""
        return write_features(reference, {self.slot: coordinates})


@dataclass(frozen=True)
class Refusal:
    """Why features cannot be compressed for a model and a graph."""

    reason: str


def compress(
    view: ModelView,
    variables: Variables,
    targets: Mapping[str, Tensor],
    points: Iterable[tuple[Graph, Mapping[str, Tensor]]] = (),
    *,
    scaled: bool = False,
) -> Compression | Refusal:
    """Find a smaller model that computes the same from X Q, and verify that it does.

    Parameters
    ----------
    view
        The model; call inside `view.borrow()`. Not changed.
    variables
        The reference and what may vary.
    targets
        Layer -> activation of the reference: the layers that have to be the same.
    points
        Other graphs, with the same layers as the model computes them: the copy has to agree there too. At
        least one with unrelated features is needed to tell a linear first step from one that only looks so.
        May be computed on the way: they are asked for one after the other, and only if there is something to
        verify.
    scaled
        Whether to scale coordinates by singular values: for searches that move in them.

    Returns
    -------
    Compression or Refusal

    Notes
    -----
    Ours. Costs a run on `PROBE_WIDTH` columns, a singular value decomposition of [total_out, F], and one run
    of the small model per point. Agreement is relative, in the norm of each layer: within `TOLERANCE`.
    """
    found = _found(view, variables, targets, scaled=scaled)
    if isinstance(found, Refusal):
        return found
    if found.rank >= len(found.basis):
        return Refusal(f"the model reads all {len(found.basis)} directions of the features")
    return _verify(found, itertools.chain([(variables.reference, targets)], points)) or found


def read_maps(
    view: ModelView,
    variables: Variables,
    targets: Mapping[str, Tensor],
    points: Iterable[tuple[Graph, Mapping[str, Tensor]]] = (),
) -> Tensor | Refusal:
    """The stacked maps W_1, W_2, ... through which features enter, [total_out, F] float64, verified.

    Parameters as for `compress`; maps that read all F directions are no reason to refuse.
    """
    found = _found(view, variables, targets, scaled=False)
    if isinstance(found, Refusal):
        return found
    return _verify(found, itertools.chain([(variables.reference, targets)], points)) or found.maps


def _found(
    view: ModelView, variables: Variables, targets: Mapping[str, Tensor], *, scaled: bool
) -> Compression | Refusal:
    """The smaller model, before it is verified; it may be as wide as the model."""
    slots = list(variables.values)
    if len(slots) != 1 or len(read_features(variables.reference)) != 1:
        return Refusal("the graph has several kinds of nodes, each with features of its own")
    x = variables.values[slots[0]].reference
    num_features = x.shape[1]
    if num_features <= PROBE_WIDTH:
        return Refusal(f"{num_features} features are few enough")
    try:
        # Two: what three columns do to the first one must reach neither the user's model nor the smaller one.
        probed, small = copy.deepcopy(view.model), copy.deepcopy(view.model)
    except Exception as error:
        return Refusal(f"the model cannot be copied: {_first_line(error)}")
    found = _entrances(replace(view, model=probed), variables, targets, num_features)
    if isinstance(found, Refusal):
        return found
    weights = dict(view.model.named_parameters())
    maps = torch.cat([entrance.maps(weights[entrance.parameter].detach()).double() for entrance in found])
    basis, sigma = _row_space(maps)
    scales = (sigma / sigma[:1]).clamp(min=LEAST_SCALE) if scaled else torch.ones_like(sigma)
    back = basis / scales
    smaller = replace(view, model=_with_weights(small, found, back))
    return Compression(smaller, slots[0], basis, maps, scales, (basis * scales).to(x), back.to(x))


def _entrances(
    view: ModelView, variables: Variables, targets: Mapping[str, Tensor], num_features: int
) -> list[Entrance] | Refusal:
    (slot, values), *_ = variables.values.items()
    narrow = write_features(variables.reference, {slot: values.reference[:, :PROBE_WIDTH].contiguous()})
    watch = EntranceWatch(view.model, num_features)
    try:
        with torch.no_grad(), watch:
            view.read(narrow, list(targets))  # to the end: what enters later counts too
    except Exception as error:  # a module of the user's may raise anything
        return Refusal(
            f"something other than a product with a weight reads the features: {_first_line(error)}"
        )
    if not watch.entrances:
        return Refusal("no weight of the model multiplies the features")
    return watch.entrances


def _with_weights(model: nn.Module, entrances: Sequence[Entrance], basis: Tensor) -> nn.Module:
    """The copy of a model, with first weights that take coordinates; frozen, in eval mode."""
    small = model.eval()
    for entrance in entrances:
        owner_name, _, name = entrance.parameter.rpartition(".")
        owner = small.get_submodule(owner_name)
        weight = owner._parameters[name]
        assert weight is not None  # noqa: S101 (it was met in the run)
        narrow = entrance.through(weight.double(), basis.to(weight.device)).to(weight.dtype)
        owner._parameters[name] = nn.Parameter(narrow, requires_grad=False)
    for parameter in small.parameters():
        parameter.requires_grad_(False)
    return small


def _verify(compression: Compression, points: Iterable[tuple[Graph, Mapping[str, Tensor]]]) -> Refusal | None:
    for graph, expected in points:
        x = read_features(graph)[compression.slot]
        coordinates = compression.coordinates(x)
        compression.known.append((x, coordinates))
        try:
            with torch.no_grad():
                taps = compression.view.taps(compression.graph(graph, coordinates), list(expected))
        except Exception as error:
            return Refusal(f"the smaller model does not run: {_first_line(error)}")
        for name, value in expected.items():
            error_norm = float((taps[name].value - value).double().norm())
            size = float(value.double().norm())
            if not error_norm <= TOLERANCE.get(value.dtype, 1e-4) * size:
                relative = error_norm / max(size, 1e-300)
                return Refusal(
                    f"at {name} the smaller model differs by {relative:.1e} of the layer's size: features "
                    "enter otherwise than through sums and linear maps"
                )
    return None


def _row_space(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal basis of the rows of [m, F], float64 [F, r], and singular values above rounding, [r]."""
    _, values, directions = torch.linalg.svd(maps, full_matrices=False)
    rank = int((values > values.max() * max(maps.shape) * torch.finfo(torch.float64).eps).sum())
    basis: Tensor = directions[:rank].T.contiguous()
    return basis, values[:rank]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
