"""structure_lower_bound(): against all graphs with the same degrees, and all choices of neighbours."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GATConv, GCNConv, GINConv, GraphConv, PairNorm, SAGEConv, SGConv

import graph_metamers as gm
from graph_metamers.theory import closest_sums, node_floors

FEATURES, UNITS = 3, 4


class Layer(nn.Module):
    """One convolution and what follows it."""

    def __init__(self, conv, *behind, before=None):
        super().__init__()
        self.before, self.conv, self.behind = before or nn.Identity(), conv, nn.Sequential(*behind)

    def forward(self, x, edge_index):
        return self.behind(self.conv(self.before(x), edge_index))


def first_linear():
    return GINConv(nn.Linear(FEATURES, UNITS))


KINDS = {
    "gcn": lambda: Layer(GCNConv(FEATURES, UNITS)),
    "gcn-relu": lambda: Layer(GCNConv(FEATURES, UNITS), nn.ReLU()),
    "sage": lambda: Layer(SAGEConv(FEATURES, UNITS)),
    "sage-relu": lambda: Layer(SAGEConv(FEATURES, UNITS), nn.ReLU()),
    "gin": lambda: Layer(first_linear()),
    "gin-relu": lambda: Layer(first_linear(), nn.BatchNorm1d(UNITS), nn.ReLU()),
    "graphconv": lambda: Layer(GraphConv(FEATURES, UNITS)),
    "sgc": lambda: Layer(SGConv(FEATURES, UNITS, K=1)),
    "encoder": lambda: Layer(
        GCNConv(UNITS, UNITS), nn.ReLU(), before=nn.Sequential(nn.Linear(FEATURES, UNITS), nn.ReLU())
    ),
}


def built(kind, seed=0):
    torch.manual_seed(seed)
    return KINDS[kind]().eval()


def graph_of(edges, num_nodes, seed=0, *, directed=False):
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.tensor(sorted(edges), dtype=torch.long).reshape(-1, 2).T
    edge_index = pairs if directed else torch.cat([pairs, pairs.flip(0)], dim=1)
    return Data(x=torch.randn(num_nodes, FEATURES, generator=generator), edge_index=edge_index)


def drawn(num_nodes, num_edges, seed=0, *, directed=False):
    pairs = [(a, b) for a in range(num_nodes) for b in range(num_nodes) if (a != b if directed else a < b)]
    chosen = np.random.default_rng(seed).choice(len(pairs), size=num_edges, replace=False)
    return graph_of([pairs[one] for one in chosen], num_nodes, seed, directed=directed)


def all_others(graph):
    """Every graph with the same degrees and no edge of an undirected reference, as edge_index."""
    n = graph.num_nodes
    old = set(map(tuple, graph.edge_index.T.tolist()))
    degrees = torch.bincount(graph.edge_index[1], minlength=n).tolist()

    def extended(node, left, edges):
        if node == n:
            yield edges
            return
        free = [u for u in range(node + 1, n) if left[u] > 0 and (node, u) not in old]
        for chosen in combinations(free, left[node]):
            rest = list(left)
            for u in chosen:
                rest[u] -= 1
            yield from extended(node + 1, rest, edges + [(node, u) for u in chosen])

    for edges in extended(0, degrees, []):
        pairs = torch.tensor(edges, dtype=torch.long).reshape(-1, 2).T
        yield torch.cat([pairs, pairs.flip(0)], dim=1)


def least_loss(model, graph):
    """The least activation loss over all of them, by plain PyTorch Geometric; inf if there is none."""
    model = model.double()
    with torch.no_grad():
        x = graph.x.double()
        h = model(x, graph.edge_index)
        losses = [(model(x, other) - h).square().sum() / h.square().sum() for other in all_others(graph)]
    return min(map(float, losses), default=np.inf)


def never_above(kind, graph, seed=0):
    model = built(kind, seed)
    with torch.no_grad():
        if not model(graph.x, graph.edge_index).any():
            return 0  # every unit is dead
    proved = gm.structure_lower_bound(model, graph, "output", max_degree=4)
    least = least_loss(model, graph)
    assert proved.bound <= least * (1 + 1e-12)
    return int(proved.bound > 0 and least < np.inf)


@pytest.mark.parametrize("kind", KINDS)
def test_no_graph_is_below_the_bound(kind):
    positive = sum(never_above(kind, drawn(8, 6, seed), seed) for seed in range(6))
    assert positive >= 2


def test_no_graph_of_the_atlas_is_below_the_bound():
    atlas = [g for g in nx.graph_atlas_g() if len(g) == 7 and 2 < g.number_of_edges() < 8][::6]
    assert sum(never_above("gcn", graph_of(g.edges, 7)) for g in atlas) > 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gcn", "sage-relu", "gin"])
def test_no_graph_of_the_whole_atlas_is_below_the_bound(kind):
    atlas = [g for g in nx.graph_atlas_g() if g.number_of_edges() > 1]
    assert sum(never_above(kind, graph_of(g.edges, len(g), len(g)), len(g)) for g in atlas) > 40


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_random_graph_is_below_the_bound(kind):
    graphs = [drawn(9, edges, seed) for edges in (6, 8, 10) for seed in range(12)]
    assert sum(never_above(kind, graph, seed) for seed, graph in enumerate(graphs)) > 10


def by_hand(kind, model, graph):
    """What neighbours send, factors of receivers, what stays, and the activation, from the weights."""
    model = model.double()
    x, (source, target) = graph.x.double(), graph.edge_index
    n = graph.num_nodes
    degree = torch.bincount(target, minlength=n).double()
    adjacency = torch.zeros(n, n, dtype=torch.float64)
    adjacency[target, source] = 1
    conv = model.conv
    if kind.startswith("gcn"):
        scale = (degree + 1).rsqrt()
        sent, factors = conv.lin(x) * scale[:, None], scale
        rest = sent * scale[:, None] + conv.bias
    elif kind.startswith("sage"):
        sent, factors = x @ conv.lin_l.weight.T, 1 / degree.clamp(min=1)
        rest = conv.lin_l.bias + conv.lin_r(x)
    elif kind == "graphconv":
        sent, factors = x @ conv.lin_rel.weight.T, torch.ones(n, dtype=torch.float64)
        rest = conv.lin_rel.bias + conv.lin_root(x)
    else:
        sent, factors, rest = x @ conv.nn.weight.T, torch.ones(n, dtype=torch.float64), conv.nn(x)
        if kind == "gin-relu":  # untrained statistics: mean 0, variance 1
            scale = (1 + model.behind[0].eps) ** -0.5
            sent, rest = sent * scale, rest * scale
    activate = torch.relu if kind.endswith("relu") else lambda z: z
    h = activate(rest + factors[:, None] * (adjacency @ sent))
    assert torch.allclose(h, model(x, graph.edge_index))
    return sent.detach(), factors, rest.detach(), activate, h.detach()


def least_errors(kind, model, graph, highest, groups=None):
    """Least squared error of every node over all choices of as many neighbours as it has, [n]."""
    sent, factors, rest, activate, h = by_hand(kind, model, graph)
    source, target = graph.edge_index
    n = graph.num_nodes
    groups = torch.zeros(n) if groups is None else groups
    found = []
    for v in range(n):
        mine = set(source[target == v].tolist())
        may = [u for u in range(n) if u not in mine | {v} and (source == u).any() and groups[u] == groups[v]]
        if not 0 < len(mine) <= highest:
            found.append(np.inf if len(may) < len(mine) else 0.0)
            continue
        choices = torch.tensor(list(combinations(may, len(mine))), dtype=torch.long)
        if not len(choices):
            found.append(np.inf)
            continue
        z = rest[v] + factors[v] * sent[choices].sum(dim=1)
        found.append(float((activate(z) - h[v]).square().sum(dim=1).min()))
    return np.array(found), float(h.square().sum())


def same_norms(proved, expected):
    """Equal up to rounding, which is taken off norms, and never above."""
    found = proved.node_bounds.numpy()
    np.testing.assert_allclose(np.sqrt(found), np.sqrt(expected), rtol=1e-11, atol=1e-11)
    assert (found <= expected).all()


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("kind", ["gcn", "gcn-relu", "sage", "sage-relu", "gin", "gin-relu", "graphconv"])
def test_parts_are_the_least_errors_of_single_nodes(kind, directed):
    graph = drawn(40, 70, 3, directed=directed)
    model = built(kind)
    proved = gm.structure_lower_bound(model, graph, "output")
    errors, energy = least_errors(kind, model, graph, 3)
    same_norms(proved, errors / energy)
    assert proved.bound == pytest.approx(errors.sum() / energy, rel=1e-9)
    low = (proved.degrees <= 3).numpy()
    assert proved.exact.numpy()[low].all()
    assert not proved.exact.numpy()[~low].any()
    assert set(proved.degrees.tolist()) >= {1, 2, 3, 4}
    rows = proved.rows()
    assert sum(row["loss"] for row in rows) == pytest.approx(proved.bound)
    assert [row["nodes"] for row in rows] == [int((proved.degrees == row["degree"]).sum()) for row in rows]
    assert rows[0]["loss"] > 0


def test_pairs_of_pairs_are_exact_too():
    graph, model = drawn(14, 26, 1), built("sage")
    proved = gm.structure_lower_bound(model, graph, "output", max_degree=4)
    errors, energy = least_errors("sage", model, graph, 4)
    assert (proved.degrees == 4).any()
    same_norms(proved, errors / energy)


def test_neighbours_come_out_of_the_same_graph_of_a_batch():
    graphs = [drawn(9, 10, seed) for seed in range(3)]
    batch, model = Batch.from_data_list(graphs), built("gcn")
    proved = gm.structure_lower_bound(model, batch, "output")
    errors, energy = least_errors("gcn", model, batch, 3, batch.batch)
    same_norms(proved, errors / energy)


def test_only_items_that_have_to_match_count():
    graph, model = drawn(30, 45), built("gcn")
    everything = gm.structure_lower_bound(model, graph, "output")
    some = gm.structure_lower_bound(model, graph, "output", index=[3, 5, 7])
    h = model.float()(graph.x, graph.edge_index).detach()[[3, 5, 7]]
    expected = everything.node_bounds[[3, 5, 7]].sum() * everything.energy
    assert some.bound == pytest.approx(float(expected) / float(h.square().sum()), rel=1e-5)


def test_edges_that_stay_are_no_choice():
    graph = drawn(30, 45)
    loops = torch.tensor([[4, 5], [4, 5]])
    graph.edge_index = torch.cat([graph.edge_index, loops], dim=1)
    protected = torch.zeros(graph.num_edges, dtype=torch.bool)
    protected[:3] = True
    proved = gm.structure_lower_bound(built("sage"), graph, "output", vary=gm.Structure(protected=protected))
    kept = torch.cat([graph.edge_index[:, :3], graph.edge_index[:, :3].flip(0), loops], dim=1)
    fixed = torch.bincount(kept[1], minlength=30)
    assert torch.equal(proved.degrees, torch.bincount(graph.edge_index[1], minlength=30) - fixed)
    assert proved.bound > 0


def test_nothing_is_proved_where_all_send_the_same():
    graph = drawn(20, 30)
    graph.x = torch.ones(20, FEATURES)
    proved = gm.structure_lower_bound(built("sage"), graph, "output")
    assert proved.bound == 0
    assert "Nothing is proved" in proved.message


def test_no_graph_at_all():
    proved = gm.structure_lower_bound(built("gcn"), graph_of(nx.complete_graph(5).edges, 5), "output")
    assert proved.bound == np.inf
    assert "There is no graph" in proved.message
    assert "node 0 has 4 neighbours to replace" in proved.message


def test_the_node_with_too_many_neighbours_is_named():
    edges = [(6, other) for other in range(6)] + [(7, 8), (9, 10)]
    proved = gm.structure_lower_bound(built("gcn"), graph_of(edges, 11), "output")
    assert "node 6 has 6 neighbours to replace, and fewer other nodes" in proved.message
    assert proved.message in repr(proved)


def test_a_data_set_is_no_graph(karate):
    with pytest.raises(gm.ParameterError, match=r"'graph'.*a Data.*got 'Dataset'.*dataset.graph"):
        gm.structure_lower_bound(built("gcn"), karate, "output")


def test_limits_lower_the_bound_and_nothing_else():
    graph, model = drawn(60, 90), built("gcn")
    full = gm.structure_lower_bound(model, graph, "output")
    bounds = [gm.structure_lower_bound(model, graph, "output", work=work).bound for work in (1, 30, 300)]
    assert bounds == sorted(bounds)
    assert bounds[0] < bounds[-1] < full.bound
    late = gm.structure_lower_bound(model, graph, "output", seconds=1e-9)
    assert late.bound == 0
    assert not late.exact[late.degrees > 0].any()
    assert late.unproved_energy == pytest.approx(1, abs=0.5)


def test_a_rectifier_that_is_open_everywhere_is_seen():
    model = built("gcn-relu")
    with torch.no_grad():
        model.conv.bias += 0.3
    graph = drawn(8, 9, 2)
    graph.x = graph.x.abs() * 0.05
    assert (model.conv(graph.x, graph.edge_index) > 0).all()
    proved = gm.structure_lower_bound(model, graph, "output")
    assert 0 < proved.bound <= least_loss(model, graph)
    assert proved.bound == pytest.approx(gm.structure_lower_bound(model, graph, "conv").bound, rel=1e-6)


def test_pairs_of_many_nodes_are_not_even_listed(monkeypatch):
    monkeypatch.setattr(node_floors, "MOST_PAIRS", 10)
    monkeypatch.setattr(closest_sums.kernel, "pairs_of", lambda _count: pytest.fail("pairs were listed"))
    graph = drawn(8, 9, 2)
    proved = gm.structure_lower_bound(built("gcn"), graph, "output")
    assert (proved.degrees >= 3).any()
    bounds = proved.node_bounds[proved.degrees >= 3]
    assert ((bounds == 0) | bounds.isinf()).all()  # infinite: fewer other nodes than neighbours


def test_what_stays_is_said_and_other_promises_are_refused():
    graph, model = drawn(20, 25), built("gcn")
    free = gm.structure_lower_bound(model, graph, "output")
    assert not free.keeps
    assert "no edge of the reference" in free.message
    some = torch.zeros(graph.num_nodes, dtype=torch.bool)
    some[0] = True
    kept = gm.structure_lower_bound(model, graph, "output", vary=gm.Structure(protected_nodes=some))
    assert kept.keeps
    assert "keeps the protected edges" in kept.message
    with pytest.raises(gm.ParameterError, match="preserve"):
        gm.structure_lower_bound(model, graph, "output", vary=gm.Structure(preserve="edges"))
    with pytest.raises(gm.LayerNotFoundError):
        gm.structure_lower_bound(model, graph, "nowhere")


def test_it_tells_how_far_it_is():
    told = []
    proved = gm.structure_lower_bound(built("gcn"), drawn(20, 25), "output", callbacks=[told.append])
    assert [one.step for one in told] == list(range(1, told[0].steps + 1))
    assert told[-1].loss == pytest.approx(proved.bound)


REFUSED = {
    "attention": (lambda: Layer(GATConv(FEATURES, UNITS)), "output", "fixed vectors"),
    "maxima": (lambda: Layer(SAGEConv(FEATURES, UNITS, aggr="max")), "output", "."),
    "two steps": (lambda: Layer(SGConv(FEATURES, UNITS, K=2)), "output", "first one"),
    "no step": (lambda: Layer(GCNConv(FEATURES, UNITS), before=nn.Linear(FEATURES, 3)), "before", "edges"),
    "a tanh": (lambda: Layer(GCNConv(FEATURES, UNITS), nn.Tanh()), "output", "one linear map"),
    "a perceptron": (
        lambda: Layer(GCNConv(FEATURES, UNITS), nn.ReLU(), nn.Linear(UNITS, UNITS)), "output", "one ReLU",
    ),
    "a norm over nodes": (lambda: Layer(GCNConv(FEATURES, UNITS), PairNorm()), "output", "fixed vectors"),
    "rows of length 1": (lambda: Layer(SAGEConv(FEATURES, UNITS, normalize=True)), "output", "."),
    "a cache": (lambda: Layer(GCNConv(FEATURES, UNITS, cached=True)), "output", "fixed vectors"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_sum_of_fixed_vectors_is_refused(name):
    make, layer, text = REFUSED[name]
    torch.manual_seed(0)
    with pytest.raises(gm.ModelError, match=text):
        gm.structure_lower_bound(make().eval(), drawn(20, 40), layer)


@pytest.mark.parametrize(
    "options",
    [
        {"vary": "features"},
        {"vary": gm.Structure(reference_edges="free")},
        {"max_degree": 5},
        {"work": 0},
        {"seconds": 0},
        {"layer": ["output"]},
        {"index": [99]},
    ],
)
def test_parameters_outside_their_range(options):
    with pytest.raises(gm.ParameterError):
        gm.structure_lower_bound(built("gcn"), drawn(20, 25), **{"layer": "output", **options})


def test_the_model_comes_back_as_it_was():
    model = built("gcn-relu").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    gm.structure_lower_bound(model, drawn(20, 25), "output")
    assert model.training
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
