"""Borrow a user's model: run it frozen and in eval mode, and give it back exactly as it was."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


@contextmanager
def borrowed(model: nn.Module) -> Iterator[nn.Module]:
    """Hold a model in eval mode with frozen parameters, and restore it whatever happens.

    Restored are the mode of every module, `requires_grad` of every parameter and the values of every
    buffer, also after an exception or Ctrl-C. Weights are never written. torch's global random state is
    forked, so that a model that draws numbers does not move it.
    """
    modes = {module: module.training for module in model.modules()}
    gradients = {parameter: parameter.requires_grad for parameter in model.parameters()}
    buffers = {buffer: buffer.detach().clone() for buffer in model.buffers()}
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):
        try:
            model.eval()
            for parameter in gradients:
                parameter.requires_grad_(False)
            yield model
        finally:
            for module, training in modes.items():
                module.training = training
            for parameter, required in gradients.items():
                parameter.requires_grad_(required)
            with torch.no_grad():
                for buffer, value in buffers.items():
                    if not torch.equal(buffer, value):
                        buffer.copy_(value)
