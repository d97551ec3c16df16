from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import graph_metamers as gm
from graph_metamers.synthesis.blocks import ONE_BLOCK, Blocks
from graph_metamers.synthesis.problem import Evaluation
from graph_metamers.synthesis.solvers import SOLVERS, Search, lbfgs, resolve_solver
from graph_metamers.synthesis.solvers.registry import MOST_DIRECTIONS
from graph_metamers.synthesis.solvers.search import STALL_WINDOW

GENERATOR = torch.Generator().manual_seed(0)
MATRIX = torch.randn(30, 12, generator=GENERATOR, dtype=torch.float64)
TARGET = torch.randn(30, generator=GENERATOR, dtype=torch.float64)


@dataclass
class LeastSquares:
    """A real problem with a known answer, in the shape that solvers see."""

    low: float | None = None
    high: float | None = None
    is_smooth: bool = True
    is_binary: bool = False
    num_directions: int = 12
    blocks = ONE_BLOCK
    tape: None = None
    variables: None = None
    open_slope: float = 0.0

    @property
    def bounds(self):
        if self.low is None:
            return None
        return torch.full((12,), self.low).double(), torch.full((12,), self.high).double()

    def project(self, point):
        return point if self.low is None else point.clamp(self.low, self.high)

    def evaluate(self, point):
        error = MATRIX @ point - TARGET
        return Evaluation(error @ error, error @ error, 2 * MATRIX.T @ error)


def solve(solver, problem, steps=3000, tolerance=0.0):
    search = Search(gm.Budget(steps=steps), tolerance, lambda progress: None)
    return solver.solve(problem, torch.zeros(12, dtype=torch.float64), search)


@pytest.mark.parametrize("bounds", [(None, None), (-0.05, 0.1)])
@pytest.mark.parametrize("solver", [gm.LBFGS(), gm.Adam(0.003)])
def test_solvers_reach_scipys_minimum(solver, bounds):
    low, high = bounds
    solution = solve(solver, LeastSquares(low, high))
    matrix, target = MATRIX.numpy(), TARGET.numpy()
    expected = minimize(
        lambda x: (np.square(matrix @ x - target).sum(), 2 * matrix.T @ (matrix @ x - target)),
        np.zeros(12),
        jac=True,
        method="L-BFGS-B",
        bounds=None if low is None else [(low, high)] * 12,
        options={"ftol": 1e-15, "gtol": 1e-12},
    )
    assert solution.loss == pytest.approx(expected.fun, rel=1e-6)
    torch.testing.assert_close(solution.point, torch.as_tensor(expected.x), atol=1e-3, rtol=1e-3)


def test_lbfgs_takes_the_same_way_in_rotated_coordinates():
    rotation = torch.linalg.qr(torch.randn(12, 12, generator=GENERATOR, dtype=torch.float64))[0]

    class Rotated(LeastSquares):
        def evaluate(self, point):
            objective, loss, gradient = super().evaluate(rotation @ point)
            return Evaluation(objective, loss, rotation.T @ gradient)

    plain, rotated = (solve(gm.LBFGS(), problem, steps=8) for problem in (LeastSquares(), Rotated()))
    torch.testing.assert_close(rotation @ rotated.point, plain.point, rtol=1e-8, atol=1e-10)


class Apart(LeastSquares):
    """Two problems of four and of eight numbers that share one point; the second is much steeper."""

    owners = torch.tensor([0] * 4 + [1] * 8)
    blocks = Blocks(2, owners)
    scales = torch.tensor([1.0, 30.0]).double()

    def evaluate(self, point):
        values, gradient = torch.zeros(2).double(), torch.zeros(12).double()
        for block in range(2):
            mine = self.owners == block
            error = self.scales[block] * (MATRIX[:, mine] @ point[mine] - TARGET)
            values[block], gradient[mine] = error @ error, 2 * self.scales[block] * MATRIX[:, mine].T @ error
        return Evaluation(values, values, gradient)

    def alone(self, block):
        whole, mine = self, self.owners == block

        class Alone(LeastSquares):
            @property
            def bounds(self):
                limits = super().bounds
                return limits if limits is None else tuple(limit[mine] for limit in limits)

            def evaluate(self, point):
                values, _, gradient = whole.evaluate(torch.zeros(12).double().masked_scatter(mine, point))
                return Evaluation(values[block], values[block], gradient[mine])

        return Alone(self.low, self.high)


@pytest.mark.parametrize("bounds", [(None, None), (-0.02, 0.03)])
def test_lbfgs_goes_the_same_way_in_every_block_as_it_does_alone(bounds):
    together = solve(gm.LBFGS(), Apart(*bounds), steps=14)
    for block in range(2):
        problem = Apart(*bounds).alone(block)
        search = Search(gm.Budget(steps=14), 0.0, lambda progress: None)
        alone = gm.LBFGS().solve(problem, torch.zeros(4 + 4 * block).double(), search)
        found = together.point[Apart.owners == block]
        torch.testing.assert_close(found, alone.point, rtol=1e-6, atol=1e-9)


def test_lbfgs_takes_the_same_way_when_it_reads_only_every_tenth_loss(monkeypatch):
    every = solve(gm.LBFGS(), LeastSquares(), steps=21)
    monkeypatch.setattr(lbfgs, "EVALUATIONS_BETWEEN_READINGS", {})
    monkeypatch.setattr(lbfgs, "_may_be_any", lambda mask: True)
    tenth = solve(gm.LBFGS(), LeastSquares(), steps=21)
    torch.testing.assert_close(tenth.point, every.point, rtol=1e-9, atol=1e-12)
    assert [step for step, _ in tenth.trace] == [1, 11, 12, 21]


@pytest.mark.parametrize("solver", [gm.LBFGS(), gm.Adam()])
def test_the_budget_is_kept_and_the_best_point_is_returned(solver):
    solution = solve(solver, LeastSquares(), steps=15)
    assert solution.steps == 15
    assert solution.status is gm.Status.MAX_STEPS
    assert solution.loss == min(loss for _, loss in solution.trace)
    assert float(LeastSquares().evaluate(solution.point).loss) == pytest.approx(solution.loss)


def test_a_search_that_gets_no_better_is_stalled():
    solution = solve(gm.Adam(0.01), LeastSquares(), steps=20000)
    assert solution.status is gm.Status.STALLED
    assert solution.steps < 20000
    assert solution.steps > STALL_WINDOW


def test_lbfgs_at_the_minimum_is_stalled_not_converged():
    assert solve(gm.LBFGS(), LeastSquares()).status is gm.Status.STALLED


@pytest.mark.parametrize("solver", [gm.LBFGS(), gm.Adam()])
def test_a_loss_that_is_not_finite_is_said(solver):
    class Broken(LeastSquares):
        def evaluate(self, point):
            value = (point * torch.nan).sum()
            return Evaluation(value, value, point * torch.nan)

    assert solve(solver, Broken()).status is gm.Status.NON_FINITE


def test_the_time_limit_is_recorded_as_one():
    search = Search(gm.Budget(steps=10**6, seconds=1e-9), 0.0, lambda progress: None)
    solution = gm.Adam().solve(LeastSquares(), torch.zeros(12, dtype=torch.float64), search)
    assert solution.status is gm.Status.TIME_LIMIT
    assert solution.steps < 10


def test_lbfgs_refuses_a_loss_without_a_slope():
    with pytest.raises(gm.ParameterError, match="'solver' parameter must be 'adam' for binary"):
        solve(gm.LBFGS(), LeastSquares(is_smooth=False))


def test_auto_follows_the_problem():
    assert resolve_solver("auto", LeastSquares()).name == "lbfgs"
    assert resolve_solver("auto", LeastSquares(is_smooth=False)).name == "adam"
    assert resolve_solver("auto", LeastSquares(is_smooth=False, is_binary=True)).name == "word_swaps"
    wide = LeastSquares(is_smooth=False, is_binary=True, num_directions=MOST_DIRECTIONS + 1)
    assert resolve_solver("auto", wide).name == "adam"
    for name in SOLVERS:
        assert resolve_solver(name, LeastSquares()).name == name
    with pytest.raises(
        gm.ParameterError,
        match="'auto', 'adam', 'exact_swaps', 'in_turn', 'lbfgs', 'null_space', 'rewire', "
        "'straight_through', 'word_swaps'",
    ):
        resolve_solver("newton", LeastSquares())


@pytest.mark.parametrize("make", [lambda: gm.Adam(0.0), lambda: gm.Adam(float("nan")), lambda: gm.LBFGS(0)])
def test_bad_options_are_refused(make):
    with pytest.raises(gm.ParameterError):
        make()


@pytest.mark.parametrize("options", [{"steps": 0}, {"steps": 1.5}, {"steps": True}, {"seconds": 0.0}])
def test_bad_budgets_are_refused(options):
    with pytest.raises(gm.ParameterError):
        gm.Budget(**options)
