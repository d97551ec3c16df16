"""One contender on one cell, in a process of its own: prints when its loss met each tolerance, as JSON.

Every contender gets the same trained model, the same start and the same target, and may not look at the
reference's features but for the target. The clock starts when these are there: imports and just-in-time
compilation are excluded, by a short search before it; the compression, the tape and the way back to features
are included. A peer's learning rates run one after the other for a short trial; the best one goes on. Our own
Adam, which cannot be paused, has the same trials, and its best rate then starts anew.

Memory is the largest resident memory above what was there before the search, in MiB, up to a tolerance; for
ours the way back to features is in it.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
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
PEERS = ("adam", "plenoptic")


def peak_mib() -> float:
    """Largest resident memory since `settled_mib`, or ever, in MiB."""
    told = _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 if told is None else told


def settled_mib() -> float:
    """Resident memory in MiB, once all that is free is given back; on Linux the peak starts here."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # not every C library has it
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    told = _status("VmRSS")
    return peak_mib() if told is None else told


def _status(name: str) -> float | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
    return None


@dataclass
class Clock:
    """When the loss first met each tolerance, in seconds of its own, with what memory; and when to stop."""

    tolerances: tuple[float, ...]
    budget: float
    arrived: dict[float, float] = field(default_factory=dict)
    memory: dict[float, float] = field(default_factory=dict)
    best: float = math.inf
    steps: int = 0
    spent: float = 0.0
    peak: float = 0.0
    before: float = field(default_factory=settled_mib)
    started: float = field(default_factory=time.perf_counter)

    def resume(self) -> None:
        """Go on after a pause in which another one ran."""
        self.started = time.perf_counter() - self.spent

    def read(self, loss: float, steps: int) -> bool:
        """Note a loss; whether to stop."""
        self.spent = time.perf_counter() - self.started
        self.best, self.steps = min(self.best, loss), steps
        for tolerance in self.tolerances:
            if loss <= tolerance and tolerance not in self.arrived:
                self.arrived[tolerance], self.memory[tolerance] = self.spent, self.weigh()
        return self.is_over or not math.isfinite(loss)

    def weigh(self) -> float:
        """Largest memory so far above what was there before, in MiB."""
        self.peak = max(self.peak, peak_mib() - self.before)
        return self.peak

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


@dataclass(frozen=True)
class Plan:
    """When a contender may stop, and the learning rates that it may try; seconds."""

    tolerances: tuple[float, ...]
    budget: float
    trial: float
    rates: tuple[float, ...] = RATES


def race(make: Callable[[float], Iterator[tuple[float, int]]], plan: Plan) -> tuple[float, Clock]:
    """The best learning rate, and the clock of its run.

    Each rate runs for its trial; the one that came furthest goes on to the end of its budget.
    """
    clocks, runs = {}, {}
    for rate in plan.rates:
        clocks[rate], runs[rate] = Clock(plan.tolerances, plan.trial), make(rate)
        _run(runs[rate], clocks[rate])
    best = _furthest(clocks)
    clock, running, before = clocks[best], runs[best], clocks[plan.rates[0]].before
    clocks.clear()
    runs.clear()
    clock.budget, clock.before = plan.budget, before
    if not clock.is_over:
        settled_mib()  # forgets the peak of the others
        clock.resume()
        _run(running, clock)
    return best, clock


def race_anew(run: Callable[[float, Clock], None], plan: Plan) -> tuple[float, Clock]:
    """The same for a search that cannot be paused: the best rate starts anew."""
    clocks = {}
    for rate in plan.rates:
        clocks[rate] = Clock(plan.tolerances, plan.trial)
        run(rate, clocks[rate])
    best = _furthest(clocks)
    clock = Clock(plan.tolerances, plan.budget)
    run(best, clock)
    return best, clock


def _run(running: Iterator[tuple[float, int]], clock: Clock) -> None:
    for loss, step in running:
        if clock.read(loss, step):
            break
    clock.weigh()


def _furthest(clocks: dict[float, Clock]) -> float:
    """The rate that met most tolerances; of these the first to do so, or the one of the lowest loss."""

    def place(rate: float) -> tuple[float, ...]:
        clock = clocks[rate]
        arrivals = (clock.arrived.get(tolerance, math.inf) for tolerance in reversed(clock.tolerances))
        return (-len(clock.arrived), *arrivals, clock.best)

    return min(clocks, key=place)


def ours(problem: Problem, start: Tensor, clock: Clock, solver: Solver, *, compress: bool) -> None:
    """A solver of this package, with its features compressed or as they are; the way back counts too."""

    def tell(progress: SearchProgress) -> None:
        if clock.read(progress.loss, progress.step):
            raise _Reached

    search = Search(Budget(steps=10**9), 0.0, tell)
    plain = CompressedSearch(problem, start, Refusal("not asked for"))
    chosen = (compressed_search(problem, start) if compress else plain).replayed()
    with contextlib.suppress(_Reached):
        solver.solve(chosen.problem, chosen.start, search)
    before = time.perf_counter()
    point = search.best_point
    if point is not None and isinstance(chosen.problem.searched, Coordinates):
        chosen.problem.searched.lift(point)
    took = time.perf_counter() - before
    clock.arrived = {tolerance: seconds + took for tolerance, seconds in clock.arrived.items()}
    clock.memory = dict.fromkeys(clock.arrived, clock.weigh())


@dataclass(frozen=True)
class Cell:
    """What is to be matched: a layer of a saved model on a data set."""

    dataset: str
    weights: Path
    layer: str


def measure(contender: str, cell: Cell, plan: Plan, threads: int) -> dict[str, Any]:
    """Run a contender, after a short search that is not counted; belongs in a process of its own."""
    torch.set_num_threads(threads)
    run = _runner(contender, cell)
    run(Plan((-1.0,), WARM_UP, WARM_UP, RATES[:1]))
    rate, clock = run(plan)
    return {
        "arrived": {str(tolerance): clock.arrived.get(tolerance) for tolerance in plan.tolerances},
        "best": clock.best,
        "steps": clock.steps,
        "seconds": clock.spent,
        "learning_rate": rate,
        "memory_mib": {str(tolerance): clock.memory.get(tolerance) for tolerance in plan.tolerances},
        "peak_mib": clock.peak,
        "before_mib": clock.before,
    }


def problem_of(cell: Cell) -> tuple[Problem, Tensor]:
    """The problem of a cell, and the start that all contenders share, [n F]."""
    graph = gm.load_dataset(cell.dataset).graph
    model = gm.load_model(cell.weights).eval()
    view = ModelView(model)
    variables = resolve_variables(gm.Features(kind="continuous"), graph)
    start = variables.start("noise", generator_for("start", 0))
    with view.borrow(), torch.no_grad():
        target = view.taps(graph, [cell.layer])[cell.layer].value
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return Problem(view, variables, {cell.layer: target}, None), start


def _runner(name: str, cell: Cell) -> Callable[[Plan], tuple[float | None, Clock]]:
    problem, start = problem_of(cell)
    view, graph, target = problem.view, problem.variables.reference, problem.targets[cell.layer]
    x0 = start.view(graph.x.shape)
    kind, _, space = name.partition("-")  # lbfgs-compressed, lbfgs-features, adam-compressed, adam-features

    def make(rate: float) -> Iterator[tuple[float, int]]:
        if name == "adam":
            return adam(bare, x0, target, rate)
        return plenoptic(bare, x0, target, rate, graph.x)

    def search(solver: Solver, clock: Clock) -> None:
        ours(problem, start, clock, solver, compress=space == "compressed")

    def run(plan: Plan) -> tuple[float | None, Clock]:
        if name in PEERS:
            return race(make, plan)
        with view.borrow():
            if kind == "adam":
                return race_anew(lambda rate, clock: search(gm.Adam(rate), clock), plan)
            clock = Clock(plan.tolerances, plan.budget)
            search(gm.LBFGS(), clock)
        return None, clock

    if name in PEERS:
        bare = Bare(view.model, cell.layer, graph.edge_index, image=name == "plenoptic")
    return run


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
    cell = Cell(options.dataset, options.model, options.layer)
    plan = Plan(tuple(options.tolerances), options.budget, options.trial)
    print(json.dumps(measure(options.contender, cell, plan, options.threads)))


if __name__ == "__main__":
    main()
