from __future__ import annotations

import pytest
import torch

import graph_metamers as gm
from graph_metamers.inputs import resolve_variables
from graph_metamers.inputs.coordinates import Coordinates, FeaturesThrough
from graph_metamers.randomness import generator_for
from graph_metamers.reading import ModelView
from graph_metamers.synthesis.compressing import compressed_search
from graph_metamers.synthesis.problem import Problem

CONTINUOUS = gm.Features(kind="continuous")


def search_of(model, graph, vary, layer="act.0"):
    view = ModelView(model)
    variables = resolve_variables(vary, graph)
    with view.borrow():
        with torch.no_grad():
            targets = {layer: view.taps(graph, [layer])[layer].value}
        problem = Problem(view, variables, targets, None)
        start = variables.start("noise", generator_for("start", 0))
        return problem, start, compressed_search(problem, start)


@pytest.mark.parametrize("vary", ["features", CONTINUOUS])
def test_the_compressed_problem_has_the_same_loss_and_gradient(digits_fit, digits, vary):
    problem, start, compressed = search_of(digits_fit.model, digits.graph, vary)
    with problem.view.borrow():
        full = problem.evaluate(start)
        small = compressed.problem.evaluate(compressed.start)
    gradient, small_gradient = full.gradient, small.gradient
    assert float(small.loss) == pytest.approx(float(full.loss), rel=1e-5)
    gradient = gradient.view(-1, 64)
    if isinstance(compressed.problem.searched, Coordinates):
        gradient = gradient.double() @ (compressed.outcome.basis / compressed.outcome.scales)
    torch.testing.assert_close(
        small_gradient.view_as(gradient).double(), gradient.double(), rtol=1e-3, atol=1e-9
    )


def test_bounds_and_single_fixed_entries_are_kept_by_searching_in_the_features(digits_fit, digits):
    mutable = torch.ones(digits.num_nodes, 64, dtype=torch.bool)
    mutable[:, :5] = False
    for vary in ("features", gm.Features(kind="continuous", mutable=mutable)):
        _, _, compressed = search_of(digits_fit.model, digits.graph, vary)
        assert isinstance(compressed.problem.searched, FeaturesThrough)
        assert compressed.description(gm.LBFGS()) == "evaluated in 16 of 64 dimensions"
    metamer = gm.generate(digits_fit.model, digits.graph, "output", vary=vary)
    assert metamer.is_metamer
    assert torch.equal(metamer.graph.x[:, :5], digits.graph.x[:, :5])


def test_whole_fixed_rows_stay_as_they_are(digits_fit, digits):
    mutable = (torch.arange(digits.num_nodes) < 900).unsqueeze(1).expand(-1, 64)
    vary = gm.Features(kind="continuous", mutable=mutable)
    metamer = gm.generate(digits_fit.model, digits.graph, "output", vary=vary)
    assert metamer.is_metamer
    assert metamer.config["compression"] == "searched in 16 of 64 dimensions"
    assert torch.equal(metamer.graph.x[900:], digits.graph.x[900:])


def test_lifting_keeps_what_the_model_does_not_read(digits_fit, digits):
    _, start, compressed = search_of(digits_fit.model, digits.graph, CONTINUOUS)
    space, basis = compressed.problem.searched, compressed.outcome.basis
    scales = compressed.outcome.scales
    assert 0.1 <= float(scales.min()) < float(scales.max()) == 1
    point = torch.randn(digits.num_nodes * 16, generator=torch.Generator().manual_seed(0))
    x = space.lift(point).view(-1, 64).double()
    torch.testing.assert_close(x @ basis * scales, point.view(-1, 16).double(), rtol=1e-4, atol=1e-5)
    rest = x - start.view(-1, 64).double()
    torch.testing.assert_close(rest - rest @ basis @ basis.T, torch.zeros_like(rest), rtol=0, atol=1e-5)


def test_a_refused_problem_is_solved_as_it_is(digits):
    model = torch.nn.Sequential()
    model.add_module("wide", torch.nn.Linear(64, 64))
    model.add_module("act", torch.nn.ReLU())

    def forward(model, graph):
        return model(graph.x)

    metamer = gm.generate(model, digits.graph, "act", forward=forward, vary=CONTINUOUS)
    assert metamer.config["compression"] == "none: the model reads all 64 directions of the features"


def test_the_loss_of_the_real_graph_is_that_of_the_unmodified_model(digits_fit, digits):
    metamer = gm.generate(digits_fit.model, digits.graph, "act.0", vary=CONTINUOUS)
    before, after = (
        gm.activations(digits_fit.model, graph, "act.0")["act.0"].double()
        for graph in (digits.graph, metamer.graph)
    )
    loss = float((after - before).square().sum() / before.square().sum())
    assert metamer.activation_loss == pytest.approx(loss, rel=1e-9)
    assert metamer.relaxed_loss == pytest.approx(loss, rel=1e-3)
