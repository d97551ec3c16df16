"""Graphs for planted models: communities, and the same nodes with other edges."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data

from graph_metamers.randomness import generator_for

NUM_NODES, NUM_FEATURES, NUM_CLASSES = 301, 16, 4
EDGES_WITHIN, EDGES_BETWEEN = 6.0, 1.0  # that a node has on average
SWEEPS = 20  # over the edges that are still the old ones


def planted_graph(seed: int) -> Data:
    """A graph of communities, with features to match.

    Every community has its centre in feature space, around which its nodes are scattered; most of its edges
    stay within. A path through all nodes leaves none without a neighbour.

    Returns
    -------
    Data
        `x` float32 [301, 16] and undirected edges, about 1300.
    """
    generator = generator_for("planted graph", seed)
    community = torch.arange(NUM_NODES) * NUM_CLASSES // NUM_NODES
    centres = torch.randn(NUM_CLASSES, NUM_FEATURES, generator=generator)
    x = centres[community] + torch.randn(NUM_NODES, NUM_FEATURES, generator=generator)
    within = EDGES_WITHIN * NUM_CLASSES / NUM_NODES
    between = EDGES_BETWEEN * NUM_CLASSES / (NUM_NODES * (NUM_CLASSES - 1))
    probability = torch.where(community.unsqueeze(1) == community, within, between)
    joined = (torch.rand(NUM_NODES, NUM_NODES, generator=generator) < probability).triu(diagonal=1)
    joined.diagonal(offset=1).fill_(True)
    return Data(x=x, edge_index=(joined | joined.T).nonzero().T.contiguous())


def rewired(graph: Data, seed: int) -> Data:
    """The same nodes with the same degrees and other edges.

    Every edge a-b is swapped with a random one c-d to a-d and c-b, until none of the old ones is left or no
    swap is found.

    Parameters
    ----------
    graph
        With undirected edges, each in both directions, and without self-loops.
    seed
        Of the swaps.
    """
    generator = generator_for("rewired", seed)
    edges = [(a, b) for a, b in graph.edge_index.T.tolist() if a < b]
    old = frozenset(map(frozenset, edges))
    present = set(old)
    for _ in range(SWEEPS):
        kept = [place for place, edge in enumerate(edges) if frozenset(edge) in old]
        partners = torch.randint(len(edges), (len(kept),), generator=generator).tolist()
        turned = torch.randint(2, (len(kept),), generator=generator).tolist()
        for place, partner, turn in zip(kept, partners, turned, strict=True):
            (a, b), (c, d) = edges[place], edges[partner][:: -1 if turn else 1]
            new = {frozenset((a, d)), frozenset((c, b))}
            if len({a, b, c, d}) == 4 and new.isdisjoint(old) and new.isdisjoint(present):
                present -= {frozenset((a, b)), frozenset((c, d))}
                present |= new
                edges[place], edges[partner] = (a, d), (c, b)
    changed = graph.clone()
    changed.edge_index = _both_directions(edges)
    return changed


def kept_edges(graph: Data, reference: Data) -> float:
    """Share of the reference's edges that a graph still has, [0, 1]."""
    ours, theirs = (set(map(tuple, g.edge_index.T.tolist())) for g in (graph, reference))
    return len(ours & theirs) / len(theirs)


def _both_directions(edges: list[tuple[int, int]]) -> Tensor:
    forth = torch.tensor(edges).T
    return torch.cat([forth, forth.flip(0)], dim=1)
