"""What a step of a search costs, over a bare forward and backward pass of the same compressed model.

The bare pass is plain PyTorch Geometric: the model with its first weights made smaller, run up to the
layer, the squared error and its gradient with respect to the coordinates. Both are timed in turns in one
process, and the median of the ratios of neighbours is told.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from contenders import Bare
    from features import LAYERS, MODELS, trained

    import graph_metamers as gm
    from graph_metamers.inputs import resolve_variables
    from graph_metamers.randomness import generator_for
    from graph_metamers.reading import ModelView
    from graph_metamers.synthesis.budget import Budget
    from graph_metamers.synthesis.compressing import compressed_search
    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers import Search

STEPS = 20  # of a search, and as many bare passes
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", nargs="+", default=["cora", "citeseer"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("artefacts/bench/steps.json"))
    options = parser.parse_args()
    began = time.time()
    torch.set_num_threads(options.threads)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    print(f"a step of L-BFGS over a bare forward and backward pass, {options.threads} threads")
    cells = []
    for dataset in options.datasets:
        for model in MODELS:
            weights = trained(dataset, model, options.output.parent)
            for layer in LAYERS:
                cell = {
                    "dataset": dataset,
                    "model": model,
                    "layer": layer,
                    **_measure(dataset, weights, layer),
                }
                cells.append(cell)
                print(
                    f"{dataset + ' ' + model + ' ' + layer:24}{cell['step_ms']:8.2f} ms"
                    f"{cell['bare_ms']:8.2f} ms{cell['ratio']:7.2f}x   {cell['replay']}",
                    flush=True,
                )
    told = {"began": began, "ended": time.time(), "threads": options.threads, "cells": cells}
    options.output.write_text(json.dumps(told, indent=2) + "\n")
    print(f"largest {max(cell['ratio'] for cell in cells):.2f}x\n{options.output}")


def _measure(dataset: str, weights: Path, layer: str) -> dict[str, Any]:
    graph = gm.load_dataset(dataset).graph
    view = ModelView(gm.load_model(weights).eval())
    variables = resolve_variables(gm.Features(kind="continuous"), graph)
    with view.borrow():
        with torch.no_grad():
            target = view.taps(graph, [layer])[layer].value
        problem = Problem(view, variables, {layer: target}, None)
        start = variables.start("noise", generator_for("start", 0))
        chosen = compressed_search(problem, start)
        replayed = chosen.replayed()
        bare = Bare(
            chosen.problem.view.model, layer, graph.edge_index
        )  # its hook ends every run at the layer
        shape, energy = (graph.num_nodes, -1), target.square().sum()

        def passes() -> None:
            for _ in range(STEPS):
                leaf = chosen.start.clone().requires_grad_()
                loss = (bare(leaf.view(shape)) - target).square().sum() / energy
                torch.autograd.grad(loss, leaf)
                loss.item()

        def search() -> None:
            search = Search(Budget(steps=STEPS), 0.0, lambda _progress: None)
            gm.LBFGS().solve(replayed.problem, replayed.start, search)

        pairs = [(_seconds(search), _seconds(passes)) for _ in range(ROUNDS + 2)][2:]
    return {
        "step_ms": 1e3 / STEPS * statistics.median(ours for ours, _ in pairs),
        "bare_ms": 1e3 / STEPS * statistics.median(theirs for _, theirs in pairs),
        "ratio": statistics.median(ours / theirs for ours, theirs in pairs),
        "replay": replayed.replay,
    }


def _seconds(run: Callable[[], None]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
