"""Structure metamers of graphs with several kinds of nodes."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import GATConv, GCNConv, HeteroConv, HGTConv, SAGEConv, to_hetero
from torch_geometric.transforms import ToUndirected

import graph_metamers as gm
from graph_metamers.inputs import structure_variables
from graph_metamers.inputs.hetero_structure import StructureByType
from graph_metamers.metrics.fidelity import activation_loss
from graph_metamers.reading import ModelView
from graph_metamers.synthesis.places import find_places

FEW = {"solver": gm.Rewire(proposals=200), "budget": gm.Budget(steps=100), "tolerance": 1e-5}
WRITES, CITES = ("author", "writes", "paper"), ("paper", "cites", "paper")
BACK, READ = ("paper", "rev_writes", "author"), ("paper", "read_by", "author")


def drawn():
    """Authors write papers, which cite each other and are read by authors; no edge twice, no self-loop."""
    generator = torch.Generator().manual_seed(0)
    graph = HeteroData()
    sizes = {"paper": 30, "author": 40}
    graph["paper"].x = torch.randn(30, 8, generator=generator)
    graph["author"].x = torch.randn(40, 6, generator=generator)
    for name in (WRITES, CITES, READ):
        ends = torch.stack(
            [torch.randint(0, sizes[name[side]], (90,), generator=generator) for side in (0, 2)]
        )
        ends = ends[:, ends[0] != ends[1]].unique(dim=1)
        graph[name].edge_index = ends[:, torch.randperm(ends.shape[1], generator=generator)]
    return graph


def both_ways():
    """The same with the reverse of every edge."""
    graph = drawn()
    del graph[READ]
    return ToUndirected()(graph)


class Sage(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = SAGEConv((-1, -1), 8), SAGEConv((-1, -1), 5)

    def forward(self, x, edge_index):
        return self.conv2(self.conv1(x, edge_index).relu(), edge_index)


class OneByOne(nn.Module):
    """Adds up what enters a type of nodes along some edge types."""

    def __init__(self, *names):
        super().__init__()
        self.names = names
        self.convs = nn.ModuleList(SAGEConv((3, 3), 4) for _ in names)

    def forward(self, x_dict, edge_index_dict):
        parts = zip(self.names, self.convs, strict=True)
        return sum(conv((x_dict[one[0]], x_dict[one[2]]), edge_index_dict[one]) for one, conv in parts)


class Typed(nn.Module):
    """HeteroConv with another convolution for each type."""

    def __init__(self, graph):
        super().__init__()
        kinds = {
            name: GCNConv(-1, 8)
            if name[0] == name[2]
            else GATConv((-1, -1), 8, add_self_loops=False)
            if name == WRITES
            else SAGEConv((-1, -1), 8)
            for name in graph.edge_types
        }
        self.conv1 = HeteroConv(kinds, aggr="sum")
        self.lin = nn.Linear(8, 5)

    def forward(self, x_dict, edge_index_dict):
        return self.lin(self.conv1(x_dict, edge_index_dict)["paper"].relu())


def model_of(graph, *, typed=False):
    torch.manual_seed(0)
    model = Typed(graph) if typed else to_hetero(Sage(), graph.metadata(), aggr="sum")
    with torch.no_grad():
        model(graph.x_dict, graph.edge_index_dict)
    return model


def keys(graph, name):
    return set(map(tuple, graph[name].edge_index.T.tolist()))


def require_same_degrees(graph, reference):
    for name in reference.edge_types:
        assert len(keys(graph, name)) == reference[name].num_edges  # none twice
        for side, kind in ((0, name[0]), (1, name[2])):
            ends = [
                torch.bincount(g[name].edge_index[side], minlength=g[kind].num_nodes)
                for g in (graph, reference)
            ]
            assert torch.equal(*ends)


def recomputed(model, layer, graph, reference):
    """The loss by plain PyTorch Geometric."""
    with torch.no_grad():
        values = [model.eval()(g.x_dict, g.edge_index_dict) for g in (graph, reference)]
    ours, theirs = (v[layer.split("/")[1]] if isinstance(v, dict) else v for v in values)
    return float(activation_loss(ours.double(), theirs.double()))


CASES = {
    "one type of nodes": (drawn, {CITES: "structure"}, {CITES}),
    "two types of nodes": (drawn, {WRITES: gm.Structure()}, {WRITES}),
    "all": (drawn, "structure", {WRITES, CITES, READ}),
    "all, both ways": (both_ways, gm.Structure(), {WRITES, BACK, CITES}),
    "one and its reverse": (both_ways, {WRITES: "structure"}, {WRITES, BACK}),
    "without its reverse": (both_ways, {BACK: gm.Structure(directed=True)}, {BACK}),
}


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_other_edges_of_the_chosen_types_the_same_degrees_and_a_lower_loss(case, typed):
    draw, vary, changed = CASES[case]
    graph = draw()
    model, layer = model_of(graph, typed=typed), "output" if typed else "output/paper"
    metamer = gm.generate(model, graph, layer, vary=vary, **FEW)
    require_same_degrees(metamer.graph, graph)
    for name in graph.edge_types:
        if name in changed:
            assert not keys(metamer.graph, name) & keys(graph, name)
        else:
            assert torch.equal(metamer.graph[name].edge_index, graph[name].edge_index)
    assert not any(a == b for a, b in keys(metamer.graph, CITES))
    if BACK in changed and WRITES in changed:
        assert keys(metamer.graph, WRITES) == {(b, a) for a, b in keys(metamer.graph, BACK)}
    if typed and changed == {BACK}:  # one layer, at papers: nothing looks at these
        assert metamer.activation_loss == metamer.start_loss == 0
    else:
        assert metamer.activation_loss < 0.7 * metamer.start_loss
    assert metamer.activation_loss == pytest.approx(recomputed(model, layer, metamer.graph, graph), rel=1e-4)
    assert metamer.input_distance.raw == 1
    assert metamer.input_distance.scaled >= 1
    assert len(metamer.item_distance) == 30
    names = {tuple(name) for name in metamer.config["vary"]["edges"]["edge_types"]}
    assert names == changed


def test_a_graph_with_one_type_of_nodes_is_rewired_as_a_plain_one_is():
    plain = Data(x=drawn()["paper"].x, edge_index=drawn()[CITES].edge_index)
    typed = HeteroData()
    typed["paper"].x, typed[CITES].edge_index = plain.x, plain.edge_index
    torch.manual_seed(0)
    model = Sage()
    with torch.no_grad():
        model(plain.x, plain.edge_index)
    own = gm.generate(model, plain, "output", vary="structure", **FEW)
    other = gm.generate(to_hetero(model, typed.metadata()), typed, "output/paper", vary="structure", **FEW)
    assert torch.equal(own.graph.edge_index, other.graph[CITES].edge_index)
    assert own.activation_loss == pytest.approx(other.activation_loss, rel=1e-5)
    assert own.input_distance.chance == pytest.approx(other.input_distance.chance)
    assert torch.allclose(own.input_distance.items, other.input_distance.items)


class ThereAndBack(nn.Module):
    """Authors hear from papers, then papers from authors."""

    def __init__(self):
        super().__init__()
        self.there, self.back = SAGEConv((3, 3), 4, aggr="sum"), SAGEConv((4, 3), 4, aggr="sum")

    def forward(self, x_dict, edge_index_dict):
        paper, author = x_dict["paper"], x_dict["author"]
        heard = self.there((paper, author), edge_index_dict[BACK]).tanh()
        return self.back((heard, paper), edge_index_dict[WRITES])


@pytest.mark.parametrize("reverse", [False, True])
def test_the_best_graph_of_all_is_found_where_all_can_be_looked_at(reverse):
    graph = HeteroData()
    generator = torch.Generator().manual_seed(3)
    graph["author"].x, graph["paper"].x = (torch.randn(n, 3, generator=generator) for n in (6, 4))
    graph[WRITES].edge_index = torch.tensor([[0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 2, 3]])
    if reverse:
        graph[BACK].edge_index = graph[WRITES].edge_index.flip(0)
    torch.manual_seed(1)
    model = ThereAndBack() if reverse else OneByOne(WRITES)
    metamer = gm.generate(model, graph, "output", vary={WRITES: "structure"}, **{**FEW, "tolerance": 0})
    losses = []
    for papers in itertools.product(range(4), repeat=6):  # every author has one
        ends = torch.stack([torch.arange(6), torch.tensor(papers)])
        same = bool((ends == graph[WRITES].edge_index).all(dim=0).any())
        if same or torch.bincount(ends[1], minlength=4).tolist() != [2, 2, 1, 1]:
            continue
        other = graph.clone()
        other[WRITES].edge_index = ends
        if reverse:
            other[BACK].edge_index = ends.flip(0)
        with torch.no_grad():
            ours, theirs = (model(g.x_dict, g.edge_index_dict).double() for g in (other, graph))
        losses.append(float(activation_loss(ours, theirs)))
    assert len(losses) > 10
    assert metamer.activation_loss == pytest.approx(min(losses), rel=1e-5)


def test_hops_are_told_apart_where_two_types_have_the_same_edges():
    graph = HeteroData()
    graph["user"].x, graph["movie"].x = torch.randn(6, 3), torch.randn(6, 3)
    edges = torch.stack([torch.arange(6), torch.arange(6).roll(1)])
    rates, likes = ("user", "rates", "movie"), ("user", "likes", "movie")
    graph[rates].edge_index, graph[likes].edge_index = edges, edges.clone()
    model = OneByOne(rates, likes)
    view = ModelView(model.eval())
    variables = structure_variables(StructureByType({likes: "structure"}), graph)
    with view.borrow():
        places = find_places(view, graph, ["output"], variables.relations)
    assert [place is None for place in places] == [True, False]


def test_attributes_travel_and_protected_edges_stay():
    graph = drawn()
    count = graph[WRITES].num_edges
    graph[WRITES].kind = torch.arange(count)
    protected = torch.rand(count, generator=torch.Generator().manual_seed(0)) < 0.3
    vary = {WRITES: gm.Structure(protected=protected)}
    metamer = gm.generate(model_of(graph), graph, "output/paper", vary=vary, **FEW)
    held = graph[WRITES].edge_index[:, protected]
    assert torch.equal(metamer.graph[WRITES].edge_index[:, protected], held)
    assert keys(metamer.graph, WRITES) & keys(graph, WRITES) == set(map(tuple, held.T.tolist()))
    assert torch.equal(metamer.graph[WRITES].kind, graph[WRITES].kind)


@pytest.mark.parametrize("draw", [drawn, both_ways])
def test_with_an_index_only_edges_that_reach_the_items_change_and_columns_keep_their_type(draw):
    graph = draw()
    model = model_of(graph, typed=True)
    metamer = gm.generate(model, graph, "output", vary="structure", index=[3], **FEW)
    require_same_degrees(metamer.graph, graph)
    assert metamer.activation_loss < 0.5 * metamer.start_loss
    assert not {a for a, b in keys(metamer.graph, WRITES) if b == 3} & {
        a for a, b in keys(graph, WRITES) if b == 3
    }
    kept = len(keys(metamer.graph, CITES) & keys(graph, CITES)) / graph[CITES].num_edges
    assert kept > 0.3
    if BACK in graph.edge_types:
        assert keys(metamer.graph, WRITES) == {(b, a) for a, b in keys(metamer.graph, BACK)}


def test_the_distance_of_an_item_counts_edges_that_enter_it():
    graph = drawn()
    variables = structure_variables(StructureByType({WRITES: "structure"}), graph)
    start = variables.discrete(variables.start("noise", torch.Generator().manual_seed(0)))
    distance = variables.distance(start, "nodes:paper")
    for paper in range(30):
        ours, theirs = ({a for a, b in keys(g, WRITES) if b == paper} for g in (start, graph))
        entered = paper in graph[CITES].edge_index[1]
        expected = (1 - len(ours & theirs) / len(ours | theirs)) / distance.chance if theirs else float("nan")
        if not theirs and not entered:
            expected = 0.0
        assert float(distance.items[paper]) == pytest.approx(expected, rel=1e-5, nan_ok=True)
    read = torch.bincount(graph[READ].edge_index[1], minlength=40) > 0
    authors = variables.distance(start, "nodes:author").items
    assert torch.equal(authors.isnan(), read)  # by edges that stay
    assert not bool(authors[~read].any())


def test_gates_and_files(tmp_path):
    graph = drawn()
    model = model_of(graph)
    metamer = gm.generate(model, graph, "output/paper", vary={CITES: "structure"}, **FEW)
    metamer.save(tmp_path / "metamer")
    loaded = gm.load_metamer(tmp_path / "metamer")
    assert keys(loaded.graph, CITES) == keys(metamer.graph, CITES)
    null = gm.null_distribution(model, graph, "output/paper", pairs=1000)
    report = gm.gates(metamer, null, vary={CITES: "structure"})
    entered = torch.zeros(30, dtype=torch.bool)
    entered[graph[CITES].edge_index[1]] = True
    assert torch.equal(report.different, entered)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vary": {("paper", "likes", "paper"): "structure"}}, "by edge types of the graph"),
        ({"vary": {CITES: "features"}}, "'structure' or a Structure for an edge type"),
        ({"vary": {CITES: gm.Structure(directed=False)}}, "'directed' parameter must be True"),
        ({"vary": {CITES: gm.Structure(protected_nodes=torch.ones(30, dtype=torch.bool))}}, "give the edges"),
        ({"vary": {CITES: gm.Structure(reference_edges="free"), WRITES: "structure"}}, "the same for all"),
        ({"vary": gm.Structure(protected=torch.ones(3, dtype=torch.bool))}, "given by edge type"),
        (
            {"vary": {CITES: gm.Structure(protected=torch.ones(87, dtype=torch.bool))}},
            "two edges may vary|shape",
        ),
        ({"vary": {CITES: gm.Structure(preserve="edges")}}, "'preserve' parameter must be 'degrees'"),
        ({"vary": gm.Structure(preserve="edges")}, "several kinds of nodes"),
        ({"solver": "exact_swaps"}, "'solver' parameter must be 'rewire'"),
        ({"solver": "straight_through"}, "'solver' parameter must be 'rewire'"),
        ({"vary": ("features", "structure")}, "several kinds of nodes"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    graph = drawn()
    with pytest.raises(gm.ParameterError, match=message):
        gm.generate(model_of(graph), graph, "output/paper", **{"vary": "structure", **options})


def test_types_with_and_without_their_reverse_do_not_vary_together():
    graph = drawn()
    graph[BACK].edge_index = graph[WRITES].edge_index.flip(0)
    with pytest.raises(gm.ParameterError, match="all have their reverse in the graph, or none"):
        gm.generate(model_of(graph), graph, "output/paper", vary="structure")
    graph["paper", "cited_by", "paper"].edge_index = graph[CITES].edge_index.flip(0)
    with pytest.raises(gm.ParameterError, match="directed=True"):
        gm.generate(model_of(graph), graph, "output/paper", vary={CITES: "structure"})


def test_a_model_that_mixes_types_in_one_step_is_refused():
    graph = drawn()

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = HGTConv({"paper": 8, "author": 6}, 4, graph.metadata())

        def forward(self, x_dict, edge_index_dict):
            return self.conv(x_dict, edge_index_dict)["paper"]

    with pytest.raises(gm.ModelError, match="one edge type at a time"):
        gm.generate(Mixed(), graph, "output", vary={WRITES: "structure"})


def test_edge_types_of_a_plain_graph_are_refused():
    plain = Data(x=torch.randn(4, 3), edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]))
    with pytest.raises(gm.ParameterError, match="without edge types"):
        gm.generate(GCNConv(3, 2), plain, "output", vary={CITES: "structure"})
