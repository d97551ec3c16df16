"""Is the graph well-formed?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graph_metamers.checks.findings import Finding
from graph_metamers.inputs.slots import read_features

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from graph_metamers.inputs import Variables
    from graph_metamers.types import Graph


def check_graph(graph: Graph, slots: Collection[str]) -> Iterator[Finding]:
    """Look for defects of a graph that would stop a model or falsify it.

    Parameters
    ----------
    graph
        Any graph object.
    slots
        Where features vary; others may be whole numbers.
    """
    if not all(store.can_infer_num_nodes for store in graph.node_stores):
        yield Finding(
            "unknown-number-of-nodes",
            "error",
            "the number of nodes must be known",
            "a graph, or a node type, without features and without num_nodes",
            "Set num_nodes.",
        )
        return
    features = read_features(graph)
    for slot in slots:
        yield from _check_features(slot, features[slot])
    for store in graph.edge_stores:
        yield from _check_edges(store, *_num_nodes(graph, store))
    yield from _check_isolated(graph)


def check_variation(variables: Variables) -> Iterator[Finding]:
    """Look for features that cannot differ from the reference."""
    if variables.distance(variables.reference, "").chance == 0:
        yield Finding(
            "constant-features",
            "error",
            "features that may vary must differ between nodes, since their values come from other nodes",
            "the same value at every node, for every feature",
            "Give the graph other features, or let others vary.",
        )


def _check_features(slot: str, x: Tensor) -> Iterator[Finding]:
    if x.layout != torch.strided:
        yield Finding(
            "sparse-features",
            "error",
            f"features {slot!r} must be a dense tensor, since every entry may vary",
            str(x.layout),
            "Use graph.x = graph.x.to_dense().",
        )
    elif not x.is_floating_point():
        yield Finding(
            "integer-features",
            "error",
            f"features {slot!r} must be floating point so that gradients can reach them",
            str(x.dtype),
            "Use graph.x = graph.x.float().",
        )
    elif not bool(torch.isfinite(x).all()):
        count = int((~torch.isfinite(x)).sum())
        yield Finding(
            "non-finite-features",
            "error",
            f"features {slot!r} must be finite numbers",
            f"{count} entries that are NaN or infinite",
            "Replace them, for example by the feature's mean: graph.x.nan_to_num_().",
        )


def _check_edges(store: object, num_sources: int, num_targets: int) -> Iterator[Finding]:
    edge_index = getattr(store, "edge_index", None) if "edge_index" in store else None  # type: ignore[operator]
    if not isinstance(edge_index, Tensor) or edge_index.numel() == 0:
        return
    if edge_index.is_floating_point() or edge_index.ndim != 2 or edge_index.shape[0] != 2:
        yield Finding(
            "malformed-edges",
            "error",
            "edge_index must be integers of shape [2, num_edges]",
            f"{edge_index.dtype} of shape {list(edge_index.shape)}",
            "Use graph.edge_index.long(), sources in row 0, targets in row 1.",
        )
        return
    for row, limit in ((0, num_sources), (1, num_targets)):
        least, most = int(edge_index[row].min()), int(edge_index[row].max())
        if least < 0 or most >= limit:
            yield Finding(
                "edge-out-of-range",
                "error",
                f"edge_index must name nodes from 0 to {limit - 1}",
                f"node {least if least < 0 else most} in row {row}",
                "Remove the edge, or add the node's features.",
            )


def _num_nodes(graph: Graph, store: object) -> tuple[int, int]:
    key = getattr(store, "_key", None)
    if isinstance(key, tuple):
        return int(graph[key[0]].num_nodes), int(graph[key[2]].num_nodes)
    return int(graph.num_nodes or 0), int(graph.num_nodes or 0)


def _check_isolated(graph: Graph) -> Iterator[Finding]:
    if any("adj_t" in store for store in graph.edge_stores):
        return  # edges in another form than edge_index
    for store in graph.node_stores:
        key = getattr(store, "_key", None)
        num_nodes = int(store.num_nodes or 0)
        connected = torch.zeros(num_nodes, dtype=torch.bool)
        for edges in (store for store in graph.edge_stores if "edge_index" in store):
            edge_index = edges.edge_index.long().cpu()
            for row, side in ((0, 0), (1, 2)):
                if key is None or edges._key[side] == key:
                    inside = (edge_index[row] >= 0) & (edge_index[row] < num_nodes)
                    connected[edge_index[row][inside]] = True
        isolated = int((~connected).sum())
        if isolated:
            of_type = f" of type {key!r}" if key else ""
            yield Finding(
                "isolated-nodes",
                "warning",
                f"every node{of_type} should have a neighbour",
                f"{isolated} of {num_nodes} without an edge",
                "Their activations depend on their own features alone; leave them out with index= if that "
                "is not what you ask.",
            )
