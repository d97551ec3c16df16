"""The block-coordinate descent of PyTorch Geometric (PRBCD), driven by the activation loss.

It is made to attack predictions, by flips of edges that raise a loss: here minus the activation loss of a
layer. Nothing of it is changed but two things: pairs of the reference are taken out of its random blocks, and
it stops when its time is over. It may begin at a random graph, or with no edge at all and as many flips as
the reference has edges; the second keeps their number.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from torch import Tensor, nn
    from torch_geometric.contrib.nn import PRBCDAttack

RESAMPLED = 0.8  # of the epochs draw a new block, as by PRBCD's own 100 of 125
FIRST_EPOCHS = 3  # tell how many fit into the time


@dataclass(frozen=True)
class BlockSetting:
    """Where PRBCD begins, how many pairs are in a block, and its learning rate."""

    start: str  # "empty" or "random"
    block: int
    rate: float

    def __str__(self) -> str:
        return f"{self.start} start, blocks of {self.block:,}, rate {self.rate:g}"


class BlockDescent(PRBCDAttack):
    """PRBCD without the pairs of the reference, up to a point in time.

    Parameters
    ----------
    model
        Called as `model(x, edge_index, edge_weight)`; gives the layer, [n, d].
    forbidden
        Edges that may not be chosen, int64 [2, E].
    num_nodes
        n.
    """

    def __init__(
        self, model: nn.Module, setting: BlockSetting, forbidden: Tensor, num_nodes: int, epochs: int
    ) -> None:
        super().__init__(
            model,
            setting.block,
            epochs=epochs,
            epochs_resampling=max(1, round(RESAMPLED * epochs)),
            loss=minus_activation_loss,
            lr=setting.rate,
            log=False,
        )
        self.forbidden = forbidden.min(dim=0).values * num_nodes + forbidden.max(dim=0).values
        self.deadline: float | None = None
        self.done = 0

    def _sample_random_block(self, budget: int = 0) -> None:
        super()._sample_random_block(budget)
        self._leave_out_the_reference()

    def _resample_random_block(self, budget: int) -> None:
        super()._resample_random_block(budget)
        self._leave_out_the_reference()

    def _leave_out_the_reference(self) -> None:
        source, target = self.block_edge_index
        kept = ~torch.isin(source * self.num_nodes + target, self.forbidden)
        self.current_block = self.current_block[kept]
        self.block_edge_index = self.block_edge_index[:, kept]
        self.block_edge_weight = self.block_edge_weight[kept]

    def _prepare(self, budget: int) -> Iterable[int]:
        return self._in_time(super()._prepare(budget))

    def _in_time(self, steps: Iterable[int]) -> Iterator[int]:
        for step in steps:
            if self.deadline is not None and self.done and time.perf_counter() > self.deadline:
                return
            yield step
            self.done += 1


def minus_activation_loss(found: Tensor, wanted: Tensor, _nodes: object = None) -> Tensor:
    """What PRBCD raises: minus the activation loss."""
    return -(found - wanted).square().sum() / wanted.square().sum()


def descend(
    model: nn.Module,
    features: Tensor,
    target: Tensor,
    reference: Tensor,
    random_graph: Callable[[], Tensor],
    setting: BlockSetting,
    seconds: float,
) -> tuple[Tensor, int]:
    """Edges, [2, E'], and epochs, after so many seconds.

    The number of epochs has to be known beforehand, since rates fall and blocks stay over the last fifth:
    some epochs tell how long one takes.
    """
    began = time.perf_counter()
    start = random_graph() if setting.start == "random" else reference[:, :0]
    flips = reference.shape[1] // 2

    def attack(epochs: int, deadline: float | None) -> tuple[Tensor, int]:
        torch.manual_seed(0)
        one = BlockDescent(model, setting, reference, len(features), epochs)
        one.deadline = deadline
        edges, _flipped = one.attack(features, start, target, flips)
        return edges, one.done

    before = time.perf_counter()
    attack(FIRST_EPOCHS, None)
    # It also ends with some draws of a discrete graph, which are as long as epochs of one run each.
    closing = BlockDescent.coeffs["max_final_samples"] / 2
    epoch = (time.perf_counter() - before) / (FIRST_EPOCHS + closing)
    left = seconds - (time.perf_counter() - began) - closing * epoch
    return attack(max(FIRST_EPOCHS, int(left / epoch)), time.perf_counter() + left)
