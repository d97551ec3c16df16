"""What an answer without a search costs: seconds of `NullSpace`, and how well it matches every layer.

It keeps what the model reads of the reference (X Q) and draws the rest anew. No contender may read that, so
it is not one of them. What stands inside a layer is left out: GraphSAGE and GIN sum raw features there, which
nothing but the next linear map reads, and these sums are not matched.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from contenders import Cell, problem_of

import graph_metamers as gm
from graph_metamers.metrics.fidelity import activation_loss
from graph_metamers.synthesis.compressing import compressed_search
from graph_metamers.synthesis.solvers import Search

if TYPE_CHECKING:
    from pathlib import Path


def null_space_losses(dataset: str, weights: Path, threads: int) -> dict[str, Any]:
    """Seconds, by the clock of the contenders, and layer -> activation loss, of features in float32."""
    torch.set_num_threads(threads)
    problem, start = problem_of(Cell(dataset, weights, "output"))
    with problem.view.borrow():
        for _ in range(2):  # what is loaded or compiled the first time is no part of it
            started = time.perf_counter()
            chosen = compressed_search(problem, start)
            search = Search(gm.Budget(), 0.0, lambda _progress: None)
            solution = chosen.lifted(gm.NullSpace().solve(chosen.problem, chosen.start, search))
            seconds = time.perf_counter() - started
    network, reference = problem.view.model, problem.variables.reference
    found = problem.variables.discrete(solution.point)
    names = [layer.name for layer in gm.layers(network, reference) if layer.role != "inside"]
    read, wanted = (gm.activations(network, graph, names) for graph in (found, reference))
    losses = {name: float(activation_loss(read[name].double(), wanted[name].double())) for name in names}
    return {"seconds": seconds, "losses": losses}
