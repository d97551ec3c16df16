from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError
from itertools import product
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from graph_metamers.errors import ParameterError
from graph_metamers.models import GNN, ModelConfig, build_model, list_activation_functions, list_models
from graph_metamers.models.convolutions import find_convolution
from graph_metamers.models.norms import NORMS

NAMES = [info.name for info in list_models()]
LAYERED = [name for name in NAMES if name != "sgc"]  # with hidden layers
TASK = SimpleNamespace(num_features=5, num_classes=3)


def random_graph(num_nodes=12, num_edges=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(num_nodes, TASK.num_features, generator=generator)
    return x, torch.randint(num_nodes, (2, num_edges), generator=generator)


@pytest.mark.parametrize("name", LAYERED)
@pytest.mark.parametrize("activation", list_activation_functions())
def test_every_combination_runs_forward_and_backward(name, activation):
    x, edge_index = random_graph()
    for residual, norm, num_layers in product([False, True], ["auto", *NORMS], [1, 2, 3]):
        model = build_model(
            name, TASK, activation=activation, residual=residual, norm=norm, num_layers=num_layers
        )
        logits = model(x, edge_index)
        assert logits.shape == (12, 3)
        logits.sum().backward()
        assert all(p.grad is not None for p in model.parameters())
        assert len(model.conv) == num_layers
        assert len(model.act) == num_layers - 1
        assert len(model.norm) == (0 if model.config.norm == "none" else num_layers - 1)
        assert len(model.skip) == (num_layers - 1 if residual else 0)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(LAYERED),
    residual=st.booleans(),
    norm=st.sampled_from(NORMS),
    seed=st.integers(0, 1000),
)
def test_relabelling_the_nodes_relabels_the_logits(name, residual, norm, seed):
    model = build_model(name, TASK, residual=residual, norm=norm, num_layers=3, seed=seed).eval()
    x, edge_index = random_graph(seed=seed)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    new_number = order.argsort()
    torch.testing.assert_close(model(x[order], new_number[edge_index]), model(x, edge_index)[order])


@pytest.mark.parametrize("norm", NORMS)
def test_the_activation_is_all_that_the_next_layer_sees(norm):
    model = build_model("gcn", TASK, residual=True, norm=norm, num_layers=3).eval()
    x, edge_index = random_graph()
    seen = {}
    for name in ("act.0", "act.1"):
        model.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: seen.update({name: output})
        )
    logits = model(x, edge_index)
    hidden = model.conv[1](seen["act.0"], edge_index)
    if norm != "none":
        hidden = model.norm[1](hidden)
    torch.testing.assert_close(seen["act.1"], torch.relu(hidden + seen["act.0"]))
    torch.testing.assert_close(logits, model.conv[2](seen["act.1"], edge_index))


def test_a_residual_is_the_identity_where_the_widths_agree():
    model = build_model("gcn", TASK, residual=True, num_layers=3)
    assert isinstance(model.skip[0], nn.Linear)
    assert model.skip[0].bias is None
    assert isinstance(model.skip[1], nn.Identity)


def test_gcn_is_the_published_formula():
    model = build_model("gcn", TASK, num_layers=1)
    x, _ = random_graph(4)
    edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    adjacency = torch.eye(4).index_put((edge_index[0], edge_index[1]), torch.tensor(1.0))
    scale = adjacency.sum(1).rsqrt()
    expected = (scale[:, None] * adjacency * scale) @ x @ model.conv[0].lin.weight.T + model.conv[0].bias
    torch.testing.assert_close(model(x, edge_index), expected)


def _dense(edges):
    edge_index = torch.tensor(edges).T
    adjacency = torch.zeros(4, 4).index_put((edge_index[0], edge_index[1]), torch.tensor(1.0))
    return edge_index, adjacency


PATH = [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2)]


@pytest.mark.parametrize("num_layers", [1, 2, 5])
def test_sgc_is_the_published_formula(num_layers):
    model = build_model("sgc", TASK, num_layers=num_layers)
    x, _ = random_graph(4)
    edge_index, adjacency = _dense(PATH)
    adjacency = adjacency + torch.eye(4)
    scale = adjacency.sum(1).rsqrt()
    step = scale[:, None] * adjacency * scale
    linear = model.conv[0].lin
    expected = torch.matrix_power(step, num_layers) @ x @ linear.weight.T + linear.bias
    torch.testing.assert_close(model(x, edge_index), expected)
    assert len(model.conv) == model.config.num_convolutions == 1
    assert len(model.act) == len(model.norm) == len(model.skip) == 0


def test_sgc_sees_every_graph_anew():
    model = build_model("sgc", TASK).eval()
    x, edge_index = random_graph()
    fresh = build_model("sgc", TASK).eval()
    model(x, edge_index)
    assert torch.equal(model(2 * x, edge_index.flip(1)), fresh(2 * x, edge_index.flip(1)))
    assert not any(
        getattr(module, "cached", False) for name in NAMES for module in build_model(name, TASK).modules()
    )


@pytest.mark.parametrize(
    ("wrong", "name"),
    [({"activation": "elu"}, "activation"), ({"residual": True}, "residual"), ({"norm": "batch"}, "norm")],
)
def test_sgc_refuses_what_only_a_hidden_layer_has(wrong, name):
    with pytest.raises(
        ParameterError, match=f"'{name}' parameter must be left out with sgc, which has no hidden layer"
    ):
        build_model("sgc", TASK, **wrong)


def test_sgc_says_that_it_has_no_activation():
    config = build_model("sgc", TASK).config
    assert config.activation == "identity"
    assert config == build_model("sgc", TASK, activation="identity").config
    assert (config.title, build_model("sgc", TASK, num_layers=4).config.title) == ("SGC", "SGC (4 layers)")


def test_cheb_is_the_published_formula():
    model = build_model("cheb", TASK, num_layers=1)
    x, _ = random_graph(4)
    edge_index, adjacency = _dense(PATH)
    scale = adjacency.sum(1).rsqrt()
    # 2 L / 2 - I with the symmetric Laplacian L and its largest possible eigenvalue, 2.
    laplacian = -(scale[:, None] * adjacency * scale)
    terms = [x, laplacian @ x, 2 * laplacian @ laplacian @ x - x]
    conv = model.conv[0]
    expected = sum(term @ lin.weight.T for term, lin in zip(terms, conv.lins, strict=True)) + conv.bias
    torch.testing.assert_close(model(x, edge_index), expected)


def test_gat_shares_its_width_among_eight_heads_and_has_one_at_the_output():
    model = build_model("gat", TASK, hidden_channels=24, num_layers=3, dropout=0.6)
    assert [(conv.heads, conv.out_channels) for conv in model.conv] == [(8, 3), (8, 3), (1, 3)]
    assert [conv.dropout for conv in model.conv] == [0.6] * 3  # of the attention coefficients
    x, edge_index = random_graph()
    assert model.conv[0](x, edge_index).shape == (12, 24)
    assert build_model("gat", TASK, num_layers=1).conv[0].heads == 1


def test_gat_refuses_a_width_that_its_heads_cannot_share():
    with pytest.raises(ParameterError, match="'hidden_channels' parameter must be a multiple of 8 for gat"):
        build_model("gat", TASK, hidden_channels=20)
    build_model("gat", TASK, hidden_channels=20, num_layers=1)  # no hidden layer, no heads


def test_gin_has_batchnorm_by_default_and_the_chosen_activation_inside():
    model = build_model("gin", TASK, activation="elu")
    assert model.config.norm == "batch"
    assert [type(m) for m in model.conv[0].nn] == [nn.Linear, nn.BatchNorm1d, nn.ELU, nn.Linear]
    assert model.conv[-1].nn[0].out_features == model.config.hidden_channels
    assert build_model("gcn", TASK).config.norm == "none"


@pytest.mark.parametrize(
    ("norm", "inside"), [("none", []), ("batch", [nn.BatchNorm1d]), ("layer", [nn.LayerNorm])]
)
def test_the_norm_of_gin_is_that_of_its_perceptrons_too(norm, inside):
    model = build_model("gin", TASK, norm=norm)
    for conv in model.conv:
        assert [type(m) for m in conv.nn] == [nn.Linear, *inside, nn.ReLU, nn.Linear]


def test_the_seed_decides_the_weights_and_the_global_state_is_untouched():
    before = torch.get_rng_state()
    first, again, other = (build_model("gin", TASK, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


def test_the_weights_do_not_depend_on_the_global_state():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        first = build_model("gcn", TASK)
        torch.manual_seed(6)
        again = build_model("gcn", TASK)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


def test_an_alias_gives_the_canonical_architecture():
    assert build_model("graphsage", TASK).config == build_model("sage", TASK).config
    assert build_model("chebnet", TASK).config == build_model("cheb", TASK).config


def test_the_config_is_frozen_and_builds_the_same_model():
    model = build_model("gcn", TASK, activation="tanh", residual=True)
    assert repr(GNN(model.config)) == repr(model)
    with pytest.raises(FrozenInstanceError):
        model.config.dropout = 0.1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "gcnn"}, "Did you mean 'gcn'"),
        ({"name": "GCN"}, "Did you mean 'gcn'"),
        ({"activation": "rellu"}, "Did you mean 'relu'"),
        ({"norm": "batchnorm"}, "Did you mean 'batch'"),
        ({"hidden_channels": 0}, "'hidden_channels' parameter must be an integer of at least 1, got 0"),
        ({"hidden_channels": True}, "got True"),
        ({"num_layers": 0}, "'num_layers'"),
        ({"num_layers": 2.0}, "'num_layers'"),
        ({"dropout": 1.0}, "less than 1"),
        ({"dropout": float("nan")}, "'dropout'"),
        ({"dropout": False}, "'dropout'"),
        ({"residual": 1}, "'residual' parameter must be True or False"),
        ({"seed": -1}, "'seed'"),
        ({"seed": 2**63}, "'seed'"),
        ({"seed": None}, "'seed'"),
    ],
)
def test_what_is_out_of_range_is_refused(wrong, message):
    with pytest.raises(ParameterError, match=message):
        build_model(**{"name": "gcn", "dataset": TASK, **wrong})


def test_a_task_without_classes_is_refused():
    with pytest.raises(
        ParameterError, match="'out_channels' parameter must be an integer of at least 1, got 0"
    ):
        ModelConfig(architecture="gcn", in_channels=4, out_channels=0)


def test_every_architecture_is_listed_with_its_paper():
    assert NAMES == ["gcn", "sage", "gin", "gat", "cheb", "sgc"]
    assert all(info.summary and info.paper for info in list_models())


@pytest.mark.parametrize("name", NAMES)
def test_without_weights_and_with_ones_a_model_computes_what_its_convolutions_do(name):
    x, edge_index = random_graph()
    model = build_model(name, TASK, num_layers=2, dropout=0.0, seed=1).eval()
    hidden = x
    for number, conv in enumerate(model.conv):
        hidden = conv(hidden, edge_index)
        if number < len(model.act):
            hidden = model.norm[number](hidden) if model.norm else hidden
            hidden = model.act[number](hidden)
    assert torch.equal(model(x, edge_index), hidden)
    torch.testing.assert_close(model(x, edge_index, torch.ones(edge_index.shape[1])), hidden)


@pytest.mark.parametrize("name", NAMES)
def test_weights_reach_the_convolutions_that_have_a_place_for_them(name):
    x, edge_index = random_graph()
    model = build_model(name, TASK, num_layers=1, seed=1).eval()
    weights = torch.rand(edge_index.shape[1], generator=torch.Generator().manual_seed(0)) + 0.5
    takes = "edge_weight" in inspect.signature(model.conv[0].forward).parameters
    assert takes == (name in ("gcn", "cheb", "sgc")) == find_convolution(name).takes_weights
    found = model(x, edge_index, edge_weight=weights)
    expected = model.conv[0](x, edge_index, **({"edge_weight": weights} if takes else {}))
    assert torch.equal(found, expected)
    assert torch.equal(found, model(x, edge_index)) != takes
