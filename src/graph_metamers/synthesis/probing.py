"""Random combinations of activations, whose gradients tell how a loss curves (Gauss-Newton)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def random_signs(activation: Tensor, number: int, parts: int, generator: torch.Generator | None) -> Tensor:
    """Random signs for every `parts`-th unit of an activation (one, if there are fewer), 0 for the others.

    The mean square is 1, so that on the whole nothing depends on `parts`. Units of one item that are asked
    apart do not mix, which leaves less to chance.
    """
    signs = torch.randint(0, 2, activation.shape, generator=generator).to(activation) * 2 - 1
    if activation.dim() < 2:
        return signs  # one unit
    parts = min(parts, activation.shape[-1])
    units = torch.arange(activation.shape[-1], device=activation.device)
    asked: Tensor = signs * (units % parts == number % parts) * parts**0.5
    return asked
