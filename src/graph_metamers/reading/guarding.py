"""Borrow a user's model: run it frozen and in eval mode, and give it back exactly as it was."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch.nn.parameter import is_lazy

from graph_metamers.errors import ModelError

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
    require_readable(model)
    modes = {module: module.training for module in model.modules()}
    gradients = {parameter: parameter.requires_grad for parameter in model.parameters()}
    registered = {module: dict(module._buffers) for module in model.modules()}
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
            for module, own in registered.items():  # a forward may have put others in their place
                module._buffers.clear()
                module._buffers.update(own)
            with torch.no_grad():
                for buffer, value in buffers.items():
                    if buffer.layout == torch.strided and not torch.equal(buffer, value):
                        buffer.copy_(value)


def require_readable(model: nn.Module) -> None:
    """Refuse a model into which nobody can look.

    Raises
    ------
    ModelError
        If it is compiled by TorchScript, as a whole or in a part, or if a parameter or buffer has no shape
        until the model is run for the first time.
    """
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            place = f" at {name!r}" if name else ""
            raise ModelError(
                f"the model must be made of plain torch.nn.Module, got TorchScript ({type(module).__name__})"
                f"{place}, whose layers cannot be read; pass the module that torch.jit.script or "
                "torch.jit.trace was called with, with the same weights (load_state_dict)"
            )
    if any(is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
        raise ModelError(
            f"the weights of {type(model).__name__} must be initialised, got weights without a shape; run "
            "the model once on the graph first"
        )
