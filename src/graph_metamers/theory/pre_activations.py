"""Pre-activations of single items and their Jacobians with respect to the features, in double precision.

An item depends on the features of few nodes. Items whose nodes are disjoint share one backward pass; which
nodes these are is told by the steps of message passing, and verified by gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from graph_metamers.errors import ParameterError
from graph_metamers.inputs import resolve_variables
from graph_metamers.inputs.compression import Refusal, compress
from graph_metamers.inputs.slots import read_features, write_features
from graph_metamers.models.activation_functions import ACTIVATION_FUNCTIONS, build_activation
from graph_metamers.parameters import check_choice
from graph_metamers.randomness import generator_for
from graph_metamers.reading.items import items_of
from graph_metamers.reading.messages import MessageRecorder
from graph_metamers.reading.precision import in_float64
from graph_metamers.synthesis.memory import GIB, free_bytes
from graph_metamers.synthesis.preparing import chosen_items

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    from graph_metamers.reading import ModelView
    from graph_metamers.reading.recording import Tap
    from graph_metamers.types import Graph

    Activation: TypeAlias = str | Callable[[Tensor], Tensor]

LARGEST_PASS = 2**25  # numbers of one batch of gradients: 256 MB
LARGEST_REACH = 50_000_000  # pairs of an item and a node that it depends on
PROBED = 3  # items whose gradients are compared with the nodes that messages can come from


@dataclass(frozen=True, eq=False)
class _Pass:
    """Items, by place in the index, whose gradients are taken at once.

    `nodes` are those that each may depend on; `None` for one item alone.
    """

    places: list[int]
    nodes: list[NDArray[np.int64]] | None


@dataclass(frozen=True, eq=False)
class PreActivations:
    """What an activation function is applied to, and how it depends on the features near each item.

    Attributes
    ----------
    layer, activation
        Names of the tap, and of the function that is applied.
    items
        What the rows are, as `Layer.items` says.
    index
        Which of them, int64 [q].
    values
        z, float64 [q, k].
    derivative
        sigma'(z), float64 [q, k].
    factors
        L, float64 [q, k, k], with L L^T = J J^T: J [k, m] is the Jacobian of an item's z with respect to all
        features that it depends on, and J = L P with orthonormal rows of P. Ranks and pseudo-determinants of
        J, and of J with rows scaled or left out, are those of L.
    sizes
        m, features that an item depends on, int64 [q].
    compression
        In how many coordinates gradients were taken, or why in all.
    """

    layer: str
    activation: str
    items: str
    index: NDArray[np.int64]
    values: NDArray[np.float64]
    derivative: NDArray[np.float64]
    factors: NDArray[np.float64]
    sizes: NDArray[np.int64]
    compression: str


def read_pre_activations(
    view: ModelView,
    graph: Graph,
    layer: str,
    *,
    index: Tensor | Sequence[int] | None,
    activation: Activation | None,
) -> PreActivations:
    """Read z, the slope of the activation function there, and the Jacobian of every item.

    Raises
    ------
    ParameterError
        If the layer is no activation function and none is given, or the function mixes units.

    Notes
    -----
    Ours. Works on a copy of the model in float64. Where features enter through linear maps, gradients are
    taken in coordinates X Q, which changes no singular value, as Q has orthonormal columns and the row space
    of every Jacobian is inside its span.
    """
    with view.borrow():
        double, doubled, _ = in_float64(view, graph, [layer])
    # The caller may be inside no_grad or inference_mode.
    with torch.inference_mode(False), torch.enable_grad(), double.borrow():
        seen, seen_graph, how = _compressed(double, doubled, layer)
        leaves = {slot: x.detach().clone().requires_grad_() for slot, x in read_features(seen_graph).items()}
        tap = seen.taps(write_features(seen_graph, leaves), [layer])[layer]
        z, derivative, name = _pre_activation(tap, activation)
        items = items_of(layer, len(z), graph)
        chosen = chosen_items(index, len(z))
        rows = torch.arange(len(z)) if chosen is None else chosen.cpu()
        _require_room(len(rows), z[0].numel())
        widths = [x.shape[1] for x in read_features(graph).values()]
        passes = _passes(double, doubled, z, leaves, rows)
        factors, sizes = _factors(z, leaves, rows, passes, widths)
    units = z.reshape(len(z), -1).detach().cpu().numpy()
    slopes = derivative.reshape(len(z), -1).cpu().numpy()
    picked = rows.numpy()
    return PreActivations(
        layer, name, items, picked, units[picked], slopes[picked], factors, sizes, how
    )  # fmt: skip


def unrelated_features(graph: Graph) -> Graph:
    """The graph with features drawn from normal distributions of the same means and deviations."""
    generator = generator_for("unrelated features", 0)
    drawn = {}
    for slot, x in read_features(graph).items():
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
        drawn[slot] = x.mean(dim=0) + x.std(dim=0, correction=0) * noise
    return write_features(graph, drawn)


def slopes_at(activation: Activation, z: NDArray[np.float64]) -> NDArray[np.float64]:
    """sigma'(z) by automatic differentiation in float64, of the shape of z.

    Raises
    ------
    ParameterError
        If the name is unknown, or the function mixes entries.
    """
    function: Any = build_activation(activation).double() if isinstance(activation, str) else activation
    with torch.inference_mode(False), torch.enable_grad():
        leaf = torch.tensor(z, dtype=torch.float64, requires_grad=True)
        return _elementwise(function(leaf), leaf, leaf).numpy()


def activation_name(activation: Activation) -> str:
    """How an activation is called: its name in the zoo, its class or its function's name."""
    if isinstance(activation, str):
        return check_choice("activation", activation, ACTIVATION_FUNCTIONS)
    return str(getattr(activation, "__name__", type(activation).__name__))


def _compressed(view: ModelView, graph: Graph, layer: str) -> tuple[ModelView, Graph, str]:
    """The model in fewer coordinates where that is verified, else as it is."""
    variables = resolve_variables("features", graph)
    with torch.no_grad():
        other = unrelated_features(graph)
        known, moved = ({layer: view.taps(g, [layer])[layer].value} for g in (graph, other))
        found = compress(view, variables, known, [(other, moved)])
    if isinstance(found, Refusal):
        return view, graph, f"all features: {found.reason}"
    coordinates = found.coordinates(read_features(graph)[found.slot])
    how = f"{found.rank} of {len(found.basis)} dimensions"
    return found.view, found.graph(graph, coordinates), how


def _pre_activation(tap: Tap, activation: Activation | None) -> tuple[Tensor, Tensor, str]:
    """What sigma is applied to, with its history, sigma'(z), and the name of sigma."""
    before = tap.activation_input
    if activation is not None:
        z = tap.value if before is None else before
        slopes = slopes_at(activation, z.detach().cpu().numpy())
        return z, torch.from_numpy(slopes), activation_name(activation)
    if before is None:
        must = "the output of an activation function, or given with activation='relu' or another one"
        raise ParameterError("layer", must, tap.name)
    source = tap.source
    if before.grad_fn is None:
        raise ParameterError("layer", "a layer that depends on the features", tap.name)
    # `before` is a copy of what the model handed over: one step back along its history is the tensor itself.
    node, output = before.grad_fn.next_functions[0]
    if node is None:
        raise ParameterError("layer", "a layer that depends on the features", tap.name)
    edge = torch.autograd.graph.GradientEdge(node, output)
    derivative = _elementwise(tap.value, edge, before)
    return before, derivative, _own_name(source, before, derivative)


_ZOO = {type(build()): name for name, build in ACTIVATION_FUNCTIONS.items()}
_SETTINGS = {"leaky_relu": "negative_slope", "elu": "alpha", "gelu": "approximate"}
"""What modules of the zoo may be set to."""


def _own_name(source: nn.Module | str | None, z: Tensor, slopes: Tensor) -> str:
    """The name of the model's function; with its setting where it is not the zoo's, "leaky_relu (0.2)"."""
    name = _ZOO.get(type(source), type(source).__name__) if isinstance(source, nn.Module) else str(source)
    if name not in ACTIVATION_FUNCTIONS:
        return name
    usual = slopes_at(name, z.detach().cpu().numpy())
    if np.allclose(usual, slopes.cpu().numpy(), rtol=1e-9, atol=1e-12):
        return name
    setting = getattr(source, _SETTINGS.get(name, ""), None)
    if setting is None:
        return f"{name} (as called)"
    return f"{name} ({setting:g})" if isinstance(setting, float | int) else f"{name} ({setting})"


def _elementwise(value: Tensor, source: Any, z: Tensor) -> Tensor:
    if value.shape == z.shape:
        (slopes,) = torch.autograd.grad(value, source, torch.ones_like(value), retain_graph=True)
        weights = torch.rand(
            value.shape, generator=generator_for("elementwise", 0), dtype=value.dtype
        ).to(value.device)  # fmt: skip
        (probe,) = torch.autograd.grad(value, source, weights, retain_graph=True)
        if torch.allclose(probe, weights * slopes, rtol=1e-9, atol=1e-12):
            return torch.Tensor(slopes.detach())
    raise ParameterError("activation", "a function of single numbers", "one that mixes them")


def _passes(
    view: ModelView, graph: Graph, z: Tensor, leaves: Mapping[str, Tensor], rows: Tensor
) -> list[_Pass]:
    """Backward passes, each with items that depend on disjoint sets of nodes."""
    singly = [_Pass([place], None) for place in range(len(rows))]
    reach = _reach(view, graph, rows) if len(leaves) == 1 and len(z) == graph.num_nodes else None
    if reach is None:
        return singly
    (leaf,) = leaves.values()
    generator = generator_for("reach", 0)
    for place in torch.randperm(len(rows), generator=generator)[:PROBED].tolist():
        probe = torch.zeros_like(z)
        probe[rows[place]] = torch.randn(probe[0].shape, generator=generator, dtype=z.dtype).to(z.device)
        (gradient,) = torch.autograd.grad(z, leaf, probe, retain_graph=True, allow_unused=True)
        touched = [] if gradient is None else gradient.any(dim=1).nonzero().flatten().tolist()
        if not set(touched) <= set(_row(reach, place).tolist()):
            return singly  # a normalisation over all nodes, say
    return [_Pass(group, [_row(reach, place) for place in group]) for group in _disjoint(reach)]


def _require_room(items: int, units: int) -> None:
    """Refuse more factors, [q, k, k] of 8 bytes, than there is memory for."""
    needed, free = 8 * items * units**2, free_bytes()
    if free is not None and needed > free:
        raise ParameterError(
            "index",
            f"fewer items: {free / GIB:.1f} GiB of memory are free",
            f"{items} items with {units} units, which need {needed / GIB:.1f} GiB",
        )


def _row(reach: Any, place: int) -> NDArray[np.int64]:
    nodes: NDArray[np.int64] = reach.indices[reach.indptr[place] : reach.indptr[place + 1]]
    return nodes


def _reach(view: ModelView, graph: Graph, rows: Tensor) -> Any:
    """Nodes from which messages can come to each item, sparse bool [q, n]; `None` if that is not told."""
    n = int(graph.num_nodes or 0)
    with MessageRecorder(view.model) as recorder:
        view.call(graph)
    reach = sparse.identity(n, dtype=np.int8, format="csr")[rows.numpy()]
    for hop in reversed(recorder.hops):
        if not isinstance(hop.edge_index, Tensor) or hop.edge_index.layout != torch.strided:
            return None
        source, target = hop.edge_index.cpu().numpy()
        ones = np.ones(len(source), dtype=np.int8)
        step = sparse.csr_matrix((ones, (target, source)), shape=(n, n))
        step = step + step.T + sparse.identity(n, dtype=np.int8, format="csr")
        step.data[:] = 1
        reach = (reach.astype(np.int32) @ step.astype(np.int32)).tocsr()
        reach.data[:] = 1
        if reach.nnz > LARGEST_REACH:
            return None
    return reach


def _disjoint(reach: Any) -> list[list[int]]:
    """Greedy: the items with most nodes first, each into the first group that shares none of them."""
    order = np.argsort(-np.diff(reach.indptr), kind="stable")
    groups: list[list[int]] = []
    taken = np.zeros((reach.shape[1], 16), dtype=np.bool_)
    for place in order.tolist():
        nodes = reach.indices[reach.indptr[place] : reach.indptr[place + 1]]
        free = ~taken[nodes].any(axis=0)
        group = int(free.argmax()) if free.any() else len(free)
        if group == taken.shape[1]:
            taken = np.concatenate([taken, np.zeros_like(taken)], axis=1)
        if group >= len(groups):
            group = len(groups)
            groups.append([])
        taken[nodes, group] = True
        groups[group].append(place)
    return groups


def _factors(
    z: Tensor, leaves: Mapping[str, Tensor], rows: Tensor, passes: list[_Pass], widths: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """L and m of every item; see `PreActivations`."""
    flat = z.reshape(len(z), -1)
    units = flat.shape[1]
    factors = np.zeros((len(rows), units, units))
    sizes = np.zeros(len(rows), dtype=np.int64)
    for each in passes:
        gradients = _gradients(flat, list(leaves.values()), rows[torch.tensor(each.places)])
        for number, place in enumerate(each.places):
            blocks = []
            for gradient, width in zip(gradients, widths, strict=True):
                block = gradient if each.nodes is None else gradient[:, np.sort(each.nodes[number])]
                block = block[:, block.any(axis=(0, 2))]
                sizes[place] += block.shape[1] * width
                blocks.append(block.reshape(units, -1))
            factors[place] = row_factor(np.concatenate(blocks, axis=1))
    return factors, sizes


def _gradients(flat: Tensor, leaves: list[Tensor], rows: Tensor) -> list[NDArray[np.float64]]:
    """Gradient of every unit, summed over some items, for each slot of features: [k, n, r]."""
    units = flat.shape[1]
    at_once = max(1, LARGEST_PASS // sum(leaf.numel() for leaf in leaves))
    parts: list[list[NDArray[np.float64]]] = [[] for _ in leaves]
    for first in range(0, units, at_once):
        numbers = torch.arange(first, min(first + at_once, units))
        ones = torch.zeros(len(numbers), *flat.shape, dtype=flat.dtype, device=flat.device)
        ones[torch.arange(len(numbers))[:, None], rows[None, :], numbers[:, None]] = 1.0
        for slot, gradient in enumerate(_batched(flat, leaves, ones)):
            parts[slot].append(gradient.cpu().numpy())
    return [np.concatenate(part) for part in parts]


def _batched(flat: Tensor, leaves: list[Tensor], ones: Tensor) -> list[Tensor]:
    # One by one: batched, some scatters fall back to something twenty times as slow.
    each = [torch.autograd.grad(flat, leaves, one, retain_graph=True, allow_unused=True) for one in ones]
    found = tuple(None if column[0] is None else torch.stack(column) for column in zip(*each, strict=True))
    return [
        torch.zeros(len(ones), *leaf.shape, dtype=leaf.dtype, device=leaf.device)
        if gradient is None
        else gradient
        for gradient, leaf in zip(found, leaves, strict=True)
    ]


def row_factor(jacobian: NDArray[np.float64]) -> NDArray[np.float64]:
    """L, [k, k], with L L^T = J J^T, of J [k, m], by an orthogonal decomposition: J^T is never squared."""
    units, size = jacobian.shape
    factor = np.zeros((units, units))
    if size:
        upper: Any = np.linalg.qr(jacobian.T, mode="r")
        factor[:, : len(upper)] = upper.T
    return factor
