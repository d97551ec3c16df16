"""The matching problem that a solver sees: a function of a vector, with a gradient, and nothing of graphs."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from graph_metamers.inputs.coordinates import Coordinates, FeaturesThrough
from graph_metamers.inputs.visible import visible_space
from graph_metamers.reading.functions import is_relu
from graph_metamers.reading.opening import OpenUnits
from graph_metamers.synthesis.blocks import ONE_BLOCK, Blocks
from graph_metamers.synthesis.mismatch import mismatch, rectifier_mismatch
from graph_metamers.synthesis.probing import random_signs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graph_metamers.inputs import Variables
    from graph_metamers.inputs.coordinates import CompressedSpace, Space
    from graph_metamers.reading import ModelView
    from graph_metamers.reading.recording import Tap
    from graph_metamers.replay import Tape


class Evaluation(NamedTuple):
    """A point, evaluated.

    Attributes
    ----------
    objective
        What the solver lowers, scalar, or [B] for a point in blocks; 0 exactly where `loss` is 0.
    loss
        The activation loss, or that of each block: scalar or [B].
    gradient
        Of the objective with respect to the point, [p].
    """

    objective: Tensor
    loss: Tensor
    gradient: Tensor


@dataclass(frozen=True, eq=False)
class Slopes:
    """How the activation loss changes with what the model of a problem takes.

    Attributes
    ----------
    loss
        The activation loss.
    gradient
        Slot -> its gradient, [n, r].
    probes
        Gradients g of random combinations of activations, each as `gradient`, with E[(g . d)^2] = ||J d||^2,
        where J is the derivative of the activations, so scaled that the loss is || . ||^2: near a match a
        change d of the inputs alters the loss by that much (Gauss-Newton).
    """

    loss: float
    gradient: Mapping[str, Tensor]
    probes: list[dict[str, Tensor]]


@dataclass(frozen=True, eq=False)
class Problem:
    """Find a point whose graph has the target activations.

    Attributes
    ----------
    view
        The model.
    variables
        What may change.
    targets
        Layer -> activation of the reference, [items, ...].
    index
        Items that have to match, int64 [k]; `None` for all.
    searched
        In what coordinates a solver moves, and what `view` takes; `None` for the features themselves.
    refusal
        Why the features are not compressed; empty where they are.
    tape
        Computes what `evaluate_eagerly` does, faster; `None` where there is none.
    blocks
        Parts of the point that do not meet in the objective.
    blocks_are_searches
        Whether every block is a search of its own, with its own energy to compare errors with; else the
        blocks' losses are shares of one loss.
    open_slope
        Slope of the model's rectifiers where they are closed: 0 for the model as it is.

    Notes
    -----
    Several layers count equally: the loss is the mean of their activation losses (ours).

    *Dead units (ours, after the surrogate gradient of Feather et al. 2023).* Where the matched layer is
    itself a rectifier h = max(0, z), a unit that must become positive (h* > 0) but is not (z < 0) has no
    gradient, and a search gets stuck. The objective therefore adds 2 h* max(0, -z) for every unit, scaled
    like the loss. The sum is convex in z and once differentiable, and zero exactly where the loss is zero; it
    changes the way, not the goal. The loss that is reported is always the plain one. (The nodes of a traced
    graph, such as `relu()/movie` of `to_hetero`, are read without their input: there the term is left out.)
    """

    view: ModelView
    variables: Variables
    targets: Mapping[str, Tensor]
    index: Tensor | None
    searched: CompressedSpace | None = None
    refusal: str = ""
    tape: Tape | None = None
    blocks: Blocks = ONE_BLOCK
    blocks_are_searches: bool = False
    open_slope: float = 0.0

    @property
    def space(self) -> Space:
        """In what coordinates a solver moves."""
        return self.searched if self.searched is not None else self.variables

    @property
    def is_smooth(self) -> bool:
        """Whether the objective is a continuous function of the point."""
        return self.space.is_smooth

    @property
    def is_binary(self) -> bool:
        """Whether everything that varies is 0 or 1."""
        return self.variables.is_binary

    @property
    def is_compressed(self) -> bool:
        """Whether `view` takes X Q instead of X."""
        return self.searched is not None

    @property
    def num_directions(self) -> int:
        """Numbers that the model reads of a row, at the most: the rank if compressed, else the features."""
        if isinstance(self.searched, FeaturesThrough | Coordinates):
            return self.searched.compression.rank
        return max(values.reference.shape[1] for values in self.variables.values.values())

    @property
    def bounds(self) -> tuple[Tensor, Tensor] | None:
        """Smallest and largest value of each coordinate, [p] each, or `None`."""
        return self.space.bounds

    def project(self, point: Tensor) -> Tensor:
        """Bring a point back to where it may be, [p]."""
        return self.space.project(point)

    def restricted(self, generator: torch.Generator) -> Problem:
        """The same problem, in which only rows of features vary that reach the items which have to match.

        The others would stay where the search started, and their distance would say nothing about the items.
        A row reaches them if a gradient of their activations does, at the reference or at a random start.
        """
        probes = [self.variables.start(init, generator) for init in ("reference", "noise")]
        gradients = [self._gradient_of_activations(point, generator) for point in probes]
        return dataclasses.replace(
            self, variables=self.variables.restricted(torch.stack(gradients).abs().sum(dim=0) > 0)
        )

    def _gradient_of_activations(self, point: Tensor, generator: torch.Generator) -> Tensor:
        leaf = point.detach().requires_grad_()
        taps = self.view.taps(self.variables.relaxed(leaf), list(self.targets))
        chosen = [self.choose(tap.value) for tap in taps.values()]
        weights = [torch.randn(value.shape, generator=generator).to(value) for value in chosen]
        total = torch.stack([(v * w).sum() for v, w in zip(chosen, weights, strict=True)]).sum()
        return torch.autograd.grad(total, leaf)[0]

    def evaluate(self, point: Tensor) -> Evaluation:
        """Objective, loss and gradient at a point, [p]; from the tape if there is one."""
        if self.tape is None:
            return self.evaluate_eagerly(point)
        return Evaluation(*self.tape(point))

    def evaluate_eagerly(self, point: Tensor) -> Evaluation:
        """The same, by a forward and a backward pass of the model."""
        opened = OpenUnits(self.open_slope) if self.open_slope else contextlib.nullcontext()
        with torch.enable_grad(), opened:
            leaf = point.detach().requires_grad_()
            taps = self.view.taps(self.space.relaxed(leaf), list(self.targets))
            parts = [self._mismatch(tap, self.choose(self.targets[name])) for name, tap in taps.items()]
            objective, loss = (_mean(values) for values in zip(*parts, strict=True))
            (gradient,) = torch.autograd.grad(objective.sum(), leaf)
        return Evaluation(objective.detach(), loss.detach(), gradient)

    def inputs_of(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `view` takes for given features, [n, F] per slot: X Q where the features are compressed."""
        if isinstance(self.searched, FeaturesThrough):
            compression = self.searched.compression
            return {compression.slot: compression.coordinates(features[compression.slot])}
        return dict(features)

    def loss_of(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The activation loss of given inputs, as of `inputs_of`; scalar, differentiable in them."""
        return torch.stack([error.square().sum() / energy for error, energy in self._errors(inputs)]).mean()

    def slopes(
        self,
        inputs: Mapping[str, Tensor],
        probes: int = 0,
        generator: torch.Generator | None = None,
        *,
        first: int = 0,
        parts: int = 1,
    ) -> Slopes:
        """The activation loss of given inputs, as of `inputs_of`, its gradient, and how it curves.

        Parameters
        ----------
        inputs
            [n, r] per slot.
        probes
            How many random combinations of activations are differentiated too.
        generator
            Of these.
        first, parts
            Number of the first of them, and among how many of them the units are dealt out: `parts` in
            succession take each unit once.
        """
        leaves = {slot: x.detach().clone().requires_grad_() for slot, x in inputs.items()}
        scaled = self.scaled_errors(leaves)

        def gradients(weights: list[Tensor], *, last: bool) -> dict[str, Tensor]:
            found = torch.autograd.grad(
                scaled, list(leaves.values()), weights, retain_graph=not last, materialize_grads=True
            )
            return dict(zip(leaves, found, strict=True))

        gradient = gradients([2 * part.detach() for part in scaled], last=probes == 0)
        found = [
            gradients(
                [random_signs(part, first + number, parts, generator) for part in scaled],
                last=number == probes - 1,
            )
            for number in range(probes)
        ]
        loss = torch.stack([part.detach().square().sum() for part in scaled]).sum()
        return Slopes(float(loss), gradient, found)

    def scaled_errors(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Errors of the layers for given inputs, as of `inputs_of`, whose squares add up to the loss."""
        return [error / (energy * len(self.targets)).sqrt() for error, energy in self._errors(inputs)]

    def visible_bases(self) -> dict[str, Tensor]:
        """Slot -> orthonormal basis of what the layers read of its features, float64 [F, r].

        Of a compressed problem what the whole model reads, which may be more.
        """
        if isinstance(self.searched, FeaturesThrough):
            compression = self.searched.compression
            return {compression.slot: compression.basis}
        spaces = [visible_space(self.view, self.variables, layer).bases for layer in self.targets]
        if len(spaces) == 1:
            return dict(spaces[0])
        return {slot: _span(torch.cat([bases[slot] for bases in spaces], dim=1)) for slot in spaces[0]}

    def _errors(self, inputs: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Error and energy of every layer's chosen items; differentiable in the inputs."""
        taps = self.view.taps(self.variables.graph_with(inputs), list(self.targets))
        pairs = [(self.choose(taps[name].value), self.choose(self.targets[name])) for name in self.targets]
        return [(value - target, target.square().sum()) for value, target in pairs]

    def _mismatch(self, tap: Tap, target: Tensor) -> tuple[Tensor, Tensor]:
        energy = target.square().sum()
        if self.blocks_are_searches:
            energy = self.blocks.dot_of_items(target, target)
        if tap.activation_input is None or not is_relu(tap.source):
            return mismatch(self.choose(tap.value), target, energy, self.blocks)
        return rectifier_mismatch(self.choose(tap.activation_input), target, energy, self.blocks)

    def choose(self, activation: Tensor) -> Tensor:
        """The rows of the items that have to match, [k, ...]."""
        return activation if self.index is None else activation[self.index]


def _mean(values: Sequence[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.stack(list(values)).mean(dim=0)


def _span(columns: Tensor) -> Tensor:
    """Orthonormal basis of the space of some columns that have length 1 each, [F, r]."""
    directions, sigma, _ = torch.linalg.svd(columns, full_matrices=False)
    basis: Tensor = directions[:, sigma > 1e-9]
    return basis
