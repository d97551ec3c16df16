"""One contender on one cell, in a process of its own: prints when its loss met each tolerance, as JSON.

Every contender gets the same trained model, the same start and the same target, and may not look at the
reference's features but for the target. The clock starts when these are there: imports and just-in-time
compilation are excluded, by a short search before it; the compression is included.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from torch import Tensor, nn

    import graph_metamers as gm
    from graph_metamers.inputs import resolve_variables
    from graph_metamers.inputs.compression import Refusal
    from graph_metamers.randomness import generator_for
    from graph_metamers.reading import ModelView
    from graph_metamers.synthesis.budget import Budget
    from graph_metamers.synthesis.compressing import CompressedSearch, compressed_search
    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers import Search, Solver

CHECK_EVERY = 5  # steps of a peer between two readings of its loss
WARM_UP = 0.5  # seconds


@dataclass
class Clock:
    """When the loss first fell below each tolerance, in seconds from the start; and when to stop."""

    tolerances: tuple[float, ...]
    budget: float
    started: float = field(default_factory=time.perf_counter)
    arrived: dict[float, float] = field(default_factory=dict)
    best: float = math.inf
    steps: int = 0

    def read(self, loss: float, steps: int) -> bool:
        """Note a loss; whether to stop."""
        now = time.perf_counter() - self.started
        self.best, self.steps = min(self.best, loss), steps
        for tolerance in self.tolerances:
            if loss <= tolerance:
                self.arrived.setdefault(tolerance, now)
        return now > self.budget or len(self.arrived) == len(self.tolerances) or not math.isfinite(loss)


class Bare(nn.Module):
    """The model as a function of the features alone: what the peers are given."""

    def __init__(self, model: nn.Module, layer: str, edge_index: Tensor, *, image: bool = False) -> None:
        super().__init__()
        self.model, self.edge_index, self.image = model, edge_index, image
        self.read: Tensor | None = None
        if layer != "output":
            model.get_submodule(layer).register_forward_hook(self._note)

    def _note(self, _module: nn.Module, _args: object, result: Tensor) -> None:
        self.read = result

    def forward(self, x: Tensor) -> Tensor:
        """Activations [n, d] of features [n, F]; as images [1, 1, n, .] if asked for."""
        self.read = None
        output = self.model(x[0, 0] if self.image else x, self.edge_index)
        found = output if self.read is None else self.read
        return found[None, None] if self.image else found


def adam(bare: Bare, start: Tensor, target: Tensor, clock: Clock, learning_rate: float) -> None:
    """Adam on all of X: the way of the paper."""
    x, energy = start.clone().requires_grad_(), target.square().sum()
    optimiser = torch.optim.Adam([x], lr=learning_rate)
    for step in range(1, 10**9):
        loss = (bare(x) - target).square().sum() / energy
        if (step % CHECK_EVERY == 0 or step == 1) and clock.read(loss.item(), step):
            return
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def plenoptic(
    bare: Bare, start: Tensor, target: Tensor, clock: Clock, learning_rate: float, image: Tensor
) -> None:
    """The Metamer of plenoptic on the same function, features as a picture of one channel."""
    import plenoptic as po  # noqa: PLC0415 (an extra)

    energy = target.square().sum()

    def relative(ours: Tensor, theirs: Tensor) -> Tensor:
        return (ours - theirs).square().sum() / energy

    metamer = po.Metamer(image[None, None], bare, loss_function=relative, penalty_lambda=0.0)
    metamer.setup(initial_image=start[None, None], optimizer_kwargs={"lr": learning_rate})
    step = 0
    while True:
        metamer.synthesize(max_iter=CHECK_EVERY, stop_criterion=0.0, stop_iters_to_check=10**9)
        step += CHECK_EVERY
        if clock.read(float(metamer.losses[-1]), step):
            return


def ours(problem: Problem, start: Tensor, clock: Clock, solver: Solver, *, compress: bool) -> None:
    """A solver of this package, with its features compressed or as they are."""
    search = Search(Budget(steps=10**9), 0.0, lambda progress: _stop(clock, progress.loss, progress.step))
    plain = CompressedSearch(problem, start, Refusal("not asked for"))
    chosen = compressed_search(problem, start) if compress else plain
    try:
        solver.solve(chosen.problem, chosen.start, search)
    except _Stop:
        return


class _Stop(Exception):  # noqa: N818 (it is no error)
    pass


def _stop(clock: Clock, loss: float, step: int) -> None:
    if clock.read(loss, step):
        raise _Stop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contender", required=True)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--layer", required=True)
    parser.add_argument("--tolerances", type=float, nargs="+", default=[1e-3, 1e-4])
    parser.add_argument("--budget", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    graph = gm.load_dataset(options.dataset).graph
    model = gm.load_model(options.model)
    runner = _runner(options, model, graph)
    runner(Clock((-1.0,), WARM_UP))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clock = Clock(tuple(options.tolerances), options.budget)
    runner(clock)
    told = {
        "arrived": {str(tolerance): clock.arrived.get(tolerance) for tolerance in options.tolerances},
        "best": clock.best,
        "steps": clock.steps,
        "seconds": time.perf_counter() - clock.started,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "peak_before_mib": before / 1024,
    }
    print(json.dumps(told))


def _runner(options: argparse.Namespace, model: gm.GNN, graph: object) -> Callable[[Clock], None]:
    view = ModelView(model.eval())
    variables = resolve_variables(gm.Features(kind="continuous"), graph)
    start = variables.start("noise", generator_for("start", options.seed))
    with view.borrow(), torch.no_grad():
        target = view.taps(graph, [options.layer])[options.layer].value
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    x0 = start.view(graph.x.shape)
    problem = Problem(view, variables, {options.layer: target}, None)
    rate, name = options.learning_rate, options.contender
    if name in ("adam", "plenoptic"):
        bare = Bare(model, options.layer, graph.edge_index, image=name == "plenoptic")
        if name == "adam":
            return lambda clock: adam(bare, x0, target, clock, rate)
        return lambda clock: plenoptic(bare, x0, target, clock, rate, graph.x)
    solvers = {"lbfgs": gm.LBFGS(), "adam": gm.Adam(rate)}
    kind, _, space = name.partition("-")  # lbfgs-compressed, adam-compressed, lbfgs-features

    def run(clock: Clock) -> None:
        with view.borrow():
            ours(problem, start, clock, solvers[kind], compress=space == "compressed")

    return run


if __name__ == "__main__":
    main()
