"""Ranks and dimensions, against Jacobians of the whole model by torch and ranks by numpy."""

from __future__ import annotations

import copy
import itertools

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import (
    GCN,
    PNA,
    BatchNorm,
    ChebConv,
    EdgeCNN,
    GATConv,
    GATv2Conv,
    GCNConv,
    GENConv,
    GINConv,
    GraphConv,
    SAGEConv,
    SGConv,
    TAGConv,
    TransformerConv,
    global_add_pool,
    global_max_pool,
    global_mean_pool,
)
from torch_geometric.transforms import NormalizeFeatures

import graph_metamers as gm
from graph_metamers.reading import ModelView
from graph_metamers.theory.jacobians import layer_readers
from graph_metamers.theory.row_program import RowProgram

FEATURES, HIDDEN, CLASSES = 7, 4, 3
CONVS = {
    "gcn": GCNConv,
    "sage": SAGEConv,
    "gin": lambda a, b: GINConv(nn.Sequential(nn.Linear(a, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, b))),
    "gat": lambda a, b: GATConv(a, b, heads=2, concat=False),
    "gatv2": lambda a, b: GATv2Conv(a, b, heads=2, concat=False),
    "cheb": lambda a, b: ChebConv(a, b, K=3),
    "sgc": lambda a, b: SGConv(a, b, K=2),
    "tag": lambda a, b: TAGConv(a, b, K=2),
    "graph": GraphConv,
}
HOPS = {"cheb": 2, "sgc": 2, "tag": 2}
ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU, "tanh": nn.Tanh, "leaky_relu": nn.LeakyReLU}


class Stack(nn.Module):
    def __init__(self, conv: str, depth: int, activation: str, seed: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            widths = [FEATURES, *[hidden] * (depth - 1), CLASSES]
            self.conv = nn.ModuleList(CONVS[conv](a, b) for a, b in itertools.pairwise(widths))
        self.act = nn.ModuleList(ACTIVATIONS[activation]() for _ in range(depth))

    def forward(self, x, edge_index):
        for conv, act in zip(self.conv, self.act, strict=True):
            x = act(conv(x, edge_index))
        return x


def small_graph(seed: int, nodes: int = 9, edges: int = 11, features: int = FEATURES) -> Data:
    drawn = nx.gnm_random_graph(nodes, edges, seed=seed)
    edge_index = torch.tensor(list(drawn.edges)).T
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(nodes, features, generator=generator)
    return Data(x=x, edge_index=torch.cat([edge_index, edge_index.flip(0)], dim=1))


def jacobian(model, graph, read=None):
    """Derivatives of the output of a float64 copy, [items, d, n, F]; by torch, of the whole graph."""
    precise = copy.deepcopy(model).eval().double()
    call = read or (lambda model, x: model(x, graph.edge_index))
    whole = torch.autograd.functional.jacobian(lambda x: call(precise, x), graph.x.double())
    return whole.reshape(len(whole), -1, *graph.x.shape)


def brute_force(whole, reads=None):
    """Nodes, ranks and singular values of Jacobians [items, d, n, F], of the nodes that items read."""
    reads = (whole != 0).any(dim=3).any(dim=1) if reads is None else reads
    counts, ranks, spectra = [], [], []
    for own, nodes in zip(whole, reads, strict=True):
        matrix = own[:, nodes].flatten(start_dim=1).numpy()
        counts.append(int(nodes.sum()))
        ranks.append(int(np.linalg.matrix_rank(matrix)) if matrix.size else 0)
        values = np.linalg.svd(matrix, compute_uv=False) if matrix.size else np.zeros(0)
        spectra.append(np.pad(values, (0, own.shape[0] - len(values[: own.shape[0]]))))
    return counts, ranks, np.array(spectra)


def within(graph, hops):
    """Who is within so many hops of whom, bool [n, n]."""
    step = torch.eye(graph.num_nodes)
    step[graph.edge_index[1], graph.edge_index[0]] = 1
    return torch.linalg.matrix_power(step, hops) > 0


CASES = [
    (conv, depth, activation, seed)
    for conv in CONVS
    for depth in (1, 2, 3)
    for activation in ACTIVATIONS
    for seed in range(3)
]


def check_case(conv, depth, activation, seed):
    graph, model = small_graph(seed), Stack(conv, depth, activation, seed)
    layer = f"act.{depth - 1}"
    found = gm.local_metamer_dimension(model, graph, layer)
    counts, ranks, spectra = brute_force(jacobian(model, graph), within(graph, HOPS.get(conv, 1) * depth))
    assert found.nodes.tolist() == counts
    assert found.rank.tolist() == ranks
    assert found.dimension.tolist() == [c * FEATURES - r for c, r in zip(counts, ranks, strict=True)]
    assert (found.linear + found.rest).tolist() == found.dimension.tolist()
    assert bool((found.rest >= 0).all())
    np.testing.assert_allclose(found.singular_values.numpy(), spectra, atol=1e-12 * spectra.max())


@pytest.mark.parametrize(("conv", "depth", "activation", "seed"), CASES[::12])
def test_ranks_equal_brute_force(conv, depth, activation, seed):
    check_case(conv, depth, activation, seed)


@pytest.mark.slow
@pytest.mark.parametrize("conv", CONVS)
def test_ranks_equal_brute_force_on_many_cases(conv):
    cases = [case for case in CASES if case[0] == conv]
    assert len(cases) * len(CONVS) >= 300
    for case in cases:
        check_case(*case)


def test_several_layers_at_once_are_each_alone():
    graph, model = small_graph(0), Stack("gcn", 2, "relu", 0)
    names = ["act.0", "conv.1"]
    together = gm.local_metamer_dimension(model, graph, names)
    assert list(together) == names
    for name in names:
        alone = gm.local_metamer_dimension(model, graph, name)
        assert torch.equal(together[name].singular_values, alone.singular_values)


def test_chunks_and_index_change_nothing_but_the_order():
    graph, model = small_graph(1), Stack("sage", 2, "elu", 1)
    whole = gm.local_metamer_dimension(model, graph, "conv.1")
    seen = []
    some = gm.local_metamer_dimension(
        model, graph, "conv.1", index=[5, 0, 7], memory=1.0, callbacks=[seen.append]
    )
    assert some.index.tolist() == [5, 0, 7]
    assert some.dimension.tolist() == whole.dimension[[5, 0, 7]].tolist()
    assert [(p.done, p.items) for p in seen] == [(1, 3), (2, 3), (3, 3)]


def test_model_and_random_state_are_left_alone():
    graph, model = small_graph(0), Stack("gat", 2, "relu", 0).train()
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    gm.local_metamer_dimension(model, graph, "act.0")
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.training
    assert next(model.parameters()).dtype == torch.float32
    assert torch.equal(random, torch.get_rng_state())


def test_rows_and_words():
    found = gm.local_metamer_dimension(Stack("gcn", 1, "relu", 0), small_graph(0), "act.0")
    row = found.rows()[3]
    assert row["inputs"] - row["rank"] == row["dimension"] == row["linear"] + row["rest"]
    assert row["nodes"] * FEATURES == row["inputs"]
    assert "act.0" in repr(found)
    assert "<table>" in found._repr_html_()


class Readout(nn.Module):
    """Graph level, with a normalisation of fixed statistics."""

    def __init__(self, pool) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv, self.norm = GCNConv(FEATURES, HIDDEN), BatchNorm(HIDDEN)
            self.norm.module.running_mean += torch.randn(HIDDEN)
            self.lin = nn.Linear(HIDDEN, CLASSES)
        self.pool = pool

    def forward(self, x, edge_index, batch):
        return self.lin(self.pool(self.norm(self.conv(x, edge_index)).relu(), batch))


@pytest.mark.parametrize("pool", [global_add_pool, global_mean_pool, global_max_pool])
def test_graphs_are_items_too(pool):
    batch = Batch.from_data_list([small_graph(seed, nodes=5 + seed, edges=6) for seed in range(3)])
    found = gm.local_metamer_dimension(Readout(pool), batch, "output")
    whole = jacobian(Readout(pool), batch, lambda model, x: model(x, batch.edge_index, batch.batch))
    counts, ranks, spectra = brute_force(whole, batch.batch == torch.arange(3).unsqueeze(1))
    assert found.items == "graphs"
    assert (found.nodes.tolist(), found.rank.tolist()) == (counts, ranks)
    np.testing.assert_allclose(found.singular_values.numpy(), spectra, atol=1e-12)


class Everywhere(nn.Module):
    """Every node reads every node, by products that are no operations on rows."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.lin = nn.Linear(FEATURES, HIDDEN)

    def forward(self, x):
        keys = self.lin(x)
        return (keys @ keys.T).softmax(dim=-1) @ keys


def test_a_model_that_is_no_operations_on_rows_is_differentiated_as_a_whole():
    graph, model = small_graph(0), Everywhere()
    found = gm.local_metamer_dimension(model, graph, "output")
    _, ranks, spectra = brute_force(jacobian(model, graph, lambda model, x: model(x)))
    assert found.nodes.tolist() == [graph.num_nodes] * graph.num_nodes
    assert found.rank.tolist() == ranks
    np.testing.assert_allclose(found.singular_values.numpy(), spectra, atol=1e-12)


class Concatenated(nn.Module):
    """Numbers of the nodes that do not vary, beside those that do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = GCNConv(FEATURES + 2, CLASSES)

    def forward(self, x, edge_index):
        place = torch.arange(2 * len(x)).view(-1, 2).to(x) / len(x)
        return self.conv(torch.cat([place, x], dim=1), edge_index).tanh()


MODELS = {
    "SAGE max": lambda: SAGEConv(FEATURES, CLASSES, aggr="max"),
    "EdgeCNN": lambda: EdgeCNN(FEATURES, HIDDEN, 2, CLASSES),
    "Transformer": lambda: TransformerConv(FEATURES, CLASSES, heads=2),
    "GEN": lambda: GENConv(FEATURES, CLASSES),
    "jumping knowledge": lambda: GCN(FEATURES, HIDDEN, 3, CLASSES, jk="max", norm="BatchNorm"),
    "PNA": lambda: PNA(
        FEATURES,
        HIDDEN,
        2,
        CLASSES,
        aggregators=["mean", "max", "std"],
        scalers=["identity", "amplification"],
        deg=torch.tensor([0, 2, 4, 3]),
    ),
    "concatenated": Concatenated,
}


@pytest.mark.parametrize("name", MODELS)
def test_other_models_are_operations_on_rows_too(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MODELS[name]().eval()
    graph, view = small_graph(4), ModelView(model)
    with view.borrow():
        reader = layer_readers(view, graph, ["output"])["output"]
    assert isinstance(reader.program, RowProgram), reader.program
    found = gm.local_metamer_dimension(model, graph, "output")
    whole = jacobian(model, graph)
    reads = torch.zeros(len(whole), graph.num_nodes, dtype=torch.bool)
    for node, count in enumerate(found.nodes.tolist()):  # a maximum hides whom a node could have read
        hops = next(h for h in range(4) if int(within(graph, h)[node].sum()) == count)
        reads[node] = within(graph, hops)[node]
    assert not bool((whole != 0).any(dim=3).any(dim=1)[~reads].any())
    _, ranks, spectra = brute_force(whole, reads)
    assert found.rank.tolist() == ranks
    np.testing.assert_allclose(found.singular_values.numpy(), spectra, atol=1e-12 * spectra.max())


def test_a_transform_is_differentiated_through():
    graph, model = small_graph(2), Stack("gcn", 1, "tanh", 2)
    graph.x = graph.x.abs() + 0.1
    found = gm.local_metamer_dimension(model, graph, "act.0", transform=NormalizeFeatures())

    def normalised(model, x):
        return model(NormalizeFeatures()(Data(x=x.clone())).x, graph.edge_index)

    counts, ranks, spectra = brute_force(jacobian(model, graph, normalised))
    # The node with the least feature of all is read by every node, and elsewhere that is another one.
    assert bool((found.nodes >= torch.tensor(counts)).all())
    assert found.rank.tolist() == ranks
    np.testing.assert_allclose(found.singular_values.numpy(), spectra, atol=1e-12)


def test_without_a_self_term_a_node_reads_its_neighbours_alone():
    graph, model = small_graph(0), Stack("sage", 1, "relu", 0)
    model.conv[0] = SAGEConv(FEATURES, CLASSES, root_weight=False)
    found = gm.local_metamer_dimension(model, graph, "conv.0")
    degrees = torch.bincount(graph.edge_index[1], minlength=graph.num_nodes)
    assert torch.equal(found.nodes, degrees)


def test_along_an_edge_of_weight_0_nothing_is_read():
    graph = small_graph(0)
    graph.edge_weight = torch.ones(graph.num_edges)
    gone = (graph.edge_index == graph.edge_index[:, :1]).all(dim=0)
    gone |= (graph.edge_index == graph.edge_index[:, :1].flip(0)).all(dim=0)
    graph.edge_weight[gone] = 0
    model = gm.build_model("gcn", _Task(), hidden_channels=HIDDEN)
    shorter = Data(x=graph.x, edge_index=graph.edge_index[:, ~gone])
    found = gm.local_metamer_dimension(model, graph, "output")
    assert found.nodes.tolist() == within(shorter, 2).sum(dim=1).tolist()


class _Task:
    num_features, num_classes = FEATURES, CLASSES


def test_a_layer_that_reads_nothing_has_rank_0():
    graph, model = small_graph(0), Stack("gcn", 1, "relu", 0)
    nn.init.constant_(model.conv[0].bias, -1e6)
    found = gm.local_metamer_dimension(model, graph, "act.0")
    assert found.rank.tolist() == [0] * graph.num_nodes
    assert torch.equal(found.dimension, found.inputs)


def test_what_is_not_there_is_refused():
    graph, model = small_graph(0), Stack("gcn", 1, "relu", 0)
    with pytest.raises(gm.LayerNotFoundError):
        gm.local_metamer_dimension(model, graph, "act.7")
    with pytest.raises(gm.ParameterError, match="items from 0"):
        gm.local_metamer_dimension(model, graph, "act.0", index=[99])
    with pytest.raises(gm.ParameterError, match="memory"):
        gm.local_metamer_dimension(model, graph, "act.0", memory=0)
    with pytest.raises(gm.ParameterError, match="real features"):
        gm.local_metamer_dimension(model, Data(x=graph.x.long(), edge_index=graph.edge_index), "act.0")
    with pytest.raises(gm.ParameterError, match="layer"):
        gm.local_metamer_dimension(model, graph, [])
