"""Where raw features enter a model: the weights that multiply them, whatever the model is made of.

A model is run once on features with far too few columns. Nothing that works on whole rows or sums of rows
(message passing, concatenation, dropout that is off) minds; but a product with a weight that was made for the
features does not fit, and every such misfit is a place where raw features enter. It is noted, the weight is
cut to size, and the run goes on. No class of layer is known by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

PROBE_WIDTH = 3
"""Columns of the features of the run that looks for entrances."""

_PRODUCTS = frozenset({torch.matmul, torch.mm, Tensor.matmul, Tensor.mm, Tensor.__matmul__})


@dataclass(frozen=True)
class Entrance:
    """A weight that multiplies raw features, or several copies of them side by side.

    Attributes
    ----------
    parameter
        Its name in the model.
    num_blocks
        How many feature rows stand side by side in what it multiplies (`EdgeConv` joins two nodes).
    transposed
        Whether it is [F, out], as in `x @ weight`, and not [out, F], as in a linear layer.
    """

    parameter: str
    num_blocks: int
    transposed: bool

    def maps(self, weight: Tensor) -> Tensor:
        """The linear maps of single feature rows in the weight, [num_blocks * out, F]."""
        rows = weight.T if self.transposed else weight
        return torch.cat(rows.chunk(self.num_blocks, dim=1))

    def through(self, weight: Tensor, basis: Tensor) -> Tensor:
        """The weight for features in the coordinates of a basis, [F, r], in the layout of the weight."""
        rows = weight.T if self.transposed else weight
        narrow = torch.cat([block @ basis for block in rows.chunk(self.num_blocks, dim=1)], dim=1)
        return narrow.T.contiguous() if self.transposed else narrow


class EntranceWatch(TorchFunctionMode):
    """Note every weight that meets features of `PROBE_WIDTH` columns instead of `num_features`.

    Parameters
    ----------
    model
        Whose weights.
    num_features
        Columns that the weights were made for.

    Attributes
    ----------
    entrances
        What was found, in the order in which it was met.
    """

    def __init__(self, model: nn.Module, num_features: int) -> None:
        super().__init__()
        self._names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._num_features = num_features
        self.entrances: list[Entrance] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Collection[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if func is nn.functional.linear and len(args) > 1:
            args = (args[0], self._fitting(args[0], args[1], transposed=False), *args[2:])
        elif func in _PRODUCTS and len(args) > 1:
            args = (args[0], self._fitting(args[0], args[1], transposed=True), *args[2:])
        return func(*args, **options)

    def _fitting(self, rows: Any, weight: Any, *, transposed: bool) -> Any:
        name = self._names.get(id(weight))
        if name is None or not isinstance(rows, Tensor) or weight.ndim != 2:
            return weight
        made_for, got = weight.shape[0 if transposed else 1], rows.shape[-1]
        num_blocks, rest = divmod(made_for, self._num_features)
        if rest or not num_blocks or got != num_blocks * PROBE_WIDTH:
            return weight
        entrance = Entrance(name, num_blocks, transposed)
        if entrance not in self.entrances:
            self.entrances.append(entrance)
        cut = torch.eye(self._num_features, PROBE_WIDTH, dtype=weight.dtype, device=weight.device)
        return entrance.through(weight, cut)
