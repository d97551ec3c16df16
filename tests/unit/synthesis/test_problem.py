from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from graph_metamers.inputs import resolve_variables
from graph_metamers.metrics.fidelity import activation_loss
from graph_metamers.reading import ModelView
from graph_metamers.synthesis.problem import Problem, _span

GRAPH = Data(
    x=torch.randn(8, 3, generator=torch.Generator().manual_seed(0)),
    edge_index=torch.empty(2, 0, dtype=torch.long),
)


def problem_of(activation: nn.Module, index: torch.Tensor | None = None) -> Problem:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 5), activation)
    view = ModelView(model, forward=lambda model, graph: model(graph.x))
    target = view.taps(GRAPH, ["1"])["1"].value.detach()
    return Problem(view, resolve_variables("features", GRAPH), {"1": target}, index)


def test_the_loss_is_the_activation_loss_whatever_the_objective_adds():
    problem = problem_of(nn.ReLU())
    point = torch.randn(24)
    evaluation = problem.evaluate(point)
    activation = problem.view.model(point.view(8, 3)).detach()
    assert float(evaluation.loss) == pytest.approx(float(activation_loss(activation, problem.targets["1"])))
    assert evaluation.objective > evaluation.loss


def test_the_objective_is_zero_at_the_reference():
    evaluation = problem_of(nn.ReLU()).evaluate(GRAPH.x.flatten())
    assert evaluation.objective.item() == 0
    assert float(evaluation.loss) == 0


def test_a_dead_unit_gets_a_gradient_that_would_wake_it():
    problem = problem_of(nn.ReLU())
    linear = problem.view.model[0]
    dead = torch.linalg.lstsq(linear.weight, (-10 - linear.bias).unsqueeze(1)).solution
    point = dead.T.repeat(8, 1).flatten().detach()
    evaluation = problem.evaluate(point)
    pre = linear(point.view(8, 3))
    asleep = (pre < 0) & (problem.targets["1"] > 0)
    assert asleep.any()
    gradient = evaluation.gradient
    assert gradient.abs().sum() > 0
    step = problem.evaluate(point - 1e-2 * gradient / gradient.norm())
    assert step.objective < evaluation.objective


def test_the_objective_is_convex_in_the_pre_activation():
    problem = problem_of(nn.ReLU())  # linear in the features, so convexity can be seen along any segment
    generator = torch.Generator().manual_seed(3)
    for _ in range(50):
        a, b = (3 * torch.randn(24, generator=generator) for _ in range(2))
        middle = problem.evaluate((a + b) / 2).objective
        ends = (problem.evaluate(a).objective + problem.evaluate(b).objective) / 2
        assert middle <= ends * (1 + 1e-5)


def test_the_gradient_is_that_of_finite_differences():
    problem = problem_of(nn.ReLU())
    point = torch.randn(24, generator=torch.Generator().manual_seed(1))
    gradient = problem.evaluate(point).gradient
    for place in range(24):
        step = 1e-2 * torch.eye(24)[place]
        ahead, behind = problem.evaluate(point + step).objective, problem.evaluate(point - step).objective
        assert float((ahead - behind) / 2e-2) == pytest.approx(float(gradient[place]), abs=2e-3)


def test_smooth_activations_add_nothing():
    evaluation = problem_of(nn.ELU()).evaluate(torch.randn(24))
    assert evaluation.objective.item() == evaluation.loss.item()


def test_only_the_chosen_items_count():
    problem = problem_of(nn.Tanh(), index=torch.tensor([2, 5]))
    point = GRAPH.x.clone()
    point[[0, 1, 3, 4, 6, 7]] += 10
    assert float(problem.evaluate(point.flatten()).loss) == 0


@pytest.mark.parametrize("index", [None, torch.tensor([2, 5])])
def test_slopes_are_the_plain_loss_and_its_gradient(index):
    problem = problem_of(nn.ReLU(), index)
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    activation = problem.choose(problem.view.model(x))
    expected = activation_loss(activation, problem.choose(problem.targets["1"]))
    slopes = problem.slopes({"x": x})
    assert slopes.loss == pytest.approx(expected.item())
    torch.testing.assert_close(slopes.gradient["x"], torch.autograd.grad(expected, x)[0])
    assert not slopes.probes


@pytest.mark.parametrize("parts", [1, 2, 64])
def test_probes_tell_how_the_loss_curves(parts):
    problem = problem_of(nn.Tanh())
    generator = torch.Generator().manual_seed(0)
    probes = problem.slopes({"x": GRAPH.x}, 4000, generator, first=7, parts=parts).probes
    step = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    told = torch.stack([(probe["x"] * step).sum() for probe in probes]).square().mean()
    small = 1e-2
    loss = problem.slopes({"x": GRAPH.x + small * step}).loss  # zero and flat at the reference
    assert float(told) == pytest.approx(loss / small**2, rel=0.1)


def test_several_layers_share_the_visible_space():
    one, two = torch.linalg.qr(torch.randn(9, 4, dtype=torch.float64))[0], torch.eye(9).double()[:, :3]
    basis = _span(torch.cat([one, two, one], dim=1))
    assert basis.shape == (9, 7)
    torch.testing.assert_close(basis.T @ basis, torch.eye(7).double())
    torch.testing.assert_close(basis @ (basis.T @ one), one)
