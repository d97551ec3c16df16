"""A layer as fixed vectors that neighbours send, added up: found from the model, verified on other graphs.

With degrees kept, z_v = r_v + a_v sum_{u in N(v)} y_u holds for the pre-activation of a first layer that adds
up its neighbours: y_u depends on the sender, a_v on the receiver's degree, r_v on neither. *Ours*.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from graph_metamers.errors import ModelError, ParameterError
from graph_metamers.graphs.rewiring import shuffled
from graph_metamers.synthesis.first_hop import FirstHop, require
from graph_metamers.synthesis.precise_model import SAME, PreciseModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from graph_metamers.graphs.neighbour_lists import NeighbourLists
    from graph_metamers.reading import ModelView
    from graph_metamers.reading.messages import Hop
    from graph_metamers.synthesis.first_hop import HopRun
    from graph_metamers.types import Graph

GRAPHS = (
    4  # random graphs with the same degrees on which the form is verified, half of them without old edges
)
LARGE_SHIFT = 10.0  # of what arrives, in units of its largest number: opens and closes every rectifier
ANYWHERE = -1  # component of a sender that sends zeros


@dataclass(frozen=True, eq=False)
class FixedMessages:
    """A layer h_v = s(z_v), z_v = r_v + a_v sum over neighbours u of y_u, in float64.

    Attributes
    ----------
    values
        h of the reference, [n, k].
    rest
        r: what edges that may vary do not change, [n, k].
    vectors
        y, [n, k].
    factors
        a, [n].
    slope
        Of s below zero: 1 where the layer is what is added up, 0 where one ReLU follows.
    senders, receivers
        Components, int64 [n]: a sender's and a receiver's factors have been compared, through others if
        need be, where they are the same or the sender's is `ANYWHERE`. Else nothing is known of the pair.
    deviation
        Largest difference to what the model computes, of all numbers on all graphs that were tried.
    """

    values: NDArray[np.float64]
    rest: NDArray[np.float64]
    vectors: NDArray[np.float64]
    factors: NDArray[np.float64]
    slope: float
    senders: NDArray[np.int64]
    receivers: NDArray[np.int64]
    deviation: float

    def sums_at(self, lists: NeighbourLists, neighbours: NDArray[np.int64]) -> NDArray[np.float64]:
        """What z is in another graph, [n, k], from the neighbours in its lists."""
        return self.rest + self.factors[:, None] * _added(lists, neighbours, self.vectors)

    def activated(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """s(z)."""
        return np.where(z < 0, self.slope * z, z)


def _added(
    lists: NeighbourLists, neighbours: NDArray[np.int64], vectors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum of the neighbours' vectors over the edges that may vary, [n, k]."""
    added = np.zeros_like(vectors)
    np.add.at(added, lists.owners[lists.active], vectors[neighbours[lists.active]])
    return added


def fixed_messages(
    view: ModelView, graph: Graph, layer: str, lists: NeighbourLists, *, seed: int = 0
) -> FixedMessages:
    """Find the form of a layer, or refuse.

    Parameters
    ----------
    view
        The model; call inside `view.borrow()`.
    graph
        The reference.
    layer
        A name.
    lists
        Its neighbours, and what may be rewired.
    seed
        Of the random graphs and shifts.

    Raises
    ------
    ModelError
        If the layer has not this form, with the reason.
    """
    try:
        precise = PreciseModel.of(view, graph, (layer,))
    except ParameterError as error:
        raise ModelError(f"the model must run in float64, in which bounds are proved: {error}") from error
    reader = FirstHop(precise, layer, int(graph.num_nodes or 0))
    seen, weights = reader.opened()
    slope = _slope(reader, seed)
    seeds = np.random.default_rng(seed).integers(2**62, size=GRAPHS).tolist()
    others = [
        shuffled(lists, seed=one, reference_edges="forbid" if number % 2 else "free")
        for number, one in enumerate(seeds)
    ]
    runs = [reader.run(_columns(graph, lists, *other), opened=True) for other in others]
    classes = _classes(graph.edge_index.cpu().numpy(), reader.num_nodes)
    scales = _scales(seen.hop, weights, classes)
    found = _fit([seen.hop, *(run.hop for run in runs)], weights, scales, classes, reader.num_nodes)
    vectors, factors, senders, receivers = found
    rest = seen.value - factors[:, None] * _added(lists, lists.neighbours, vectors)
    values = np.where(seen.value < 0, slope * seen.value, seen.value)
    form = FixedMessages(values, rest, vectors, factors, slope, senders, receivers, 0.0)
    worst = _deviation(form, reader, graph, lists, others, seen, runs)
    require(
        worst <= SAME * max(float(np.abs(values).max()), float(np.abs(rest).max())),
        "what arrives at a node must be a sum of fixed vectors, one for each neighbour, times a factor of "
        f"the node's degree; on random graphs with the same degrees the layer differs by {worst:.1e}. "
        "Attention, maxima, attributes of edges, and norms over several nodes are not of this form",
    )
    return replace(form, deviation=worst)


def _deviation(
    form: FixedMessages,
    reader: FirstHop,
    graph: Graph,
    lists: NeighbourLists,
    others: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    seen: HopRun,
    runs: Sequence[HopRun],
) -> float:
    """Largest difference of the form to the model, with its rectifier and without, on all graphs."""
    differences = [seen.value - form.sums_at(lists, lists.neighbours), form.values - reader.run().value]
    for other, run in zip(others, runs, strict=True):
        z = form.sums_at(lists, other[0])
        differences += [z - run.value, form.activated(z) - reader.run(_columns(graph, lists, *other)).value]
    return max(float(np.abs(difference).max()) for difference in differences)


def _slope(reader: FirstHop, seed: int) -> float:
    """1 where the layer is linear in what arrives, 0 where one ReLU follows; refuses anything else."""
    sums = reader.run().hop.sums
    assert sums is not None  # noqa: S101 (checked when the hop was chosen)
    generator = torch.Generator().manual_seed(seed)
    size = LARGE_SHIFT * max(float(sums.detach().abs().max()), 1e-300)
    fitting = {0.0, 1.0}
    for _ in range(2):
        shift = size * torch.randn(sums.shape, generator=generator, dtype=torch.float64).to(sums)
        plain, opened = reader.run(shift=shift).value, reader.run(shift=shift, opened=True).value
        largest = float(np.abs(opened).max())
        for slope in tuple(fitting):
            there = np.where(opened < 0, slope * opened, opened)
            if not np.abs(there - plain).max() <= SAME * largest:
                fitting.discard(slope)
    require(
        bool(fitting),
        "between the sum over neighbours and the layer there must be linear maps, and one ReLU at the most, "
        "at the very end; got something else. Choose a layer before that",
    )
    return max(fitting)


def _columns(
    graph: Graph, lists: NeighbourLists, neighbours: NDArray[np.int64], edges: NDArray[np.int64]
) -> dict[str, Tensor]:
    return {"edge_index": torch.from_numpy(lists.edge_index(neighbours, edges)).to(graph.edge_index.device)}


def _classes(edge_index: NDArray[np.int64], num_nodes: int) -> NDArray[np.int64]:
    """Nodes with the same in-degree, out-degree and number of self-loops, int64 [n]."""
    source, target = edge_index
    loops = target[source == target]
    counts = np.stack([np.bincount(one, minlength=num_nodes) for one in (target, source, loops)], axis=1)
    return np.unique(counts, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _sent(hop: Hop, weights: Tensor) -> NDArray[np.float64]:
    """Messages behind the linear maps, [e, k]."""
    assert hop.messages is not None  # noqa: S101 (checked when the hop was chosen)
    messages = hop.messages.detach().flatten(1)
    require(
        messages.shape[1] == weights.shape[1],
        f"messages must be aggregated in one way, got {messages.shape[1]} numbers that become "
        f"{weights.shape[1]}",
    )
    return np.asarray((messages @ weights.T).cpu().numpy())


def _scales(hop: Hop, weights: Tensor, classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """What the sum of messages is multiplied with in each class, such as 1 / degree, [classes]."""
    assert hop.sums is not None  # noqa: S101 (checked when the hop was chosen)
    arrived = (hop.sums.detach().flatten(1) @ weights.T).cpu().numpy()
    added = np.zeros_like(arrived)
    np.add.at(added, hop.edge_index[1].cpu().numpy(), _sent(hop, weights))
    count = int(classes.max()) + 1
    above = np.bincount(classes, (added * arrived).sum(axis=1), minlength=count)
    below = np.bincount(classes, np.square(added).sum(axis=1), minlength=count)
    return np.asarray(np.divide(above, below, out=np.zeros(count), where=below > 0))


def _fit(
    hops: Sequence[Hop],
    weights: Tensor,
    scales: NDArray[np.float64],
    classes: NDArray[np.int64],
    num_nodes: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """y, a and the components of senders and receivers, from messages on several graphs.

    A message times its receiver's scale is a_c y_u, c the receiver's class. One class has the factor 1;
    it tells the vectors of its senders, these the factors of the other classes that they send to, and so on.
    """
    count = len(scales)
    total: NDArray[np.float64] = np.zeros((0, weights.shape[0]))
    keys: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    for hop in hops:  # a message for each sender and class; that all are alike, the verification shows
        source, target = hop.edge_index.cpu().numpy()
        between = np.flatnonzero(source != target)
        pairs = source[between] * count + classes[target[between]]
        sent = _sent(hop, weights)[between] * scales[classes[target[between]]][:, None]
        keys, places = np.unique(np.concatenate([keys, pairs]), return_index=True)
        total = np.concatenate([total, sent])[places]
    return _propagated(keys // count, keys % count, total, classes, num_nodes)


def _propagated(
    owners: NDArray[np.int64],
    kinds: NDArray[np.int64],
    sent: NDArray[np.float64],
    classes: NDArray[np.int64],
    num_nodes: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Vectors and factors from one message for each pair of a sender and a class of receivers."""
    count = int(classes.max()) + 1
    vectors, factors = np.zeros((num_nodes, sent.shape[1])), np.zeros(count)
    senders, receivers = np.full(num_nodes, ANYWHERE), np.full(count, ANYWHERE - 1)
    sizes = np.square(sent).sum(axis=1)
    strong = sizes > 0
    order = np.argsort(-np.bincount(kinds[strong], minlength=count), kind="stable")
    for component, first in enumerate(order):
        if receivers[first] != ANYWHERE - 1:
            continue
        factors[first], waiting = 1.0, [int(first)]
        receivers[first] = component
        while waiting:
            kind = waiting.pop()
            rows = np.flatnonzero((kinds == kind) & strong & (senders[owners] == ANYWHERE))
            vectors[owners[rows]] = sent[rows] / factors[kind]
            senders[owners[rows]] = component
            reached = np.flatnonzero(
                strong & (senders[owners] == component) & (receivers[kinds] == ANYWHERE - 1)
            )
            for other in np.unique(kinds[reached]):
                mine = reached[kinds[reached] == other]
                row = mine[np.argmax(sizes[mine])]
                y = vectors[owners[row]]
                factors[other] = (sent[row] @ y) / (y @ y)
                receivers[other] = component
                if factors[other] != 0:
                    waiting.append(int(other))
    return vectors, factors[classes], senders, receivers[classes]
