"""Controls against closed forms, brute force and scikit-learn."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.neighbors import kneighbors_graph
from torch_geometric.data import Data

import graph_metamers as gm
from graph_metamers.datasets.digits import edges_from_pixels, has_edges_from_pixels
from graph_metamers.evidence.flat_steps import FlatDirections, stepped
from graph_metamers.evidence.nearest import nearest_numbers, stand_ins
from graph_metamers.evidence.observing import observer
from graph_metamers.inputs import what_varies
from graph_metamers.reading import ModelView
from graph_metamers.theory.jacobians import layer_readers


class Linear(torch.nn.Module):
    """h = x W^T, with singular values that are known."""

    def __init__(self, singular):
        super().__init__()
        right, _ = torch.linalg.qr(torch.randn(9, 3, generator=torch.Generator().manual_seed(1)))
        self.right = right
        self.read = torch.nn.Linear(9, 3, bias=False)
        with torch.no_grad():
            self.read.weight.copy_(torch.diag(torch.tensor(singular)) @ right.T)

    def forward(self, x):
        return self.read(x)


def flat(model, graph, tolerance, seed=0):
    view = ModelView(model)
    variables = what_varies(gm.Features(kind="continuous"), graph)
    at = observer(view, variables, "output", item_tolerance=0.01, min_distance=0.1, pairs=10)
    with view.borrow():
        reader = layer_readers(view, graph, ["output"])["output"]
    directions = FlatDirections(reader, at.space, tolerance)
    with reader.view.borrow():
        found = directions.draw(torch.Generator().manual_seed(seed))
    return found, at, variables


def test_the_loss_of_a_flat_step_is_the_closed_form_on_a_linear_model():
    singular = [4.0, 1.0, 0.2]
    model = Linear(singular)
    x = torch.randn(30, 9, generator=torch.Generator().manual_seed(2))
    graph = Data(x=x, edge_index=torch.empty(2, 0, dtype=torch.long), y=torch.zeros(30, dtype=torch.long))
    found, at, variables = flat(model, graph, tolerance=1e-2)
    assert float(found.norm()) == pytest.approx(1, rel=1e-12)

    # lambda (J^T J + lambda)^-1 z is z with each component times lambda / (sigma^2 + lambda).
    h = x.double() @ model.read.weight.detach().double().T
    basis = at.space.bases["x"]
    unrelated = 2 * float((x.double() @ basis).var(dim=0, correction=0).mean())
    ridge = 1e-2 * float(h.square().mean()) / unrelated
    z = torch.randn(30, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ basis.T
    right, sigma = model.right.double(), torch.tensor(singular, dtype=torch.float64)
    expected = (z @ right * (ridge / (sigma.square() + ridge))) @ right.T
    torch.testing.assert_close(found, expected / expected.norm(), rtol=1e-5, atol=1e-7)

    changed = graph.clone()
    changed.x = x + 0.7 * torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    graph_after = stepped(variables, at.space, changed, found)
    size = ((changed.x - x).double() @ right).norm()
    step = graph_after.x.double() - x.double()
    assert float(step.norm()) == pytest.approx(float(size), rel=1e-6)
    loss = float((size * (expected / expected.norm()) @ right * sigma).square().sum() / h.square().sum())
    assert at.observe(graph_after).numbers["activation_loss"] == pytest.approx(loss, rel=1e-4)


def test_directions_that_are_seen_less_are_what_is_left():
    x = torch.randn(30, 9, generator=torch.Generator().manual_seed(2))
    graph = Data(x=x, edge_index=torch.empty(2, 0, dtype=torch.long), y=torch.zeros(30, dtype=torch.long))
    model = Linear([5.0, 1.0, 1e-3])
    found, *_ = flat(model, graph, tolerance=1e-4)
    assert float((found @ model.right[:, 2:].double()).norm()) == pytest.approx(1, abs=1e-3)


def test_where_a_layer_has_a_kernel_a_small_step_into_it_costs_next_to_nothing(karate, karate_model):
    """Derivatives are what they say: a step of a thousandth has a loss of the second order."""
    x = torch.randn(34, 12, generator=torch.Generator().manual_seed(0))
    graph = Data(x=x, edge_index=karate.graph.edge_index, y=karate.graph.y)
    torch.manual_seed(0)
    model = torch.nn.Sequential()
    from torch_geometric.nn import GCN  # noqa: PLC0415

    model = GCN(12, 8, num_layers=2, out_channels=2)
    found, at, _ = flat(model, graph, tolerance=1e-8)
    losses = []
    for direction in (found, torch.randn(34, 12, generator=torch.Generator().manual_seed(1)).double()):
        changed = graph.clone()
        changed.x = x + (1e-2 * direction / direction.norm()).float()
        losses.append(at.observe(changed).numbers["activation_loss"])
    assert losses[0] < 1e-4 * losses[1]


def test_the_nearest_node_is_that_of_brute_force_and_its_features_are_as_far(digits, digits_fit):
    variables = what_varies(gm.Features(kind=digits.feature_kind), digits.graph)
    at = observer(
        ModelView(digits_fit.model), variables, "act.0", item_tolerance=0.01, min_distance=0.1, pairs=10
    )
    outputs = gm.activations(digits_fit.model, digits.graph, ["act.0", "output"])
    predictions = outputs["output"].argmax(dim=1)
    numbers = nearest_numbers(at, predictions)
    h = outputs["act.0"].double().numpy()
    distances = cdist(h, h)
    distances[distances <= 1e-5 * np.linalg.norm(h, axis=1, keepdims=True)] = np.inf  # equal activations
    places = distances.argmin(axis=1)
    error = float(np.square(h[places] - h).sum() / np.square(h).sum())
    assert numbers["activation_loss"] == pytest.approx(error, rel=1e-6)
    x = digits.graph.x.double().numpy()
    mean, variance = x.mean(axis=0), x.var(axis=0)
    chance = np.sqrt((np.square(x - mean) + variance).sum())
    assert numbers["input_distance"] == pytest.approx(np.linalg.norm(x[places] - x) / chance, rel=1e-6)
    same = (predictions.numpy()[places] == predictions.numpy()).mean()
    assert numbers["prediction_agreement"] == pytest.approx(same)
    assert numbers["passing_share"] == 0


@pytest.mark.parametrize("vary", ["structure", ("features", "structure")])
def test_stand_ins_have_the_neighbours_of_the_node_they_stand_for(karate, vary):
    places = torch.randperm(34, generator=torch.Generator().manual_seed(0))
    graph = stand_ins(what_varies(vary, karate.graph), places)
    drawn, found = (nx.DiGraph(list(map(tuple, g.edge_index.T.tolist()))) for g in (karate.graph, graph))
    for node, other in enumerate(places.tolist()):
        assert set(found.predecessors(node)) == set(drawn.predecessors(other))
    expected = karate.graph.x[places] if isinstance(vary, tuple) else karate.graph.x
    assert torch.equal(graph.x, expected)


def test_edges_computed_anew_are_those_of_scikit_learn(digits):
    x = torch.rand(200, 64, generator=torch.Generator().manual_seed(0))
    near = kneighbors_graph(x.double().numpy(), 8, include_self=False).toarray() > 0
    expected = set(zip(*(near | near.T).nonzero(), strict=True))
    assert {(int(a), int(b)) for a, b in edges_from_pixels(x).T} == {(int(a), int(b)) for a, b in expected}
    assert has_edges_from_pixels(digits)


def test_only_digits_as_they_come_are_said_to_have_such_edges(digits, karate):
    import dataclasses  # noqa: PLC0415

    moved = digits.graph.clone()
    moved.x = 1 - moved.x.flip(0)
    assert not has_edges_from_pixels(dataclasses.replace(digits, graphs=(moved,)))
    assert not has_edges_from_pixels(karate)
