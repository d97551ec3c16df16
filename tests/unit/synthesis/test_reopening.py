"""Searches that close rectifiers inside the model get a second attempt; others do not notice."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from torch import nn
from torch_geometric.nn import GCNConv

import graph_metamers as gm
from graph_metamers.inputs import resolve_variables
from graph_metamers.randomness import generator_for
from graph_metamers.reading import ModelView
from graph_metamers.synthesis.problem import Problem
from graph_metamers.synthesis.solvers import Search, lbfgs
from graph_metamers.synthesis.solvers.reopening import DETOUR, PATIENCE, SLOPES, Leg, opened

VARY = gm.Features(kind="continuous")


def problem_of(model, graph, layer):
    view = ModelView(model)
    with view.borrow(), torch.no_grad():
        target = view.taps(graph, [layer])[layer].value
    variables = resolve_variables(VARY, graph)
    return Problem(view, variables, {layer: target}, None), variables.start(
        "noise", generator_for("start", 0)
    )


def test_open_units_are_those_of_a_leaky_model(karate):
    model = gm.build_model("gin", karate, hidden_channels=8).eval()
    problem, start = problem_of(model, karate.graph, "output")
    leaky = gm.build_model("gin", karate, hidden_channels=8).eval()
    leaky.load_state_dict(model.state_dict())
    for module in list(leaky.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.LeakyReLU(SLOPES[0]))
    with problem.view.borrow():
        easier = opened(problem, start)
        assert [one.open_slope for one in easier] == list(SLOPES)
        found = easier[0].evaluate(start)
    other = dataclasses.replace(problem, view=ModelView(leaky))
    with other.view.borrow():
        expected = other.evaluate(start)
    assert float(found.loss) == pytest.approx(float(expected.loss), rel=1e-5)
    torch.testing.assert_close(found.gradient, expected.gradient, rtol=1e-4, atol=1e-8)


def test_a_model_without_rectifiers_inside_has_nothing_to_open(karate):
    model = gm.build_model("gcn", karate, hidden_channels=8).eval()
    problem, start = problem_of(model, karate.graph, "act.0")
    with problem.view.borrow():
        assert opened(problem, start) == []


def test_a_slow_search_begins_anew_and_comes_closer(monkeypatch, digits):
    model = gm.fit(gm.build_model("gin", digits, hidden_channels=16), digits, epochs=40).model
    options = {"vary": VARY, "budget": gm.Budget(steps=150), "tolerance": 1e-4}
    found = gm.generate(model, digits.graph, "act.0", **options)
    steps = [step for step, _ in found.trace]
    assert max(after - before for before, after in itertools.pairwise(steps)) > DETOUR
    assert found.steps <= 150
    assert found.activation_loss < min(loss for step, loss in found.trace if step <= PATIENCE) / 3
    monkeypatch.setattr(lbfgs, "opened", lambda problem, start: [])
    stayed = gm.generate(model, digits.graph, "act.0", **options)
    assert found.activation_loss < stayed.activation_loss


class Stacked(nn.Module):
    """Four layers whose rectifiers close; `after` them, what is finite for positive numbers alone."""

    def __init__(self, after=None, scale=1.0, shift=0.0):
        super().__init__()
        self.convs = nn.ModuleList(GCNConv(width, 4) for width in (34, 4, 4, 4))
        torch.manual_seed(1)
        for conv in self.convs:
            conv.reset_parameters()
            conv.lin.weight.data *= scale
        self.after, self.shift = after, shift

    def forward(self, x, edge_index):
        for conv in self.convs[:-1]:
            x = torch.relu(conv(x, edge_index) - self.shift)
            x = x if self.after is None else self.after(x)
        return self.convs[-1](x, edge_index)


@pytest.mark.parametrize("after", [lambda h: torch.log(h + 1e-2), lambda h: (h + 1e-6).sqrt()])
def test_what_is_not_finite_with_open_units_is_left_closed(karate, after):
    options = {"vary": VARY, "tolerance": 1e-6, "budget": gm.Budget(steps=100)}
    for seed in range(3):
        metamer = gm.generate(Stacked(after, scale=5.0), karate.graph, "output", seed=seed, **options)
        assert metamer.activation_loss == metamer.activation_loss  # a number, and no exception


def test_a_search_that_is_stuck_from_the_start_is_opened_too(karate, monkeypatch):
    model = Stacked(scale=3.0, shift=0.3)
    options = {"vary": VARY, "budget": gm.Budget(steps=100)}
    opened_too = [gm.generate(model, karate.graph, "output", seed=seed, **options) for seed in (0, 2, 3)]
    assert all(found.steps == 100 and found.activation_loss < 0.2 for found in opened_too)
    monkeypatch.setattr(lbfgs, "SLOW", ())
    for seed in (0, 2, 3):
        stuck = gm.generate(model, karate.graph, "output", seed=seed, **options)
        assert stuck.status is gm.Status.STALLED
        assert stuck.activation_loss > 0.9


def test_the_time_limit_holds_with_open_units_too(karate):
    told = []
    model = gm.build_model("gin", karate, hidden_channels=16, seed=1)
    options = {"vary": VARY, "tolerance": 1e-9, "budget": gm.Budget(steps=500, seconds=1e-6)}
    metamer = gm.generate(model, karate.graph, "act.0", callbacks=[told.append], **options)
    assert metamer.status is gm.Status.TIME_LIMIT
    assert metamer.steps == 1
    leg = Leg(Search(gm.Budget(steps=500, seconds=1e-6), 0.0, told.append))
    assert leg.is_late
    leg.record(torch.zeros(3), 0.5)
    assert told[-1].step == leg.steps
