"""Solvers side by side: time to an activation loss of 1e-3 on digits, in one run, as ratios.

Contenders take turns, so that a machine whose speed drifts slows all of them; the median of the rounds
counts. Adam gets the best of three learning rates, chosen per cell by its own time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

import graph_metamers as gm

CONTENDERS = {
    "lbfgs": gm.LBFGS(),
    "adam 0.01": gm.Adam(0.01),
    "adam 0.03": gm.Adam(0.03),
    "adam 0.1": gm.Adam(0.1),
}


def measure_cell(model: torch.nn.Module, dataset: gm.Dataset, layer: str, rounds: int) -> dict[str, float]:
    """Median seconds of every contender to a loss of 1e-3; infinite if it does not arrive in 2000 steps."""
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for seed in range(rounds):
        for name, solver in CONTENDERS.items():
            started = time.perf_counter()
            metamer = gm.generate(model, dataset.graph, layer, solver=solver, seed=seed)
            took = time.perf_counter() - started
            times[name].append(took if metamer.activation_loss <= 1e-3 else float("inf"))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("artefacts/solvers.json"))
    options = parser.parse_args()
    dataset = gm.load_dataset("digits")
    print(f"digits, {torch.get_num_threads()} threads, median of {options.rounds} rounds, seconds to 1e-3")
    print(f"{'model':6} {'layer':7}" + "".join(f"{name:>11}" for name in CONTENDERS) + "   best adam / lbfgs")
    cells, ratios = [], []
    for architecture in ("gcn", "sage", "gin"):
        model = gm.fit(gm.build_model(architecture, dataset), dataset).model
        for layer in ("act.0", "output"):
            seconds = measure_cell(model, dataset, layer, options.rounds)
            ratio = min(took for name, took in seconds.items() if name != "lbfgs") / seconds["lbfgs"]
            ratios.append(ratio)
            cells.append({"model": architecture, "layer": layer, "seconds": seconds, "ratio": ratio})
            row = "".join(f"{took:11.3f}" for took in seconds.values())
            print(f"{architecture:6} {layer:7}{row}   {ratio:.1f}x", flush=True)
    print(f"geometric mean: {statistics.geometric_mean(ratios):.1f}x")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    result = {"threads": torch.get_num_threads(), "rounds": options.rounds, "cells": cells}
    options.output.write_text(json.dumps(result, indent=2) + "\n")
    print(options.output)


if __name__ == "__main__":
    main()
