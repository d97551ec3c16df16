"""Structure metamers: generate() with edges that vary."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GAT, GCN, GIN, ChebConv, GATv2Conv, GraphConv, GraphSAGE, SAGEConv, SGConv
from torch_geometric.utils import is_undirected

import graph_metamers as gm
from graph_metamers.metrics.fidelity import activation_loss
from graph_metamers.randomness import generator_for
from graph_metamers.reading import ModelView
from graph_metamers.synthesis.neighbour_sums import neighbour_sums

FEW = {"solver": gm.Rewire(proposals=300), "budget": gm.Budget(steps=200)}
BASIC = {
    "gcn": lambda: GCN(16, 8, num_layers=2, out_channels=3),
    "sage": lambda: GraphSAGE(16, 8, num_layers=2, out_channels=3),
    "sage max": lambda: GraphSAGE(16, 8, num_layers=2, out_channels=3, aggr="max"),
    "gin": lambda: GIN(16, 8, num_layers=2, out_channels=3),
    "gat": lambda: GAT(16, 8, num_layers=2, out_channels=3, heads=2),
}


class One(torch.nn.Module):
    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def forward(self, x, edge_index):
        return self.conv(x, edge_index)


SINGLE = {
    "gatv2": lambda: One(GATv2Conv(16, 4)),
    "cheb": lambda: One(ChebConv(16, 4, K=3)),
    "sgc": lambda: One(SGConv(16, 4, K=2)),
}


def drawn(nodes=60, edges=150, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(nodes, (2, edges), generator=generator)
    pairs = pairs[:, pairs[0] != pairs[1]].sort(dim=0).values.unique(dim=1)
    x = torch.randn(nodes, 16, generator=generator)
    return Data(x=x, edge_index=torch.cat([pairs, pairs.flip(0)], dim=1))


def keys(graph):
    return set(map(tuple, graph.edge_index.T.tolist()))


@pytest.mark.parametrize("name", [*BASIC, *SINGLE])
def test_other_edges_the_same_degrees_and_a_lower_loss_than_a_random_graph(name):
    torch.manual_seed(0)
    model, graph = (BASIC | SINGLE)[name](), drawn()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    metamer = gm.generate(model, graph, "output", vary="structure", **FEW, tolerance=1e-4)
    assert not keys(metamer.graph) & keys(graph)
    assert len(keys(metamer.graph)) == len(keys(graph))
    assert is_undirected(metamer.graph.edge_index)
    for side in range(2):
        degrees = [torch.bincount(g.edge_index[side], minlength=60) for g in (metamer.graph, graph)]
        assert torch.equal(*degrees)
    assert torch.equal(metamer.graph.x, graph.x)
    assert metamer.activation_loss < 0.6 * metamer.start_loss
    assert metamer.input_distance.raw == 1
    assert metamer.input_distance.scaled >= 1
    model.eval()
    with torch.no_grad():
        ours, theirs = (model(g.x, g.edge_index).double() for g in (metamer.graph, graph))
    assert metamer.activation_loss == pytest.approx(float(activation_loss(ours, theirs)), rel=1e-5)
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in before.items())


def test_what_senders_send_explains_the_messages_of_a_convolution_with_fixed_coefficients():
    torch.manual_seed(0)
    conv, graph = One(SGConv(16, 16, K=1, bias=False)), drawn()
    view = ModelView(conv.eval())
    with view.borrow():
        (sums,) = neighbour_sums(view, graph, ["output"], generator_for("test", 0))
    assert sums.exact == pytest.approx(1, abs=1e-6)


def test_directed_graphs_keep_both_degrees_and_their_attributes():
    generator = torch.Generator().manual_seed(1)
    edge_index = torch.randint(40, (2, 120), generator=generator)
    edge_index = edge_index[:, edge_index[0] != edge_index[1]].unique(dim=1)
    count = edge_index.shape[1]
    graph = Data(x=torch.randn(40, 16), edge_index=edge_index, kind=torch.arange(count))
    metamer = gm.generate(BASIC["sage"](), graph, "output", vary="structure", **FEW)
    for side in range(2):
        degrees = [torch.bincount(g.edge_index[side], minlength=40) for g in (metamer.graph, graph)]
        assert torch.equal(*degrees)
    assert torch.equal(metamer.graph.kind, graph.kind)
    assert not keys(metamer.graph) & keys(graph)


def test_protected_edges_stay_and_free_ones_may_come_back():
    graph = drawn()
    protected = torch.rand(graph.num_edges, generator=torch.Generator().manual_seed(0)) < 0.3
    vary = gm.Structure(protected=protected)
    metamer = gm.generate(BASIC["gcn"](), graph, "act", vary=vary, **FEW)
    held = graph.edge_index[:, protected]
    assert torch.equal(metamer.graph.edge_index[:, protected], held)
    assert set(map(tuple, held.T.tolist())) | set(map(tuple, held.flip(0).T.tolist())) == keys(
        metamer.graph
    ) & keys(graph)
    free = gm.generate(BASIC["gcn"](), graph, "act", vary=gm.Structure(reference_edges="free"), **FEW)
    assert keys(free.graph) & keys(graph)
    assert free.activation_loss <= metamer.activation_loss


def test_a_saved_structure_metamer_comes_back(tmp_path):
    metamer = gm.generate(BASIC["gcn"](), drawn(), "act", vary="structure", **FEW)
    metamer.save(tmp_path / "metamer")
    loaded = gm.load_metamer(tmp_path / "metamer")
    assert torch.equal(loaded.graph.edge_index, metamer.graph.edge_index)
    assert repr(loaded) == repr(metamer)
    assert metamer.config["vary"]["edges"]["reference_edges"] == "forbid"


def test_seeds_give_different_graphs_and_one_seed_one():
    graph = drawn()
    one, other = gm.generate_many(BASIC["gcn"](), graph, "act", vary="structure", **FEW, seeds=[0, 1])
    assert keys(one.graph) != keys(other.graph)
    torch.manual_seed(0)
    model = BASIC["gcn"]()
    first, again = (gm.generate(model, graph, "act", vary="structure", **FEW) for _ in range(2))
    assert torch.equal(first.graph.edge_index, again.graph.edge_index)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "lbfgs"}, "'solver' parameter must be 'rewire'"),
        ({"objective": "farthest"}, "'objective' parameter must be 'match'"),
        ({"init": "permuted"}, "'init' parameter must be 'noise' or 'reference'"),
        ({"vary": gm.Structure(protected=torch.ones(3, dtype=torch.bool))}, r"bool tensor of shape \["),
    ],
)
def test_what_is_about_features_is_refused(options, message):
    with pytest.raises(gm.ParameterError, match=message):
        gm.generate(BASIC["gcn"](), drawn(), "act", **{"vary": "structure", **options})


def test_graphs_without_a_choice_are_refused():
    lonely = Data(x=torch.randn(3, 16), edge_index=torch.tensor([[0, 1], [1, 0]]))
    alone = gm.Structure(protected=torch.ones(2, dtype=torch.bool))
    with pytest.raises(gm.ParameterError, match="no two edges may vary"):
        gm.generate(BASIC["gcn"](), lonely, "act", vary=alone)
    with pytest.raises(gm.ParameterError, match="'solver' parameter must be 'lbfgs'"):
        gm.generate(BASIC["gcn"](), drawn(), "act", solver="rewire")


@pytest.mark.parametrize("steps", [1, 2, 5, 20, 60])
def test_the_budget_is_kept(steps):
    options = {"vary": "structure", "solver": gm.Rewire(proposals=20), "tolerance": 0.0}
    metamer = gm.generate(BASIC["gcn"](), drawn(), "output", budget=gm.Budget(steps=steps), **options)
    assert metamer.steps <= steps
    assert metamer.relaxed_loss == pytest.approx(metamer.activation_loss, rel=1e-4)


class Dense(torch.nn.Module):
    """Adds up neighbours by a product, or does not look at them."""

    def __init__(self, *, looks):
        super().__init__()
        self.linear, self.looks = torch.nn.Linear(16, 4), looks

    def forward(self, x, edge_index):
        adjacency = torch.eye(len(x))
        if self.looks:
            adjacency = adjacency.index_put((edge_index[1], edge_index[0]), torch.ones(edge_index.shape[1]))
        return adjacency @ self.linear(x)


def test_edges_that_a_model_does_not_look_at_are_free_and_others_need_messages():
    metamer = gm.generate(Dense(looks=False), drawn(), "output", vary="structure")
    assert metamer.is_metamer
    assert metamer.activation_loss == 0
    with pytest.raises(gm.ParameterError, match="receives no messages"):
        gm.generate(Dense(looks=True), drawn(), "output", vary="structure")


def test_features_may_be_the_same_everywhere_where_edges_vary():
    ring = torch.arange(12)
    edge_index = torch.stack([torch.cat([ring, (ring + 1) % 12]), torch.cat([(ring + 1) % 12, ring])])
    graph = Data(x=torch.ones(12, 16), edge_index=edge_index)
    assert gm.generate(BASIC["gin"](), graph, "output", vary="structure", tolerance=1e-10).is_metamer
    assert gm.check(BASIC["gin"]().eval(), graph, vary="structure").ok
    with pytest.raises(gm.CheckError, match="must differ between nodes"):
        gm.generate(BASIC["gin"](), graph, "output", vary=gm.Features(kind="continuous"))


def test_a_search_that_found_nothing_says_how_far_it_came():
    options = {"vary": "structure", "solver": gm.Rewire(proposals=20), "tolerance": 0.0}
    graph = drawn()
    metamer = gm.generate(BASIC["gcn"](), graph, "output", budget=gm.Budget(steps=60), **options)
    assert not metamer.is_metamer
    # A sixth by the guide, and all on the loss.
    proposals = metamer.config["findings"]["proposals"]
    assert proposals == -(-20 * graph.num_edges // 6) + 20 * graph.num_edges
    expected = (
        f"Not found within a budget of {proposals} proposals and 60 steps: "
        f"best loss {metamer.activation_loss:.3g}, random graph {metamer.start_loss:.3g}."
    )
    assert metamer.status is gm.Status.MAX_STEPS
    assert metamer.message == expected
    for text in (repr(metamer), metamer._repr_html_()):
        assert expected in text
        assert "exist" not in text
    near = gm.generate(
        BASIC["gcn"](), graph, "output", init="reference", budget=gm.Budget(steps=60), **options
    )
    assert near.message == near.status.message  # it was at the reference already
    features = gm.generate(BASIC["gcn"](), graph, "output", budget=gm.Budget(steps=2), tolerance=0.0)
    assert features.message == features.status.message
    found = gm.generate(BASIC["gcn"](), graph, "output", **{**options, "tolerance": 10.0})
    assert found.message == gm.Status.CONVERGED.message


def test_the_guide_gets_a_sixth_of_the_proposals_but_no_more_than_500_an_edge():
    graph, options = drawn(), {"vary": "structure", "tolerance": 0.0, "budget": gm.Budget(steps=60)}
    for each, guided in ((600, 100), (3600, 500)):
        metamer = gm.generate(BASIC["gcn"](), graph, "output", solver=gm.Rewire(proposals=each), **options)
        assert metamer.config["findings"]["proposals"] == (each + guided) * graph.num_edges


def test_searches_for_pairs_of_nodes_and_for_features_too_say_how_far_they_came():
    graph, options = drawn(), {"tolerance": 0.0, "budget": gm.Budget(steps=60)}
    solver = gm.InTurn(gm.Rewire(proposals=20))
    pair = gm.generate(
        BASIC["gcn"](), graph, "output", vary=("features", "structure"), solver=solver, **options
    )
    assert pair.message.startswith(
        f"Not found within a budget of {20 * graph.num_edges} proposals and 60 steps: best loss "
        f"{pair.activation_loss:.3g}, random graph with random features {pair.start_loss:.3g}."
    )
    chosen = gm.generate(
        BASIC["gcn"](), graph, "output", vary="structure", solver="straight_through", **options
    )
    assert chosen.message.startswith(
        f"Not found within a budget of 60 steps: best loss {chosen.activation_loss:.3g}, "
        f"random graph {chosen.start_loss:.3g}."
    )


def test_a_model_need_not_read_features_where_edges_vary():
    class WithoutFeatures(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.own, self.gnn = torch.nn.Embedding(60, 16), BASIC["sage"]()

        def forward(self, x, edge_index):
            return self.gnn(self.own.weight, edge_index)

    metamer = gm.generate(WithoutFeatures(), drawn(), "output", vary="structure", **FEW, tolerance=1e-4)
    assert metamer.activation_loss < metamer.start_loss
    with pytest.raises(gm.CheckError, match="gradient"):
        gm.generate(WithoutFeatures(), drawn(), "output", vary=gm.Features(kind="continuous"))


def test_saturated_units_are_refused_with_the_reason():
    class Saturated(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gnn = BASIC["gin"]()

        def forward(self, x, edge_index):
            return torch.tanh(1e9 * self.gnn(x, edge_index))

    torch.manual_seed(0)
    with pytest.raises(gm.ModelError, match="dead or saturated"):
        gm.generate(Saturated(), drawn(), "output", vary="structure", **FEW)


class OneDeadHop(torch.nn.Module):
    """The second hop adds what a saturated unit makes of the first."""

    def __init__(self):
        super().__init__()
        self.first, self.second = SGConv(16, 4, K=1), SGConv(16, 4, K=1)

    def forward(self, x, edge_index):
        return torch.tanh(1e9 * self.first(x, edge_index)) + self.second(x, edge_index)


def test_a_hop_behind_dead_units_is_left_out_and_the_others_guide():
    torch.manual_seed(0)
    metamer = gm.generate(OneDeadHop(), drawn(), "output", vary="structure", **FEW)
    assert metamer.activation_loss < metamer.start_loss


class Branches(torch.nn.Module):
    """A hop that does not reach the layer runs before one that does."""

    def __init__(self):
        super().__init__()
        self.aside, self.below, self.above = (SGConv(i, 4, K=1) for i in (16, 16, 4))

    def forward(self, x, edge_index):
        other = self.aside(x, edge_index)
        return other + self.above(self.below(x, edge_index).relu(), edge_index)


def test_hops_on_other_branches_of_a_model_do_not_count():
    torch.manual_seed(0)
    metamer = gm.generate(Branches(), drawn(), "above", vary="structure", **FEW)
    assert metamer.activation_loss < 0.5 * metamer.start_loss


class Single(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = SGConv(16, 1, K=2)

    def forward(self, x, edge_index):
        return self.conv(x, edge_index).squeeze(1)


def test_one_number_for_each_node_is_a_layer_too():
    torch.manual_seed(0)
    metamer = gm.generate(Single(), drawn(), "output", vary="structure", **FEW)
    assert metamer.activation_loss < 0.5 * metamer.start_loss


def test_what_cannot_be_guided_is_refused_with_the_reason():
    sides = One(SAGEConv(16, 4, aggr=["mean", "max"]))
    with pytest.raises(gm.ModelError, match="several ways side by side"):
        gm.generate(sides, drawn(), "output", vary="structure", **FEW)
    directed = drawn()
    directed.edge_index = directed.edge_index[:, : directed.num_edges // 2]
    against = One(GraphConv(16, 4, flow="target_to_source"))
    for options in ({}, {"index": [0]}):
        with pytest.raises(gm.ParameterError, match="against the direction of edges"):
            gm.generate(against, directed, "output", vary="structure", **FEW, **options)
