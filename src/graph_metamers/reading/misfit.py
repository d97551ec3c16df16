"""Say why a model stopped on a graph, where the reason is the number of features."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graph_metamers.errors import ModelError

if TYPE_CHECKING:
    from graph_metamers.types import Graph

_WIDTHS = ("in_channels", "in_features", "num_features")
"""What linear maps and normalisations, of torch and of PyTorch Geometric, call the width of their input."""

_MATRIX_MESSAGE = "shapes cannot be multiplied"  # torch's words, for a product that no module made


@dataclass(frozen=True)
class _Refusal:
    """A module that was given rows of another width than its own."""

    module: nn.Module
    wanted: int
    got: int


def misfit(error: RuntimeError, model: nn.Module, graph: Graph) -> ModelError | None:
    """Explain an error of a model by the widths that do not fit.

    Parameters
    ----------
    error
        What the model raised.
    model
        The model that raised it.
    graph
        The graph as the model saw it, behind any transform.

    Returns
    -------
    ModelError or None
        To be raised from `error`; `None` if the error has another reason.
    """
    refusal = _refusal(error)
    if refusal is None and _MATRIX_MESSAGE not in str(error):
        return None
    reason = str(error).splitlines()[0] if refusal is None else _described(refusal, model)
    return ModelError(
        f"{type(model).__name__} must fit the features of the graph, got a graph with {_features(graph)}: "
        f"{reason}{_mend(refusal, graph)}"
    )


def _refusal(error: RuntimeError) -> _Refusal | None:
    """Find the module in whose own forward the error arose, if the width of its input is the reason."""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = frame.f_locals.get("self")
        if not isinstance(module, nn.Module):
            continue
        # Further out, an input may have been replaced by what the module has already made of it.
        names = frame.f_code.co_varnames[1 : frame.f_code.co_argcount]
        value = frame.f_locals.get(names[0]) if names and frame.f_code.co_name == "forward" else None
        wanted = next((w for name in _WIDTHS if isinstance(w := getattr(module, name, None), int)), None)
        if wanted is None or not isinstance(value, Tensor) or value.ndim == 0 or value.shape[-1] == wanted:
            return None
        return _Refusal(module, wanted, value.shape[-1])
    return None


def _described(refusal: _Refusal, model: nn.Module) -> str:
    names = {module: name for name, module in model.named_modules()}
    name = names.get(refusal.module)
    place = f"{name!r} ({type(refusal.module).__name__})" if name else type(refusal.module).__name__
    return f"{place} takes {refusal.wanted} features, and was given {refusal.got}"


def _features(graph: Graph) -> str:
    widths = graph.num_features
    if isinstance(graph, HeteroData):
        return "features " + ", ".join(f"{name}: {width}" for name, width in widths.items())
    return f"{widths} features a node"


def _mend(refusal: _Refusal | None, graph: Graph) -> str:
    """How to mend it, if it is the features of the graph themselves that were refused."""
    if refusal is None or isinstance(graph, HeteroData) or refusal.got != graph.num_features:
        return ""
    return f". Build the model for {refusal.got} features, or give it the graph that it was built for"
