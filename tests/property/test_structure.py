"""Whatever the graph: other edges keep its degrees, and what is called a metamer is one."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data
from torch_geometric.nn import GIN, GraphSAGE

import graph_metamers as gm

OPTIONS = {"solver": gm.Rewire(proposals=30), "budget": gm.Budget(steps=20), "tolerance": 0.3}


def drawn(seed: int, nodes: int, density: float, *, directed: bool, loops: int = 0) -> Data:
    """A random graph, with some self-loops."""
    made = nx.gnp_random_graph(nodes, density, seed=seed, directed=directed)
    made.add_edges_from((v, v) for v in range(loops))
    pairs = list(made.edges)
    if not directed:
        pairs += [(v, u) for u, v in pairs if u != v]
    x = torch.randn(nodes, 5, generator=torch.Generator().manual_seed(seed))
    return Data(x=x, edge_index=torch.tensor(pairs, dtype=torch.long).view(-1, 2).T)


def counted(graph: Data, side: int) -> list[int]:
    return torch.bincount(graph.edge_index[side], minlength=graph.num_nodes).tolist()


def edges(graph: Data) -> list[tuple[int, int]]:
    return sorted(map(tuple, graph.edge_index.T.tolist()))


@pytest.mark.parametrize("reference_edges", ["forbid", "charge", "free"])
@pytest.mark.parametrize("directed", [False, True])
@given(
    seed=st.integers(0, 10**6),
    nodes=st.integers(4, 20),
    density=st.floats(0.05, 0.95),
    loops=st.integers(0, 3),
    sums=st.booleans(),
)
def test_degrees_stay_and_no_edge_is_doubled(directed, reference_edges, seed, nodes, density, loops, sums):
    graph = drawn(seed, nodes, density, directed=directed, loops=loops)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = (GIN if sums else GraphSAGE)(5, 4, num_layers=2, out_channels=3, act="tanh")
    vary = gm.Structure(reference_edges=reference_edges, directed=directed)
    if len([edge for edge in edges(graph) if edge[0] != edge[1]]) < 2:
        with pytest.raises(gm.ParameterError, match="no two edges may vary"):
            gm.generate(model, graph, "output", vary=vary, seed=seed, **OPTIONS)
        return
    metamer = gm.generate(model, graph, "output", vary=vary, seed=seed, **OPTIONS)
    found = metamer.graph
    assert counted(found, 0) == counted(graph, 0)
    assert counted(found, 1) == counted(graph, 1)
    assert len(set(edges(found))) == found.num_edges == graph.num_edges
    assert [(u, v) for u, v in edges(found) if u == v] == [(v, v) for v in range(loops)]
    if not directed:
        assert edges(found) == sorted((v, u) for u, v in edges(found))
    model.eval()
    with torch.no_grad():
        ours, theirs = (model(g.x, g.edge_index).double() for g in (found, graph))
    loss = float((ours - theirs).square().sum() / theirs.square().sum())
    assert metamer.activation_loss == pytest.approx(loss, rel=1e-4, abs=1e-10)
    if metamer.is_metamer:
        assert loss <= 0.3 * (1 + 1e-4)
        assert edges(found) != edges(graph)
    if edges(found) == edges(graph):
        assert metamer.status is not gm.Status.CONVERGED
