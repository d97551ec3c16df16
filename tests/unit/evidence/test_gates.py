from __future__ import annotations

import networkx as nx
import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.nn import GCN, GraphSAGE

import graph_metamers as gm
from graph_metamers.evidence.null import EQUAL_SNR
from graph_metamers.inputs import resolve_variables
from graph_metamers.inputs.edges import changed_edges
from graph_metamers.inputs.visible import visible_space
from graph_metamers.metrics.fidelity import item_loss, snr_db
from graph_metamers.reading import ModelView

CONTINUOUS = gm.Features(kind="continuous")


def space_of(model, graph, layer):
    return visible_space(ModelView(model), resolve_variables(CONTINUOUS, graph), layer).bases["x"]


def null_space_metamer(model, graph, layer, seed=0) -> Data:
    """Method: noise in the complement of what the layer reads; no search."""
    basis = space_of(model, graph, layer)
    variables = resolve_variables(CONTINUOUS, graph)
    noise = variables.start("noise", torch.Generator().manual_seed(seed)).view_as(graph.x).double()
    x = graph.x.double()
    step = noise - x
    changed = graph.clone()
    changed.x = (x + step - step @ basis @ basis.T).to(graph.x.dtype)
    return changed


def random_graph(num_nodes=60, num_features=20, seed=0) -> Data:
    x = torch.randn(num_nodes, num_features, generator=torch.Generator().manual_seed(seed))
    edges = torch.tensor(list(nx.gnm_random_graph(num_nodes, 3 * num_nodes, seed=seed).edges)).T
    return Data(x=x, edge_index=torch.cat([edges, edges.flip(0)], dim=1))


def same_degree_rewiring(graph: Data, seed=0) -> Data:
    """Degree-preserving double-edge swaps by networkx, until hardly an edge is left."""
    plain = nx.Graph()
    plain.add_nodes_from(range(graph.num_nodes))
    plain.add_edges_from(graph.edge_index.T.tolist())
    plain.remove_edges_from(nx.selfloop_edges(plain))
    swaps = 10 * plain.number_of_edges()
    nx.double_edge_swap(plain, nswap=swaps, max_tries=100 * swaps, seed=seed)
    edges = torch.tensor(list(plain.edges)).T
    changed = graph.clone()
    changed.edge_index = torch.cat([edges, edges.flip(0)], dim=1)
    return changed


@pytest.mark.parametrize("name", ["gcn", "sage", "gin"])
@pytest.mark.parametrize("residual", [False, True])
def test_the_visible_space_is_the_row_space_of_the_first_maps(name, residual):
    config = gm.ModelConfig(
        architecture=name, in_channels=20, out_channels=3, hidden_channels=4, residual=residual
    )
    model, graph = gm.GNN(config), random_graph()
    maps = {key: weight.double() for key, weight in model.state_dict().items() if weight.shape[1:] == (20,)}
    if name == "sage" and residual:  # both are applied to the node itself, so that only their sum is seen
        maps["conv.0.lin_r.weight"] = maps["conv.0.lin_r.weight"] + maps.pop("skip.0.weight")
    stacked = torch.cat(list(maps.values()))
    basis = space_of(model, graph, "act.0")
    assert basis.shape[1] == int(torch.linalg.matrix_rank(stacked))
    torch.testing.assert_close(basis.T @ basis, torch.eye(basis.shape[1], dtype=torch.float64))
    torch.testing.assert_close(stacked @ basis @ basis.T, stacked)


def test_what_a_dead_unit_reads_is_visible():
    graph, model = random_graph(), GCN(20, 8, 2, 3)
    with torch.no_grad():
        model.convs[0].bias[:5] = -100.0  # five units that are off whatever the random features are
        assert not gm.activations(model, graph, "act")["act"][:, :5].any()
    weight = model.convs[0].lin.weight.double()
    basis = space_of(model, graph, "act")
    assert basis.shape[1] == 8
    torch.testing.assert_close(weight @ basis @ basis.T, weight)


def test_an_aggregator_that_is_not_linear_sees_every_direction():
    model = GraphSAGE(20, 4, 2, 3, aggr="max")
    assert space_of(model, random_graph(), "act").shape == (20, 20)


def test_nearest_real_items_equal_brute_force():
    graph, model = random_graph(), GCN(20, 8, 2, 3)
    null = gm.null_distribution(model, graph, "act")
    h = null.activations
    distance = torch.cdist(h, h, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    torch.testing.assert_close(
        (h[null.nearest_item] - h).norm(dim=1), distance.min(dim=1).values, rtol=1e-12, atol=0
    )
    expected = snr_db(item_loss(h[null.nearest_item], h))
    assert torch.equal(null.nearest_snr, expected)


def test_the_nearest_real_item_does_not_beat_itself():
    null = gm.null_distribution(GCN(20, 8, 2, 3), random_graph(), "act")
    assert not null.beaten_by(null.nearest_snr).any()


def test_equal_items_are_no_rivals_and_match():
    graph = random_graph()
    twins = Data(
        x=graph.x.repeat(2, 1), edge_index=torch.cat([graph.edge_index, graph.edge_index + 60], dim=1)
    )
    null = gm.null_distribution(GCN(20, 8, 2, 3), twins, "act", pairs=5000)
    assert ((null.nearest_item - torch.arange(120)).abs() != 60).all()
    assert null.nearest_snr.max() < EQUAL_SNR
    assert null.num_equal == 5000 - len(null.snr) > 0
    assert null.beaten_by(torch.full((120,), torch.inf)).all()


def test_items_that_are_all_equal_have_no_rival():
    graph = Data(x=torch.ones(4, 3), edge_index=torch.empty(2, 0, dtype=torch.long))
    null = gm.null_distribution(GCN(3, 4, 2, 2), graph, "output", pairs=10)
    assert (null.nearest_item == -1).all()
    assert null.beaten_by(torch.zeros(4)).all()


@pytest.mark.parametrize("layer", ["act.0", "output"])
def test_a_null_space_metamer_passes_and_is_counted_as_one(digits_fit, digits, layer):
    null = gm.null_distribution(digits_fit.model, digits.graph, layer)
    report = gm.gates(null_space_metamer(digits_fit.model, digits.graph, layer), null, vary=CONTINUOUS)
    assert report.kind == "null space"
    assert report.shares()["null_space"] >= 0.99
    assert not report.visible_metamers.any()
    assert report.distance.visible < 1e-6
    assert report.distance.null_space > 0.5


def test_the_reference_itself_is_no_metamer(digits_fit, digits):
    null = gm.null_distribution(digits_fit.model, digits.graph, "act.0")
    report = gm.gates(digits.graph, null)
    assert report.closer.all()
    assert not report.passes.any()
    assert report.kind == "none"


@pytest.mark.parametrize("layer", ["act.0", "output"])
def test_an_optimised_metamer_passes_and_is_visible(digits_fit, digits, layer):
    null = gm.null_distribution(digits_fit.model, digits.graph, layer)
    report = gm.gates(gm.generate(digits_fit.model, digits.graph, layer), null)
    assert report.shares()["passes"] > 0.9
    assert report.kind == "visible"


def test_the_chance_graph_does_not_pass(digits_fit, digits):
    null = gm.null_distribution(digits_fit.model, digits.graph, "act.0")
    shuffled = resolve_variables("features", digits.graph).shuffled(torch.Generator().manual_seed(0))
    report = gm.gates(shuffled, null)
    assert report.shares()["passes"] < 0.05
    assert report.distance.visible == pytest.approx(1, abs=0.05)
    assert report.distance.null_space == pytest.approx(1, abs=0.05)


def test_visible_and_null_space_parts_add_up_to_the_whole(digits_fit, digits):
    variables = resolve_variables("features", digits.graph)
    shuffled = variables.shuffled(torch.Generator().manual_seed(3))
    basis = space_of(digits_fit.model, digits.graph, "act.0")
    difference = (shuffled.x - digits.graph.x).double()
    inside = (difference @ basis).square().sum()
    whole = variables.distance(shuffled, "nodes")
    split = visible_space(ModelView(digits_fit.model), variables, "act.0").split(shuffled, variables, "nodes")
    chance = whole.chance**2
    inside_chance = float(inside) / split.visible**2
    total = split.visible**2 * inside_chance + split.null_space**2 * (chance - inside_chance)
    assert total == pytest.approx(whole.raw**2, rel=1e-6)


def test_changed_edges_in_closed_form():
    old = Data(x=torch.zeros(4, 1), edge_index=torch.tensor([[0, 1, 2, 3], [1, 2, 3, 3]]))
    new = Data(x=torch.zeros(4, 1), edge_index=torch.tensor([[0, 3, 2, 1], [1, 2, 3, 3]]))
    assert changed_edges(new, old, "nodes", 4).tolist() == [0.0, 0.0, 1.0, pytest.approx(2 / 3)]
    assert changed_edges(old, old, "nodes", 4).tolist() == [0.0] * 4
    batch = Batch.from_data_list([old, old])
    changed = Batch.from_data_list([old, new])
    assert changed_edges(changed, batch, "graphs", 2).tolist() == [0.0, pytest.approx(1 - 2 / 6)]


def test_a_layer_without_a_prediction_for_its_items_is_refused():
    graph = random_graph()
    null = gm.null_distribution(GCN(20, 8, 2, 3), graph, "act")
    with pytest.raises(gm.ParameterError, match="'candidate' parameter must be"):
        gm.gates(random_graph(num_nodes=50), null)


def test_wrong_types_are_said_and_the_distance_is_the_metamers_own(digits_fit, digits):
    null = gm.null_distribution(digits_fit.model, digits.graph, "output", pairs=100)
    with pytest.raises(gm.ParameterError, match="'candidate' parameter must be a Metamer"):
        gm.gates(3, null)
    metamer = gm.generate(digits_fit.model, digits.graph, "output", min_distance=0.3)
    with pytest.raises(gm.ParameterError, match="'null' parameter must be a NullDistribution"):
        gm.gates(metamer, metamer)
    assert gm.gates(metamer, null).min_distance == 0.3
    assert gm.gates(metamer.graph, null).min_distance == 0.1


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["act.0", "output"])
def test_cora(cora, layer):
    model = gm.fit(gm.build_model("gcn", cora, hidden_channels=64), cora).model
    null = gm.null_distribution(model, cora.graph, layer)
    exact = gm.gates(null_space_metamer(model, cora.graph, layer), null, vary=CONTINUOUS)
    assert exact.shares()["null_space"] >= 0.99
    assert exact.distance.visible < 1e-6
    assert not exact.visible_metamers.any()
    assert not null.beaten_by(null.nearest_snr).any()
    found = gm.generate(model, cora.graph, layer, vary=CONTINUOUS)
    assert found.activation_loss <= 1e-3
    assert gm.gates(found, null, vary=CONTINUOUS).shares()["passes"] >= 0.97
    rewired = gm.gates(same_degree_rewiring(cora.graph), null, vary=CONTINUOUS)
    assert rewired.shares()["passes"] < 0.2


def test_predictions_are_those_of_the_layers_own_node_type():
    graph = HeteroData()
    graph["a"].x, graph["b"].x = torch.randn(9, 3), torch.randn(9, 3)
    graph["a", "to", "b"].edge_index = torch.randint(9, (2, 12))
    model = torch.nn.Linear(3, 2)

    def forward(model, graph):
        return {"a": model(graph["a"].x), "b": model(graph["b"].x)}

    null = gm.null_distribution(model, graph, "output/b", forward=forward, pairs=50)
    changed = graph.clone()
    changed["a"].x = -5 * graph["a"].x
    assert gm.gates(changed, null).same_prediction.all()
