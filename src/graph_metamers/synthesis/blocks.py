"""Blocks: parts of a point that do not meet in the objective, so that each can be searched on its own.

The graphs of a batch are such parts, and so are copies of one graph that start from different seeds. A solver
that takes inner products, lengths of steps and decisions block by block searches them all with one run of the
model for each evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Blocks:
    """Which block every coordinate of a point belongs to.

    Attributes
    ----------
    count
        Number of blocks, B.
    owners
        Block of every coordinate, int64 [p]; `None` where there is one block.
    items
        Block of every item that has to match, int64 [k]; `None` where there is one block.

    Examples
    --------
    >>> blocks = Blocks(2, torch.tensor([0, 0, 1]))
    >>> blocks.dot(torch.tensor([[1.0, 2.0, 3.0]]), torch.ones(3))
    tensor([[3., 3.]])
    """

    count: int = 1
    owners: Tensor | None = None
    items: Tensor | None = None
    _are_equal: bool = field(init=False, repr=False, default=False)

    def __post_init__(self) -> None:
        if self.owners is not None:
            size, rest = divmod(len(self.owners), self.count)
            regular = torch.arange(len(self.owners), device=self.owners.device) // max(size, 1)
            object.__setattr__(self, "_are_equal", rest == 0 and torch.equal(regular, self.owners))

    def dot(self, rows: Tensor, vector: Tensor) -> Tensor:
        """Inner product of every row of [k, p] with a vector, [p], in every block, [k, B]."""
        if self.owners is None:
            return torch.mv(rows, vector).unsqueeze(1)
        if self._are_equal:
            apart = rows.view(len(rows), self.count, -1).transpose(0, 1)  # [B, k, q]
            return torch.bmm(apart, vector.view(self.count, -1, 1)).squeeze(2).T
        return rows.new_zeros(len(rows), self.count).index_add_(1, self.owners, rows * vector)

    def dot_of_items(self, first: Tensor, second: Tensor) -> Tensor:
        """Inner product of two activations, [k, ...] each, in every block, [B]; scalar if there is one."""
        if self.items is None:
            return first.flatten().dot(second.flatten())
        rows = (first * second).flatten(1).sum(dim=1)
        return rows.new_zeros(self.count).index_add_(0, self.items, rows)

    def scaled_items(self, activation: Tensor, factors: Tensor) -> Tensor:
        """An activation, [k, ...], times the number of each item's block, [B], or times one, scalar."""
        if self.items is None:
            return activation * factors
        return activation * factors[self.items].view(-1, *(1,) * (activation.ndim - 1))

    def combined(self, rows: Tensor, weights: Tensor) -> Tensor:
        """The sum of rows, [k, p], each with a weight in every block, [k, B]; [p]."""
        if self.owners is None:
            return torch.mv(rows.T, weights[:, 0])
        if self._are_equal:
            apart = rows.view(len(rows), self.count, -1).transpose(0, 1)
            return torch.bmm(weights.T.unsqueeze(1), apart).flatten()
        return (rows * weights[:, self.owners]).sum(dim=0)

    def spread(self, values: Tensor) -> Tensor:
        """One value for each block, [B], as something that is multiplied with a point: [p] or [1]."""
        if self.owners is None:
            return values
        if self._are_equal:
            return values.repeat_interleave(len(self.owners) // self.count)
        return values[self.owners]

    def scaled(self, point: Tensor, factors: Tensor) -> Tensor:
        """A point, [p], times a number for each block, [B]; the point itself where all of them are 1.

        That they are is not asked where it would mean to wait for a device.
        """
        if factors.device.type == "cpu" and bool((factors == 1).all()):
            return point
        return point * self.spread(factors)

    def chosen(self, mask: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """The first point, [p], in the blocks of a bool mask, [B], and the second one in the others.

        The point itself where all blocks agree, if asking the mask costs no wait for a device.
        """
        if mask.device.type == "cpu":
            if bool(mask.all()):
                return first
            if not bool(mask.any()):
                return second
        return torch.where(self.spread(mask), first, second)


ONE_BLOCK = Blocks()
"""For points that are searched as a whole."""
