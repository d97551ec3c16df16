"""Which modules and which functions are activation functions."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's own name)

_FUNCTION_NAMES = (
    "celu",
    "elu",
    "gelu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "tanh",
)


def _functions() -> dict[object, str]:
    """Every spelling of every activation function: `F.relu`, `torch.relu`, `Tensor.relu`, `Tensor.relu_`."""
    spellings: dict[object, str] = {}
    for name in _FUNCTION_NAMES:
        for place in (F, torch, torch.Tensor):
            for spelling in (name, f"{name}_"):
                if hasattr(place, spelling):
                    spellings[getattr(place, spelling)] = name
    return spellings


ACTIVATION_FUNCTIONS: dict[object, str] = _functions()
"""Callable -> the name under which its calls are listed."""

_NOT_POINTWISE = (nn.MultiheadAttention, nn.Softmax, nn.Softmax2d, nn.LogSoftmax, nn.Softmin)


def is_activation_module(module: nn.Module) -> bool:
    """Whether a module is an activation function.

    True for torch's own pointwise activation modules, and for any module that says so itself with a true
    attribute `is_activation` (how a custom activation, or an identity in an activation's place, makes
    itself known).
    """
    if hasattr(module, "is_activation"):
        return bool(module.is_activation)
    from_torch = type(module).__module__ == nn.ReLU.__module__
    return from_torch and not isinstance(module, _NOT_POINTWISE)


def is_relu(source: nn.Module | str) -> bool:
    """Whether an activation, a module or a function's name, is the rectifier max(0, z)."""
    return source == "relu" or type(source) is nn.ReLU
