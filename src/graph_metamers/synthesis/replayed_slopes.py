"""Slopes of the loss, and probes of its curvature, from a tape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from graph_metamers.synthesis.probing import random_signs
from graph_metamers.synthesis.problem import Slopes
from graph_metamers.synthesis.replaying import verified_tape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from graph_metamers.replay import Tape
    from graph_metamers.synthesis.problem import Problem


class ReplayedSlopes:
    """`Problem.slopes` for a descent that asks for one probe, or for none, again and again.

    Parameters
    ----------
    problem
        Whose slopes; what a tape refuses is run through the model, as before.
    inputs
        What its view takes, [n, r] per slot, as `Problem.inputs_of` gives it.

    Notes
    -----
    The signs of a probe are inputs of the tape, behind what the view takes: the forward and both backward
    passes become one list of operations, three times as fast on Cora. Recorded at `inputs` and verified at
    another point when it is first asked for.
    """

    def __init__(self, problem: Problem, inputs: Mapping[str, Tensor]) -> None:
        self._problem = problem
        self._shapes = {slot: x.shape for slot, x in inputs.items()}
        with torch.no_grad():
            self._parts = [part.new_zeros(part.shape) for part in problem.scaled_errors(inputs)]
        self._tapes: dict[int, Tape | str] = {}

    def __call__(
        self,
        inputs: Mapping[str, Tensor],
        probes: int,
        generator: torch.Generator | None,
        *,
        first: int,
        parts: int,
    ) -> Slopes:
        """See `Problem.slopes`; `probes` is 0 or 1."""
        if len({part.dtype for part in (*inputs.values(), *self._parts)}) > 1:  # no one point holds them
            return self._problem.slopes(inputs, probes, generator, first=first, parts=parts)
        signs = [
            random_signs(part, first, parts, generator) for part in self._parts[: probes * len(self._parts)]
        ]
        point = torch.cat([part.reshape(-1) for part in (*inputs.values(), *signs)])
        if probes not in self._tapes:
            other = point + 0.5 * (point.roll(1) - point)
            self._tapes[probes] = verified_tape(self._slopes, point, other)
        tape = self._tapes[probes]
        loss, *found = self._slopes(point) if isinstance(tape, str) else tape(point)
        slots = list(self._shapes)
        gradients = [
            dict(zip(slots, found[i : i + len(slots)], strict=True)) for i in range(0, len(found), len(slots))
        ]
        return Slopes(float(loss), gradients[0], gradients[1:])

    def _slopes(self, point: Tensor) -> Sequence[Tensor]:
        """Loss, gradients and probes, slot after slot, of all inputs (and signs) behind each other, [p]."""
        sizes = [shape.numel() for shape in (*self._shapes.values(), *(part.shape for part in self._parts))]
        pieces = torch.split(point, sizes if len(point) == sum(sizes) else sizes[: len(self._shapes)])
        with torch.enable_grad():
            leaves = {
                slot: piece.view(shape).detach().requires_grad_()
                for (slot, shape), piece in zip(self._shapes.items(), pieces, strict=False)
            }
            scaled = self._problem.scaled_errors(leaves)
            weights = [[2 * part.detach() for part in scaled]]
            signs = pieces[len(leaves) :]
            if signs:
                weights.append([piece.view(part.shape) for piece, part in zip(signs, scaled, strict=True)])
            found = [
                torch.autograd.grad(
                    scaled, list(leaves.values()), weight, retain_graph=True, materialize_grads=True
                )
                for weight in weights
            ]
        loss = torch.stack([part.detach().square().sum() for part in scaled]).sum()
        return loss, *(gradient for gradients in found for gradient in gradients)
