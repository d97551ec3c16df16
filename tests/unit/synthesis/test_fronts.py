"""structure_front(): its points against plain PyTorch Geometric and brute force."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GCN
from torch_geometric.utils import is_undirected

import graph_metamers as gm
from graph_metamers.parameters import MAX_SEED


def drawn(nodes=60, edges=150, seed=0, *, directed=False):
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(nodes, (2, edges), generator=generator)
    pairs = pairs[:, pairs[0] != pairs[1]].sort(dim=0).values.unique(dim=1)
    x = torch.randn(nodes, 16, generator=generator)
    return Data(x=x, edge_index=pairs if directed else torch.cat([pairs, pairs.flip(0)], dim=1))


def edges_of(graph):
    return set(map(tuple, graph.edge_index.T.tolist()))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return GCN(16, 8, num_layers=2, out_channels=3).eval()


@pytest.fixture(scope="module")
def followed(model):
    """A front, and every point with its graph."""
    told = []
    graph = drawn()
    front = gm.structure_front(model, graph, "output", on_point=lambda *point: told.append(point))
    return front, told, graph


def test_the_front_starts_at_the_reference_and_leaves_it(followed):
    front, _, _ = followed
    assert front.layer == ("output",)
    assert front.points[0] == (1.0, 0.0, 1.0, 0.0)
    overlaps = [point.overlap for point in front.points]
    assert overlaps == sorted(overlaps, reverse=True)
    assert overlaps[-1] < 0.15
    assert len(overlaps) > 5


def test_points_are_what_plain_pyg_and_sets_of_edges_say(followed, model):
    front, told, graph = followed
    assert tuple(point for point, _ in told) == front.points + front.random
    with torch.no_grad():
        target = model(graph.x, graph.edge_index).double()
        for point, changed in told:
            output = model(changed.x, changed.edge_index).double()
            loss = float((output - target).square().sum() / target.square().sum())
            assert point.activation_loss == pytest.approx(loss, rel=1e-6, abs=1e-12)
            same = (output.argmax(dim=1) == target.argmax(dim=1)).double().mean()
            assert point.agreement == pytest.approx(float(same))
            ours, theirs = edges_of(changed), edges_of(graph)
            assert point.overlap == pytest.approx(len(ours & theirs) / len(ours | theirs))


def test_every_graph_keeps_features_and_degrees(followed):
    _, told, graph = followed
    degrees = torch.bincount(graph.edge_index[0], minlength=60)
    for _, changed in told:
        assert torch.equal(changed.x, graph.x)
        assert is_undirected(changed.edge_index)
        assert len(edges_of(changed)) == graph.num_edges
        assert torch.equal(torch.bincount(changed.edge_index[0], minlength=60), degrees)


def test_the_front_lies_below_random_swaps_to_the_same_overlap(followed):
    front, _, _ = followed
    assert len(front.random) == len(front.points)
    for ours, theirs in zip(front.points, front.random, strict=True):
        assert theirs.overlap == pytest.approx(ours.overlap, abs=0.05)
    halves = [
        (ours.activation_loss, theirs.activation_loss)
        for ours, theirs in zip(front.points, front.random, strict=True)
        if 0.2 < ours.overlap < 0.9
    ]
    assert halves
    assert all(ours < theirs for ours, theirs in halves)
    assert front.random_loss > front.points[-1].activation_loss
    assert front.random_overlap < 0.2


def test_least_overlap_is_the_brute_force_minimum(followed):
    front, _, _ = followed
    for tolerance in (0.0, 0.01, 0.1, 10.0):
        within = [p.overlap for p in front.points if p.activation_loss <= tolerance]
        assert front.least_overlap(tolerance) == min(within)
    assert front.least_overlap(0.0, random=True) == 1
    assert front.least_overlap(10.0, random=True) == min(point.overlap for point in front.random)


def test_one_seed_gives_one_front_and_leaves_everything_as_it_was(model):
    graph = drawn()
    edges, state = graph.edge_index.clone(), torch.get_rng_state()
    options = {"num_points": 3, "proposals": 20}
    first, again, other = (gm.structure_front(model, graph, "act", seed=s, **options) for s in (1, 1, 2))
    assert first == again
    assert first != other
    assert torch.equal(graph.edge_index, edges)
    assert torch.equal(torch.get_rng_state(), state)


def test_directed_graphs_and_protected_edges(model):
    graph = drawn(directed=True)
    protected = torch.rand(graph.num_edges, generator=torch.Generator().manual_seed(0)) < 0.4
    told = []
    front = gm.structure_front(
        model,
        graph,
        "act",
        vary=gm.Structure(protected=protected),
        num_points=3,
        proposals=50,
        on_point=lambda *point: told.append(point),
    )
    held = set(map(tuple, graph.edge_index[:, protected].T.tolist()))
    for point, changed in told:
        assert held <= edges_of(changed)
        for side in range(2):
            degrees = [torch.bincount(g.edge_index[side], minlength=60) for g in (changed, graph)]
            assert torch.equal(*degrees)
        ours, theirs = edges_of(changed) - held, edges_of(graph) - held
        assert point.overlap == pytest.approx(len(ours & theirs) / len(ours | theirs))
    assert front.points[-1].overlap < 0.5


def test_edges_of_protected_nodes_stay_on_a_front(model):
    graph, told = drawn(), []
    protected = torch.arange(60) < 20
    gm.structure_front(
        model,
        graph,
        "act",
        vary=gm.Structure(protected_nodes=protected),
        num_points=2,
        proposals=50,
        on_point=lambda *point: told.append(point),
    )
    held = {(a, b) for a, b in edges_of(graph) if a < 20 or b < 20}
    assert all(held <= edges_of(changed) for _, changed in told)
    assert told[-1][0].overlap < 1


class Blind(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(16, 4)

    def forward(self, x, edge_index):
        return self.linear(x)


def test_edges_that_a_layer_does_not_look_at_are_free():
    front = gm.structure_front(Blind(), drawn(), "output", num_points=2, proposals=20)
    assert {point.activation_loss for point in front.points} == {0.0}
    assert front.least_overlap(0.0) < 0.3
    assert front.random_loss == 0


class Dense(Blind):
    def forward(self, x, edge_index):
        adjacency = torch.zeros(len(x), len(x)).index_put((edge_index[1], edge_index[0]), torch.ones(1))
        return adjacency @ self.linear(x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_points": 1}, "'num_points' parameter must be"),
        ({"proposals": 0}, "'proposals' parameter must be"),
        ({"seed": MAX_SEED + 1}, "'seed' parameter must be"),
        ({"vary": "features"}, "'structure' or a Structure"),
        ({"layer": "nothing"}, "nothing"),
        ({"model": Dense()}, "receives no messages"),
    ],
)
def test_mistakes_are_told(model, options, message):
    asked = {"model": model, "layer": "output", "proposals": 1, **options}
    with pytest.raises(gm.UserError, match=message):
        gm.structure_front(asked.pop("model"), drawn(), asked.pop("layer"), **asked)
