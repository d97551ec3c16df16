"""Edge weights that vary: generate() with the weights of the reference's edges."""

from __future__ import annotations

import copy

import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.nn import (
    GAT,
    GCN,
    ChebConv,
    GATConv,
    GATv2Conv,
    GraphConv,
    GraphSAGE,
    SGConv,
    TAGConv,
    global_mean_pool,
)

import graph_metamers as gm
from graph_metamers.checks.weight_checks import weight_slot
from graph_metamers.inputs import EdgeWeights
from graph_metamers.metrics.fidelity import activation_loss
from graph_metamers.reading import ModelView
from graph_metamers.synthesis.problem import Problem


class One(torch.nn.Module):
    """One convolution whose forward hands weights on by name."""

    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def forward(self, x, edge_index, edge_weight=None):
        return self.conv(x, edge_index, edge_weight=edge_weight)


MODELS = {
    "gcn": lambda: GCN(16, 8, num_layers=2, out_channels=3),
    "graphconv": lambda: One(GraphConv(16, 4)),
    "graphconv mean": lambda: One(GraphConv(16, 4, aggr="mean")),
    "cheb": lambda: One(ChebConv(16, 4, K=3)),
    "sgc": lambda: One(SGConv(16, 4, K=2)),
    "tag": lambda: One(TAGConv(16, 4, K=2)),
}


def drawn(nodes=30, edges=70, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(nodes, (2, edges), generator=generator)
    pairs = pairs[:, pairs[0] != pairs[1]].sort(dim=0).values.unique(dim=1)
    x = torch.randn(nodes, 16, generator=generator)
    return Data(x=x, edge_index=torch.cat([pairs, pairs.flip(0)], dim=1))


def model_of(name, seed=0):
    torch.manual_seed(seed)
    return MODELS[name]()


def reverse_of(edge_index):
    """Column of the reverse of every edge, by brute force."""
    columns = {edge: column for column, edge in enumerate(map(tuple, edge_index.T.tolist()))}
    return [columns[(v, u)] for u, v in edge_index.T.tolist()]


@pytest.mark.parametrize("name", MODELS)
def test_other_weights_the_same_edges_and_the_loss_of_the_real_model(name):
    model, graph = model_of(name), drawn()
    state, given = copy.deepcopy(model.state_dict()), copy.deepcopy(graph)
    metamer = gm.generate(model, graph, "output", vary="edge_weights")
    weights = metamer.graph.edge_weight
    assert metamer.is_metamer
    assert torch.equal(metamer.graph.edge_index, graph.edge_index)
    assert torch.equal(metamer.graph.x, graph.x)
    assert bool((weights > 0).all())
    assert torch.equal(weights, weights[reverse_of(graph.edge_index)])
    model.eval()
    with torch.no_grad():
        ours = model(graph.x, graph.edge_index, edge_weight=weights)
        theirs = model(graph.x, graph.edge_index)
    expected = float(activation_loss(ours.double(), theirs.double()))
    assert metamer.activation_loss == pytest.approx(expected, rel=1e-4)
    relative = 2 * (weights - 1).abs() / (weights + 1)
    assert metamer.input_distance.raw == pytest.approx(float(relative.square().mean().sqrt()), rel=1e-5)
    assert graph.to_dict().keys() == given.to_dict().keys()
    assert all(torch.equal(graph[key], given[key]) for key in given.to_dict())
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def problem_of(model, graph, layer, **options):
    view = ModelView(model)
    with torch.no_grad():
        targets = {layer: view.taps(graph, [layer])[layer].value}
    slot = weight_slot(view, graph, targets)
    return Problem(view, EdgeWeights(**options).variables(graph, slot), targets, None)


@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_is_that_of_plain_pyg_and_of_finite_differences(name):
    model, graph = model_of(name).double().eval(), drawn().apply(lambda t: t.double(), "x")
    problem = problem_of(model, graph, "output")
    point = problem.variables.start("noise", torch.Generator().manual_seed(3))
    found = problem.evaluate(point)
    owners = problem.variables.owners

    def loss(where):
        ours = model(graph.x, graph.edge_index, edge_weight=where.exp()[owners])
        theirs = model(graph.x, graph.edge_index)
        return (ours - theirs).square().sum() / theirs.square().sum()

    leaf = point.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss(leaf), leaf)
    torch.testing.assert_close(found.gradient, expected, rtol=1e-9, atol=1e-12)
    with torch.no_grad():
        for place in range(0, len(point), 7):
            step = torch.zeros_like(point)
            step[place] = 1e-6
            slope = (loss(point + step) - loss(point - step)) / 2e-6
            assert float(found.gradient[place]) == pytest.approx(float(slope), rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_weights_stay_within_their_bounds_and_fixed_ones_as_they_are(solver):
    graph = drawn()
    graph.edge_weight = 0.2 * torch.rand(graph.num_edges, generator=torch.Generator().manual_seed(1)) + 0.9
    mutable = torch.arange(graph.num_edges) % 3 > 0
    vary = gm.EdgeWeights(low=0.8, high=1.2, mutable=mutable)
    options = {"vary": vary, "solver": solver, "tolerance": 1e-6, "budget": gm.Budget(steps=150)}
    metamer = gm.generate(model_of("gcn"), graph, "output", **options)
    weights = metamer.graph.edge_weight
    assert 0.8 <= float(weights.min()) < 0.82
    assert 1.18 < float(weights.max()) <= 1.2
    assert torch.equal(weights[~mutable], graph.edge_weight[~mutable])
    assert not torch.equal(weights[mutable], graph.edge_weight[mutable])
    assert metamer.config["vary"]["edges"] == {
        "kind": "edge weights",
        "slot": "edge_weight",
        "low": 0.8,
        "high": 1.2,
        "directed": True,
        "mutable": pytest.approx(float(mutable.double().mean())),
    }


def test_only_weights_that_reach_the_index_vary():
    graph = drawn()
    metamer = gm.generate(model_of("graphconv"), graph, "output", vary="edge_weights", index=[0])
    touched = (graph.edge_index == 0).any(dim=0)
    assert 0 < int(touched.sum()) < graph.num_edges
    assert bool((metamer.graph.edge_weight[touched] != 1).all())
    assert bool((metamer.graph.edge_weight[~touched] == 1).all())
    lonely = Data(x=torch.randn(4, 16), edge_index=torch.tensor([[0, 1], [1, 0]]))
    with pytest.raises(gm.ParameterError, match="'index' parameter must be items that the weight of some"):
        gm.generate(model_of("graphconv"), lonely, "output", vary="edge_weights", index=[3])


def test_an_edge_attribute_of_one_column_varies_where_the_model_reads_it():
    class Attributed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = GATv2Conv(16, 4, edge_dim=1)

        def forward(self, x, edge_index, edge_attr):
            return self.conv(x, edge_index, edge_attr=edge_attr)

    torch.manual_seed(0)
    model, graph = Attributed(), drawn()
    graph.edge_attr = torch.rand(graph.num_edges, 1) + 0.5
    metamer = gm.generate(model, graph, "output", vary="edge_weights", tolerance=1e-2)
    assert metamer.config["vary"]["edges"]["slot"] == "edge_attr"
    assert metamer.graph.edge_attr.shape == graph.edge_attr.shape
    assert "edge_weight" not in metamer.graph
    assert metamer.is_metamer


def test_graphs_of_a_batch_have_distances_of_their_own():
    class Pooled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = GraphConv(16, 4)

        def forward(self, x, edge_index, batch, edge_weight=None):
            return global_mean_pool(self.conv(x, edge_index, edge_weight=edge_weight), batch)

    torch.manual_seed(0)
    batch = Batch.from_data_list([drawn(12, 20, seed) for seed in range(3)])
    metamer = gm.generate(Pooled(), batch, "output", vary="edge_weights")
    assert metamer.is_metamer
    change = metamer.graph.edge_weight.double()
    change = (2 * (change - 1).abs() / (change + 1)).square()
    owner = batch.batch[batch.edge_index[1]]
    expected = [float(change[owner == k].mean().sqrt()) for k in range(3)]
    raw = metamer.input_distance.items * metamer.input_distance.chance
    assert raw.tolist() == pytest.approx(expected, rel=1e-5)


def test_a_saved_one_comes_back_and_many_seeds_give_what_single_ones_do(tmp_path):
    model, graph = model_of("gcn"), drawn()
    several = gm.generate_many(model, graph, "act", vary="edge_weights", seeds=[0, 1])
    alone = gm.generate(model, graph, "act", vary="edge_weights", seed=1)
    torch.testing.assert_close(several[1].graph.edge_weight, alone.graph.edge_weight)
    assert not torch.equal(several[0].graph.edge_weight, several[1].graph.edge_weight)
    alone.save(tmp_path / "metamer")
    loaded = gm.load_metamer(tmp_path / "metamer")
    assert torch.equal(loaded.graph.edge_weight, alone.graph.edge_weight)
    assert repr(loaded) == repr(alone)


class Positional(torch.nn.Module):
    """Hands weights to a convolution that takes the third tensor for something else, and ignores it."""

    def __init__(self):
        super().__init__()
        self.conv = GATConv(16, 4)

    def forward(self, x, edge_index, edge_weight=None):
        return self.conv(x, edge_index, edge_weight)


class Without(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = GraphConv(16, 4)

    def forward(self, x, edge_index):
        return self.conv(x, edge_index)


class Cut(One):
    def forward(self, x, edge_index, edge_weight=None):
        weights = None if edge_weight is None else edge_weight.detach()
        return self.conv(x, edge_index, edge_weight=weights)


class Unlike(One):
    def forward(self, x, edge_index, edge_weight=None):
        weights = None if edge_weight is None else 2 * edge_weight
        return self.conv(x, edge_index, edge_weight=weights)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (
            GAT(16, 8, num_layers=2),
            gm.ModelError,
            "GATConv at 'convs.0', GATConv at 'convs.1' of GAT take no",
        ),
        (GraphSAGE(16, 8, num_layers=2), gm.ModelError, "SAGEConv at 'convs.0'"),
        (Positional(), gm.ModelError, "GATConv at 'conv' of Positional take no edge_weight"),
        (
            Without(),
            gm.ParameterError,
            r"forward takes no 'edge_weight', got 'Without.forward\(x, edge_index\)'",
        ),
        (Cut(GraphConv(16, 4)), gm.ModelError, "gradient of 'output' must reach edge_weight"),
        (Unlike(GraphConv(16, 4)), gm.ParameterError, "weights of 1 are something else than none"),
    ],
)
def test_models_that_do_not_read_weights_are_refused(model, error, message):
    with pytest.raises(error, match=message):
        gm.generate(model, drawn(), "output", vary="edge_weights")


def test_a_forward_of_ones_own_can_hand_weights_on():
    def forward(model, graph):
        return model.conv(graph.x, graph.edge_index, edge_weight=graph.edge_weight)

    graph = drawn()
    graph.edge_weight = torch.ones(graph.num_edges)
    assert gm.generate(Without(), graph, "output", vary="edge_weights", forward=forward).is_metamer


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(
            ({"solver": solver}, "'solver' parameter must be 'lbfgs', 'adam' or 'auto'")
            for solver in ("word_swaps", "rewire", "null_space", gm.WordSwaps(), gm.Rewire())
        ),
        ({"objective": "farthest"}, "'objective' parameter must be 'match' where edge weights"),
        ({"init": "permuted"}, "'init' parameter must be 'noise' or 'reference'"),
        ({"vary": gm.EdgeWeights(low=1.5)}, "'low, high' parameter must be such that every weight"),
        ({"vary": gm.EdgeWeights(high=0.5)}, "'low, high' parameter must be such that every weight"),
        ({"vary": gm.EdgeWeights(mutable=torch.ones(3, dtype=torch.bool))}, r"bool tensor of shape \["),
        ({"vary": gm.EdgeWeights(mutable=torch.zeros(124, dtype=torch.bool))}, "true somewhere"),
    ],
)
def test_what_is_not_about_weights_is_refused(options, message):
    with pytest.raises(gm.ParameterError, match=message):
        gm.generate(model_of("gcn"), drawn(), "output", **{"vary": "edge_weights", **options})


def test_impossible_weights_and_graphs_are_refused():
    with pytest.raises(gm.ParameterError, match="'low' parameter"):
        gm.EdgeWeights(low=-1.0)
    with pytest.raises(gm.ParameterError, match="'high' parameter"):
        gm.EdgeWeights(low=1.0, high=1.0)
    graph = drawn()
    graph.edge_weight = torch.ones(graph.num_edges)
    graph.edge_weight[3] = 0
    with pytest.raises(gm.ParameterError, match="every edge_weight is a finite number greater than 0"):
        gm.generate(model_of("gcn"), graph, "output", vary="edge_weights")
    graph.edge_weight[3] = 2
    with pytest.raises(gm.ParameterError, match="'directed' parameter must be True"):
        gm.generate(model_of("gcn"), graph, "output", vary=gm.EdgeWeights(directed=False))
    hetero = HeteroData()
    hetero["a"].x = torch.randn(3, 16)
    with pytest.raises(gm.ParameterError, match="kinds of nodes"):
        EdgeWeights().variables(hetero, "edge_weight")


def test_the_third_gate_counts_weights_of_a_metamer():
    torch.manual_seed(0)
    model, graph = model_of("gcn"), drawn()
    metamer = gm.generate(model, graph, "act", vary="edge_weights")
    null = gm.null_distribution(model, graph, "act")
    report = gm.gates(metamer, null)
    assert report.different.tolist() == (metamer.input_distance.items >= 0.1).tolist()
    assert bool(report.different.any())
    assert bool(report.visible[report.different].all())
    assert not bool(gm.gates(graph, null).different.any())
