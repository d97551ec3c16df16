from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch_geometric.data import Data
from torch_geometric.nn import SimpleConv
from torch_geometric.transforms import NormalizeFeatures

from graph_metamers.datasets import load_dataset
from graph_metamers.errors import ModelError, ParameterError
from graph_metamers.models import build_model
from graph_metamers.training import Perturbation, fit
from graph_metamers.training.edge_removal import EdgePairs, removed_pairs, without_pairs
from graph_metamers.training.feature_moves import flipped, moved
from graph_metamers.training.perturbing import Disturbance

ARCHITECTURES = ("gcn", "sage", "gin", "gat", "cheb", "sgc")


@pytest.fixture(scope="module")
def karate():
    return load_dataset("karate")


@pytest.fixture(scope="module")
def trained(digits):
    return fit(build_model("gcn", digits), digits, epochs=60).model


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def training_loss(model, dataset):
    part = dataset.split.train

    def loss(graph):
        return F.cross_entropy(model(graph.x, graph.edge_index)[part], graph.y[part])

    return loss


def value_of(model, dataset, graph):
    with torch.no_grad():
        return float(training_loss(model, dataset)(graph))


def disturbed(model, dataset, perturbation, *, drop_edge=0.0, seed=0):
    loss = training_loss(model.eval(), dataset)
    return Disturbance(dataset.graph, perturbation, drop_edge, generator(seed), loss).drawn(model)


@pytest.mark.parametrize("kind", ["pgd", "random"])
def test_every_row_moves_by_the_radius(digits, trained, kind):
    clean = digits.graph.x
    l2 = disturbed(trained, digits, Perturbation(kind=kind, norm="l2", radius=0.5)).x - clean
    assert torch.allclose(l2.norm(dim=1), torch.full((len(clean),), 0.5), atol=1e-5)
    linf = disturbed(trained, digits, Perturbation(kind=kind, norm="linf", radius=0.1)).x - clean
    assert torch.allclose(linf.abs(), torch.full_like(clean, 0.1), atol=1e-6)


@pytest.mark.parametrize("kind", ["pgd", "random"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_flips_and_edges_are_counted(karate, name, kind):
    model = build_model(name, karate)
    flips = disturbed(model, karate, Perturbation(kind=kind, radius=3)).x
    assert ((flips == 0) | (flips == 1)).all()
    assert ((flips != karate.graph.x).sum(dim=1) == 3).all()
    thinned = disturbed(model, karate, Perturbation(kind=kind, on="edges", radius=0.25))
    assert thinned.num_edges == karate.num_edges - 2 * round(0.25 * karate.num_edges / 2)
    assert thinned.is_undirected()
    left = set(map(tuple, thinned.edge_index.T.tolist()))
    assert left < set(map(tuple, karate.graph.edge_index.T.tolist()))


@pytest.mark.parametrize(
    "perturbation",
    [
        Perturbation(kind="pgd", norm="l2", radius=0.5),
        Perturbation(kind="pgd", norm="linf", radius=0.05),
        Perturbation(kind="pgd", on="edges", radius=0.1),
    ],
    ids=["l2", "linf", "edges"],
)
def test_pgd_raises_the_loss_more_than_chance_does(digits, trained, perturbation):
    control = Perturbation(
        kind="random", on=perturbation.on, norm=perturbation.norm, radius=perturbation.radius
    )
    by_chance = [disturbed(trained, digits, control, seed=seed) for seed in range(5)]
    worst = value_of(trained, digits, disturbed(trained, digits, perturbation))
    assert worst > max(value_of(trained, digits, graph) for graph in [*by_chance, digits.graph])


def test_moves_reach_the_maximum_of_a_linear_loss():
    x, w = torch.randn(7, 5, generator=generator(1)), torch.randn(7, 5, generator=generator(2))

    def loss(features):
        return (features * w).sum()

    l2 = moved(x, 0.3, "l2", loss, generator(), steps=50) - x
    best = 0.3 * w.norm(dim=1)  # along w
    assert torch.allclose(l2.norm(dim=1), torch.full((7,), 0.3), atol=1e-6)
    assert ((l2 * w).sum(dim=1) > 0.9 * best).all()
    linf = moved(x, 0.3, "linf", loss, generator(), steps=5) - x
    assert torch.allclose(linf, 0.3 * w.sign(), atol=1e-6)


def test_flips_reach_the_maximum_of_a_linear_loss():
    x = (torch.rand(6, 5, generator=generator(1)) < 0.4).float()
    w = torch.randn(6, 5, generator=generator(2))
    found = flipped(x, 2, lambda features: (features * w).sum(), generator(), steps=20)
    for row, weights, result in zip(x, w, found, strict=True):
        options = []
        for chosen in itertools.combinations(range(5), 2):
            other = row.clone()
            other[list(chosen)] = 1 - other[list(chosen)]
            options.append(float((other * weights).sum()))
        assert float((result * weights).sum()) == pytest.approx(max(options), abs=1e-5)


def test_rows_that_the_loss_does_not_read_keep_their_random_change():
    x = torch.randn(4, 3, generator=generator(1))

    def loss(features):
        return features[0].sum()

    ascent, chance = (moved(x, 0.5, "l2", loss, generator(), steps=steps) for steps in (4, 0))
    assert torch.allclose(ascent[1:], chance[1:], atol=1e-6)
    assert loss(ascent) > loss(chance)


class Sums(nn.Module):
    """A sum over neighbours: the effect of deleting edges is linear."""

    def __init__(self, weights):
        super().__init__()
        self.conv = SimpleConv(aggr="sum")
        self.weights = weights

    def forward(self, x, edge_index):
        return (self.conv(x, edge_index) * self.weights).sum()


def test_the_worst_edges_are_found_where_deletions_add_up():
    edges = torch.tensor([[0, 1, 2, 3, 4, 4, 0, 5], [1, 2, 3, 4, 0, 2, 3, 5]])  # the last is a self-loop
    both = torch.cat([edges, edges[:, :-1].flip(0)], dim=1)
    graph = Data(x=torch.randn(6, 3, generator=generator(1)), edge_index=both)
    model = Sums(torch.randn(6, 3, generator=generator(2)))
    pairs = EdgePairs.of(graph)
    assert pairs.num_pairs == 7

    def loss(seen):
        return model(seen.x, seen.edge_index)

    chosen = removed_pairs(model, graph, pairs, 2, loss, generator(), steps=20)
    options = [
        float(loss(without_pairs(graph, pairs, torch.tensor(two))))
        for two in itertools.combinations(range(7), 2)
    ]
    assert float(loss(without_pairs(graph, pairs, chosen))) == pytest.approx(max(options), abs=1e-5)
    assert not model.conv._message_forward_hooks


def test_attributes_of_edges_go_with_them_and_loops_stay():
    graph = Data(
        x=torch.zeros(3, 1),
        edge_index=torch.tensor([[0, 1, 1, 2, 2], [1, 0, 2, 1, 2]]),
        edge_weight=torch.tensor([1.0, 1.0, 2.0, 2.0, 9.0]),
    )
    pairs = EdgePairs.of(graph)
    thinned = without_pairs(graph, pairs, torch.tensor([0]))
    assert thinned.edge_index.tolist() == [[1, 2, 2], [2, 1, 2]]
    assert thinned.edge_weight.tolist() == [2, 2, 9]


@pytest.mark.parametrize("name", ["gin", "gat"])
@pytest.mark.parametrize("on", ["features", "edges"])
def test_nothing_of_the_users_is_touched(karate, name, on):
    model = build_model(name, karate).train()
    model.conv[0].eval()
    before = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    graph, random_before = copy.deepcopy(karate.graph), torch.get_rng_state()
    radius = 2 if on == "features" else 0.2
    fit(model, karate, epochs=3, perturbation=Perturbation(kind="pgd", on=on, radius=radius), drop_edge=0.1)
    assert all(torch.equal(value, before[0][key]) for key, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == before[1]
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not any(getattr(module, "_message_forward_hooks", None) for module in model.modules())
    assert torch.equal(torch.get_rng_state(), random_before)
    assert torch.equal(karate.graph.x, graph.x)
    assert torch.equal(karate.graph.edge_index, graph.edge_index)


def test_the_search_for_the_worst_change_does_not_count_in_batch_norm(digits):
    model = build_model("gin", digits).eval()
    before = copy.deepcopy(model.state_dict())
    disturbed(model, digits, Perturbation(kind="pgd", radius=0.1))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("transform", [None, NormalizeFeatures()], ids=["raw", "normalised"])
def test_a_change_too_small_for_float32_trains_the_same_model(digits, transform):
    model = build_model("gcn", digits)
    plain = fit(model, digits, epochs=6, transform=transform)
    for kind in ("pgd", "random"):
        nothing = Perturbation(kind=kind, norm="l2", radius=1e-30, steps=2)
        same = fit(model, digits, epochs=6, perturbation=nothing, transform=transform)
        # In memory elsewhere, the same numbers may be summed in another order.
        losses = [[step.train_loss for step in run.history] for run in (plain, same)]
        assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_one_seed_gives_one_result(digits):
    model, change = build_model("gcn", digits), Perturbation(kind="pgd", radius=0.5)
    runs = [fit(model, digits, epochs=4, perturbation=change, drop_edge=0.2, seed=seed) for seed in (1, 1, 2)]
    assert runs[0].history == runs[1].history
    assert runs[0].history != runs[2].history
    assert runs[0].config.perturbation == change
    assert "drop_edge=0.2" in repr(runs[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "fgsm", "radius": 1}, "Did you mean|one of 'pgd', 'random'"),
        ({"kind": "pgd", "radius": 0}, "greater than 0"),
        ({"kind": "pgd", "radius": 1, "norm": "l1"}, "one of 'l2', 'linf', 'flips'"),
        ({"kind": "pgd", "radius": 0.5, "norm": "flips"}, "whole number"),
        ({"kind": "pgd", "radius": 1.5, "on": "edges", "norm": "share"}, "less than 1"),
        ({"kind": "pgd", "radius": 0.1, "on": "edges", "norm": "l2"}, "one of 'share'"),
        ({"kind": "pgd", "radius": 0.1, "steps": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        Perturbation(**options)


def test_what_does_not_fit_the_features_is_refused_before_training(digits, karate):
    model = build_model("gcn", digits)
    with pytest.raises(ParameterError, match="'l2' or 'linf' where features are not all 0 or 1"):
        fit(model, digits, perturbation=Perturbation(kind="pgd", norm="flips", radius=1))
    with pytest.raises(ParameterError, match="whole number"):
        fit(build_model("gcn", karate), karate, perturbation=Perturbation(kind="pgd", radius=0.5))
    with pytest.raises(ParameterError, match="a Perturbation, or None"):
        fit(model, digits, perturbation="pgd")
    with pytest.raises(ParameterError, match="'drop_edge' parameter must be"):
        fit(model, digits, drop_edge=1.0)


def test_a_model_without_messages_is_refused_for_pgd_on_edges(digits):
    class Perceptron(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(64, 10)

        def forward(self, x):
            return self.linear(x)

    with pytest.raises(ModelError, match="message along every edge"):
        fit(Perceptron(), digits, epochs=1, perturbation=Perturbation(kind="pgd", on="edges", radius=0.1))


@pytest.mark.parametrize(("width", "count"), [(60, 3), (60, 7), (60, 20), (60, 60), (1500, 38), (1500, 370)])
def test_random_flips_are_as_many_as_asked_for_and_all_as_likely(width, count):
    x = torch.zeros(400, width)
    generator = torch.Generator().manual_seed(0)
    flips = flipped(x, count, lambda x: x.sum(), generator, steps=0)
    assert torch.equal(flips.sum(dim=1), torch.full((400,), float(count)))
    share = flips.mean(dim=0)  # of 400 rows
    spread = math.sqrt(count / width * (1 - count / width) / 400)
    assert float((share - count / width).abs().max()) <= 4.5 * spread + 1e-12


def test_a_loss_whose_gradient_is_one_number_for_a_row_can_be_raised():
    x = torch.zeros(5, 9)
    found = flipped(x, 2, lambda x: x.sum(dim=1, keepdim=True).square().sum(), torch.Generator(), steps=3)
    assert torch.equal(found.sum(dim=1), torch.full((5,), 2.0))
