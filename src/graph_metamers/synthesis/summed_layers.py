"""A layer written out as sums over neighbours, so that what a swap of edges does is computed at once.

One step of message passing, z_v = r_v + a_v sum_{u in N(v)} y_u with at most one ReLU behind, or a second one
that is linear in what the first one gives: out_w = b_w + g_w h_w R + f_w sum_{u in N(w)} s_u h_u M. Nothing
is assumed of a kind of convolution: the parts are read off derivatives of the model in float64, and the whole
is verified on random graphs with the same degrees. *Ours*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from graph_metamers.errors import ModelError, ParameterError
from graph_metamers.graphs.loss_rewiring import LayerSums, SecondSums
from graph_metamers.graphs.rewiring import shuffled
from graph_metamers.inputs.slots import read_features, write_features
from graph_metamers.reading.items import NODES
from graph_metamers.synthesis.first_hop import require
from graph_metamers.synthesis.fixed_messages import GRAPHS, FixedMessages, fixed_messages
from graph_metamers.synthesis.precise_model import SAME, PreciseModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from graph_metamers.graphs.neighbour_lists import NeighbourLists
    from graph_metamers.reading import ModelView
    from graph_metamers.synthesis.edge_problem import EdgeProblem
    from graph_metamers.types import Graph

    Floats = NDArray[np.float64]

OF_A_CLASS = 2  # nodes of each class of degrees at which derivatives are taken


def layer_sums(problem: EdgeProblem) -> LayerSums | str:
    """The layer that has to match as sums over neighbours, or why it is not of that form.

    Notes
    -----
    Some runs of the model in float64, and backward passes for every class of degrees, of nodes that share no
    neighbour together.
    """
    lists = problem.structure.lists
    if lists.directed or problem.places is not None:
        return "edges have a direction, or nodes several types"
    if problem.index is not None or lists.is_restricted or len(problem.targets) != 1:
        return "some items have to match, or several layers"
    (layer,) = problem.targets
    view, graph = problem.seen_view, problem.seen
    try:
        return _one_step(fixed_messages(view, graph, layer, lists))
    except ModelError as error:
        reason = str(error)
    for hidden in _before(view, graph, layer):
        try:
            first = fixed_messages(view, graph, hidden, lists)
            return _two_steps(view, graph, hidden, layer, first, lists)
        except (ModelError, ParameterError) as error:
            reason = str(error)
    return reason


def _one_step(form: FixedMessages, second: SecondSums | None = None) -> LayerSums:
    target = form.values if second is None else second.target
    return LayerSums(form.rest, form.vectors, form.factors, form.slope, target, second)


def _before(view: ModelView, graph: Graph, layer: str) -> Iterator[str]:
    """Layers that are computed before one, the nearest first."""
    names = [one.name for one in view.layers(graph) if one.items == NODES]
    yield from reversed(names[: names.index(layer)] if layer in names else [])


def _two_steps(
    view: ModelView, graph: Graph, hidden: str, layer: str, first: FixedMessages, lists: NeighbourLists
) -> LayerSums:
    """The form with a second step of message passing; refuses what is not of it."""
    precise = PreciseModel.of(view, graph, (hidden, layer))
    leaves = {slot: x.clone().requires_grad_() for slot, x in read_features(precise.graph).items()}
    with torch.enable_grad():
        taps = precise.view.taps(write_features(precise.graph, leaves), (hidden, layer))
        h, out = taps[hidden].value, taps[layer].value
    require(h.ndim == 2 and out.ndim == 2, "both layers must have one row of numbers for each node")
    # `h` is a copy of what the model goes on with: one step back along its history is the tensor itself.
    node, number = h.grad_fn.next_functions[0] if h.grad_fn is not None else (None, 0)
    if node is None:
        raise ModelError("the layer before must be computed from features")
    second = _second(h, torch.autograd.graph.GradientEdge(node, number), out, lists)
    found = _one_step(first, second)
    worst = max(_deviation(precise, found, lists, graph, seed) for seed in range(GRAPHS))
    require(worst <= SAME, f"the layer is no second sum over neighbours: it differs by {worst:.1e}")
    return found


def _second(h: Tensor, at: Any, out: Tensor, lists: NeighbourLists) -> SecondSums:
    degrees = np.diff(lists.starts)
    loops = np.bincount(lists.owners[lists.owners == lists.neighbours], minlength=lists.num_nodes)
    classes = np.unique(np.stack([degrees, loops], axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    centre = int(degrees.argmax())
    slopes = np.stack([_slope(out[centre, unit], at) for unit in range(out.shape[1])], axis=2)  # [n, k1, k2]
    others = np.setdiff1d(lists.neighbours[lists.starts[centre] : lists.starts[centre + 1]], [centre])
    require(len(others) > 0, "there must be edges")
    sizes = np.square(slopes[others]).sum(axis=(1, 2))
    require(float(sizes.max()) > 0, "the layer must depend on what neighbours have at the one before")
    sent, own = slopes[others[sizes.argmax()]], slopes[centre]
    probe = np.random.default_rng(0).normal(size=out.shape[1])
    factors = _Factors(classes, sent @ probe, own @ probe)
    numbers = out @ torch.from_numpy(probe).to(out)
    for group in _apart(_representatives(classes, lists), lists):
        slope = _slope(numbers[group].sum(), at)
        for node in group:
            factors.add(node, slope, lists.neighbours[lists.starts[node] : lists.starts[node + 1]])
    send, receive, keep = factors.solve()
    h_numbers, target = (value.detach().cpu().numpy() for value in (h, out))
    added = np.zeros_like(target)
    np.add.at(added, lists.owners, send[lists.neighbours, None] * (h_numbers[lists.neighbours] @ sent))
    base = target - keep[:, None] * (h_numbers @ own) - receive[:, None] * added
    return SecondSums(base, keep, own, receive, send, sent, target)


def _slope(value: Tensor, at: Any) -> Floats:
    (gradient,) = torch.autograd.grad(value, at, retain_graph=True, allow_unused=True)
    require(gradient is not None, "the layer must be computed from the one before")
    return np.asarray(gradient.detach().cpu().numpy())


def _representatives(classes: NDArray[np.int64], lists: NeighbourLists) -> list[int]:
    """Some nodes of each class, which receive, and a neighbour of each of them, to which they send."""
    order = np.argsort(classes, kind="stable")
    place = np.arange(len(order)) - np.searchsorted(classes[order], classes[order])
    chosen = order[place < OF_A_CLASS]
    joined = chosen[np.diff(lists.starts)[chosen] > 0]
    ends = (lists.starts[joined], lists.starts[joined + 1] - 1)
    receivers = [lists.neighbours[end] for end in ends]
    return [int(node) for node in np.unique(np.concatenate([chosen, *receivers]))]


def _apart(nodes: Sequence[int], lists: NeighbourLists) -> list[list[int]]:
    """Groups of nodes that share no neighbour, so that one backward pass tells their slopes apart."""
    groups: list[tuple[set[int], list[int]]] = []
    for node in nodes:
        near = {node, *lists.neighbours[lists.starts[node] : lists.starts[node + 1]].tolist()}
        for taken, group in groups:
            if taken.isdisjoint(near):
                taken.update(near)
                group.append(node)
                break
        else:
            groups.append((near, [node]))
    return [group for _, group in groups]


class _Factors:
    """What classes of degrees multiply: s of senders, f of receivers, and g of what a node itself has.

    Parameters
    ----------
    classes
        Of the nodes, int64 [n].
    sent, own
        M and R times a random vector, [k1]: slopes are these times factors.
    """

    def __init__(self, classes: NDArray[np.int64], sent: Floats, own: Floats) -> None:
        self._classes, self._sent, self._own = classes, sent, own
        count = int(classes.max()) + 1
        self._joint = np.full((count, count), np.nan)  # f of the receiver's class times s of the sender's
        self._mine = np.zeros((count, len(sent)))  # slope of a node by what it has itself
        self._loops = np.zeros(count)

    def add(self, node: int, slope: Floats, neighbours: NDArray[np.int64]) -> None:
        """Note the slope of a node's number, [n, k1]."""
        mine = self._classes[node]
        others = np.setdiff1d(neighbours, [node])
        joint = slope[others] @ self._sent / (self._sent @ self._sent)
        self._joint[mine, self._classes[others]] = joint
        self._mine[mine], self._loops[mine] = slope[node], len(neighbours) - len(others)

    def solve(self) -> tuple[Floats, Floats, Floats]:
        """s, f and g of every node, float64 [n] each."""
        count = len(self._joint)
        send, receive = np.full(count, np.nan), np.full(count, np.nan)
        known = np.isfinite(self._joint)
        send[int(known.sum(axis=0).argmax())] = 1.0
        for _ in range(2 * count):
            by_sender = _mean_of_known(self._joint / _nonzero(send))
            fresh = np.isnan(receive) & np.isfinite(by_sender)
            receive[fresh] = by_sender[fresh]
            by_receiver = _mean_of_known((self._joint / _nonzero(receive)[:, None]).T)
            missing = np.isnan(send) & np.isfinite(by_receiver)
            send[missing] = by_receiver[missing]
            if not fresh.any() and not missing.any():
                break
        alone = ~known.any(axis=1)  # of nodes without neighbours
        found = tuple(np.where(alone, 0.0, values) for values in (send, receive))
        # A self-loop among the neighbours sends too; what is left is the node's own.
        looped = (self._loops * found[0] * found[1])[:, None] * self._sent
        size = float(self._own @ self._own)
        keep = (self._mine - looped) @ self._own / size if size else np.zeros(count)
        require(
            all(bool(np.isfinite(values).all()) for values in (*found, keep)),
            "factors of degrees cannot be told apart from too few edges",
        )
        return found[0][self._classes], found[1][self._classes], keep[self._classes]


def _nonzero(values: Floats) -> Floats:
    return np.where(values == 0, np.nan, values)


def _mean_of_known(rows: Floats) -> Floats:
    """Mean of each row without nan; nan where nothing is known."""
    known = np.isfinite(rows)
    total, count = np.where(known, rows, 0.0).sum(axis=1), known.sum(axis=1)
    mean: Floats = np.divide(total, count, out=np.full(len(rows), np.nan), where=count > 0)
    return mean


def _deviation(
    precise: PreciseModel, found: LayerSums, lists: NeighbourLists, graph: Graph, seed: int
) -> float:
    """Largest difference to the model on a random graph with the same degrees, over its largest number."""
    rule: Sequence[str] = ("free", "forbid")
    neighbours, edges = shuffled(lists, seed=seed, reference_edges=rule[seed % 2])  # type: ignore[arg-type]
    columns = torch.from_numpy(lists.edge_index(neighbours, edges)).to(graph.edge_index.device)
    changed = precise.graph.clone()
    changed.edge_index = columns
    layer = precise.layers[-1]
    with torch.no_grad():
        value = precise.view.taps(changed, (layer,))[layer].value.cpu().numpy()
    own = found.at(lists, neighbours)
    return float(np.abs(own - value).max() / max(float(np.abs(value).max()), 1e-300))
