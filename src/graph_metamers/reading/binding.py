"""How a graph is handed to a model: by the names of the parameters of its forward.

This is the one place where a graph meets a model. Positional conventions differ between models (a third
positional tensor is an edge weight for one convolution and an edge attribute for another), so nothing is
ever bound by position.
"""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch_geometric.data import HeteroData

from graph_metamers.errors import BindingError
from graph_metamers.reading.misfit import misfit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from graph_metamers.types import Forward, Graph, Transform

WHOLE_GRAPH_NAMES = frozenset({"data", "graph", "g", "hetero_data", "batch_data"})
"""Parameter names that mean the whole graph object."""

_COUNTS = ("num_nodes", "num_graphs")
_MISSING = object()


def call_model(
    model: nn.Module,
    graph: Graph,
    *,
    forward: Forward | None = None,
    transform: Transform | None = None,
) -> Any:
    """Run a model on a graph, gradients included, and return whatever the model returns.

    Parameters
    ----------
    model
        Any module. Its mode (train or eval) is left as it is.
    graph
        A `Data`, `Batch` or `HeteroData`. The model and the transform get a copy, so that one which assigns
        to the graph, or works in place, does not change it.
    forward
        How to call the model, as `forward(model, graph)`; default: `bind_by_name`.
    transform
        A PyTorch Geometric transform that is applied to the graph first.

    Raises
    ------
    BindingError
        If a parameter that the model's forward requires is not on the graph.
    ModelError
        If the model is built for another number of features.
    """
    seen = _own_copy(graph)
    if transform is not None:
        seen = transform(seen)
    try:
        return forward(model, seen) if forward is not None else model(**bind_by_name(model, seen))
    except RuntimeError as error:
        explained = misfit(error, model, seen)
        if explained is None:
            raise
        raise explained from error


def bind_by_name(model: nn.Module, graph: Graph) -> dict[str, Any]:
    """Find the arguments of a model's forward on a graph.

    A parameter is bound, in this order, to: the whole graph, if it is named like one (`data`, `graph`, ...)
    or is the only required parameter and either called `batch` or no attribute of the graph; the graph's
    attribute of the same name; `num_nodes` and `num_graphs`; on a `HeteroData`, the dictionary of that
    attribute over all node or edge types, with or without the suffix `_dict`. Optional parameters that the
    graph does not have keep their default. A required `batch` that the graph does not have is `None`,
    PyTorch Geometric's word for "one graph".

    Raises
    ------
    BindingError
        If a required parameter is not found, or the forward only takes `*args` and `**kwargs`.
    """
    parameters = inspect.signature(model.forward).parameters
    named = [p for p in parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    positional_only = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_ONLY]
    if positional_only or not named:
        raise BindingError(
            f"the forward of {type(model).__name__} must have named parameters, got {_signature(model)}; "
            "pass forward=lambda model, graph: model(...) to say how it is called"
        )
    required = [p.name for p in named if p.default is p.empty]
    available = _attributes(graph)
    bound: dict[str, Any] = {}
    for parameter in named:
        value = _lookup(parameter.name, available)
        alone = required == [parameter.name]
        if parameter.name in WHOLE_GRAPH_NAMES or (
            alone and (value is _MISSING or parameter.name == "batch")
        ):
            value = graph
        if value is not _MISSING:
            bound[parameter.name] = value
        elif parameter.name in _COUNTS and hasattr(graph, parameter.name):
            bound[parameter.name] = getattr(graph, parameter.name)
        elif parameter.name == "batch" and parameter.default is parameter.empty:
            bound["batch"] = None
        elif parameter.default is parameter.empty:
            raise BindingError(
                f"the forward of {type(model).__name__} needs '{parameter.name}', and the graph has "
                f"{', '.join(sorted(available)) or 'no attributes'}; add it to the graph, or pass "
                "forward=lambda model, graph: model(...) to say how the model is called"
            )
    return bound


def _attributes(graph: Graph) -> Mapping[str, Any]:
    """Everything a parameter can be bound to, by name."""
    if isinstance(graph, HeteroData):
        names = {name for store in graph.stores for name in store}
        return {name: graph.collect(name, allow_empty=True) for name in names} | {
            name: graph[name] for name in graph._global_store
        }
    attributes: dict[str, Any] = graph.to_dict()
    return attributes


def _lookup(name: str, available: Mapping[str, Any]) -> Any:
    for candidate in (name, name.removesuffix("_dict")):
        if candidate in available:
            return available[candidate]
    return _MISSING


def _signature(model: nn.Module) -> str:
    return f"forward{inspect.signature(model.forward)}"


def _own_copy(graph: Graph) -> Graph:
    """The graph with stores and floating-point tensors of its own; gradients flow back to the originals."""
    own = copy.copy(graph)
    for store in own.stores:
        for name, value in list(store.items()):
            if isinstance(value, Tensor) and value.is_floating_point():
                store[name] = value.clone()
    return own
