"""Straight-through: slopes of all pairs, and generate() with a logit for each."""

from __future__ import annotations

import copy

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import (
    APPNP,
    GAT,
    GCN,
    GIN,
    ChebConv,
    GATConv,
    GraphConv,
    GraphSAGE,
    LayerNorm,
    SGConv,
    TAGConv,
)
from torch_geometric.utils import is_undirected

import graph_metamers as gm
from graph_metamers.inputs.pairs import pair_variables
from graph_metamers.metrics.fidelity import activation_loss
from graph_metamers.randomness import generator_for
from graph_metamers.reading import ModelView
from graph_metamers.synthesis import memory
from graph_metamers.synthesis.edge_problem import edge_problem
from graph_metamers.synthesis.pair_slopes import PairSlopes, pair_slopes
from graph_metamers.synthesis.problem import Problem

NODES = 14


class Chain(torch.nn.Module):
    """Convolutions with a smooth function between them."""

    def __init__(self, *convs):
        super().__init__()
        self.convs = torch.nn.ModuleList(convs)

    def forward(self, x, edge_index, edge_weight=None):
        for conv in self.convs:
            x = torch.tanh(conv(x, edge_index, edge_weight=edge_weight))
        return x


class Product(torch.nn.Module):
    """Adds up neighbours by a product with a matrix, twice, and no step of message passing."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(6, 4)

    def forward(self, x, edge_index, edge_weight=None):
        weights = (
            torch.ones_like(x[:1, 0]).expand(edge_index.shape[1]) if edge_weight is None else edge_weight
        )
        adjacency = x.new_zeros(len(x), len(x)).index_put((edge_index[1], edge_index[0]), weights, True)
        return adjacency @ torch.tanh(adjacency @ self.linear(x))


class Squared(torch.nn.Module):
    """A weighted sum whose coefficients are no product of weight, sender and receiver."""

    def __init__(self):
        super().__init__()
        self.conv = GraphConv(6, 4)

    def forward(self, x, edge_index, edge_weight=None):
        weights = (
            torch.ones_like(x[:1, 0]).expand(edge_index.shape[1]) if edge_weight is None else edge_weight
        )
        near = (x[edge_index[0]] - x[edge_index[1]]).square().sum(dim=1)
        return self.conv(x, edge_index, edge_weight=weights * torch.exp(-near))


FORMULA = {
    "gcn": lambda: GCN(6, 5, num_layers=2, out_channels=3, act="tanh"),
    "gcn 3": lambda: GCN(6, 5, num_layers=3, out_channels=3, act="tanh"),
    "graphconv": lambda: Chain(GraphConv(6, 4), GraphConv(4, 3)),
    "cheb": lambda: Chain(ChebConv(6, 4, K=3), ChebConv(4, 3, K=2)),
    "sgc": lambda: Chain(SGConv(6, 4, K=2)),
    "tag": lambda: Chain(TAGConv(6, 4, K=2), TAGConv(4, 3, K=1)),
    "appnp": lambda: Chain(APPNP(3, 0.2)),
}
BY_MODEL = {"product": Product, "squared": Squared}


def drawn(*, nodes=NODES, edges=30, directed=False, seed=0, width=6):
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(nodes, (2, edges), generator=generator)
    ring = torch.stack([torch.arange(nodes), torch.arange(nodes).roll(-1)])  # no node without an edge
    pairs = torch.cat([ring, pairs[:, pairs[0] != pairs[1]]], dim=1)
    if not directed:
        pairs = torch.cat([pairs, pairs.flip(0)], dim=1)
    x = torch.randn(nodes, width, generator=generator, dtype=torch.float64)
    return Data(x=x, edge_index=pairs.unique(dim=1))


def problem_of(model, graph, **structure):
    view = ModelView(model)
    with torch.no_grad():
        targets = {"output": view.taps(graph, ["output"])["output"].value}
    variables = pair_variables(gm.Structure(**structure), graph)
    return edge_problem(Problem(view, variables, targets, None), "match")


def dense_slopes(model, graph, edge_index):
    """Slope of the loss in the weight of every ordered pair, [n, n], by plain PyG on all of them."""
    n = graph.num_nodes
    off = ~torch.eye(n, dtype=torch.bool)
    weights = torch.zeros(n, n, dtype=torch.float64)
    weights[edge_index[0], edge_index[1]] = 1
    every = off.nonzero().T
    leaf = weights[off].clone().requires_grad_()
    ours, theirs = model(graph.x, every, edge_weight=leaf), model(graph.x, graph.edge_index).detach()
    loss = (ours - theirs).square().sum() / theirs.square().sum()
    found = torch.zeros(n, n, dtype=torch.float64)
    found[off] = torch.autograd.grad(loss, leaf)[0]
    return found


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("name", [*FORMULA, *BY_MODEL])
def test_slopes_of_all_pairs_are_those_of_plain_pyg_on_the_complete_graph(name, directed):
    torch.manual_seed(0)
    model, graph = (FORMULA | BY_MODEL)[name]().double().eval(), drawn(directed=directed)
    problem = problem_of(model, graph, reference_edges="free")
    pairs = problem.pairs
    edge_index = drawn(directed=directed, seed=1).edge_index  # other edges than the reference's
    found = pair_slopes(problem, edge_index)
    assert found.by_formula == (name in FORMULA)
    dense = dense_slopes(model, graph, edge_index)
    dense = dense if directed else dense + dense.T
    expected = dense.flatten()[pairs.places].float()
    scale = float(expected.abs().max())
    for slopes in (found, PairSlopes(problem, by_formula=False)):
        torch.testing.assert_close(slopes.at(edge_index), expected, rtol=1e-5, atol=1e-6 * scale)


def test_slopes_are_those_of_finite_differences():
    torch.manual_seed(0)
    model, graph = FORMULA["gcn"]().double().eval(), drawn()
    problem = problem_of(model, graph, reference_edges="free")
    edge_index = drawn(seed=1).edge_index
    slopes = pair_slopes(problem, edge_index).at(edge_index)
    with torch.no_grad():
        theirs = model(graph.x, graph.edge_index)
        for pair in range(0, len(slopes), 9):
            ends = problem.pairs.ends(torch.tensor([pair]))
            losses = []
            for weight in (1e-6, -1e-6):
                weights = torch.cat([torch.ones(edge_index.shape[1]), torch.full((2,), weight)]).double()
                ours = model(graph.x, torch.cat([edge_index, ends], dim=1), edge_weight=weights)
                losses.append(float((ours - theirs).square().sum() / theirs.square().sum()))
            assert float(slopes[pair]) == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-4, abs=1e-6)


def test_nodes_without_an_edge_leave_slopes_finite():
    torch.manual_seed(0)
    model, graph = FORMULA["cheb"]().double().eval(), drawn()
    problem = problem_of(model, graph, reference_edges="free")
    edge_index = drawn(seed=1).edge_index
    edge_index = edge_index[:, (edge_index != 3).all(dim=0)]
    slopes = pair_slopes(problem, edge_index)
    assert bool(slopes.at(edge_index).isfinite().all())
    by_model = PairSlopes(problem, by_formula=False)
    torch.testing.assert_close(slopes.at(edge_index), by_model.at(edge_index), rtol=1e-5, atol=1e-7)


def keys(graph):
    return set(map(tuple, graph.edge_index.T.tolist()))


def test_the_search_is_adam_on_logits_with_the_slope_of_the_complete_graph():
    torch.manual_seed(0)
    model, graph = FORMULA["gcn"]().double().eval(), drawn()
    steps, solver = 6, gm.StraightThrough(learning_rate=0.5, slope=2.0)
    budget = gm.Budget(steps=steps)
    options = {"vary": gm.Structure(reference_edges="free"), "solver": solver, "budget": budget, "seed": 4}
    metamer = gm.generate(model, graph, "output", tolerance=0.0, **options)
    variables = pair_variables(gm.Structure(reference_edges="free"), graph)
    logits = variables.start("noise", generator_for("start", 4)).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.5)
    theirs, losses = model(graph.x, graph.edge_index).detach(), []
    for step in range(steps):
        best = logits.detach().topk(variables.num_edges).indices
        places = variables.places[best]
        ahead = torch.stack([places // NODES, places % NODES])
        edge_index = torch.cat([ahead, ahead.flip(0)], dim=1)
        losses.append(float(activation_loss(model(graph.x, edge_index).detach(), theirs)))
        dense = dense_slopes(model, graph, edge_index)
        slope = (dense + dense.T).flatten()[variables.places].float()
        soft = torch.sigmoid(2 * logits.detach())
        logits.grad = slope * 2 * soft * (1 - soft)
        optimiser.param_groups[0]["lr"] = 0.5 * (steps - step - 1) / steps
        optimiser.step()
    assert [loss for _, loss in metamer.trace] == pytest.approx(losses, rel=1e-5)
    assert metamer.activation_loss == pytest.approx(min(losses), rel=1e-5)


@pytest.mark.parametrize("name", ["gcn", "graphconv", "tag"])
def test_as_many_edges_none_of_the_reference_and_a_lower_loss(name):
    torch.manual_seed(0)
    model, graph = FORMULA[name](), drawn(nodes=40, edges=60).apply(lambda t: t.float(), "x")
    state, given = copy.deepcopy(model.state_dict()), copy.deepcopy(graph)
    options = {"solver": "straight_through", "budget": gm.Budget(steps=150)}
    metamer = gm.generate(model, graph, "output", vary="structure", **options)
    assert not keys(metamer.graph) & keys(graph)
    assert len(keys(metamer.graph)) == metamer.graph.num_edges == graph.num_edges
    assert is_undirected(metamer.graph.edge_index)
    assert not bool((metamer.graph.edge_index[0] == metamer.graph.edge_index[1]).any())
    assert "edge_weight" not in metamer.graph
    assert metamer.activation_loss < 0.5 * metamer.start_loss
    model.eval()
    with torch.no_grad():
        ours, theirs = (model(g.x, g.edge_index).double() for g in (metamer.graph, graph))
    assert metamer.activation_loss == pytest.approx(float(activation_loss(ours, theirs)), rel=1e-4)
    assert metamer.relaxed_loss == pytest.approx(metamer.activation_loss, rel=1e-3)
    assert metamer.config["vary"]["edges"]["preserve"] == "edges"
    assert metamer.steps == 150
    assert graph.to_dict().keys() == given.to_dict().keys()
    assert all(torch.equal(graph[key], given[key]) for key in given.to_dict())
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    hooks = [module._propagate_forward_hooks for module in model.modules() if hasattr(module, "propagate")]
    assert hooks
    assert not any(hooks)


def test_the_reference_is_recovered_from_itself_and_free_edges_may_come_back():
    torch.manual_seed(0)
    model, graph = FORMULA["gcn"](), drawn().apply(lambda t: t.float(), "x")
    free = gm.Structure(reference_edges="free")
    options = {"vary": free, "solver": gm.StraightThrough(), "budget": gm.Budget(steps=30)}
    back = gm.generate(model, graph, "output", init="reference", **options)
    assert back.status is gm.Status.RECOVERED_REFERENCE
    assert keys(back.graph) == keys(graph)
    assert keys(gm.generate(model, graph, "output", **options).graph) & keys(graph)


def test_protected_edges_stay_and_a_saved_one_comes_back(tmp_path):
    torch.manual_seed(0)
    model, graph = FORMULA["gcn"](), drawn(directed=True).apply(lambda t: t.float(), "x")
    protected = torch.rand(graph.num_edges, generator=torch.Generator().manual_seed(0)) < 0.4
    vary = gm.Structure(protected=protected)
    options = {"solver": "straight_through", "budget": gm.Budget(steps=20)}
    metamer, other = gm.generate_many(model, graph, "output", vary=vary, seeds=[0, 1], **options)
    assert keys(metamer.graph) & keys(graph) == set(map(tuple, graph.edge_index[:, protected].T.tolist()))
    assert metamer.graph.num_edges == graph.num_edges
    assert keys(metamer.graph) != keys(other.graph)
    metamer.save(tmp_path / "metamer")
    assert torch.equal(gm.load_metamer(tmp_path / "metamer").graph.edge_index, metamer.graph.edge_index)


class Third(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = GATConv(6, 4)

    def forward(self, x, edge_index, edge_weight=None):
        return self.conv(x, edge_index, edge_weight)


@pytest.mark.parametrize(
    "model",
    [
        GAT(6, 4, num_layers=2),
        GraphSAGE(6, 4, num_layers=2),
        GraphSAGE(6, 4, num_layers=2, aggr="max"),
        GIN(6, 4, num_layers=2),
        Third(),
        Chain(GraphConv(6, 4, aggr="mean")),
        Chain(GraphConv(6, 4, aggr="max")),
    ],
    ids=["gat", "sage", "sage max", "gin", "third argument", "mean", "max"],
)
def test_models_in_which_a_weight_of_zero_is_no_deletion_are_refused(model):
    graph = drawn().apply(lambda t: t.float(), "x")
    with pytest.raises(gm.ParameterError, match="edges of weight 0 are something else than no edges"):
        gm.generate(model, graph, "output", vary="structure", solver="straight_through")


def test_layers_that_see_no_edges_and_searches_for_features_are_refused():
    class Apart(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.conv = LayerNorm(6, mode="node"), GraphConv(6, 4)

        def forward(self, x, edge_index, edge_weight=None):
            return self.conv(self.norm(x), edge_index, edge_weight=edge_weight)

    graph = drawn().apply(lambda t: t.float(), "x")
    options = {"vary": "structure", "solver": "straight_through"}
    with pytest.raises(gm.ParameterError, match="layers do not react to edge weights"):
        gm.generate(Apart(), graph, "norm", **{**options, "tolerance": 0.0})
    with pytest.raises(gm.ParameterError, match="'solver' parameter must be 'lbfgs'"):
        gm.generate(FORMULA["gcn"](), graph, "output", solver=gm.StraightThrough())
    with pytest.raises(gm.ParameterError, match="'index' parameter must be left out"):
        gm.generate(FORMULA["gcn"](), graph, "output", index=[0], **options)
    for options in ({"learning_rate": 0}, {"slope": -1}):
        with pytest.raises(gm.ParameterError, match="greater than 0"):
            gm.StraightThrough(**options)


def test_what_does_not_fit_into_memory_is_refused_before_there_is_a_vector(tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemAvailable: 1 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    graph = drawn().apply(lambda t: t.float(), "x")
    with pytest.raises(gm.ParameterError, match=r"straight_through, which needs about .* for 91 numbers"):
        gm.generate(FORMULA["gcn"](), graph, "output", vary="structure", solver="straight_through")


def test_weights_of_one_stay_with_as_many_edges():
    class Needing(Chain):
        def forward(self, x, edge_index, edge_weight):
            return super().forward(x, edge_index, edge_weight)

    torch.manual_seed(0)
    model, graph = Needing(GraphConv(6, 4)), drawn().apply(lambda t: t.float(), "x")
    graph.edge_weight = torch.ones(graph.num_edges)
    options = {"solver": "straight_through", "budget": gm.Budget(steps=20)}
    metamer = gm.generate(model, graph, "output", vary="structure", **options)
    assert torch.equal(metamer.graph.edge_weight, graph.edge_weight)
    assert metamer.graph.num_edges == graph.num_edges


@pytest.mark.slow
def test_cora_is_matched_far_better_than_by_chance(cora):
    model = gm.fit(gm.build_model("gcn", cora), cora).model
    options = {"solver": "straight_through", "budget": gm.Budget(steps=150), "vary": "structure"}
    metamer = gm.generate(model, cora.graph, "act.0", **options)
    assert metamer.start_loss > 0.3
    assert metamer.activation_loss < 0.06
    assert metamer.input_distance.raw == 1


def test_what_has_to_be_kept_chooses_the_solver():
    model, graph = GCN(6, 4, num_layers=2).double(), drawn()
    options = {"budget": gm.Budget(steps=20), "tolerance": 0.0}
    by_pairs = gm.generate(model, graph, "output", vary=gm.Structure(preserve="edges"), **options)
    assert by_pairs.config["solver"] == "straight_through"
    assert by_pairs.config["vary"]["edges"]["preserve"] == "edges"
    named = gm.generate(model, graph, "output", vary="structure", solver="straight_through", **options)
    assert keys(named.graph) == keys(by_pairs.graph)
    rewired = gm.generate(model, graph, "output", vary=gm.Structure(preserve="degrees"), **options)
    assert rewired.config["solver"] == "rewire"
    assert rewired.config["vary"]["edges"]["preserve"] == "degrees"
    several = gm.generate_many(
        model, graph, "output", vary=gm.Structure(preserve="edges"), seeds=[0, 1], **options
    )
    assert [one.config["solver"] for one in several] == ["straight_through"] * 2


@pytest.mark.parametrize(
    ("preserve", "solver"),
    [
        ("edges", "rewire"),
        ("edges", "exact_swaps"),
        ("edges", gm.Rewire()),
        ("degrees", "straight_through"),
        ("degrees", gm.StraightThrough()),
        ("homophily", "auto"),
    ],
)
def test_what_a_solver_cannot_keep_is_refused(preserve, solver):
    with pytest.raises(gm.ParameterError, match="'preserve' parameter must be"):
        gm.generate(GCN(6, 4, 2), drawn(), "output", vary=gm.Structure(preserve=preserve), solver=solver)


def test_fronts_audits_and_pairs_keep_degrees(karate, karate_model):
    structure = gm.Structure(preserve="edges")
    model, graph = GCN(6, 4, num_layers=2).double(), drawn()
    with pytest.raises(gm.ParameterError, match="'preserve' parameter must be 'degrees'"):
        gm.structure_front(model, graph, "output", vary=structure)
    with pytest.raises(gm.ParameterError, match="'preserve' parameter must be 'degrees'"):
        gm.generate(model, graph, "output", vary=("features", structure))
    with pytest.raises(gm.ParameterError, match="'preserve' parameter must be 'degrees'"):
        gm.audit(karate_model, karate, vary=structure)
