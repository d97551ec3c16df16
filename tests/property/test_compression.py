"""Compressed models compute the same, null-space metamers are exact, other entrances are refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data
from torch_geometric.nn import (
    GAT,
    GCN,
    GIN,
    ChebConv,
    EdgeCNN,
    EdgeConv,
    GATConv,
    GATv2Conv,
    GCNConv,
    GINConv,
    GraphConv,
    GraphSAGE,
    PNAConv,
    SAGEConv,
    SGConv,
    TAGConv,
    TransformerConv,
)
from torch_geometric.transforms import NormalizeFeatures

import graph_metamers as gm
from graph_metamers.inputs import resolve_variables
from graph_metamers.inputs.compression import Compression, Refusal, compress
from graph_metamers.reading import ModelView
from graph_metamers.synthesis.solvers import SOLVER_NAMES

CONTINUOUS = gm.Features(kind="continuous")
LAYERS = ["act", "output"]


def perceptron(inputs, hidden):
    return torch.nn.Sequential(
        torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, hidden)
    )


LINEAR = {
    "gcn": (GCNConv, lambda f, h: h),
    "sage mean": (SAGEConv, lambda f, h: 2 * h),
    "sage sum": (lambda f, h: SAGEConv(f, h, aggr="sum"), lambda f, h: 2 * h),
    "gat": (GATConv, lambda f, h: h),
    "gat residual": (lambda f, h: GATConv(f, h, residual=True), lambda f, h: 2 * h),
    "gatv2": (GATv2Conv, lambda f, h: 2 * h),
    "gin": (lambda f, h: GINConv(perceptron(f, h)), lambda f, h: h),
    "cheb": (lambda f, h: ChebConv(f, h, 3), lambda f, h: 3 * h),
    "sgc": (lambda f, h: SGConv(f, h, K=2), lambda f, h: h),
    "tag": (lambda f, h: TAGConv(f, h, K=2), lambda f, h: 3 * h),
    "graph conv": (GraphConv, lambda f, h: 2 * h),
    "edge conv": (lambda f, h: EdgeConv(perceptron(2 * f, h)), lambda f, h: 2 * h),
    "transformer": (TransformerConv, lambda f, h: 4 * h),
}
"""Convolution -> how it is made, and the rank that the method gives for it."""

NOT_LINEAR = {
    "sage max": (lambda f, h: SAGEConv(f, h, aggr="max"), "otherwise than through sums and linear maps"),
    "graph conv max": (
        lambda f, h: GraphConv(f, h, aggr="max"),
        "otherwise than through sums and linear maps",
    ),
    "sage project": (lambda f, h: SAGEConv(f, h, project=True), "reads all 30 directions"),
    "pna": (
        lambda f, h: PNAConv(f, h, ["mean", "max"], ["identity"], deg=torch.tensor([0, 10, 20])),
        "",
    ),
}


class Layer(torch.nn.Module):
    """A convolution, an activation function, and a second linear layer."""

    def __init__(self, conv, hidden):
        super().__init__()
        self.conv, self.act, self.last = conv, torch.nn.ReLU(), torch.nn.Linear(hidden, 3)

    def forward(self, x, edge_index):
        return self.last(self.act(self.conv(x, edge_index)))


def random_graph(seed, num_nodes=40, num_features=30, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(num_nodes, num_features, generator=generator, dtype=dtype)
    return Data(x=x, edge_index=torch.randint(num_nodes, (2, 150), generator=generator))


def read(view, graph, layers=LAYERS):
    with view.borrow(), torch.no_grad():
        return {name: tap.value for name, tap in view.taps(graph, layers).items()}


def compressed(model, graph, other, layers=LAYERS):
    view = ModelView(model)
    targets, elsewhere = read(view, graph, layers), read(view, other, layers)
    with view.borrow():
        return compress(view, resolve_variables(CONTINUOUS, graph), targets, [(other, elsewhere)])


def assert_same(model, compression, graph, layers=LAYERS):
    expected = read(ModelView(model), graph, layers)
    smaller = compression.graph(graph, compression.coordinates(graph.x))
    found = read(compression.view, smaller, layers)
    for name in layers:
        error = (found[name] - expected[name]).norm()
        assert float(error) <= 1e-10 * float(expected[name].norm()), name


@pytest.mark.parametrize("name", LINEAR)
@settings(max_examples=8)
@given(seed=st.integers(0, 10**6), hidden=st.integers(1, 6))
def test_a_compressed_model_computes_the_same(name, seed, hidden):
    make, rank = LINEAR[name]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Layer(make(30, hidden), hidden).double()
    compression = compressed(model, random_graph(seed), random_graph(seed + 1))
    if rank(30, hidden) >= 30:
        assert isinstance(compression, Refusal)
        return
    assert isinstance(compression, Compression), compression
    assert compression.rank == rank(30, hidden)
    for other in (2, 3):
        assert_same(model, compression, random_graph(seed + other))


@pytest.mark.parametrize("cls", [GCN, GraphSAGE, GIN, GAT, EdgeCNN])
@pytest.mark.parametrize("jk", [None, "cat"])
def test_basic_models_of_pyg_compress(cls, jk):
    model = cls(30, 6, num_layers=3, out_channels=4, jk=jk).double().eval()
    layers = ["act", "act#2", "output"]
    compression = compressed(model, random_graph(0), random_graph(1), layers)
    assert isinstance(compression, Compression), compression
    assert_same(model, compression, random_graph(2), layers)


@pytest.mark.parametrize(
    ("name", "residual"),
    [
        *((name, residual) for name in ("gcn", "sage", "gin", "gat") for residual in (False, True)),
        ("sgc", False),
    ],
)
def test_the_zoo_compresses(name, residual):
    config = gm.ModelConfig(
        architecture=name, in_channels=30, out_channels=3, hidden_channels=8, residual=residual
    )
    model = gm.GNN(config).double()
    layers = ["output"]
    compression = compressed(model, random_graph(0), random_graph(1), layers)
    assert isinstance(compression, Compression), compression
    assert_same(model, compression, random_graph(2), layers)


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_what_reads_features_otherwise_is_refused_with_the_reason(name):
    make, reason = NOT_LINEAR[name]
    outcome = compressed(Layer(make(30, 5), 5).double(), random_graph(0), random_graph(1))
    assert isinstance(outcome, Refusal)
    assert reason in outcome.reason


def test_a_function_of_the_features_before_the_first_weight_is_refused():
    class Bent(Layer):
        def forward(self, x, edge_index):
            return super().forward(x.relu(), edge_index)

    outcome = compressed(Bent(GCNConv(30, 5), 5).double(), random_graph(0), random_graph(1))
    assert isinstance(outcome, Refusal)
    assert "otherwise" in outcome.reason


@pytest.mark.parametrize("error", [TypeError, KeyError, ZeroDivisionError, AttributeError])
def test_a_model_that_minds_its_number_of_features_is_searched_as_it_is(error):
    class Strict(Layer):
        def forward(self, x, edge_index):
            if x.shape[1] != 30:
                raise error("thirty features, please")
            return super().forward(x, edge_index)

    model = Strict(GCNConv(30, 5), 5)
    metamer = gm.generate(model, random_graph(0, dtype=torch.float32), "act", vary=CONTINUOUS)
    assert metamer.is_metamer
    assert "thirty features" in metamer.config["compression"]


def test_what_a_model_remembers_of_the_features_it_has_seen_is_its_own():
    class Remembering(Layer):
        widths = None

        def forward(self, x, edge_index):
            self.widths = (self.widths or set()) | {x.shape[1]}
            return super().forward(x, edge_index)

    model = Remembering(GCNConv(30, 5), 5).double()
    assert isinstance(compressed(model, random_graph(0), random_graph(1)), Compression)
    assert model.widths == {30}


def test_a_transform_that_normalises_rows_is_refused():
    model, graph = Layer(GCNConv(30, 5), 5), random_graph(0, dtype=torch.float32)
    graph.x = graph.x.abs()
    metamer = gm.generate(model, graph, "act", vary=CONTINUOUS, transform=NormalizeFeatures())
    assert metamer.config["compression"].startswith("none: ")


def test_the_users_model_is_not_touched():
    model = Layer(GCNConv(30, 5), 5).double()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    compressed(model, random_graph(0), random_graph(1))
    assert model.training
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(("dtype", "largest"), [(torch.float64, 1e-24), (torch.float32, 1e-12)])
@pytest.mark.parametrize("name", LINEAR)
@settings(max_examples=8)
@given(seed=st.integers(0, 10**6))
def test_null_space_metamers_match_every_layer_exactly(name, dtype, largest, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Layer(LINEAR[name][0](30, 4), 4).to(dtype)
    graph = random_graph(seed, dtype=dtype)
    expected = read(ModelView(model), graph)
    if not bool(expected["act"].any()):
        return  # every unit is dead: nothing to match
    metamer = gm.generate(model, graph, "act", vary=CONTINUOUS, solver="null_space", seed=seed % 1000)
    found = read(ModelView(model), metamer.graph)
    for layer in LAYERS:
        loss = (found[layer] - expected[layer]).square().sum() / expected[layer].square().sum()
        assert float(loss) <= largest, layer
    assert metamer.is_metamer
    assert metamer.steps == 1


def test_null_space_is_refused_with_the_reason():
    model = Layer(SAGEConv(30, 5, aggr="max"), 5).double()
    with pytest.raises(gm.ModelError, match="otherwise than through sums"):
        gm.generate(model, random_graph(0), "act", vary=CONTINUOUS, solver="null_space")
    assert "null_space" in SOLVER_NAMES


def test_null_space_of_bounded_features_stays_inside_and_reports_its_loss(digits_fit, digits):
    metamer = gm.generate(digits_fit.model, digits.graph, "output", solver="null_space")
    assert float(metamer.graph.x.min()) >= 0
    assert float(metamer.graph.x.max()) <= 1
    assert metamer.is_metamer
    null = gm.null_distribution(digits_fit.model, digits.graph, "output")
    assert gm.gates(metamer, null).kind == "null space"
