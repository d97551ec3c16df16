"""Feature metamers against peers: seconds to a loss of 1e-3 and of 1e-4, side by side in one run.

Peers: Adam on all of X (the way of the paper) and plenoptic's `Metamer`, both on the same function, which
ends at the layer, each at the best of three learning rates: a short trial of each chooses the one that has
come furthest, and its own clock runs on. All contenders of a cell run one after the other in processes of
their own, so that a machine whose speed drifts slows all of them; ours runs before, between and after the
peers, and its median counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import graph_metamers as gm

TOLERANCES = ("0.001", "0.0001")
MODELS = ("gcn", "sage", "gat", "gin")
LAYERS = ("act.0", "output")
PEERS = ("adam", "plenoptic")
OURS = "lbfgs-compressed"
HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", nargs="+", default=["cora", "citeseer"])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--budget", type=float, default=30.0, help="seconds a contender and cell")
    parser.add_argument("--trial", type=float, default=3.0, help="seconds of them for each learning rate")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("artefacts/bench/features.json"))
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    print(f"{options.threads} threads, {options.budget:g} s a cell; '>' did not arrive", flush=True)
    print(
        f"{'cell':24}{'ours':>8}{'adam':>9}{'plenoptic':>11}{'ratio':>8}   to 1e-3, then to 1e-4", flush=True
    )
    cells = []
    for dataset in options.datasets:
        for model in options.models:
            weights = trained(dataset, model, options.output.parent)
            for layer in LAYERS:
                cell = _measure(dataset, model, weights, layer, options)
                cells.append(cell)
                print(_line(cell, options.budget), flush=True)
                told = {"threads": options.threads, "budget": options.budget, "cells": cells}
                options.output.write_text(json.dumps(told, indent=2) + "\n")
    for line in summary(cells, options.budget):
        print(line)
    print(options.output)


def trained(dataset: str, model: str, folder: Path) -> Path:
    path = folder / f"{dataset}-{model}.safetensors"
    if not path.exists():
        data = gm.load_dataset(dataset)
        built = gm.build_model(model, data, hidden_channels=64)
        gm.save_model(gm.fit(built, data, epochs=100).model, path)
    return path


def _measure(
    dataset: str, model: str, weights: Path, layer: str, options: argparse.Namespace
) -> dict[str, Any]:
    def run(contender: str) -> dict[str, Any]:
        return run_contender(contender, dataset, weights, layer, options)

    mine, found = [run(OURS)], {}
    for peer in PEERS:
        found[peer] = run(peer)
        mine.append(run(OURS))
    middle = sorted(mine, key=lambda told: _arrival(told, TOLERANCES[0]))[1]
    return {"dataset": dataset, "model": model, "layer": layer, "ours": middle, "ours_runs": mine, **found}


def run_contender(
    contender: str, dataset: str, weights: Path, layer: str, options: argparse.Namespace
) -> dict[str, Any]:
    """What a contender tells of a cell, from a process of its own."""
    words = [
        *("--contender", contender, "--dataset", dataset, "--model", str(weights), "--layer", layer),
        *("--budget", str(options.budget), "--trial", str(options.trial), "--threads", str(options.threads)),
    ]
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / "contenders.py"), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": str(options.threads)},
    )
    if ran.returncode:
        raise SystemExit(f"{contender} on {dataset} {layer}: {ran.stderr.strip().splitlines()[-1]}")
    told: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    return told


def _arrival(told: dict[str, Any], tolerance: str) -> float:
    seconds = told["arrived"][tolerance]
    return float("inf") if seconds is None else float(seconds)


def ratio(cell: dict[str, Any], tolerance: str, budget: float) -> float:
    """Seconds of the better peer, at the most the budget, over ours; 0 if ours does not arrive."""
    mine = _arrival(cell["ours"], tolerance)
    peers = min(min(_arrival(cell[peer], tolerance), budget) for peer in PEERS)
    return peers / mine if mine < float("inf") else 0.0


def _line(cell: dict[str, Any], budget: float) -> str:
    name = f"{cell['dataset']} {cell['model']} {cell['layer']}"
    parts = []
    for tolerance in TOLERANCES:
        shown = [_shown(_arrival(cell[who], tolerance), budget) for who in ("ours", *PEERS)]
        parts.append(f"{shown[0]:>8}{shown[1]:>9}{shown[2]:>11}{ratio(cell, tolerance, budget):>7.1f}x")
    return f"{name:24}" + "  |".join(parts)


def _shown(seconds: float, budget: float) -> str:
    return f"{seconds:.2f} s" if seconds < float("inf") else f"> {budget:.0f} s"


def summary(cells: list[dict[str, Any]], budget: float) -> list[str]:
    """The geometric means, and how many cells arrive."""
    to_coarse = [ratio(cell, TOLERANCES[0], budget) for cell in cells]
    both = [
        cell
        for cell in cells
        if _arrival(cell["ours"], TOLERANCES[1]) < float("inf")
        and min(_arrival(cell[peer], TOLERANCES[1]) for peer in PEERS) < float("inf")
    ]
    arrived = sum(_arrival(cell["ours"], TOLERANCES[1]) < float("inf") for cell in cells)
    lines = [
        f"to 1e-3: geometric mean {_mean(to_coarse):.1f}x over {len(cells)} cells, "
        f"least {min(to_coarse):.1f}x",
        f"to 1e-4: ours arrives in {arrived} of {len(cells)} cells",
    ]
    if both:
        fine = [ratio(cell, TOLERANCES[1], budget) for cell in both]
        lines.append(
            f"to 1e-4: geometric mean {_mean(fine):.1f}x over the {len(both)} cells where both arrive"
        )
    return lines


def _mean(ratios: list[float]) -> float:
    return statistics.geometric_mean(ratios) if min(ratios) > 0 else 0.0


if __name__ == "__main__":
    main()
