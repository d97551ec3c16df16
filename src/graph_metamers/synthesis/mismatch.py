"""How far an activation is from its target, with gradients written out: one pass fewer for each step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graph_metamers.synthesis.blocks import ONE_BLOCK, Blocks


class _Mismatch(torch.autograd.Function):
    """||h - t||^2 / energy in every block of items, and its gradient 2 (h - t) / energy."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, target: Tensor, energy: Tensor, blocks: Blocks) -> Tensor:
        error = value - target
        ctx.save_for_backward(error, energy)
        ctx.blocks = blocks
        return blocks.dot_of_items(error, error) / energy

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None, None]:
        error, energy = ctx.saved_tensors
        return ctx.blocks.scaled_items(error, 2 * slope / energy), None, None, None


class _RectifierMismatch(torch.autograd.Function):
    """||h - t||^2 + 2 t . max(0, -z), over energy, of h = max(0, z); its gradient in z is 2 (h - t) / energy.

    For units that are off, h - t is the slope -t of the second term: no case has to be told apart.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, target: Tensor, energy: Tensor, blocks: Blocks) -> tuple[Tensor, Tensor]:
        value = z.clamp(min=0)
        error = value - target
        ctx.save_for_backward(error, energy)
        ctx.blocks = blocks
        loss = blocks.dot_of_items(error, error) / energy
        objective = loss + 2 * blocks.dot_of_items(target, value.sub_(z)) / energy
        ctx.mark_non_differentiable(loss)
        return objective, loss

    @staticmethod
    def backward(ctx: Any, slope: Tensor, _unused: Tensor) -> tuple[Tensor, None, None, None]:
        error, energy = ctx.saved_tensors
        return ctx.blocks.scaled_items(error, 2 * slope / energy), None, None, None


def mismatch(
    value: Tensor, target: Tensor, energy: Tensor, blocks: Blocks = ONE_BLOCK
) -> tuple[Tensor, Tensor]:
    """Objective and activation loss of an activation, [items, ...]; the first is differentiable.

    Parameters
    ----------
    value, target
        h and what it should be, of one shape.
    energy
        What squared errors are divided by: ||target||^2, scalar, or one for each block, [B].
    blocks
        Of the items.

    Returns
    -------
    tuple of Tensor and Tensor
        Scalars where there is one block; else [B] each.
    """
    loss: Tensor = _Mismatch.apply(value, target, energy, blocks)  # type: ignore[no-untyped-call]
    return loss, loss.detach()


def rectifier_mismatch(
    z: Tensor, target: Tensor, energy: Tensor, blocks: Blocks = ONE_BLOCK
) -> tuple[Tensor, Tensor]:
    """The same for h = max(0, z), with a slope for units that are off and have to be on (see `Problem`).

    Parameters
    ----------
    z
        What the rectifier is applied to, [items, ...].
    target, energy, blocks
        See `mismatch`; no entry of `target` is negative.
    """
    objective, loss = _RectifierMismatch.apply(z, target, energy, blocks)  # type: ignore[no-untyped-call]
    return objective, loss
