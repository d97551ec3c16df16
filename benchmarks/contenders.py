"""One contender on one cell, in a process of its own: prints when its loss met each tolerance, as JSON.

Every contender gets the same trained model, the same start and the same target, and may not look at the
reference's features but for the target. The clock starts when these are there: imports and just-in-time
compilation are excluded, by a short search before it; the compression, the tape and the way back to features
are included. A peer's learning rates run one after the other for a short trial; the best one goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import json
import math
import resource
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from torch import Tensor, nn

    import graph_metamers as gm
    from graph_metamers.inputs import resolve_variables
    from graph_metamers.inputs.compression import Refusal
    from graph_metamers.inputs.coordinates import Coordinates
    from graph_metamers.randomness import generator_for
    from graph_metamers.reading import ModelView
    from graph_metamers.synthesis.budget import Budget
    from graph_metamers.synthesis.compressing import CompressedSearch, compressed_search
    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers import Search, SearchProgress, Solver

CHECK_EVERY = 5  # steps of a peer between two readings of its loss
WARM_UP = 0.5  # seconds
RATES = (0.01, 0.03, 0.1)


@dataclass
class Clock:
    """When the loss first fell below each tolerance, in seconds of its own, and when to stop."""

    tolerances: tuple[float, ...]
    budget: float
    arrived: dict[float, float] = field(default_factory=dict)
    best: float = math.inf
    steps: int = 0
    spent: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    def resume(self) -> None:
        """Go on after a pause in which another one ran."""
        self.started = time.perf_counter() - self.spent

    def read(self, loss: float, steps: int) -> bool:
        """Note a loss; whether to stop."""
        self.spent = time.perf_counter() - self.started
        self.best, self.steps = min(self.best, loss), steps
        for tolerance in self.tolerances:
            if loss <= tolerance:
                self.arrived.setdefault(tolerance, self.spent)
        return self.is_over or not math.isfinite(loss)

    @property
    def is_over(self) -> bool:
        """Whether all tolerances are met or all time is spent."""
        return self.spent > self.budget or len(self.arrived) == len(self.tolerances)


class _Reached(Exception):  # noqa: N818 (it is no error)
    """The layer is there: what comes after it need not be computed."""


class Bare(nn.Module):
    """The model as a function of the features alone, up to a layer: what the peers are given."""

    def __init__(self, model: nn.Module, layer: str, edge_index: Tensor, *, image: bool = False) -> None:
        super().__init__()
        self.model, self.edge_index, self.image = model, edge_index, image
        self.read: Tensor | None = None
        if layer != "output":
            model.get_submodule(layer).register_forward_hook(self._note)

    def _note(self, _module: nn.Module, _args: object, result: Tensor) -> None:
        self.read = result
        raise _Reached

    def forward(self, x: Tensor) -> Tensor:
        """Activations [n, d] of features [n, F]; as images [1, 1, n, .] if asked for."""
        self.read = None
        with contextlib.suppress(_Reached):
            self.read = self.model(x[0, 0] if self.image else x, self.edge_index)
        assert self.read is not None  # noqa: S101
        return self.read[None, None] if self.image else self.read


def adam(bare: Bare, start: Tensor, target: Tensor, learning_rate: float) -> Iterator[tuple[float, int]]:
    """Adam on all of X, the way of the paper; yields its loss and its steps."""
    x, energy = start.clone().requires_grad_(), target.square().sum()
    optimiser = torch.optim.Adam([x], lr=learning_rate)
    for step in itertools.count(1):
        loss = (bare(x) - target).square().sum() / energy
        if step % CHECK_EVERY == 0:
            yield loss.item(), step
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def plenoptic(
    bare: Bare, start: Tensor, target: Tensor, learning_rate: float, image: Tensor
) -> Iterator[tuple[float, int]]:
    """The Metamer of plenoptic on the same function, features as a picture of one channel."""
    import plenoptic as po  # noqa: PLC0415 (an extra)

    energy = target.square().sum()

    def relative(ours: Tensor, theirs: Tensor) -> Tensor:
        return (ours - theirs).square().sum() / energy

    metamer = po.Metamer(image[None, None], bare, loss_function=relative, penalty_lambda=0.0)
    metamer.setup(initial_image=start[None, None], optimizer_kwargs={"lr": learning_rate})
    for number in itertools.count(1):
        metamer.synthesize(max_iter=CHECK_EVERY, stop_criterion=0.0, stop_iters_to_check=10**9)
        yield float(metamer.losses[-1]), number * CHECK_EVERY


def race(
    make: Callable[[float], Iterator[tuple[float, int]]],
    tolerances: tuple[float, ...],
    budget: float,
    trial: float,
) -> tuple[float, Clock]:
    """The best learning rate, and the clock of its run.

    Each rate runs for `trial` seconds; the one that came furthest goes on to the end of its budget.
    """
    clocks, runs = {}, {}
    for rate in RATES:
        clocks[rate], runs[rate] = Clock(tolerances, trial), make(rate)
        _run(runs[rate], clocks[rate])
    best = min(
        RATES, key=lambda rate: (-len(clocks[rate].arrived), *_arrivals(clocks[rate]), clocks[rate].best)
    )
    clock, running = clocks[best], runs[best]
    clocks.clear()
    runs.clear()
    reset_peak()
    clock.budget = budget
    if not clock.is_over:
        clock.resume()
        _run(running, clock)
    return best, clock


def _run(running: Iterator[tuple[float, int]], clock: Clock) -> None:
    for loss, step in running:
        if clock.read(loss, step):
            return


def _arrivals(clock: Clock) -> tuple[float, ...]:
    return tuple(clock.arrived.get(tolerance, math.inf) for tolerance in clock.tolerances[::-1])


def ours(problem: Problem, start: Tensor, clock: Clock, solver: Solver, *, compress: bool) -> None:
    """A solver of this package, with its features compressed or as they are; the way back counts too."""
    stopped: list[Tensor] = []

    def tell(progress: SearchProgress) -> None:
        if clock.read(progress.loss, progress.step):
            raise _Reached

    search = Search(Budget(steps=10**9), 0.0, tell)
    plain = CompressedSearch(problem, start, Refusal("not asked for"))
    chosen = (compressed_search(problem, start) if compress else plain).replayed()
    try:
        solver.solve(chosen.problem, chosen.start, search)
    except _Reached:
        stopped.append(search.best_point)
    before = time.perf_counter()
    if stopped and isinstance(chosen.problem.searched, Coordinates):
        chosen.problem.searched.lift(stopped[0])
    took = time.perf_counter() - before
    clock.arrived = {tolerance: seconds + took for tolerance, seconds in clock.arrived.items()}


def reset_peak() -> None:
    """Start to measure the largest resident memory anew, where Linux allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """Largest resident memory since `reset_peak`, in MiB."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contender", required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--layer", required=True)
    parser.add_argument("--tolerances", type=float, nargs="+", default=[1e-3, 1e-4])
    parser.add_argument("--budget", type=float, default=30.0)
    parser.add_argument("--trial", type=float, default=3.0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    graph = gm.load_dataset(options.dataset).graph
    model = gm.load_model(options.model).eval()
    tolerances = tuple(options.tolerances)
    race_or_run = _runner(options, model, graph)
    race_or_run((-1.0,), WARM_UP, WARM_UP / len(RATES))
    gc.collect()
    before = peak_mib()
    reset_peak()
    rate, clock = race_or_run(tolerances, options.budget, options.trial)
    told = {
        "arrived": {str(tolerance): clock.arrived.get(tolerance) for tolerance in tolerances},
        "best": clock.best,
        "steps": clock.steps,
        "seconds": clock.spent,
        "learning_rate": rate,
        "peak_mib": peak_mib(),
        "peak_before_mib": before,
    }
    print(json.dumps(told))


def _runner(
    options: argparse.Namespace, model: gm.GNN, graph: Any
) -> Callable[[tuple[float, ...], float, float], tuple[float | None, Clock]]:
    view = ModelView(model)
    variables = resolve_variables(gm.Features(kind="continuous"), graph)
    start = variables.start("noise", generator_for("start", 0))
    with view.borrow(), torch.no_grad():
        target = view.taps(graph, [options.layer])[options.layer].value
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    x0, name = start.view(graph.x.shape), options.contender
    problem = Problem(view, variables, {options.layer: target}, None)
    kind, _, space = name.partition("-")  # lbfgs-compressed, lbfgs-features, adam-compressed

    def make(rate: float) -> Iterator[tuple[float, int]]:
        if name == "adam":
            return adam(bare, x0, target, rate)
        return plenoptic(bare, x0, target, rate, graph.x)

    def run(tolerances: tuple[float, ...], budget: float, trial: float) -> tuple[float | None, Clock]:
        if name in ("adam", "plenoptic"):
            return race(make, tolerances, budget, trial)
        clock = Clock(tolerances, budget)
        with view.borrow():
            solver = gm.LBFGS() if kind == "lbfgs" else gm.Adam()
            ours(problem, start, clock, solver, compress=space == "compressed")
        return None, clock

    if name in ("adam", "plenoptic"):
        bare = Bare(model, options.layer, graph.edge_index, image=name == "plenoptic")
    return run


if __name__ == "__main__":
    main()
