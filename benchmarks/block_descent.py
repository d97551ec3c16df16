"""The block-coordinate descent of PyTorch Geometric (PRBCD), driven by the activation loss.

It is made to attack predictions, by flips of edges that raise a loss: here minus the activation loss of a
layer. Nothing of it is changed but two things: pairs of the reference are taken out of its random blocks, and
it stops when its time is over. It may begin at a random graph, or with no edge at all and as many flips as
the reference has edges; the second keeps their number, and degrees only by chance.

With a `degree_cost` it is held to the terms that ours keeps: deviations from the reference's degrees cost
something all along, and of its last block the edges are taken in the order of their weights as far as degrees
allow (`DegreeKeeper`), instead of the largest ones.
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
    import numpy as np
    import torch
    from degree_keeping import DegreeKeeper
    from torch import Tensor, nn
    from torch_geometric.contrib.nn import PRBCDAttack
    from torch_geometric.utils import degree

RESAMPLED = 0.8  # of the epochs draw a new block, as by PRBCD's own 100 of 125
FIRST_EPOCHS = 3  # tell how many fit into the time


@dataclass(frozen=True)
class BlockSetting:
    """Where PRBCD begins, how many pairs are in a block, its learning rate, and what other degrees cost."""

    start: str  # "empty" or "random"
    block: int
    rate: float
    degree_cost: float | None = None  # in activation losses, see `deviation`; `None`: any degrees

    def __post_init__(self) -> None:
        if self.degree_cost is not None and self.start != "empty":
            raise ValueError(f"start must be 'empty' where degrees are kept, got {self.start!r}")

    def __str__(self) -> str:
        kept = "" if self.degree_cost is None else f", other degrees cost {self.degree_cost:g}"
        return f"{self.start} start, blocks of {self.block:,}, rate {self.rate:g}{kept}"


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
        self.seconds = 0.0  # of the epochs done

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
        began = time.perf_counter()
        for step in steps:
            if self.deadline is not None and self.done and time.perf_counter() > self.deadline:
                return
            yield step
            self.done += 1
            self.seconds = time.perf_counter() - began


class DegreeKeepingDescent(BlockDescent):
    """The same, held to the degrees of the reference; begins with no edge.

    Parameters
    ----------
    cost
        Of degrees that deviate as `deviation` says, in activation losses.
    """

    def __init__(
        self,
        model: nn.Module,
        setting: BlockSetting,
        forbidden: Tensor,
        num_nodes: int,
        epochs: int,
        cost: float,
    ) -> None:
        super().__init__(model, setting, forbidden, num_nodes, epochs)
        self._cost, self._degrees = cost, degree(forbidden[1], num_nodes)
        self._own = {(u, v) for u, v in forbidden.T.tolist() if u < v}
        self.loss = self.metric = self._minus_cost

    def _get_modified_adj(
        self, edge_index: Tensor, edge_weight: Tensor, block_edge_index: Tensor, block_edge_weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        self._looked_at = block_edge_index, block_edge_weight  # the weights themselves, or the largest as 1
        return super()._get_modified_adj(edge_index, edge_weight, block_edge_index, block_edge_weight)

    def _minus_cost(self, found: Tensor, wanted: Tensor, nodes: object = None) -> Tensor:
        wrong = deviation(*self._looked_at, self._degrees)
        return minus_activation_loss(found, wanted, nodes) - self._cost * wrong

    def _sample_final_edges(
        self, x: Tensor, labels: Tensor, budget: int, idx_attack: Tensor | None = None, **_none: object
    ) -> tuple[Tensor, Tensor]:
        """As PRBCD: once the largest weights, then drawn by them; the best with the degrees wanted."""
        weights = self.block_edge_weight.where(self.block_edge_weight > self.coeffs["eps"], 0)
        found = []
        for number in range(self.coeffs["max_final_samples"]):
            first = torch.bernoulli(weights) if number else torch.zeros_like(weights)
            order = (first + weights).argsort(descending=True)[: int((weights > 0).sum())]
            keeper = DegreeKeeper(self._degrees.long().numpy(), self._own)
            keeper.take(self.block_edge_index[:, order].T.tolist())
            keeper.complete(np.random.default_rng(number))
            edges = torch.from_numpy(keeper.edge_index)
            given = self.model(x, edges, torch.ones(edges.shape[1]))
            found.append((float(minus_activation_loss(given, labels, idx_attack)), number, edges))
        edges = max(found)[2]
        return edges, edges[:, :budget]


def deviation(pairs: Tensor, weights: Tensor, degrees: Tensor) -> Tensor:
    """sum_v (w_v - d_v)^2 / max(d_v, 1) over the sum of degrees; w_v are the weights at v.

    A random graph whose degrees are Poisson variables around d has n over the sum of degrees.
    """
    sums = torch.zeros_like(degrees).index_add(0, pairs.flatten(), weights.repeat(2))
    return ((sums - degrees).square() / degrees.clamp(min=1)).sum() / degrees.sum()


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

    def make(epochs: int) -> BlockDescent:
        known = (model, setting, reference, len(features), epochs)
        cost = setting.degree_cost
        return BlockDescent(*known) if cost is None else DegreeKeepingDescent(*known, cost)

    def attack(one: BlockDescent) -> Tensor:
        torch.manual_seed(0)
        edges, _flipped = one.attack(features, start, target, flips)
        return edges

    before, first = time.perf_counter(), make(FIRST_EPOCHS)
    attack(first)
    closing = time.perf_counter() - before - first.seconds  # some discrete graphs are made and compared
    epoch, left = first.seconds / first.done, seconds - (time.perf_counter() - began) - closing
    whole = make(max(FIRST_EPOCHS, int(left / epoch)))
    whole.deadline = time.perf_counter() + left
    return attack(whole), whole.done
