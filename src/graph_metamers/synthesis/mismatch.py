"""How far an activation is from its target, with gradients written out: one pass fewer for each step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Mismatch(torch.autograd.Function):
    """||h - t||^2 / energy, and its gradient 2 (h - t) / energy."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, target: Tensor, energy: Tensor) -> Tensor:
        error = value - target
        ctx.save_for_backward(error, energy)
        return _dot(error, error) / energy

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        error, energy = ctx.saved_tensors
        return error * (2 * slope / energy), None, None


class _RectifierMismatch(torch.autograd.Function):
    """||h - t||^2 + 2 t . max(0, -z), over energy, of h = max(0, z); its gradient in z is 2 (h - t) / energy.

    For units that are off, h - t is the slope -t of the second term: no case has to be told apart.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, target: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
        value = z.clamp(min=0)
        error = value - target
        ctx.save_for_backward(error, energy)
        loss = _dot(error, error) / energy
        objective = loss + 2 * _dot(target, value.sub_(z)) / energy
        ctx.mark_non_differentiable(loss)
        return objective, loss

    @staticmethod
    def backward(ctx: Any, slope: Tensor, _unused: Tensor) -> tuple[Tensor, None, None]:
        error, energy = ctx.saved_tensors
        return error * (2 * slope / energy), None, None


def mismatch(value: Tensor, target: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
    """Objective and activation loss of an activation, [items, ...]; scalars, the first differentiable.

    Parameters
    ----------
    value, target
        h and what it should be, of one shape.
    energy
        ||target||^2, scalar.
    """
    loss: Tensor = _Mismatch.apply(value, target, energy)  # type: ignore[no-untyped-call]
    return loss, loss.detach()


def rectifier_mismatch(z: Tensor, target: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
    """The same for h = max(0, z), with a slope for units that are off and have to be on (see `Problem`).

    Parameters
    ----------
    z
        What the rectifier is applied to, [items, ...].
    target, energy
        See `mismatch`; no entry of `target` is negative.
    """
    objective, loss = _RectifierMismatch.apply(z, target, energy)  # type: ignore[no-untyped-call]
    return objective, loss


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return a.flatten().dot(b.flatten())
