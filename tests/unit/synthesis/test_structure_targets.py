"""Structure metamers of some nodes, with protected nodes, and of several graphs."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GAT, GCN, GIN, ChebConv, GraphNorm, GraphSAGE, global_add_pool
from torch_geometric.utils import contains_self_loops, is_undirected, k_hop_subgraph

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
    joined = torch.bincount(graph.edge_index[1], minlength=60) > 0
    assert torch.equal(metamer.input_distance.items.isnan(), ~reached & joined)
    assert metamer.item_loss.shape == (2,)
    assert metamer.config["vary"]["edges"]["mutable"] == pytest.approx(len(before) / graph.num_edges)
    for side in range(2):
        degrees = [torch.bincount(g.edge_index[side], minlength=60) for g in (metamer.graph, graph)]
        assert torch.equal(*degrees)


@pytest.mark.slow
def test_a_node_that_hears_one_hop_gets_neighbours_from_elsewhere():
    """With edges of its own alone it could have no others: every two of them meet."""
    torch.manual_seed(0)
    model, graph = BASIC["sage"](), drawn()
    mask = torch.arange(60) == 3
    neighbours, left = sum(edge[1] == 3 for edge in keys(graph)), []
    for seed in reversed(range(9)):
        metamer = gm.generate(model, graph, "convs.0", vary="structure", index=mask, seed=seed, **FEW)
        assert not {edge for edge in keys(graph) & keys(metamer.graph) if 3 in edge}
        left.append(len(keys(graph) - keys(metamer.graph)))
    # One swap for each neighbour changes four; restoring is greedy, and now and then keeps one swap more.
    assert sum(changed <= 4 * neighbours for changed in left) >= 7, left
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


@pytest.mark.parametrize("solver", [gm.Rewire(proposals=300), gm.ExactSwaps()])
def test_edges_at_protected_nodes_stay_with_their_columns(solver):
    graph, nodes = drawn(), torch.arange(60) % 5 == 0
    if solver.name == "exact_swaps":
        graph.x = torch.ones(60, 16)
    vary = gm.Structure(protected_nodes=nodes)
    metamer = gm.generate(BASIC["gin"](), graph, "act", vary=vary, solver=solver, budget=gm.Budget(steps=200))
    held = nodes[graph.edge_index].any(dim=0)
    assert torch.equal(metamer.graph.edge_index[:, held], graph.edge_index[:, held])
    assert torch.equal(nodes[metamer.graph.edge_index].any(dim=0), held)
    assert not torch.equal(metamer.graph.edge_index, graph.edge_index)
    if solver.name == "rewire":
        same = {tuple(edge) for edge in graph.edge_index[:, held].T.tolist()}
        assert keys(metamer.graph) & keys(graph) == same
        assert metamer.input_distance.raw == 1  # of the edges that may vary


def test_protected_nodes_have_one_entry_each():
    with pytest.raises(
        gm.ParameterError, match=r"'protected_nodes' parameter must be a bool tensor of shape \[60"
    ):
        gm.generate(BASIC["gcn"](), drawn(), "act", vary=gm.Structure(protected_nodes=torch.ones(60)))
    everything = gm.Structure(protected_nodes=torch.ones(60, dtype=torch.bool))
    with pytest.raises(gm.ParameterError, match="no two edges may vary"):
        gm.generate(BASIC["gcn"](), drawn(), "act", vary=everything)


class Pooled(torch.nn.Module):
    """Classifies graphs."""

    def __init__(self, conv):
        super().__init__()
        self.convs, self.linear = conv(16, 8, num_layers=2), torch.nn.Linear(8, 3)

    def forward(self, x, edge_index, batch):
        return self.linear(global_add_pool(self.convs(x, edge_index), batch))


def several(*, constant=False, directed=False):
    """Graphs of other sizes, one of a single edge and one without any, whose edges have attributes."""
    graphs = [drawn(12 + 4 * k, 24 + 6 * k, seed=k) for k in range(4)]
    graphs.append(Data(x=torch.randn(3, 16), edge_index=torch.tensor([[0, 1], [1, 0]])))
    graphs.append(Data(x=torch.randn(2, 16), edge_index=torch.empty(2, 0, dtype=torch.long)))
    for number, graph in enumerate(graphs):
        if directed:
            graph.edge_index = graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]]
        if constant:
            graph.x = torch.ones_like(graph.x)
        graph.mark = number * 1000 + torch.arange(graph.num_edges)
        graph.y = torch.tensor([number])
    return Batch.from_data_list(graphs)


def check_batch(found, batch):
    """Every graph has its nodes, degrees and attributes, and edges within it."""
    assert isinstance(found, Batch)
    assert torch.equal(found.batch, batch.batch)
    assert torch.equal(found.ptr, batch.ptr)
    assert torch.equal(*(found.batch[row] for row in found.edge_index))
    for ours, theirs in zip(found.to_data_list(), batch.to_data_list(), strict=True):
        ours.validate(raise_on_error=True)
        assert torch.equal(ours.x, theirs.x)
        assert torch.equal(ours.mark, theirs.mark)
        assert torch.equal(ours.y, theirs.y)
        assert is_undirected(ours.edge_index) == is_undirected(theirs.edge_index)
        assert not contains_self_loops(ours.edge_index)
        assert len(keys(ours)) == ours.num_edges
        for side in range(2):
            degrees = [torch.bincount(g.edge_index[side], minlength=g.num_nodes) for g in (ours, theirs)]
            assert torch.equal(*degrees)
    again = Batch.from_data_list(found.to_data_list())
    assert torch.equal(again.edge_index, found.edge_index)


@pytest.mark.parametrize("proposals", [20, 300])
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("conv", [GCN, GIN, GraphSAGE])
def test_graphs_of_a_batch_are_rewired_each_within_itself(conv, directed, proposals):
    torch.manual_seed(0)
    model, batch = Pooled(conv), several(directed=directed)
    options = {"solver": gm.Rewire(proposals=proposals), "budget": gm.Budget(steps=120), "tolerance": 1e-6}
    metamer = gm.generate(model, batch, "output", vary="structure", **options)
    check_batch(metamer.graph, batch)
    model.eval()
    with torch.no_grad():
        ours, theirs = (model(g.x, g.edge_index, g.batch).double() for g in (metamer.graph, batch))
        alone = torch.cat(
            [
                model(g.x, g.edge_index, torch.zeros(len(g.x), dtype=torch.long))
                for g in metamer.graph.to_data_list()
            ]
        )
    assert metamer.activation_loss == pytest.approx(float(activation_loss(ours, theirs)), rel=1e-4)
    torch.testing.assert_close(alone.double(), ours, atol=1e-4, rtol=1e-4)
    assert metamer.activation_loss < 0.5 * metamer.start_loss
    errors = (ours - theirs).square().sum(dim=1) / theirs.square().sum(dim=1)
    torch.testing.assert_close(metamer.item_loss.double(), errors, rtol=1e-3, atol=1e-9)
    agreed = (ours.argmax(dim=1) == theirs.argmax(dim=1)).double().mean()
    assert metamer.prediction_agreement.share == pytest.approx(float(agreed))
    kept = [
        len(keys(a) & keys(b)) / max(len(keys(b)), 1)
        for a, b in zip(metamer.graph.to_data_list(), batch.to_data_list(), strict=True)
    ]
    assert max(kept[:4]) < 0.5  # the smallest are dense
    assert kept[4] == 1
    items = metamer.input_distance.items
    assert items.shape == (6,)
    assert items[4].isnan() if directed else items[4] == 0  # a single edge has no choice
    assert items[5] == 0


def test_distances_of_graphs_are_over_the_chance_level_of_each():
    """Chance: an edge u - v comes back with probability d_u d_v / 2 m, of the graph's own m."""
    batch = several()
    metamer = gm.generate(Pooled(GIN), batch, "output", vary="structure", budget=gm.Budget(steps=3))
    for number, (ours, theirs) in enumerate(
        zip(metamer.graph.to_data_list()[:4], batch.to_data_list(), strict=False)
    ):
        degree = torch.bincount(theirs.edge_index[0], minlength=theirs.num_nodes).double()
        source, target = theirs.edge_index
        expected = float((degree[source] * degree[target] / theirs.num_edges).clamp(max=1).sum())
        chance = 1 - expected / (2 * theirs.num_edges - expected)
        raw = 1 - len(keys(ours) & keys(theirs)) / len(keys(ours) | keys(theirs))
        assert float(metamer.input_distance.items[number]) == pytest.approx(raw / chance)


def test_some_graphs_of_a_batch_vary_and_the_others_stay_where_they_are():
    batch = several()
    metamer = gm.generate(Pooled(GIN), batch, "output", vary="structure", index=[1, 3], **FEW)
    check_batch(metamer.graph, batch)
    changed = [
        keys(a) != keys(b) for a, b in zip(metamer.graph.to_data_list(), batch.to_data_list(), strict=True)
    ]
    assert changed == [False, True, False, True, False, False]
    with pytest.raises(gm.ParameterError, match="'index' parameter must be of items which an edge"):
        gm.generate(Pooled(GIN), batch, "output", vary="structure", index=[5], **FEW)


@pytest.mark.parametrize("directed", [False, True])
def test_exact_swaps_stay_within_each_graph_of_a_batch(directed):
    batch, model = several(constant=True, directed=directed), Pooled(GIN)
    batch.mark[:] = 7  # an attribute of its own would keep every edge where it is
    metamer = gm.generate(model, batch, "output", vary="structure", solver="exact_swaps")
    check_batch(metamer.graph, batch)
    assert metamer.config["findings"]["swaps_made"] > 0
    exact = model.double().eval()
    with torch.no_grad():
        ours, theirs = (exact(g.x.double(), g.edge_index, g.batch) for g in (metamer.graph, batch))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_nodes_of_a_batch_may_be_items_and_a_batch_of_one_graph_is_the_graph():
    graph = drawn()
    torch.manual_seed(0)
    model = BASIC["sage"]()
    alone = gm.generate(model, graph, "output", vary="structure", **FEW)
    one = gm.generate(model, Batch.from_data_list([graph]), "output", vary="structure", **FEW)
    assert torch.equal(one.graph.edge_index, alone.graph.edge_index)
    batch = several()
    metamer = gm.generate(model, batch, "output", vary="structure", index=[0, 30], **FEW)
    check_batch(metamer.graph, batch)
    assert metamer.item_loss.shape == (2,)
    assert metamer.input_distance.items.shape == (batch.num_nodes,)


def test_a_saved_metamer_of_a_batch_has_the_edges_found(tmp_path):
    metamer = gm.generate(Pooled(GIN), several(), "output", vary="structure", **FEW)
    metamer.save(tmp_path / "metamer")
    loaded = gm.load_metamer(tmp_path / "metamer")
    assert torch.equal(loaded.graph.edge_index, metamer.graph.edge_index)
    assert torch.equal(loaded.graph.batch, metamer.graph.batch)


def test_edges_between_graphs_are_refused():
    batch = several()
    batch.edge_index = torch.cat([batch.edge_index, torch.tensor([[0, 30], [30, 0]])], dim=1)
    batch.mark = torch.cat([batch.mark, batch.mark[:2]])
    with pytest.raises(gm.ParameterError, match="edges stay in one graph each, got '2 that"):
        gm.generate(Pooled(GIN), batch, "output", vary="structure")


@pytest.mark.parametrize("directed", [False, True])
def test_edges_elsewhere_stay_but_for_what_degrees_need_with_their_attributes(directed):
    torch.manual_seed(0)
    graph, index = drawn(200, 500), [3]
    if directed:
        graph.edge_index = graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]]
        index = [150]
    graph.mark = torch.arange(graph.num_edges)
    metamer = gm.generate(BASIC["sage"](), graph, "output", vary="structure", index=index, **FEW)
    reached = ball(graph, torch.tensor(index), 1)
    wanted = sum(bool(reached[v]) for _, v in keys(graph))
    lost = len(keys(graph) - keys(metamer.graph))
    assert wanted <= lost < 0.7 * graph.num_edges
    start = gm.generate(
        BASIC["sage"](), graph, "output", vary="structure", index=index, budget=gm.Budget(steps=1)
    )
    assert len(keys(graph) - keys(start.graph)) <= 4 * wanted < 0.7 * graph.num_edges
    columns = {edge: place for place, edge in enumerate(map(tuple, graph.edge_index.T.tolist()))}
    for place, (u, v) in enumerate(start.graph.edge_index.T.tolist()):
        assert columns.get((u, v), place) == place


def test_graphs_that_may_be_the_reference_in_another_order_are_counted():
    ring = torch.arange(7)  # a cycle of equal nodes looks the same whatever is swapped
    cycle = torch.stack([torch.cat([ring, (ring + 1) % 7]), torch.cat([(ring + 1) % 7, ring])])
    graphs = [Data(x=torch.ones(7, 16), edge_index=cycle), drawn(20, 40)]
    model = Pooled(GIN)
    metamer = gm.generate(model, Batch.from_data_list(graphs), "output", vary="structure", **FEW)
    assert metamer.input_distance.raw > 0.5
    assert metamer.config["findings"]["graphs_not_told_apart"] == 1
    alone = gm.generate(BASIC["gin"](), drawn(), "output", vary="structure", **FEW)
    assert "graphs_not_told_apart" not in alone.config["findings"]
