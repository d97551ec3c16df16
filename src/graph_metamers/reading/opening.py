"""Rectifiers that never close: what a model reads rather than computes, and a way out for closed units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn
from torch.overrides import TorchFunctionMode

from graph_metamers.reading.functions import ACTIVATION_FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

OPEN_SLOPE = 0.5
"""Slope of an open rectifier for negative numbers."""

_RECTIFIERS = frozenset({"relu", "relu6"})


class OpenUnits(TorchFunctionMode):
    """While it is active, rectifiers have a slope where they would be closed.

    A unit that is off for all nodes has no gradient, and what it reads would be missed, though other features
    may switch it on. Rectifiers that a model writes out by hand, as `x.clamp(min=0)`, stay as they are.

    Parameters
    ----------
    slope
        For negative numbers.
    """

    def __init__(self, slope: float = OPEN_SLOPE) -> None:
        super().__init__()
        self._slope = slope

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Collection[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if ACTIVATION_FUNCTIONS.get(func) in _RECTIFIERS:
            argument = args[0] if args else options["input"]
            return nn.functional.leaky_relu(argument, self._slope)
        return func(*args, **options)
