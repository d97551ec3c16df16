"""Which edges a changed graph still shares with its reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graph_metamers.types import Graph


def changed_edges(graph: Graph, reference: Graph, items: str, num_items: int) -> Tensor:
    """Share of the edges into each item that changed.

    Parameters
    ----------
    graph, reference
        Two versions of a graph with the same nodes.
    items
        What the items are, as `Layer.items` says.
    num_items
        How many there are.

    Returns
    -------
    Tensor
        1 - Jaccard index of the edges that end in the item (for graphs: in any of its nodes), float64
        [items]; 0 for an item without edges in either graph, and for items that are no nodes or graphs.
    """
    kept, either = (torch.zeros(num_items, dtype=torch.float64) for _ in range(2))
    kind, _, node_type = items.partition(":")
    for ours, theirs in zip(_edge_stores(graph), _edge_stores(reference), strict=True):
        target = ours._key[2] if isinstance(ours._key, tuple) else ""
        if kind not in ("nodes", "graphs") or (kind == "nodes" and target != node_type):
            continue
        owner = _owner_of_targets(reference, target) if kind == "graphs" else None
        # Whole numbers are sorted in a fraction of the time that columns take.
        size = 1 + max(
            (int(store.edge_index.max()) for store in (ours, theirs) if store.edge_index.numel()), default=0
        )
        new, old = (
            torch.unique(store.edge_index[1] * size + store.edge_index[0]) for store in (ours, theirs)
        )
        both, counts = torch.unique(torch.cat([new, old]), return_counts=True)
        ends = both // size if owner is None else owner[both // size]
        either.index_add_(0, ends, torch.ones(len(ends), dtype=torch.float64))
        kept.index_add_(0, ends, (counts == 2).double())
    return torch.where(either > 0, 1 - kept / either, 0.0)


def _edge_stores(graph: Graph) -> Iterator[Any]:
    return (store for store in graph.edge_stores if "edge_index" in store)


def _owner_of_targets(graph: Graph, node_type: str) -> Tensor:
    store = graph[node_type] if node_type else graph
    if "batch" in store:
        owner: Tensor = store.batch
        return owner
    return torch.zeros(int(store.num_nodes or 0), dtype=torch.long)
