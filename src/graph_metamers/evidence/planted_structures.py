"""Graphs of which it is certain that others look the same to any message-passing model."""

from __future__ import annotations

import networkx as nx
import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graph_metamers.graphs.isomorphism import stable_colours
from graph_metamers.randomness import generator_for

NUM_FEATURES = 4
NUM_COPIES, NUM_NODES, NUM_CHORDS = 5, 6, 3  # of a small graph: a cycle with chords
DEGREE, NUM_REGULAR = 3, 30


def constant(graph: nx.Graph | Data) -> Data:
    """A graph whose features, float32 [n, 4], are all one."""
    if isinstance(graph, Data):
        made = graph.clone()
    else:
        made = Data(edge_index=_both_directions(graph.edges), num_nodes=graph.number_of_nodes())
    made.x = torch.ones(int(made.num_nodes or 0), NUM_FEATURES)
    return made


def hexagon() -> Data:
    """A cycle of six nodes that all have the same features."""
    return constant(nx.cycle_graph(6))


def two_triangles() -> Data:
    """Two cycles of three nodes that all have the same features."""
    return constant(nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3)))


def regular_graph(seed: int) -> Data:
    """A random graph of 30 nodes with three neighbours each, and the same features at all."""
    return constant(nx.random_regular_graph(DEGREE, NUM_REGULAR, seed=_integer("regular", seed)))


def disjoint_copies(seed: int) -> Data:
    """Five copies of a small random graph with random features, `x` float32 [30, 4].

    Each of its edges may be dealt out among the copies in any other way: every node then has neighbours that
    look the same as before, so no activation changes.
    """
    generator = generator_for("disjoint copies", seed)
    small = nx.cycle_graph(NUM_NODES)
    chords = list(nx.non_edges(small))
    for place in torch.randperm(len(chords), generator=generator)[:NUM_CHORDS].tolist():
        small.add_edge(*chords[place])
    graph = constant(nx.disjoint_union_all([small] * NUM_COPIES))
    graph.x = torch.randn(NUM_NODES, NUM_FEATURES, generator=generator).repeat(NUM_COPIES, 1)
    return graph


def named_nodes(seed: int) -> Data:
    """A random regular graph whose features are the nodes' names, one-hot float32 [30, 30]."""
    graph = regular_graph(seed)
    graph.x = torch.eye(NUM_REGULAR)
    return graph


def distinct_nodes(seed: int) -> Data:
    """A random regular graph whose nodes have random features of their own, `x` float32 [30, 4]."""
    graph = regular_graph(seed)
    generator = generator_for("distinct nodes", seed)
    graph.x = torch.randn(NUM_REGULAR, NUM_FEATURES, generator=generator)
    return graph


def aligned(other: Data, graph: Data) -> Data | None:
    """The same graph with nodes renamed, so that each looks to message passing like its namesake in `graph`.

    `None` if no names do that: message passing can tell the graphs apart.
    """
    ours, theirs = (np.array(colours) for colours in stable_colours(graph, other))
    if not np.array_equal(np.sort(ours), np.sort(theirs)):
        return None
    names = torch.empty(len(ours), dtype=torch.long)
    names[torch.from_numpy(np.argsort(theirs, kind="stable"))] = torch.from_numpy(
        np.argsort(ours, kind="stable")
    )
    renamed = graph.clone()
    renamed.edge_index = names[other.edge_index]
    return renamed


def _both_directions(edges: object) -> Tensor:
    forth = torch.tensor(list(edges), dtype=torch.long).T  # type: ignore[call-overload]
    return torch.cat([forth, forth.flip(0)], dim=1)


def _integer(purpose: str, seed: int) -> int:
    return int(torch.randint(2**31, (), generator=generator_for(purpose, seed)))
