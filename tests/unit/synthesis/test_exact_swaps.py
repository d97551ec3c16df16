"""Exact swaps: other edges, and activations that stay what they are in float64, whatever the convolution."""

from __future__ import annotations

import copy

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import (
    GAT,
    GCN,
    GIN,
    ChebConv,
    GATConv,
    GATv2Conv,
    GCNConv,
    GraphConv,
    GraphSAGE,
    SAGEConv,
    SGConv,
    TAGConv,
)
from torch_geometric.transforms import NormalizeFeatures
from torch_geometric.utils import degree, is_undirected

import graph_metamers as gm
from graph_metamers.graphs.admissible_swaps import SwapGroups, Swapper
from graph_metamers.graphs.colours import refine_colours, rows_as_colours
from graph_metamers.graphs.neighbour_lists import NeighbourLists


class Stack(torch.nn.Module):
    """Convolutions, with a rectifier between two."""

    def __init__(self, convs):
        super().__init__()
        self.convs = torch.nn.ModuleList(convs)

    def forward(self, x, edge_index):
        for place, conv in enumerate(self.convs):
            x = conv(x if place == 0 else x.relu(), edge_index)
        return x


def stack(make, layers):
    return Stack([make(16 if place == 0 else 8) for place in range(layers)])


LAYERED = {
    "gcn": lambda layers: GCN(16, 8, num_layers=layers),
    "sage": lambda layers: GraphSAGE(16, 8, num_layers=layers),
    "sage max": lambda layers: GraphSAGE(16, 8, num_layers=layers, aggr="max"),
    "gin": lambda layers: GIN(16, 8, num_layers=layers, act="leaky_relu"),
    "gat": lambda layers: GAT(16, 8, num_layers=layers, heads=2),
    "gatv2": lambda layers: stack(lambda width: GATv2Conv(width, 8), layers),
    "graph": lambda layers: stack(lambda width: GraphConv(width, 8), layers),
    "graph max": lambda layers: stack(lambda width: GraphConv(width, 8, aggr="max"), layers),
}
MANY_HOPS = {
    "cheb": (lambda: Stack([ChebConv(16, 4, K=3)]), 2),
    "two cheb": (lambda: Stack([ChebConv(16, 8, K=2), ChebConv(8, 4, K=3)]), 3),
    "sgc": (lambda: Stack([SGConv(16, 4, K=2)]), 2),
    "tag": (lambda: Stack([TAGConv(16, 4, K=3)]), 3),
}
READS_DEGREES = {"gcn", "cheb", "two cheb", "sgc", "tag"}


def graph_of(pairs, x):
    pairs = torch.as_tensor(pairs, dtype=torch.long).reshape(-1, 2).T
    return Data(x=x, edge_index=torch.cat([pairs, pairs.flip(0)], dim=1))


def few_rows(nodes, seed=0, distinct=3):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(distinct, 16, generator=generator)
    return rows[torch.randint(distinct, (nodes,), generator=generator)]


def drawn(nodes=40, edges=80, seed=0):
    """A random graph with three distinct rows of features: many exact swaps at one hop."""
    return graph_of(list(nx.gnm_random_graph(nodes, edges, seed=seed).edges()), few_rows(nodes, seed))


def lifted(base=12, copies=4, seed=0):
    """Copies of a random graph, joined at random: nodes above one node look alike at any number of hops."""
    small, random = nx.gnm_random_graph(base, 20, seed=seed), np.random.default_rng(seed)
    pairs = [
        (u + base * copy, v + base * other)
        for u, v in small.edges()
        for copy, other in enumerate(random.permutation(copies).tolist())
    ]
    return graph_of(pairs, few_rows(base, seed).repeat(copies, 1))


def change(model, graph, other):
    """Largest change of the output in float64, over its largest number: plain PyTorch Geometric."""
    exact = copy.deepcopy(model).double().eval()
    with torch.no_grad():
        before, after = (exact(g.x.double(), g.edge_index) for g in (graph, other))
    return float((after - before).abs().max() / before.abs().max())


def swapped(model, graph, layer="output", structure="structure", **options):
    solver = gm.ExactSwaps(**options)
    return gm.generate(model, graph, layer, vary=structure, solver=solver)


def check_metamer(model, graph, metamer, *, differs=True):
    found = metamer.config["findings"]
    assert change(model, graph, metamer.graph) <= 1e-10
    assert found["largest_change"] <= 1e-10
    assert metamer.activation_loss < 1e-8
    assert torch.equal(metamer.graph.x, graph.x)
    assert is_undirected(metamer.graph.edge_index)
    assert len({*map(tuple, metamer.graph.edge_index.T.tolist())}) == graph.num_edges
    if differs:
        assert metamer.is_metamer
        assert found["swaps_made"] >= 5
        assert found["admissible_swaps"] > found["relabellings"]
    return found


@pytest.mark.parametrize("alike", ["messages", "inputs"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("name", LAYERED)
def test_activations_stay_at_one_to_three_layers(name, layers, alike):
    torch.manual_seed(1)
    model, graph = LAYERED[name](layers), lifted()
    found = check_metamer(model, graph, swapped(model, graph, alike=alike))
    assert found["hops"] == layers
    torch.manual_seed(1)
    graph = drawn()
    metamer = swapped(model, graph, alike=alike)
    found = check_metamer(model, graph, metamer, differs=layers == 1)
    if layers == 1:
        assert found["reads_degrees"] == (name in READS_DEGREES)


@pytest.mark.parametrize("alike", ["messages", "inputs"])
@pytest.mark.parametrize("name", MANY_HOPS)
def test_hops_are_counted_not_layers(name, alike):
    torch.manual_seed(0)
    make, hops = MANY_HOPS[name]
    model = make()
    for graph in (lifted(), drawn()):
        metamer = swapped(model, graph, alike=alike)
        found = check_metamer(model, graph, metamer, differs=False)
        assert found["hops"] == hops
    assert swapped(model, lifted(), alike=alike).is_metamer


def test_a_round_less_or_no_degrees_would_not_be_exact():
    torch.manual_seed(0)
    graph = drawn()
    arcs = graph.edge_index.numpy()
    lists = NeighbourLists.of(arcs, 40, directed=False)
    rows = rows_as_colours(graph.x.numpy())

    def after(colours):
        swapper = Swapper(SwapGroups.of(lists, colours), seed=0)
        swapper.run(3)
        assert swapper.made == 3
        other = graph.clone()
        other.edge_index = torch.from_numpy(lists.edge_index(swapper.neighbours, swapper.edges))
        return other

    assert change(LAYERED["graph"](1), graph, after(rows)) <= 1e-10
    assert change(LAYERED["graph"](2), graph, after(rows)) > 1e-3
    assert change(LAYERED["gcn"](1), graph, after(rows)) > 1e-3
    assert refine_colours(arcs, 40, rounds=1, colours=rows)[1].max() > rows.max()


def test_that_degrees_are_read_is_found_out_before_any_swap_is_made():
    torch.manual_seed(0)
    pairs = [*nx.random_regular_graph(3, 40, seed=0).edges()]
    model, graph = GCN(16, 8, num_layers=1), graph_of(pairs[2:], few_rows(40))
    options = {"vary": "structure", "solver": gm.ExactSwaps(swaps=1)}
    found = [gm.generate(model, graph, "output", **options, seed=s).config["findings"] for s in range(5)]
    assert all(one["reads_degrees"] for one in found)
    assert len({one["admissible_swaps"] for one in found}) == 1


def test_one_swap_that_could_be_undone_is_enough_to_tell_that_degrees_are_read():
    # Leaves 0 and 1 on centres 2 and 3 of one degree, whose other neighbours differ in their degree alone.
    x = torch.eye(16)[[0, 0, 1, 1, 2, 2, 3, 4]]
    graph = graph_of([(0, 2), (1, 3), (2, 4), (3, 5), (5, 6), (6, 7)], x)
    torch.manual_seed(0)
    model = Stack([GCNConv(16, 8), GCNConv(8, 4)])
    found = swapped(model, graph, alike="inputs").config["findings"]
    assert (found["reads_degrees"], found["admissible_swaps"]) == (True, 0)
    plain = swapped(Stack([GraphConv(16, 8), GraphConv(8, 4)]), graph, alike="inputs").config["findings"]
    assert (plain["reads_degrees"], plain["admissible_swaps"], plain["relabellings"]) == (False, 1, 1)


def test_the_layer_decides_how_many_hops_count():
    torch.manual_seed(0)
    model, graph = GCN(16, 8, num_layers=3, out_channels=3), drawn()
    found = [swapped(model, graph, layer).config["findings"] for layer in ("act", "act#2", "output")]
    assert [one["hops"] for one in found] == [1, 2, 3]
    assert found[0]["admissible_swaps"] > found[1]["admissible_swaps"] >= found[2]["admissible_swaps"]


def test_what_the_model_does_not_read_of_features_is_nothing_to_it():
    torch.manual_seed(0)
    model, graph = GCN(16, 4, num_layers=1), drawn()
    unseen = torch.linalg.svd(model.convs[0].lin.weight.detach().double())[2][4:]  # of 16 directions 12
    graph.x = (graph.x.double() + torch.randn(40, 12, dtype=torch.float64) @ unseen).double()
    model = model.double()
    raw = swapped(SAGEMax(), Data(x=graph.x.float(), edge_index=graph.edge_index)).config["findings"]
    for alike in ("messages", "inputs"):
        found = check_metamer(model, graph, swapped(model, graph, alike=alike))
        assert found["relabellings"] == 0  # all rows are different, so that names are not exchanged
        assert found["told_apart_after"] == 1
    assert (raw["node_classes"], raw["admissible_swaps"]) == (40, 0)


class SAGEMax(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = SAGEConv(16, 4, aggr="max")

    def forward(self, x, edge_index):
        return self.conv(x, edge_index)


def test_directed_graphs_need_alike_senders_only():
    torch.manual_seed(0)
    graph = Data(
        x=few_rows(40),
        edge_index=torch.tensor(list(nx.gnm_random_graph(40, 80, seed=0, directed=True).edges())).T,
    )
    counts = []
    for flow in ("source_to_target", "target_to_source"):
        for layers in (1, 2):
            model = Stack([GraphConv(16 if not place else 8, 8, flow=flow) for place in range(layers)])
            for alike in ("messages", "inputs"):
                metamer = swapped(model, graph, alike=alike)
                assert change(model, graph, metamer.graph) <= 1e-10
                for side in range(2):
                    ends = [degree(g.edge_index[side], 40) for g in (graph, metamer.graph)]
                    assert torch.equal(*ends)
                if layers == 1:
                    assert metamer.is_metamer
                    counts.append(metamer.config["findings"]["admissible_swaps"])
    assert min(counts[:2]) > max(counts[2:]) > 0


class Weighted(torch.nn.Module):
    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def forward(self, x, edge_index, edge_attr):
        return self.conv(x, edge_index, edge_attr)


@pytest.mark.parametrize("conv", [lambda: GATConv(16, 4, edge_dim=1), lambda: GCNConv(16, 4)])
def test_edges_swap_with_edges_of_the_same_attributes(conv):
    torch.manual_seed(0)
    model, graph = Weighted(conv()), lifted()
    weights = torch.tensor([0.5, 1.0, 2.0])[torch.randint(3, (20,))].repeat_interleave(4).repeat(2)
    graph.edge_attr = weights[:, None] if isinstance(model.conv, GATConv) else weights
    metamer = swapped(model, graph)
    found = metamer.config["findings"]
    assert found["swaps_made"] > 0
    assert torch.equal(metamer.graph.edge_attr, graph.edge_attr)
    exact = copy.deepcopy(model).double().eval()
    with torch.no_grad():
        before, after = (
            exact(g.x.double(), g.edge_index, g.edge_attr.double()) for g in (graph, metamer.graph)
        )
    assert torch.allclose(before, after, rtol=0, atol=1e-10)
    plain = swapped(SAGEMax(), graph).config[
        "findings"
    ]  # attributes have to be equal though nobody reads them
    bare = swapped(SAGEMax(), Data(x=graph.x, edge_index=graph.edge_index)).config["findings"]
    assert plain["admissible_swaps"] < bare["admissible_swaps"]


def test_self_loops_and_protected_edges_stay():
    torch.manual_seed(0)
    graph = drawn()
    loops = torch.arange(0, 40, 3).repeat(2, 1)
    graph.edge_index = torch.cat([graph.edge_index, loops], dim=1)
    protected = torch.zeros(graph.num_edges, dtype=torch.bool)
    protected[:20] = True
    model = GCN(16, 8, num_layers=1)
    metamer = swapped(model, graph, structure=gm.Structure(protected=protected))
    assert change(model, graph, metamer.graph) <= 1e-10
    assert metamer.config["findings"]["swaps_made"] > 0
    for stays in (protected, graph.edge_index[0] == graph.edge_index[1]):
        assert torch.equal(metamer.graph.edge_index[:, stays], graph.edge_index[:, stays])


@pytest.mark.parametrize("rule", ["forbid", "charge", "free"])
def test_as_many_swaps_as_asked_take_reference_edges_first(rule):
    torch.manual_seed(0)
    model, graph = GIN(16, 8, num_layers=1), drawn()
    for swaps in (1, 5, 10):
        metamer = swapped(model, graph, structure=gm.Structure(reference_edges=rule), swaps=swaps)
        found = metamer.config["findings"]
        assert (found["swaps_asked"], found["swaps_made"], found["exhausted"]) == (swaps, swaps, False)
        assert found["reference_edges_left"] == pytest.approx(1 - 2 * swaps / 80)  # two edges each
    assert metamer.config["init"] == "reference"
    assert metamer.start_loss == 0


def test_fewer_swaps_than_asked_are_made_where_no_more_are_possible_and_the_record_says_so(tmp_path):
    x = torch.eye(16)[[0, 1, 0, 1, 2, 3]]
    graph = graph_of([(0, 1), (2, 3), (0, 4), (3, 5)], x)
    metamer = swapped(SAGEMax(), graph, swaps=7)
    found = metamer.config["findings"]
    assert (found["swaps_made"], found["swaps_asked"], found["exhausted"]) == (1, 7, True)
    assert (found["admissible_swaps"], found["relabellings"]) == (1, 0)
    metamer.save(tmp_path / "metamer")
    assert gm.load_metamer(tmp_path / "metamer").config["findings"] == found
    nothing = swapped(SAGEMax(), graph_of([(0, 1), (2, 3)], torch.eye(16)[:4]))
    assert nothing.config["findings"]["swaps_made"] == 0
    assert not nothing.is_metamer
    assert torch.equal(nothing.graph.edge_index, nothing.reference.edge_index)


def test_twins_are_counted_and_left_alone():
    x = torch.eye(16)[[0, 1, 0, 1]]
    metamer = swapped(SAGEMax(), graph_of([(0, 1), (2, 3)], x))
    found = metamer.config["findings"]
    assert (found["admissible_swaps"], found["relabellings"], found["swaps_made"]) == (1, 1, 0)
    assert found["told_apart_after"] is None


def test_a_graph_without_features_is_the_best_case():
    torch.manual_seed(0)
    graph = drawn()
    graph.x = torch.ones(40, 16)
    for name in ("gcn", "sage", "gin", "gat"):
        model = LAYERED[name](1)
        check_metamer(model, graph, swapped(model, graph))


def test_seeds_give_different_graphs_and_one_seed_one():
    torch.manual_seed(0)
    model, graph = GIN(16, 8, num_layers=1), drawn()
    options = {"vary": "structure", "solver": "exact_swaps"}
    one, other = gm.generate_many(model, graph, "output", **options, seeds=[0, 1])
    again = gm.generate(model, graph, "output", **options, seed=1)
    assert not torch.equal(one.graph.edge_index, other.graph.edge_index)
    assert torch.equal(again.graph.edge_index, other.graph.edge_index)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    gm.generate(model, graph, "output", **options)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in weights.items())


class Reading(torch.nn.Module):
    """A convolution, and something else that depends on the graph."""

    def __init__(self, other, attribute=""):
        super().__init__()
        self.conv, self.other = SAGEConv(16, 4), other

    def forward(self, data):
        return self.conv(data.x, data.edge_index) + self.other(data)


def triangles(data):
    adjacency = torch.zeros(40, 40, dtype=data.x.dtype)
    adjacency[data.edge_index[0], data.edge_index[1]] = 1
    return torch.linalg.matrix_power(adjacency, 3).diagonal()[:, None]


class TwoSteps(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = SAGEConv(16, 4)

    def forward(self, x, edge_index):
        adjacency = torch.zeros(len(x), len(x))
        adjacency[edge_index[0], edge_index[1]] = 1
        return self.conv(x, (adjacency @ adjacency).nonzero().T)


class Single(torch.nn.Module):
    """Its numbers are of one precision, whatever it is asked for."""

    def __init__(self):
        super().__init__()
        self.conv, self.linear = SAGEConv(16, 16), [torch.nn.Linear(16, 4)]

    def forward(self, x, edge_index):
        return self.linear[0](self.conv(x, edge_index))


class Silent(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(16, 4)

    def forward(self, x, edge_index):
        return self.linear(x)


def with_attribute(name, value):
    graph = drawn()
    graph[name] = value
    return graph


REFUSED = {
    "transform": (SAGEMax, drawn, {"transform": NormalizeFeatures()}, "without a transform"),
    "encoding": (
        lambda: Reading(lambda data: data.laplacian_pe[:, :4]),
        lambda: with_attribute("laplacian_pe", torch.randn(40, 4)),
        {},
        "computed from their edges, got 'laplacian_pe'",
    ),
    "lambda_max": (
        lambda: Reading(lambda data: data.lambda_max * data.x[:, :4]),
        lambda: with_attribute("lambda_max", torch.tensor(1.7)),
        {},
        "computed from their edges, got 'lambda_max'",
    ),
    "order": (lambda: Stack([SAGEConv(16, 4, aggr="lstm")]), drawn, {}, "order of neighbours"),
    "triangles": (lambda: Reading(triangles), drawn, {}, "sees more of a graph"),
    "other edges": (TwoSteps, drawn, {}, "along the graph's edges"),
    "one precision": (Single, drawn, {}, "runs in float64"),
    "no messages": (Silent, drawn, {}, "receives no messages"),
    "budget": (SAGEMax, drawn, {"budget": gm.Budget(steps=5)}, "'budget' parameter must be"),
    "features": (SAGEMax, drawn, {"vary": "features"}, "'solver' parameter must be 'lbfgs'"),
    "init": (SAGEMax, drawn, {"init": "permuted"}, "'init' parameter must be"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_not_be_exact_is_refused_with_its_reason(case):
    torch.manual_seed(0)
    model, graph, options, message = REFUSED[case]
    reference = graph()
    if case == "order":  # PyTorch Geometric wants the edges of an LSTM sorted by target
        order = reference.edge_index[1].argsort(stable=True)
        reference.edge_index = reference.edge_index[:, order]
    with pytest.raises(gm.ParameterError, match=message):
        gm.generate(model(), reference, "output", **{"vary": "structure", "solver": "exact_swaps", **options})


def test_an_attribute_that_the_model_does_not_read_is_no_reason_to_refuse():
    graph = with_attribute("lambda_max", torch.tensor(1.7))
    assert swapped(GIN(16, 8, num_layers=1), graph).is_metamer


@pytest.mark.parametrize("options", [{"swaps": 0}, {"swaps": 1.5}, {"alike": "colours"}])
def test_bad_options_are_refused(options):
    with pytest.raises(gm.ParameterError):
        gm.ExactSwaps(**options)
