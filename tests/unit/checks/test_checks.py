from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import GCN, GCNConv, SGConv

import graph_metamers as gm
from graph_metamers.metrics import Accuracy


def ring(num_nodes: int = 12) -> Data:
    nodes = torch.arange(num_nodes)
    edge_index = torch.stack([nodes, nodes.roll(-1)])
    x = torch.randn(num_nodes, 4, generator=torch.Generator().manual_seed(0))
    return Data(x=x, edge_index=torch.cat([edge_index, edge_index.flip(0)], dim=1))


def codes(report: gm.CheckReport) -> set[str]:
    return {finding.code for finding in report.findings}


class Wrapped(nn.Module):
    def __init__(self, change) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.change = change

    def forward(self, x):
        return self.change(self.linear(x))


def test_a_healthy_model_has_no_findings():
    report = gm.check(GCN(4, 8, 2, 3).eval(), ring())
    assert report.ok
    assert report.findings == ()


@pytest.mark.parametrize("conv", [GCNConv, SGConv])
def test_cached_convolutions_are_refused_before_they_fake_a_metamer(conv):
    model = nn.Sequential()
    model.conv = conv(4, 3, cached=True)
    model.forward = model.conv
    report = gm.check(model, ring())
    assert codes(report) == {"cached-convolution"}
    with pytest.raises(gm.CheckError, match="cached=True"):
        gm.generate(model, ring(), "conv")
    assert getattr(model.conv, "_cached_edge_index", None) is None
    assert getattr(model.conv, "_cached_x", None) is None


def test_train_mode_is_a_warning_and_only_where_it_matters():
    with_dropout = GCN(4, 8, 2, 3, dropout=0.5).train()
    assert codes(gm.check(with_dropout, ring())) == {"train-mode"}
    assert with_dropout.training
    assert codes(gm.check(nn.Sequential().train(), ring(), "output", forward=lambda m, g: 2 * g.x)) == set()


@pytest.mark.parametrize(
    "change",
    [
        torch.detach,
        torch.round,
        lambda h: (h > 0).float(),
        lambda h: F.one_hot(h.argmax(dim=1), 3).float(),
    ],
)
def test_gradients_that_do_not_arrive_are_found(change):
    assert codes(gm.check(Wrapped(change), ring(), "output")) == {"no-gradient"}


def test_a_layer_before_the_break_is_fine():
    assert gm.check(Wrapped(lambda h: h.detach()), ring(), "linear").ok


def test_dropout_that_ignores_the_mode_is_found():
    report = gm.check(Wrapped(lambda h: F.dropout(h, 0.5)), ring(), "output")
    assert codes(report) == {"not-deterministic"}


def test_non_finite_weights_features_and_activations_are_found():
    model = GCN(4, 8, 2, 3)
    with torch.no_grad():
        model.convs[0].lin.weight[0, 0] = torch.inf
    report = gm.check(model.eval(), ring())
    assert codes(report) == {"non-finite-weights"}
    assert "1 NaN or infinite entries in 'convs.0.lin.weight'" in str(report.errors[0])
    graph = ring()
    graph.x[3, 2] = torch.nan
    assert codes(gm.check(GCN(4, 8, 2, 3).eval(), graph)) == {"non-finite-features"}
    assert codes(gm.check(Wrapped(lambda h: h / 0), ring(), "output")) >= {"non-finite-activations"}


@pytest.mark.parametrize(
    ("edges", "code"),
    [
        (torch.tensor([[0, 1], [1, 12]]), "edge-out-of-range"),
        (torch.tensor([[0, -1], [1, 2]]), "edge-out-of-range"),
        (torch.tensor([[0.0, 1.0], [1.0, 2.0]]), "malformed-edges"),
        (torch.tensor([[0, 1, 2], [1, 2, 3], [2, 3, 4]]), "malformed-edges"),
    ],
)
def test_bad_edges_are_found_before_the_model_runs(edges, code):
    graph = ring()
    graph.edge_index = edges
    report = gm.check(GCN(4, 8, 2, 3).eval(), graph)
    assert {finding.code for finding in report.errors} == {code}


def test_integer_features_are_found():
    graph = ring()
    graph.x = graph.x.long()
    assert codes(gm.check(GCN(4, 8, 2, 3).eval(), graph)) == {"integer-features"}


def test_sparse_features_are_found():
    graph = ring()
    graph.x = graph.x.to_sparse()
    assert codes(gm.check(GCN(4, 8, 2, 3).eval(), graph)) == {"sparse-features"}


def test_a_graph_without_edges_is_only_a_warning():
    graph = Data(x=torch.randn(5, 4))
    report = gm.check(nn.Linear(4, 3), graph, "output", forward=lambda model, graph: model(graph.x))
    assert codes(report) == {"isolated-nodes"}


def test_isolated_nodes_are_a_warning_with_their_number():
    graph = ring()
    graph.x = torch.cat([graph.x, torch.ones(3, 4)])
    (finding,) = gm.check(GCN(4, 8, 2, 3).eval(), graph).findings
    assert finding.code == "isolated-nodes"
    assert finding.got == "3 of 15 without an edge"


def test_isolated_nodes_of_a_type():
    graph = HeteroData()
    graph["a"].x, graph["b"].x = torch.eye(3, 2), torch.eye(4, 2)
    graph["a", "to", "b"].edge_index = torch.tensor([[0, 1, 2], [0, 0, 1]])
    model = nn.Linear(2, 2)

    def forward(model, graph):
        return model(graph["b"].x) + model(graph["a"].x).sum(dim=0)

    vary = gm.Features(kind="continuous")
    report = gm.check(model, graph, "output", vary=vary, forward=forward)
    assert [finding.got for finding in report.findings] == ["2 of 4 without an edge"]


def test_a_model_at_chance_is_flagged():
    accuracy = Accuracy(0.3, 0.3, 100, 0.5)
    (finding,) = gm.check(GCN(4, 8, 2, 3).eval(), ring(), accuracy=accuracy).findings
    assert finding.code == "at-chance"
    assert finding.severity == "warning"


def test_an_unknown_layer_is_said():
    with pytest.raises(gm.LayerNotFoundError, match="did you mean 'act'"):
        gm.check(GCN(4, 8, 2, 3), ring(), "acts")


def test_reports_show_their_findings():
    report = gm.check(Wrapped(lambda h: h.detach()), ring(), "output")
    assert "1 errors, 0 warnings" in repr(report)
    assert "detach" in report._repr_html_()
    with pytest.raises(gm.CheckError, match="no-gradient"):
        report.raise_for_errors()


def test_checking_changes_nothing():
    model = GCN(4, 8, 2, 3, dropout=0.5, norm="batch").train()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    gm.check(model, ring())
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_a_parameter_called_p_is_no_dropout():
    model = Wrapped(torch.tanh)
    model.p = nn.Parameter(torch.ones(3))
    model.dropout = nn.Dropout(0.0)
    assert codes(gm.check(model.train(), ring(), "output")) == set()


def test_weights_without_a_shape_are_refused():
    with pytest.raises(gm.ModelError, match="run the model once"):
        gm.check(GCN(-1, 8, 2, 3), ring())


def test_a_mask_of_infinities_is_only_a_warning():
    model = Wrapped(torch.tanh)
    model.register_buffer("mask", torch.full((3,), -torch.inf))
    assert gm.check(model.eval(), ring(), "output").ok


def test_a_dead_layer_is_found():
    report = gm.check(Wrapped(lambda h: (h - 100).relu()), ring(), "output")
    assert codes(report) == {"dead-layer"}


def test_only_what_varies_is_looked_at():
    graph = HeteroData()
    graph["a"].x, graph["b"].x = torch.randn(4, 3), torch.arange(4).unsqueeze(1)
    graph["a", "to", "b"].edge_index = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 3]])
    model = nn.Linear(3, 2)
    report = gm.check(
        model, graph, "output", vary={"a": "features"}, forward=lambda model, graph: model(graph["a"].x)
    )
    assert report.findings == ()


def test_features_that_are_the_same_everywhere_cannot_vary():
    graph = ring()
    graph.x = torch.ones(12, 4)
    vary = gm.Features(kind="continuous")
    assert codes(gm.check(GCN(4, 8, 2, 3).eval(), graph, vary=vary)) == {"constant-features"}


def test_a_node_type_of_unknown_size_is_said():
    graph = HeteroData()
    graph["a"].x = torch.randn(3, 4)
    graph["b"].y = torch.zeros(2)
    graph["b"].name = "b"
    del graph["b"].y
    report = gm.check(nn.Linear(4, 2), graph, "output", forward=lambda model, graph: model(graph["a"].x))
    assert {finding.code for finding in report.findings} >= {"unknown-number-of-nodes"}
