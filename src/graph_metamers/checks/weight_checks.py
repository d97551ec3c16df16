"""Does a model read the weights of edges, and from where?

Nothing is taken for granted from names of classes: a third tensor is a weight for one convolution and an
attribute, ignored without a word, for another. Weights are changed, and the activations have to change.
"""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch_geometric.nn import MessagePassing

from graph_metamers.errors import ModelError, ParameterError
from graph_metamers.inputs.edge_weights import weights_of_graph
from graph_metamers.randomness import generator_for
from graph_metamers.reading import bind_by_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from graph_metamers.reading import ModelView
    from graph_metamers.types import Graph

WEIGHT, ATTRIBUTE = "edge_weight", "edge_attr"
REACTION = 1e-6
"""Least relative change of a layer that is more than rounding where weights change by half."""
ROUNDING = {torch.float64: 1e-10, torch.float32: 1e-5}


def weight_slot(view: ModelView, graph: Graph, targets: Mapping[str, Tensor]) -> str:
    """Where a model reads edge weights that these layers react to: `edge_weight` or `edge_attr`.

    Parameters
    ----------
    view
        The model; call inside `view.borrow()`.
    graph
        The reference.
    targets
        Layer -> its activation.

    Raises
    ------
    ParameterError
        If the model's forward takes no weights, or weights of 1 are something else than none.
    ModelError
        If the layers do not react to them, or no gradient arrives.
    """
    taken = [slot for slot in _candidates(graph) if _takes(view, graph, slot)]
    if not taken:
        raise ParameterError(
            "vary",
            f"something else than edge weights for a model whose forward takes no {WEIGHT!r}",
            f"{type(view.model).__name__}.forward{inspect.signature(view.model.forward)}",
            f"Give its forward an {WEIGHT}, or pass forward=lambda model, graph: ... that hands "
            f"graph.{WEIGHT} to its convolutions by name",
        )
    for slot in taken:
        if _reacts(view, graph, slot, targets):
            _require_ones(view, graph, slot, targets)
            return slot
    raise ModelError(
        f"the activations at {', '.join(map(repr, targets))} must react to edge weights, and stay the same "
        f"with other ones in {' or '.join(taken)}: {_named(view.model)}. Choose another layer, or "
        "vary='structure'"
    )


def _candidates(graph: Graph) -> Sequence[str]:
    if isinstance(getattr(graph, WEIGHT, None), Tensor):
        return (WEIGHT,)
    attribute = getattr(graph, ATTRIBUTE, None)
    if (
        isinstance(attribute, Tensor)
        and attribute.is_floating_point()
        and attribute.numel() == graph.num_edges
    ):
        return (ATTRIBUTE, WEIGHT)
    return (WEIGHT,)


def _takes(view: ModelView, graph: Graph, slot: str) -> bool:
    """Whether a model may see a slot: by a parameter of that name, as the whole graph, or by its caller."""
    if view.forward is not None or view.transform is not None:
        return True
    bound = bind_by_name(view.model, _with(graph, slot, weights_of_graph(graph, slot)))
    return slot in bound or any(hasattr(value, "edge_stores") for value in bound.values())


def _reacts(view: ModelView, graph: Graph, slot: str, targets: Mapping[str, Tensor]) -> bool:
    weights = weights_of_graph(graph, slot)
    noise = torch.rand(len(weights), generator=generator_for("edge weights", 0)).to(weights)
    leaf = (weights * (0.5 + noise)).requires_grad_()
    taps = view.taps(_with(graph, slot, leaf), list(targets))
    found = [(name, tap.value) for name, tap in taps.items()]
    changes = [_change(value.detach(), targets[name]) for name, value in found]
    if not max(changes) > REACTION:
        return False
    total = torch.stack([(value * torch.randn_like(value)).sum() for _, value in found]).sum()
    gradient = torch.autograd.grad(total, leaf, allow_unused=True)[0] if total.requires_grad else None
    if gradient is None or not bool(gradient.isfinite().all() and gradient.any()):
        raise ModelError(
            f"the gradient of {', '.join(map(repr, targets))} must reach {slot}, and does not, although the "
            "activations react: look for .detach(), torch.no_grad() or rounding before this layer"
        )
    return True


def _require_ones(view: ModelView, graph: Graph, slot: str, targets: Mapping[str, Tensor]) -> None:
    """A graph without weights is searched as one with weights of 1: that has to be the same."""
    if isinstance(getattr(graph, slot, None), Tensor):
        return
    with torch.no_grad():
        taps = view.taps(_with(graph, slot, weights_of_graph(graph, slot)), list(targets))
    for name, target in targets.items():
        change = _change(taps[name].value, target)
        if not change <= ROUNDING.get(target.dtype, 1e-5):
            raise ParameterError(
                "graph",
                f"one with {slot} for this model, to which weights of 1 are something else than none",
                f"a graph without, and {name!r} differs by {change:.1e}",
            )


def _change(value: Tensor, target: Tensor) -> float:
    return float((value - target).norm() / target.norm())


def _with(graph: Graph, slot: str, weights: Tensor) -> Graph:
    changed = copy.copy(graph)
    before = getattr(graph, slot, None)
    changed[slot] = weights.view(before.shape) if isinstance(before, Tensor) else weights
    return changed


def _named(model: nn.Module) -> str:
    """Which convolutions take no weights, by what their forward is called with."""
    convolutions = [(n, m) for n, m in model.named_modules() if isinstance(m, MessagePassing)]
    without = [
        f"{type(module).__name__} at {name!r}"
        for name, module in convolutions
        if WEIGHT not in inspect.signature(module.forward).parameters
    ]
    if without:
        return f"{', '.join(without)} of {type(model).__name__} take no {WEIGHT}"
    return f"{type(model).__name__} does not hand them to what computes these layers"
