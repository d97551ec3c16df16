from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GATConv, GCNConv, GraphNorm

import graph_metamers as gm
from graph_metamers.theory.pre_activations import row_factor, slopes_at
from graph_metamers.theory.volume import COMPARED, item_change


def small_graph(n=9, features=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    edges = torch.tensor([[i, (i + 1) % n] for i in range(n)] + [[0, 4], [2, 7]]).T
    edges = torch.cat([edges, edges.flip(0)], dim=1)
    return Data(x=torch.randn(n, features, generator=generator), edge_index=edges)


def jacobians(model, graph, before):
    """Every item's full Jacobian of what `before(model, x, edge_index)` gives, float64 [n, k, n F]."""
    x = graph.x.double()
    model = model.double().eval()
    found = torch.autograd.functional.jacobian(lambda x: before(model, x, graph.edge_index), x)
    return found.reshape(*found.shape[:2], -1).numpy()


def log_pdet(matrix):
    sigma = np.linalg.svd(matrix, compute_uv=False)
    sigma = sigma[sigma > sigma[:1] * max(matrix.shape) * np.finfo(float).eps]
    return len(sigma), float(np.log(sigma).sum())


class Net(torch.nn.Module):
    def __init__(self, activation, hidden=6, conv=GCNConv, features=12):
        super().__init__()
        self.conv, self.second = conv(features, hidden), conv(hidden, hidden)
        self.act, self.last = activation, torch.nn.ReLU()

    def forward(self, x, edge_index):
        return self.last(self.second(self.act(self.conv(x, edge_index)), edge_index))


def built(activation, **options):
    torch.manual_seed(1)
    return Net(activation, **options)


def first(model, x, edge_index):
    return model.conv(x, edge_index)


def second(model, x, edge_index):
    return model.second(model.act(model.conv(x, edge_index)), edge_index)


CLOSED_FORMS = {
    "relu": (torch.nn.ReLU(), lambda z: np.zeros(len(z)), lambda z: (z < 0).sum(1)),
    "elu": (torch.nn.ELU(), lambda z: np.where(z < 0, -z, 0).sum(1), lambda z: np.zeros(len(z))),
    "leaky_relu": (
        torch.nn.LeakyReLU(0.2),
        lambda z: -(z < 0).sum(1) * math.log(0.2),
        lambda z: np.zeros(len(z)),
    ),
    "tanh": (
        torch.nn.Tanh(),
        lambda z: -np.log1p(-(np.tanh(z) ** 2)).sum(1),
        lambda z: np.zeros(len(z)),
    ),
    "identity": (torch.nn.Identity(), lambda z: np.zeros(len(z)), lambda z: np.zeros(len(z))),
}
CLOSED_FORMS["identity"][0].is_activation = True


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_closed_forms_where_rows_are_independent(name):
    function, log_volume, gain = CLOSED_FORMS[name]
    model, graph = built(function), small_graph()
    change = gm.volume_change(model, graph, "act")
    with torch.no_grad():
        z = model.double().conv(graph.x.double(), graph.edge_index).numpy()
    assert change.is_full_rank.all()
    np.testing.assert_allclose(change.read.values, z, atol=1e-12)
    np.testing.assert_allclose(change.log_volume, log_volume(z), atol=1e-10)
    np.testing.assert_allclose(change.sum_of_units, log_volume(z), atol=1e-10)
    assert change.dimension_gain.tolist() == gain(z).tolist()
    assert change.inactive.tolist() == gain(z).tolist()
    assert {row["exact"] for row in change.rows()} == {"sum of units"}


@pytest.mark.parametrize("name", ["relu", "elu", "gelu", "tanh", "leaky_relu"])
@pytest.mark.parametrize(("layer", "before"), [("act", first), ("last", second)])
@pytest.mark.parametrize("conv", [GCNConv, GATConv])
def test_brute_force_by_full_jacobians(name, layer, before, conv):
    model, graph = built(gm.build_model("gcn", Task(), activation=name).act[0], conv=conv), small_graph()
    change = gm.volume_change(model, graph, layer, activation=name)
    full = jacobians(model, graph, before)
    for item, jacobian in enumerate(full):
        slopes = change.read.derivative[item]
        live = slopes != 0
        rank, whole = log_pdet(jacobian)
        after, bent = log_pdet(slopes[:, None] * jacobian)
        _, unbent = log_pdet(jacobian[live])
        assert change.rank[item] == rank
        assert change.dimension_gain[item] == rank - after
        assert change.log_volume[item] == pytest.approx(unbent - bent, abs=1e-9)
        assert change.log_pseudo_determinants[item] == pytest.approx(whole - bent, abs=1e-9)


class Task:
    num_features, num_classes = 12, 3


def test_gradients_in_all_features_and_in_coordinates_agree():
    model, graph = built(torch.nn.ELU(), features=40), small_graph(features=40)
    change = gm.volume_change(model, graph, "last", activation="elu")
    assert change.read.compression == "6 of 40 dimensions"
    full = jacobians(model, graph, second)
    for factor, jacobian in zip(change.read.factors, full, strict=True):
        np.testing.assert_allclose(factor @ factor.T, jacobian @ jacobian.T, atol=1e-12)


def test_dependent_rows_make_the_sum_of_units_wrong_and_pseudo_determinants_are_reported():
    model, graph = built(torch.nn.ELU()), small_graph()
    with torch.no_grad():
        model.conv.lin.weight[3:] = model.conv.lin.weight[:3]  # each unit is there twice
        model.conv.bias.copy_(torch.tensor([-1.0, -2.0, -3.0, -1.5, -2.5, -3.5]))
    change = gm.volume_change(model, graph, "act")
    for item, jacobian in enumerate(jacobians(model, graph, first)):
        slopes = change.read.derivative[item]
        expected = log_pdet(jacobian)[1] - log_pdet(slopes[:, None] * jacobian)[1]
        assert change.log_volume[item] == pytest.approx(expected, abs=1e-10)
        assert abs(change.sum_of_units[item] - expected) > 0.5
    assert change.rank.tolist() == [3] * 9
    assert {row["exact"] for row in change.rows()} == {"pseudo-determinants"}
    assert "9 of 9 nodes have dependent rows" in repr(change)
    relu = change.with_activation("relu")
    assert (relu.dimension_gain < relu.inactive).any()


def test_slopes_of_many_orders_of_magnitude_count():
    basis = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    change = item_change(basis, np.array([1e-150, 1e-160, 1e-20]))
    expected = -math.log(1e-150 / math.sqrt(2)) - math.log(1e-20)
    assert change.log_volume == pytest.approx(expected, rel=1e-12)


def test_an_item_with_all_units_closed_or_without_inputs():
    assert item_change(np.eye(3), np.zeros(3)) == (3, 0, 0.0, 0.0)
    assert item_change(np.zeros((3, 0)), np.ones(3))[:3] == (0, 0, 0.0)


@pytest.mark.parametrize("shape", [(4, 9), (4, 4), (4, 2), (4, 0)])
def test_row_factors_keep_inner_products_of_rows(shape):
    jacobian = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_allclose(
        row_factor(jacobian) @ row_factor(jacobian).T, jacobian @ jacobian.T, atol=1e-12
    )


def test_the_same_weights_with_other_functions():
    model, graph = built(torch.nn.ReLU()), small_graph()
    rows = gm.volume_change(model, graph, "act").compared()
    assert [row["activation"] for row in rows] == list(COMPARED)
    for row in rows:
        direct = gm.volume_change(model, graph, "act", activation=row["activation"])
        assert row == direct.summary()
    assert rows[0]["dimension_gain"] > 0
    assert rows[0]["log_volume"] == 0
    assert all(row["dimension_gain"] == 0 < row["log_volume"] for row in rows[1:])


def test_slopes_of_gelu_are_its_derivative():
    z = np.linspace(-4, 4, 41)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    share = np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in z])
    np.testing.assert_allclose(slopes_at("gelu", z), share + z * density, atol=1e-14)


class Functional(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = GCNConv(12, 6)

    def forward(self, x, edge_index):
        return torch.nn.functional.leaky_relu_(self.conv(x, edge_index), 0.3)


def test_functions_with_arguments_and_in_place():
    torch.manual_seed(0)
    change = gm.volume_change(Functional(), small_graph(), "leaky_relu()")
    closed = (change.read.values < 0).sum(1)
    np.testing.assert_allclose(change.log_volume, -closed * math.log(0.3), atol=1e-12)


class Normed(Net):
    def __init__(self):
        super().__init__(torch.nn.ReLU())
        self.norm = GraphNorm(6)

    def forward(self, x, edge_index):
        return self.act(self.norm(self.conv(x, edge_index)))


def test_a_normalisation_over_all_nodes_is_noticed():
    torch.manual_seed(0)
    model, graph = Normed(), small_graph()
    change = gm.volume_change(model, graph, "act")
    full = jacobians(model, graph, lambda m, x, e: m.norm(m.conv(x, e)))
    for factor, jacobian in zip(change.read.factors, full, strict=True):
        np.testing.assert_allclose(factor @ factor.T, jacobian @ jacobian.T, atol=1e-12)


def test_some_items_and_graphs_of_a_batch():
    model, graph = built(torch.nn.ELU()), small_graph()
    whole = gm.volume_change(model, graph, "act")
    some = gm.volume_change(model, graph, "act", index=[5, 2])
    assert some.read.index.tolist() == [5, 2]
    np.testing.assert_allclose(some.log_volume, whole.log_volume[[5, 2]])
    pair = gm.volume_change(model, Batch.from_data_list([graph, graph]), "act")
    np.testing.assert_allclose(pair.log_volume, np.tile(whole.log_volume, 2))


def test_the_model_and_random_state_stay():
    model, graph = built(torch.nn.ReLU()), small_graph()
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    with torch.no_grad():
        gm.volume_change(model, graph, "act", index=[0])
    assert torch.equal(state, torch.get_rng_state())
    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_more_items_than_there_is_memory_for_are_refused(monkeypatch):
    monkeypatch.setattr("graph_metamers.theory.pre_activations.free_bytes", lambda: 8 * 9 * 36 - 1)
    model, graph = built(torch.nn.ReLU()), small_graph()
    with pytest.raises(gm.ParameterError, match="'index' parameter must be fewer items"):
        gm.volume_change(model, graph, "act")
    gm.volume_change(model, graph, "act", index=[0, 1])


@pytest.mark.parametrize(
    ("layer", "options", "words"),
    [
        ("conv", {}, "activation="),
        ("act", {"activation": "rleu"}, "'relu'"),
        ("act", {"activation": torch.nn.Softmax(dim=1)}, "single numbers"),
        ("act", {"index": [99]}, "items from 0 to 8"),
        ("axt", {}, "did you mean"),
    ],
)
def test_what_does_not_fit_is_refused(layer, options, words):
    with pytest.raises(gm.UserError, match=words):
        gm.volume_change(built(torch.nn.ReLU()), small_graph(), layer, **options)


def test_data_sets_and_lists_of_layers_are_refused(karate):
    model, graph = built(torch.nn.ReLU()), small_graph()
    with pytest.raises(gm.ParameterError, match=r"'graph'.*a Data.*got 'Dataset'.*dataset.graph"):
        gm.volume_change(model, karate, "act")
    with pytest.raises(gm.ParameterError, match=r"'layer'.*the name of one layer, got \['act'\]"):
        gm.volume_change(model, graph, ["act"])


def test_learned_slopes_of_every_channel_are_those_that_count():
    activation = torch.nn.PReLU(6)
    slopes = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 1.5])
    with torch.no_grad():
        activation.weight.copy_(torch.tensor(slopes))
    change = gm.volume_change(built(activation), small_graph(), "act")
    assert change.read.activation == "PReLU"
    expected = np.where(change.read.values < 0, slopes, 1.0)
    np.testing.assert_allclose(change.read.derivative, expected, rtol=1e-6)
    assert not change.inactive.any()
    np.testing.assert_allclose(change.sum_of_units, -np.log(expected).sum(axis=1), atol=1e-6)
    assert change.is_full_rank.all()
    np.testing.assert_allclose(change.log_volume, change.sum_of_units, atol=1e-6)


@pytest.mark.parametrize(
    ("activation", "name"),
    [
        (torch.nn.LeakyReLU(0.2), "leaky_relu (0.2)"),
        (torch.nn.LeakyReLU(), "leaky_relu"),
        (torch.nn.ELU(0.5), "elu (0.5)"),
        (torch.nn.GELU(approximate="tanh"), "gelu (tanh)"),
        (torch.nn.ReLU(), "relu"),
    ],
)
def test_the_own_function_is_told_from_the_usual_one_of_its_name(activation, name):
    change = gm.volume_change(built(activation), small_graph(), "act")
    assert change.summary()["activation"] == name
    usual = next(row for row in change.compared() if row["activation"] == name.split()[0])
    assert (usual["log_volume"] == change.summary()["log_volume"]) == (" " not in name)


def test_a_slope_that_only_the_call_knows_is_told_apart_too():
    change = gm.volume_change(Functional(), small_graph(), "leaky_relu()")
    assert change.read.activation == "leaky_relu (as called)"
