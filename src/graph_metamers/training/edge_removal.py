"""Edges taken away in training: at random, or those whose loss is felt most; undirected ones both ways."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch_geometric.nn import MessagePassing

from graph_metamers.errors import ModelError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from graph_metamers.types import Graph


@dataclass(frozen=True, eq=False)
class EdgePairs:
    """The edges of a graph as pairs: both directions of an undirected edge are one.

    Attributes
    ----------
    pair
        Number of the pair of every column of `edge_index`, int64 [E]; -1 for self-loops, which stay.
    num_pairs
        How many there are.
    """

    pair: Tensor
    num_pairs: int

    @classmethod
    def of(cls, graph: Graph) -> EdgePairs:
        """Pair the edges of a graph; a direction without its opposite is a pair of its own."""
        first, second = graph.edge_index
        num_nodes = int(graph.num_nodes or 0)
        key = torch.minimum(first, second) * num_nodes + torch.maximum(first, second)
        loops = first == second
        pair = torch.full_like(first, -1)
        found, numbers = torch.unique(key[~loops], return_inverse=True)
        pair[~loops] = numbers
        return cls(pair, len(found))

    def count(self, share: float) -> int:
        """A share of the pairs as a whole number, at least 1.

        Raises
        ------
        ParameterError
            If there are no edges.
        """
        if not self.num_pairs:
            raise ParameterError("graph", "one with edges, to take some of them away", "no edge")
        return max(1, round(share * self.num_pairs))

    def random(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw different pairs, int64 [count]."""
        return torch.randperm(self.num_pairs, generator=generator)[:count].to(self.pair.device)


def without_pairs(graph: Graph, pairs: EdgePairs, removed: Tensor) -> Graph:
    """The graph without some pairs of edges, int64 [k]; attributes of edges go with them."""
    gone = torch.zeros(pairs.num_pairs + 1, dtype=torch.bool, device=pairs.pair.device)
    gone[removed] = True
    return _with_edges(graph, (~gone[pairs.pair]).nonzero().flatten())  # -1 is the last entry: loops stay


def removed_pairs(
    model: nn.Module,
    graph: Graph,
    pairs: EdgePairs,
    count: int,
    loss: Callable[[Graph], Tensor],
    generator: torch.Generator,
    *,
    steps: int,
) -> Tensor:
    """Choose the pairs of edges to take away, int64 [count].

    Parameters
    ----------
    model
        In eval mode; hooks are added to it for the time of a pass.
    graph, pairs
        The graph and its edges.
    count
        How many pairs.
    loss
        From a graph to what is to be raised, a scalar.
    generator
        Of the random choice from which the ascent starts.
    steps
        Gradient steps; 0 leaves the random choice.

    Returns
    -------
    Tensor
        The choice with the highest loss of the real graph without these edges, among those tried.

    Raises
    ------
    ModelError
        If the model has no message passing, or not one message for each edge.
    """
    removed = pairs.random(count, generator)
    if not steps:
        return removed
    # Convolutions that add self-loops put them behind the other edges, and drop given ones first.
    order = torch.cat([(pairs.pair >= 0).nonzero().flatten(), (pairs.pair < 0).nonzero().flatten()])
    ordered, pair = _with_edges(graph, order), pairs.pair[order][: int((pairs.pair >= 0).sum())]
    scores = torch.zeros(pairs.num_pairs, device=pair.device).index_fill_(0, removed, 1.0)
    best, best_loss = removed, -torch.inf
    for step in range(steps + 1):
        with torch.no_grad():
            value = float(loss(without_pairs(graph, pairs, removed)))
        if value > best_loss:
            best, best_loss = removed, value
        if step < steps:
            gain = -_slope(model, ordered, pair, removed, loss)
            summed = torch.zeros_like(scores).index_add_(0, pair, gain.to(scores))
            scores = scores + summed / summed.abs().max().clamp(min=torch.finfo(scores.dtype).tiny)
            removed = scores.topk(count).indices
    return best


def _slope(
    model: nn.Module, graph: Graph, pair: Tensor, removed: Tensor, loss: Callable[[Graph], Tensor]
) -> Tensor:
    """Slope of the loss in a factor of each edge's messages, [edges that are no loops]."""
    factors = (~torch.isin(pair, removed)).to(graph.x).requires_grad_()
    with _scaled_messages(model, factors):
        value = loss(graph)
    (slope,) = torch.autograd.grad(value, factors, allow_unused=True)
    if slope is None:
        raise ModelError(
            f"{type(model).__name__} must have PyTorch Geometric convolutions that send a message along "
            "every edge to be trained with kind='pgd' on edges, got none that the loss depends on; "
            "use kind='random', or on='features'"
        )
    return slope.detach()


@contextmanager
def _scaled_messages(model: nn.Module, factors: Tensor) -> Iterator[None]:
    """Multiply the messages along the first edges, [k], of every convolution; self-loops follow them."""

    def scale(module: MessagePassing, _inputs: Any, message: Tensor) -> Tensor:
        added = message.shape[0] - len(factors)
        if added < 0:
            raise ModelError(
                f"{type(module).__name__} must send one message for each edge to be trained with kind='pgd' "
                f"on edges, got {message.shape[0]} for {len(factors)}; use kind='random', or on='features'"
            )
        shape = [-1] + [1] * (message.ndim - 1)
        return message * torch.cat([factors, factors.new_ones(added)]).view(shape)

    handles = [
        module.register_message_forward_hook(scale)
        for module in model.modules()
        if isinstance(module, MessagePassing)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _with_edges(graph: Graph, chosen: Tensor) -> Graph:
    """The graph with these of its edges, int64 [k], in this order, and what belongs to them."""
    changed = copy.copy(graph)
    for name, value in graph.items():
        if name == "edge_index":
            changed.edge_index = value[:, chosen]
        elif isinstance(value, torch.Tensor) and graph.is_edge_attr(name):
            changed[name] = value[chosen]
    return changed
