"""What the rows of an activation stand for: nodes, graphs, edges."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from torch_geometric.data import HeteroData

if TYPE_CHECKING:
    from graph_metamers.types import Graph

NODES, GRAPHS, EDGES, OTHER = "nodes", "graphs", "edges", "other"


def items_of(tap_name: str, num_rows: int, graph: Graph) -> str:
    """What the rows of a tap stand for.

    Returns
    -------
    str
        `"nodes"`, `"graphs"`, `"edges"` or `"other"`; on a `HeteroData` `"nodes:movie"`. Told by the
        number of rows and, where node types share a number, by the type's name in the tap's name. Nodes
        win where a graph has as many nodes as edges or graphs.
    """
    if isinstance(graph, HeteroData):
        return _hetero_items(tap_name, num_rows, graph)
    if num_rows == graph.num_nodes:
        return NODES
    if num_rows == num_graphs(graph):
        return GRAPHS
    # A conv that adds self-loops computes on edges and nodes.
    if num_rows in (graph.num_edges, graph.num_edges + (graph.num_nodes or 0)):
        return EDGES
    return OTHER


def num_graphs(graph: Graph) -> int:
    """Number of graphs in a graph object: 1 unless it is a batch."""
    return int(getattr(graph, "num_graphs", 1))


def _hetero_items(tap_name: str, num_rows: int, graph: HeteroData) -> str:
    fitting = [name for name in graph.node_types if graph[name].num_nodes == num_rows]
    words = set(re.split(r"[./#]", tap_name))
    named = [name for name in fitting if name in words]
    if named or len(fitting) == 1:
        return f"{NODES}:{(named or fitting)[0]}"
    if fitting:
        return NODES
    return GRAPHS if num_rows == num_graphs(graph) else OTHER
