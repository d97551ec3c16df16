"""Structure metamers of some nodes, with protected nodes, and of several graphs."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GAT, GCN, GIN, ChebConv, GraphNorm, GraphSAGE
from torch_geometric.utils import k_hop_subgraph

import graph_metamers as gm
from graph_metamers.metrics.fidelity import activation_loss
from graph_metamers.randomness import generator_for
from graph_metamers.reading import ModelView
from graph_metamers.synthesis.neighbour_sums import neighbour_sums, reached_nodes

FEW = {"solver": gm.Rewire(proposals=300), "budget": gm.Budget(steps=200)}
BASIC = {
    "gcn": lambda: GCN(16, 8, num_layers=2, out_channels=3),
    "sage": lambda: GraphSAGE(16, 8, num_layers=2, out_channels=3),
    "gin": lambda: GIN(16, 8, num_layers=2, out_channels=3),
    "gat": lambda: GAT(16, 8, num_layers=2, out_channels=3, heads=2),
}


def drawn(nodes=60, edges=120, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(nodes, (2, edges), generator=generator)
    pairs = pairs[:, pairs[0] != pairs[1]].sort(dim=0).values.unique(dim=1)
    x = torch.randn(nodes, 16, generator=generator)
    return Data(x=x, edge_index=torch.cat([pairs, pairs.flip(0)], dim=1))


def keys(graph):
    return set(map(tuple, graph.edge_index.T.tolist()))


def ball(graph, index, hops):
    inside = torch.zeros(graph.num_nodes, dtype=torch.bool)
    inside[k_hop_subgraph(index, hops, graph.edge_index, num_nodes=graph.num_nodes)[0]] = True
    return inside


def outputs_of(model, *graphs):
    model.eval()
    with torch.no_grad():
        return [model(g.x, g.edge_index).double() for g in graphs]


@pytest.mark.parametrize("name", BASIC)
def test_nodes_that_reach_some_items_are_those_within_so_many_hops(name):
    torch.manual_seed(0)
    graph, index = drawn(), torch.tensor([3, 17])
    view = ModelView(BASIC[name]().eval())
    with view.borrow():
        first, last = reached_nodes(view, [graph], ["output"], index, generator_for("test", 0))
    assert torch.equal(last, ball(graph, index, 0))
    assert torch.equal(first, ball(graph, index, 1))


def test_a_norm_over_the_graph_lets_every_node_matter_and_a_branch_counts_each_hop():
    class Normed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = ChebConv(16, 4, K=3), GraphNorm(4)
            self.is_normed = True

        def forward(self, x, edge_index):
            x = self.conv(x, edge_index)
            return self.norm(x) if self.is_normed else x

    graph, index, model = drawn(), torch.tensor([3]), Normed().eval()
    view = ModelView(model)
    with view.borrow():
        everywhere = reached_nodes(view, [graph], ["output"], index, generator_for("test", 0))
        model.is_normed = False
        first, last = reached_nodes(view, [graph], ["output"], index, generator_for("test", 0))
    assert all(bool(reached.all()) for reached in everywhere)
    assert torch.equal(last, ball(graph, index, 0))
    assert torch.equal(first, ball(graph, index, 1))


def test_only_nodes_that_matter_have_weight_and_as_much_as_gradients_say():
    torch.manual_seed(0)
    model, graph, index = BASIC["sage"]().eval(), drawn(), torch.tensor([3, 17])
    view = ModelView(model)
    with view.borrow():
        reach = reached_nodes(view, [graph], ["output"], index, generator_for("test", 0))
        options = {"probes": 4000, "index": index, "reach": reach}
        _, last = neighbour_sums(view, graph, ["output"], generator_for("test", 1), **options)
        first, _ = neighbour_sums(
            view, graph, ["output"], generator_for("test", 1), **{**options, "probes": 2}
        )
    assert torch.equal(last.weights > 0, reach[1])
    assert torch.equal(first.weights > 0, reach[0])
    # The last hop is a mean and a linear map W: a change d of a mean costs ||W d||^2 over the energy.
    (target,) = outputs_of(model, graph)
    degree = torch.bincount(graph.edge_index[1], minlength=60)[3]
    with torch.no_grad():
        weight = model.convs[1].lin_l.weight.double()
        energy = target[index].square().sum()
    change = torch.randn(8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    modelled = last.weights[3] * (change @ last.to_vectors).square().sum()
    exact = ((weight @ change) / degree).square().sum() / energy
    assert float(modelled) == pytest.approx(float(exact), rel=0.1)


@pytest.mark.parametrize("name", BASIC)
def test_a_few_nodes_are_matched_by_other_neighbours_of_those_that_reach_them(name):
    torch.manual_seed(0)
    model, graph, index = BASIC[name](), drawn(), torch.tensor([3, 17])
    everything = gm.generate(model, graph, "output", vary="structure", **FEW)
    metamer = gm.generate(model, graph, "output", vary="structure", index=index, **FEW, tolerance=1e-4)
    ours, theirs = outputs_of(model, metamer.graph, graph)
    loss = float(activation_loss(ours[index], theirs[index]))
    assert metamer.activation_loss == pytest.approx(loss, rel=1e-4)
    assert metamer.activation_loss < 0.1 * metamer.start_loss
    assert metamer.activation_loss < 0.5 * everything.activation_loss
    reached = ball(graph, index, 1)
    before, after = ({(u, v) for u, v in keys(g) if reached[v]} for g in (graph, metamer.graph))
    assert before
    assert not before & after
    assert metamer.input_distance.raw == 1
    assert torch.equal(metamer.input_distance.items.isnan(), ~reached)
    assert metamer.item_loss.shape == (2,)
    assert metamer.config["vary"]["edges"]["mutable"] == pytest.approx(len(before) / graph.num_edges)
    for side in range(2):
        degrees = [torch.bincount(g.edge_index[side], minlength=60) for g in (metamer.graph, graph)]
        assert torch.equal(*degrees)


def test_a_node_that_hears_one_hop_gets_neighbours_from_elsewhere():
    """With edges of its own alone it could have no others: every two of them meet."""
    torch.manual_seed(0)
    model, graph = BASIC["sage"](), drawn()
    mask = torch.arange(60) == 3
    metamer = gm.generate(model, graph, "convs.0", vary="structure", index=mask, **FEW)
    assert not {edge for edge in keys(graph) & keys(metamer.graph) if 3 in edge}
    again = gm.generate(model, graph, "convs.0", vary="structure", index=[3], **FEW)
    assert torch.equal(again.graph.edge_index, metamer.graph.edge_index)


def test_exact_swaps_of_some_nodes_begin_there_and_leave_all_as_they_are():
    generator = torch.Generator().manual_seed(0)
    graph = drawn()
    graph.x = torch.randn(2, 16, generator=generator)[torch.randint(2, (60,), generator=generator)]
    model, index = GraphSAGE(16, 8, num_layers=1), torch.tensor([3, 17])
    options = {"vary": "structure", "solver": "exact_swaps"}
    metamer = gm.generate(model, graph, "output", index=index, **options)
    every = gm.generate(model, graph, "output", **options)
    ours, theirs = outputs_of(
        model.double(), *(g.clone().update({"x": g.x.double()}) for g in (metamer.graph, graph))
    )
    assert float((ours - theirs).abs().max()) < 1e-12
    changed = torch.tensor(sorted(keys(metamer.graph) - keys(graph)))
    assert 0 < len(changed) <= 4 * metamer.config["findings"]["swaps_made"]
    assert len(keys(metamer.graph) & keys(graph)) > len(keys(every.graph) & keys(graph))
    found, all_found = (m.config["findings"]["admissible_swaps"] for m in (metamer, every))
    assert 0 < found < all_found


def test_items_that_no_edge_reaches_are_refused_and_a_model_that_hears_nothing_matches():
    graph = drawn()
    graph.x = torch.cat([graph.x, torch.ones(1, 16)])
    with pytest.raises(gm.ParameterError, match="'index' parameter must be of items which an edge"):
        gm.generate(BASIC["sage"](), graph, "output", vary="structure", index=[60])

    class Deaf(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(16, 4)

        def forward(self, x, edge_index):
            return self.linear(x)

    assert gm.generate(Deaf(), graph, "output", vary="structure", index=[3]).activation_loss == 0
