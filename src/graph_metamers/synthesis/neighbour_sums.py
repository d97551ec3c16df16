"""What neighbours add up to, for any message-passing model: the guide by which a graph is rewired.

A layer sees a node's neighbours through sums of messages. If every node's sums stay the same at every hop,
all activations do. How much a change of one sum alters the matched layer is told by gradients of random
combinations of its activations (Gauss-Newton), so hops, directions and nodes are weighed by what they do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from graph_metamers.errors import ModelError
from graph_metamers.reading.messages import MessageRecorder
from graph_metamers.reading.opening import OpenUnits
from graph_metamers.synthesis.places import places_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from graph_metamers.reading import ModelView
    from graph_metamers.reading.messages import Hop
    from graph_metamers.synthesis.places import Place, Places
    from graph_metamers.types import Graph

PROBES = 32
LEAST_WEIGHT = 0.02  # of the mean: of nodes that the probes happened not to see
LEAST_DIRECTION = 1e-5  # of the strongest direction: weaker ones are left out
ROUNDS = 30  # of fitting senders and receivers in turns


@dataclass(frozen=True, eq=False)
class NeighbourSums:
    """What is summed over neighbours at one hop, in coordinates that count alike.

    Attributes
    ----------
    vectors
        What a node sends to each neighbour, float64 [senders, k].
    weights
        What a squared change of a node's sum costs, float64 [n], about: of the activation loss. n counts
        receivers here and below; senders are as many but for edge types that join two types of nodes.
    exact
        Share of the messages' energy that `vectors` explain: 1 where a message depends on its sender and on
        a factor of its receiver alone.
    receivers, scales
        A message is the receiver's factor times what is sent, float64 [n]; what arrives is the sum of
        messages times a scale, float64 [n], which a mean makes 1 / degree.
    to_vectors, to_slopes
        From messages, and from gradients with respect to sums of them, to these coordinates, float64 [d, k].
    """

    vectors: Tensor
    weights: Tensor
    exact: float
    receivers: Tensor
    scales: Tensor
    to_vectors: Tensor
    to_slopes: Tensor

    def sent(self, hop: Hop) -> Tensor:
        """`vectors` of another graph, float64 [senders, k], from what it sends at this hop."""
        assert hop.messages is not None  # noqa: S101
        source, target = hop.edge_index
        messages, factors = hop.messages.detach().flatten(1).double(), self.receivers
        above, below = messages * factors[target, None], factors[target].square()
        return _ratio(source, above, below, len(self.vectors)) @ self.to_vectors

    def pulls(self, gradient: Tensor) -> Tensor:
        """A gradient with respect to what arrives, [n, ...], as one for sums of `vectors`, float64 [n, k]."""
        factors = (self.receivers * self.scales)[:, None]
        return (gradient.detach().flatten(1).double() @ self.to_slopes) * factors


def neighbour_sums(
    view: ModelView,
    graph: Graph,
    layers: Sequence[str],
    generator: torch.Generator,
    *,
    probes: int = PROBES,
    index: Tensor | None = None,
    reach: Sequence[Tensor] = (),
    places: Places | None = None,
) -> list[NeighbourSums]:
    """The sums of every hop that reaches some layers.

    Parameters
    ----------
    view
        The model; call inside `view.borrow()`.
    graph
        The reference.
    layers
        Matched together.
    generator
        Of the probes.
    probes
        How many random combinations of activations are differentiated, at least 1.
    index
        Items that have to match, int64 [k]; default: all.
    reach
        For each hop the nodes that may matter, bool [n], as `reached_nodes` tells: the others get no weight.
        Default: all nodes.
    places
        For each hop where it sends in a graph with several types of nodes; those without one are left out.
        Default: every hop from all nodes to all nodes.

    Returns
    -------
    list of NeighbourSums
        In the order of the hops, without directions for those on other branches of the model; empty for
        layers that no messages reach.

    Raises
    ------
    ModelError
        If nodes are pooled on the way, or messages are aggregated in several ways side by side.

    Notes
    -----
    Ours. Costs one forward and `probes` backward passes.
    """
    with torch.enable_grad(), MessageRecorder(view.model) as recorder:
        taps = view.taps(graph, layers)
    every = [hop for hop in recorder.hops if hop.leaf is not None and hop.messages is not None]
    if places is None:
        places = places_of(len(every), int(graph.num_nodes or 0))
    used = [number for number, place in enumerate(places) if place is not None]
    hops = [every[number] for number in used]
    chosen = [tap.value if index is None else tap.value[index] for tap in taps.values()]
    values = [value / (value.detach().norm() * len(layers) ** 0.5) for value in chosen]
    leaves = [hop.leaf for hop in hops if hop.leaf is not None]
    sent = [place for place in places if place is not None]
    _require_sums(hops, sent)
    seen: list[list[Tensor]] = [[] for _ in leaves]
    if not leaves:
        return []
    for number in range(probes):
        weights = [torch.randn(value.shape, generator=generator).to(value) for value in values]
        gradients = torch.autograd.grad(
            values, leaves, weights, retain_graph=number < probes - 1, allow_unused=True
        )
        for place, gradient in enumerate(gradients):
            if gradient is not None:
                seen[place].append(gradient.flatten(1).double())
    if not any(seen):
        return []
    masks: Sequence[Tensor | None] = [reach[number] for number in used] if reach else [None] * len(hops)
    zeros = [torch.zeros_like(leaf).flatten(1).double() for leaf in leaves]  # of hops on other branches
    parts = zip(hops, seen, zeros, masks, sent, strict=True)
    return [
        _sums(hop, found or [zero], mask, _length(place.senders)) for hop, found, zero, mask, place in parts
    ]


def _length(nodes: slice) -> int:
    return int(nodes.stop - (nodes.start or 0))


def _require_sums(hops: Sequence[Hop], places: Sequence[Place]) -> None:
    """What arrives has to be a sum of messages, about, at the nodes of the graph."""
    for hop, place in zip(hops, places, strict=True):
        assert hop.messages is not None and hop.sums is not None  # noqa: S101, PT018
        num_nodes = _length(place.receivers)
        if len(hop.sums) != num_nodes:
            raise ModelError(
                f"messages must arrive at the {num_nodes} nodes of the graph where edges vary, got "
                f"{len(hop.sums)} at one step: nodes are pooled on the way. Choose a layer before that"
            )
        if hop.messages.flatten(1).shape[1] != hop.sums.flatten(1).shape[1]:
            raise ModelError(
                "messages must be aggregated in one way where edges vary, got several ways side by side "
                f"({hop.messages.shape[1]} numbers become {hop.sums.shape[1]}). Use one aggregation"
            )


def reached_nodes(
    view: ModelView,
    graphs: Sequence[Graph],
    layers: Sequence[str],
    index: Tensor,
    generator: torch.Generator,
) -> list[Tensor]:
    """At which nodes, hop by hop, a change of what arrives can change some items; bool [n] each.

    Parameters
    ----------
    view
        The model; call inside `view.borrow()`.
    graphs
        Where gradients are taken: a node that reaches the items in any of them counts.
    layers
        Matched together.
    index
        The items, int64 [k].
    generator
        Of a random combination of their activations in each graph.

    Returns
    -------
    list of Tensor
        In the order of the hops, those without any node too; empty for a model that passes no messages.

    Notes
    -----
    Ours. Rectifiers are open meanwhile, so that a unit which is off does not hide what it would read.
    """
    found: list[Tensor] = []
    for graph in graphs:
        with torch.enable_grad(), OpenUnits(), MessageRecorder(view.model) as recorder:
            chosen = [tap.value[index] for tap in view.taps(graph, layers).values()]
            leaves = [hop.leaf for hop in recorder.hops if hop.leaf is not None and hop.messages is not None]
            weights = [torch.randn(value.shape, generator=generator).to(value) for value in chosen]
            gradients = torch.autograd.grad(chosen, leaves, weights, materialize_grads=True) if leaves else ()
        seen = [gradient.flatten(1).ne(0).any(dim=1).cpu() for gradient in gradients]
        found = [one | other for one, other in zip(found, seen, strict=True)] if found else seen
    return found


def _sums(hop: Hop, probes: list[Tensor], reached: Tensor | None, num_senders: int) -> NeighbourSums:
    assert hop.messages is not None and hop.sums is not None  # noqa: S101, PT018
    sent, receivers, scales, exact = _senders(hop, num_senders)
    factors = receivers * scales
    seen = torch.stack(probes)
    moment = torch.einsum("pnk,pnl->kl", seen, seen) / seen[..., 0].numel()
    values, directions = torch.linalg.eigh(moment)
    kept = values > LEAST_DIRECTION * values[-1]
    values, directions = values[kept], directions[:, kept]
    # A hop behind units that are dead has no direction left, and no weight.
    strength = seen.square().sum(dim=2).mean(dim=0) / values.sum().clamp(min=1e-300)
    strength = strength + _least_weight(strength, reached)
    to_vectors = directions * values.sqrt()
    return NeighbourSums(
        sent @ to_vectors,
        strength * factors.square(),
        exact,
        receivers,
        scales,
        to_vectors,
        directions / values.sqrt(),
    )


def _least_weight(strength: Tensor, reached: Tensor | None) -> Tensor:
    """What is added to each weight; nothing for nodes of which it is known that they do not matter."""
    if reached is None:
        return LEAST_WEIGHT * strength.mean()
    if not bool(reached.any()):
        return torch.zeros_like(strength)
    return torch.where(reached, LEAST_WEIGHT * strength[reached].mean(), 0.0)


def _senders(hop: Hop, num_senders: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """Messages as f_v s_u: what senders send, [n, d], factors of receivers, [n], and the share explained.

    Before the share, what the aggregation multiplies the sum of messages with, [n].
    """
    assert hop.messages is not None and hop.sums is not None  # noqa: S101, PT018
    messages = hop.messages.detach().flatten(1).double()
    source, target = hop.edge_index
    num_receivers = len(hop.sums)
    added = torch.zeros(num_receivers, messages.shape[1], dtype=torch.float64)
    added.index_add_(0, target, messages)
    arrived = hop.sums.detach().flatten(1).double()
    scale = (added * arrived).sum(dim=1) / added.square().sum(dim=1).clamp(min=1e-300)
    factors = torch.ones(num_receivers, dtype=torch.float64)
    for _ in range(ROUNDS):
        sent = _ratio(source, messages * factors[target, None], factors[target].square(), num_senders)
        along = (messages * sent[source]).sum(dim=1)
        factors = _ratio(target, along[:, None], sent[source].square().sum(dim=1), num_receivers)[:, 0]
        factors = factors / factors[factors > 0].mean() if bool((factors > 0).any()) else factors
    sent = _ratio(source, messages * factors[target, None], factors[target].square(), num_senders)
    rest = (messages - factors[target, None] * sent[source]).square().sum()
    return sent, factors, scale, float(1 - rest / messages.square().sum().clamp(min=1e-300))


def _ratio(owner: Tensor, above: Tensor, below: Tensor, count: int) -> Tensor:
    """Sum of `above`, [e, d], over sum of `below`, [e], for each owner, [count, d]; 0 for 0 / 0."""
    upper = torch.zeros(count, above.shape[1], dtype=torch.float64).index_add_(0, owner, above)
    lower = torch.zeros(count, dtype=torch.float64).index_add_(0, owner, below)
    return upper / lower.clamp(min=1e-300)[:, None]
