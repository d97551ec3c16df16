"""Searches that close rectifiers inside the model get a second attempt; others do not notice."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from torch import nn

import graph_metamers as gm
from graph_metamers.inputs import resolve_variables
from graph_metamers.randomness import generator_for
from graph_metamers.reading import ModelView
from graph_metamers.synthesis.problem import Problem
from graph_metamers.synthesis.solvers import lbfgs
from graph_metamers.synthesis.solvers.reopening import DETOUR, PATIENCE, SLOPES, opened

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
