"""A copy of a model and a graph in float64, in which rank and equality are told from rounding."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch_geometric.data import Data, HeteroData

from graph_metamers.errors import LayerNotFoundError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from graph_metamers.reading.view import ModelView
    from graph_metamers.types import Graph


def double_graph(graph: Graph) -> Graph:
    """The same graph with every floating-point tensor in float64; the given one is not changed."""
    doubled: Graph = copy.copy(graph).apply(lambda t: t.double() if t.is_floating_point() else t)
    return doubled


def double_model(view: ModelView) -> ModelView:
    """A copy of the model in float64, called in the same way."""
    return replace(view, model=copy.deepcopy(view.model).double())


def require_graph(graph: object) -> None:
    """Raise `ParameterError` if something is no graph, such as a data set."""
    if not isinstance(graph, Data | HeteroData):
        must = "a Data, Batch or HeteroData"
        raise ParameterError("graph", must, type(graph).__name__, mend="Of a data set it is dataset.graph")


def in_float64(
    view: ModelView, graph: Graph, layers: Sequence[str], *, on_cpu: bool = False, mend: str = ""
) -> tuple[ModelView, Graph, dict[str, Tensor]]:
    """Copies of the model and the graph, and the activations of some layers there; one run.

    Parameters
    ----------
    view
        The model; call inside `view.borrow()`.
    graph
        The graph.
    layers
        That are read.
    on_cpu
        Whether the copies are on the CPU, wherever the originals are.
    mend
        What can be done without, for the error.

    Raises
    ------
    LayerNotFoundError
        If a name is no layer of the model.
    ParameterError
        If the graph is none, or the model cannot be copied, or does not run in float64.
    """
    require_graph(graph)
    precise = double_graph(graph)
    try:
        own = double_model(view)
        if on_cpu:
            precise, own = precise.cpu(), replace(own, model=own.model.cpu())
        with torch.no_grad():
            taps = own.taps(precise, layers)
    except LayerNotFoundError:
        raise
    except Exception as error:  # a module of the user's may raise anything
        raise ParameterError(
            "model",
            "one that can be copied and runs in float64, in which what is equal is told from rounding",
            f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
            mend=mend,
        ) from error
    return own, precise, {name: tap.value for name, tap in taps.items()}
