"""`objective="farthest"`: as far as the tolerance and the range of the features allow."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from torch import nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import GCN

import graph_metamers as gm
from graph_metamers.errors import ParameterError
from graph_metamers.inputs import resolve_variables
from graph_metamers.randomness import generator_for
from graph_metamers.synthesis.solvers import farthest as farthest_solver

SHORT = gm.Budget(steps=200)


class WeightedSum(nn.Module):
    """One number for a whole graph: a weighted sum of all its features."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x):
        return (self.weight * x).sum().view(1, 1)


def largest_distance(x, weight, error):
    """max ||x' - x|| over [0, 1]^p with |w . (x' - x)| <= error, exactly.

    A convex function over a polytope is largest at a vertex: a corner of the box between the two planes, or
    a point where an edge of the box meets one of them.
    """
    best = 0.0
    for corner in itertools.product([0.0, 1.0], repeat=len(x)):
        point = torch.tensor(corner, dtype=torch.float64)
        if abs(float(weight @ (point - x))) <= error:
            best = max(best, float((point - x).norm()))
        for free in range(len(x)):
            for plane in (-error, error):
                met = point.clone()
                rest = weight @ (point - x) - weight[free] * (point[free] - x[free])
                met[free] = x[free] + (plane - rest) / weight[free]
                if 0 <= met[free] <= 1:
                    best = max(best, float((met - x).norm()))
    return best


def farthest_of(digits_fit, digits, layer, **options):
    return gm.generate(digits_fit.model, digits.graph, layer, objective="farthest", **options)


@pytest.fixture(scope="module")
def pair(digits_fit, digits):
    """Both objectives from one start."""
    found = gm.generate(digits_fit.model, digits.graph, "act.0", budget=SHORT)
    return found, farthest_of(digits_fit, digits, "act.0", budget=SHORT)


@pytest.mark.parametrize("seed", range(4))
def test_a_linear_model_is_taken_to_vertices_and_the_best_is_the_farthest(seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(4, 2, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, 2, generator=generator, dtype=torch.float64)
    graph, tolerance = Data(x=x, edge_index=torch.zeros(2, 0, dtype=torch.long)), 1e-2
    metamers = gm.generate_many(
        WeightedSum(weight),
        graph,
        "output",
        seeds=range(6),
        vary=gm.Features(kind="bounded"),
        objective="farthest",
        tolerance=tolerance,
    )
    w, flat = weight.flatten(), x.flatten()
    allowed = largest_distance(flat, w, math.sqrt(tolerance) * abs(float(w @ flat)))
    found = [float((metamer.graph.x - x).norm()) for metamer in metamers]
    assert 0.99 * allowed < max(found) <= allowed * (1 + 1e-9)
    inside = [int(((m.graph.x > 1e-3) & (m.graph.x < 1 - 1e-3)).sum()) for m in metamers]
    assert sorted(inside)[:5] <= [1] * 5  # all but one at a vertex: at most one coordinate between its bounds


def test_it_is_farther_and_still_matched(pair, digits_fit, digits):
    found, far = pair
    assert found.is_metamer
    assert far.status is gm.Status.CONVERGED
    assert far.input_distance.scaled > 2 * found.input_distance.scaled
    h, changed = (
        gm.activations(digits_fit.model, graph, "act.0")["act.0"].detach().double()
        for graph in (digits.graph, far.graph)
    )
    assert (changed - h).square().sum() / h.square().sum() <= far.tolerance
    assert far.graph.x.min() >= 0
    assert far.graph.x.max() <= 1


@pytest.mark.parametrize("model", ["sage", "gin"])
@pytest.mark.parametrize("layer", ["act.0", "output"])
def test_never_nearer_than_a_match_from_the_same_start(digits, model, layer):
    fit = gm.fit(gm.build_model(model, digits, hidden_channels=64), digits, epochs=40)
    for steps in (15, 60, 120):
        found, far = (
            gm.generate(fit.model, digits.graph, layer, objective=objective, budget=gm.Budget(steps=steps))
            for objective in ("match", "farthest")
        )
        assert far.status is found.status
        assert far.steps <= steps
        assert far.input_distance.scaled >= found.input_distance.scaled
        if not found.is_metamer:
            assert torch.equal(far.graph.x, found.graph.x)


def test_one_seed_gives_one_result(pair, digits_fit, digits):
    again = farthest_of(digits_fit, digits, "act.0", budget=SHORT)
    assert torch.equal(again.graph.x, pair[1].graph.x)
    assert (again.trace, again.distance_trace) == (pair[1].trace, pair[1].distance_trace)


def test_the_trace_goes_on_and_the_distance_grows(pair):
    found, far = pair
    assert found.distance_trace == ()
    assert far.trace[: len(found.trace)] == found.trace
    steps = [step for step, _ in far.trace]
    assert steps == sorted(steps)
    assert steps[-1] <= far.steps <= SHORT.steps
    distances = [distance for _, distance in far.distance_trace]
    assert distances == sorted(distances)
    assert distances[0] == pytest.approx(found.input_distance.scaled, rel=1e-5)
    assert distances[-1] == pytest.approx(far.input_distance.scaled, rel=1e-5)


def test_progress_says_the_distance_once_the_loss_is_met(digits_fit, digits):
    seen = []
    far = farthest_of(digits_fit, digits, "act.0", budget=SHORT, callbacks=[seen.append])
    met = next(number for number, progress in enumerate(seen) if progress.loss <= far.tolerance)
    assert all(progress.distance is None for progress in seen[: met + 1])
    assert all(progress.distance > 0 for progress in seen[met + 1 :])
    assert seen[-1].distance == pytest.approx(far.input_distance.scaled, rel=1e-5)
    with gm.ProgressBar() as bar:
        bar(seen[0])
        bar(seen[-1])


def test_it_stops_when_the_distance_stops_growing(digits_fit, digits):
    far = farthest_of(digits_fit, digits, "act.0", budget=gm.Budget(steps=100_000))
    assert far.steps < 2000
    window = far.steps - farthest_solver.STALL_WINDOW
    before = [distance for step, distance in far.distance_trace if step <= window]
    assert far.input_distance.scaled < before[-1] * 1.02


def test_what_only_the_search_took_for_matched_is_given_up(monkeypatch, pair, digits_fit, digits):
    monkeypatch.setattr(farthest_solver, "ROUNDING", 3.0)
    monkeypatch.setattr(farthest_solver, "AIM", 2.0)
    far = farthest_of(digits_fit, digits, "act.0", budget=SHORT)
    assert far.is_metamer
    assert torch.equal(far.graph.x, pair[0].graph.x)


def test_continuous_features_stay_in_the_range_of_those_that_may_vary():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 34, generator=generator)
    x[0] = 100.0  # may not vary, so its values are no part of the range
    edges = torch.randint(30, (2, 90), generator=generator)
    mutable = torch.ones(30, dtype=torch.bool)
    mutable[0] = False
    model = GCN(34, 4, num_layers=2).eval()
    vary = gm.Features(kind="continuous", mutable=mutable)
    metamer = gm.generate(model, Data(x=x, edge_index=edges), "act", vary=vary, objective="farthest")
    assert metamer.is_metamer
    assert metamer.input_distance.scaled > 1.5
    assert torch.equal(metamer.graph.x[0], x[0])
    assert bool((metamer.graph.x[1:] >= x[1:].amin(dim=0)).all())
    assert bool((metamer.graph.x[1:] <= x[1:].amax(dim=0)).all())
    assert metamer.config["vary"]["x"]["range"] == "each feature's own"
    assert str(metamer.config["compression"]).startswith("evaluated in 4 of 34")


def test_several_kinds_of_nodes():
    generator = torch.Generator().manual_seed(0)
    graph = HeteroData()
    graph["a"].x, graph["b"].x = (torch.randn(12, width, generator=generator) for width in (5, 3))

    class Sums(nn.Module):
        def forward(self, x_dict):
            return x_dict["a"][:, :2] + x_dict["b"][:, :2]

    found, far = (
        gm.generate(
            Sums(), graph, "output", vary={"a": "features", "b": gm.Features(low=-5, high=5)}, objective=which
        )
        for which in ("match", "farthest")
    )
    assert far.is_metamer
    assert far.input_distance.scaled > found.input_distance.scaled
    assert bool((far.graph["a"].x >= graph["a"].x.amin(dim=0)).all())
    assert float(far.graph["b"].x.abs().max()) <= 5


def test_without_tolerance_there_is_no_room_and_no_error():
    x = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    graph = Data(x=x, edge_index=torch.zeros(2, 0, dtype=torch.long))
    found, far = (
        gm.generate(
            WeightedSum(torch.ones(4, 3)),
            graph,
            "output",
            vary=gm.Features(kind="bounded"),
            objective=objective,
            tolerance=0.0,
            budget=gm.Budget(steps=50),
        )
        for objective in ("match", "farthest")
    )
    assert far.status is found.status
    assert torch.equal(far.graph.x, found.graph.x)


def test_words_are_as_far_as_they_go(karate, karate_model):
    found, far = (
        gm.generate(karate_model, karate.graph, "act.0", objective=objective, budget=gm.Budget(steps=30))
        for objective in ("match", "farthest")
    )
    assert far.config["objective"] == "farthest"
    assert far.config["solver"] == "word_swaps"
    assert torch.equal(found.graph.x, far.graph.x)
    x = karate.graph.x
    assert float((far.graph.x * x).sum()) == 0  # no word is kept: with as many ones nothing is farther
    assert float((far.graph.x - x).square().sum()) == 2 * float(x.sum())


@pytest.mark.parametrize(
    "solver", ["adam", gm.WordSwaps(reference_words="free"), gm.WordSwaps(column_sums="kept")]
)
def test_binary_features_need_the_solver_that_keeps_no_word(karate, karate_model, solver):
    with pytest.raises(ParameterError, match=r"'objective'.*'match'.*'farthest'.*word_swaps"):
        gm.generate(karate_model, karate.graph, "act.0", objective="farthest", solver=solver)


def test_what_cannot_be_is_said(digits_fit, digits):
    with pytest.raises(ParameterError, match=r"'objective' .*'match', 'farthest'.*'farther'.*'farthest'\?"):
        gm.generate(digits_fit.model, digits.graph, "act.0", objective="farther")
    with pytest.raises(ParameterError, match=r"'solver'.*'lbfgs'.*'null_space'.*objective='match'"):
        farthest_of(digits_fit, digits, "act.0", solver="null_space")
    with pytest.raises(ParameterError, match="'objective'"):
        gm.audit(digits_fit, digits, objective="far away")


def test_adam_may_do_the_matching(digits_fit, digits):
    far = farthest_of(digits_fit, digits, "act.0", solver="adam", budget=gm.Budget(steps=400))
    assert far.is_metamer
    assert far.config["solver"] == "adam"
    assert far.input_distance.scaled > 1.5


def test_model_and_graph_come_back_after_an_exception(digits_fit, digits):
    model, graph = digits_fit.model, digits.graph
    weights = copy.deepcopy(model.state_dict())
    x, mode = graph.x.clone(), model.training

    def break_off(progress):
        if progress.distance is not None and progress.distance > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        farthest_of(digits_fit, digits, "act.0", callbacks=[break_off])
    assert torch.equal(graph.x, x)
    assert model.training is mode
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(weight, weights[name]) for name, weight in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_what_is_saved_says_the_objective(pair, tmp_path):
    pair[1].save(tmp_path / "far")
    loaded = gm.load_metamer(tmp_path / "far")
    assert loaded.config == pair[1].config
    assert loaded.config["objective"] == "farthest"
    assert loaded.distance_trace == pair[1].distance_trace
    assert pair[0].config["objective"] == "match"


@pytest.mark.slow
def test_an_audit_says_it(digits_fit, digits, tmp_path):
    budget = gm.Budget(steps=60)
    audit = gm.audit(digits_fit, digits, layers=["act.0"], num_starts=2, objective="farthest", budget=budget)
    assert (
        audit.config["search"]["objective"] == audit.objective == audit.rows()[0]["objective"] == "farthest"
    )
    assert any("went on from its first match" in sentence for sentence in gm.verdict(audit))
    audit.save(tmp_path / "audit")
    loaded = gm.load_audit(tmp_path / "audit")
    assert (loaded.objective, loaded.went_farther) == ("farthest", True)
    plain = gm.audit(digits_fit, digits, layers=["act.0"], num_starts=1, budget=budget)
    assert (plain.objective, plain.went_farther) == ("match", False)
    assert not any("went on" in sentence for sentence in gm.verdict(plain))
    page = tmp_path / "report.html"
    gm.write_report([audit, plain], page)
    text = " ".join(page.read_text().split())
    assert "For GCN, audit 1 the search went on from the first match to the farthest features" in text
    assert '<td data-label="Objective">farthest</td>' in text
    assert '<td data-label="Objective">match</td>' in text


def test_largest_distances_are_those_of_the_corners(digits):
    variables = gm.Features(kind="bounded").values(digits.graph.x)
    x = variables.reference.double()
    found = resolve_variables(gm.Features(kind="bounded"), digits.graph)
    assert found.largest_squared_distance() == pytest.approx(float(torch.maximum(x, 1 - x).square().sum()))
    assert found.chance_distance() == pytest.approx(found.distance(found.reference, "nodes").chance)
    point = found.start("noise", generator_for("start", 0))
    expected = found.distance(found.discrete(point), "nodes").raw ** 2
    assert float(found.squared_distance(point)) == pytest.approx(expected, rel=1e-5)
    unbounded = resolve_variables(gm.Features(kind="continuous"), digits.graph)
    assert unbounded.largest_squared_distance() == math.inf
