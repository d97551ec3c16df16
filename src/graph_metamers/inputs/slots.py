"""Where the features of a graph are, for every type of graph object."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from graph_metamers.errors import ModelError
from graph_metamers.reading.items import num_graphs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graph_metamers.types import Graph

HOMOGENEOUS = "x"


def read_features(graph: Graph) -> dict[str, Tensor]:
    """Node features of a graph by slot.

    Returns
    -------
    dict of str to Tensor
        `{"x": [num_nodes, F]}`, or on a `HeteroData` one entry per node type that has features.

    Raises
    ------
    ModelError
        If there are no node features at all.
    """
    if not isinstance(graph, Data | HeteroData):
        raise ModelError(f"the graph must be a Data, Batch or HeteroData, got {type(graph).__name__}")
    if isinstance(graph, HeteroData):
        features = {name: graph[name].x for name in graph.node_types if "x" in graph[name]}
    else:
        features = {HOMOGENEOUS: graph.x} if isinstance(graph.x, Tensor) else {}
    if not features:
        raise ModelError(
            "the graph must have node features 'x' to vary, got none; add graph.x [num_nodes, F]"
        )
    for slot, x in features.items():
        if x.ndim != 2:
            raise ModelError(f"node features {slot!r} must have shape [num_nodes, F], got {list(x.shape)}")
    return features


def read_edges(graph: Graph) -> dict[str, Tensor]:
    """Edges of a graph: `{"edge_index": [2, E]}`, or one entry per relation, `source__relation__target`."""
    stores = [store for store in graph.edge_stores if "edge_index" in store]
    return {_edge_slot(getattr(store, "_key", None)): store.edge_index for store in stores}


def read_edge_weights(graph: Graph) -> dict[str, Tensor]:
    """Weights of edges: `{"edge_weight": [E]}` where a graph has them, else nothing."""
    weights = getattr(graph, "edge_weight", None)
    return {"edge_weight": weights} if isinstance(weights, Tensor) else {}


def _edge_slot(relation: tuple[str, str, str] | None) -> str:
    return "edge_index" if relation is None else "__".join(relation)


def write_features(graph: Graph, features: Mapping[str, Tensor]) -> Graph:
    """A shallow copy of a graph with other features in the given slots; the graph itself is not changed."""
    changed = copy.copy(graph)
    for slot, x in features.items():
        if isinstance(changed, HeteroData):
            changed[slot].x = x
        else:
            changed.x = x
    return changed


def rows_of_items(items: str, graph: Graph) -> dict[str, Tensor]:
    """Which item each feature row belongs to.

    Parameters
    ----------
    items
        What the items are, as `Layer.items` says: `nodes`, `nodes:movie`, `graphs`, ...

    Returns
    -------
    dict of str to Tensor
        Slot -> item of each row, int64 [rows]; slots whose rows belong to no item are left out. For nodes it
        is the node's own row alone, although its activation depends on its neighbours' rows too.
    """
    features = read_features(graph)
    kind, _, node_type = items.partition(":")
    if kind == "graphs":
        return {slot: _graph_of_row(graph, slot, x) for slot, x in features.items()}
    slot = node_type or HOMOGENEOUS
    if kind == "nodes" and slot in features:
        return {slot: torch.arange(features[slot].shape[0], device=features[slot].device)}
    return {}


def count_items(items: str, graph: Graph) -> int:
    """Number of nodes or graphs; 0 for items that own no feature rows."""
    kind, _, node_type = items.partition(":")
    if kind == "graphs":
        return num_graphs(graph)
    slot = node_type or HOMOGENEOUS
    features = read_features(graph)
    return len(features[slot]) if kind == "nodes" and slot in features else 0


def _graph_of_row(graph: Graph, slot: str, x: Tensor) -> Tensor:
    store = graph[slot] if isinstance(graph, HeteroData) else graph
    if "batch" in store:
        owner: Tensor = store.batch
        return owner
    return torch.zeros(x.shape[0], dtype=torch.long, device=x.device)
