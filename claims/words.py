"""Word swaps: how close they come, and how much closer than straight-through in equal time."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from judging import ARTEFACTS, Judge
from safetensors.torch import save_file

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch

    import graph_metamers as gm

FOLDER = ARTEFACTS / "words"
SEEDS = range(3)
LAYERS = ("act.0", "output")
BOUNDS = {"act.0": 1e-2, "output": 1e-3}
SECONDS = 30
BRAKE = 15  # seconds: reading the layer, finding what it sees and saving come on top
DATASETS = ("cora", "citeseer")
ARCHITECTURES = ("gcn", "sage", "gin")
RATES = (0.1, 0.3, 1.0)
SLOPES = (0.001, 0.005, 0.01, 0.02, 0.05)  # 0.1, 0.25, 1 and 4 were worse at every rate, at both layers
CELL_SEED = 3  # of training: none of the models on which word swaps were tuned
TRIALS = ((5, 6), (15, 2))  # seconds, and how many of the best choices go on: successive halving
EQUAL_SECONDS = 30  # what a search may take; straight-through stands still long before
Choice = tuple[float, float]  # a rate and a slope
RECOMPUTE = """
import json, sys, pathlib
sys.path.insert(0, sys.argv[1])
from plain_pyg import recompute_words
print(json.dumps(recompute_words(*map(pathlib.Path, sys.argv[2:]))))
assert "graph_metamers" not in sys.modules
"""


def main() -> None:
    judge = Judge(f"words: hidden 64, one start, {torch.get_num_threads()} thread")
    if "GRAPH_METAMERS_DATA" not in os.environ:
        judge.note("needs Cora and CiteSeer: set GRAPH_METAMERS_DATA to the folder that holds planetoid/")
        sys.exit(1)
    shutil.rmtree(FOLDER, ignore_errors=True)
    cora = gm.load_dataset("cora")
    _compile()
    figures = {layer: _closeness(judge, cora, layer) for layer in LAYERS}
    columns = _column_sums(judge, cora)
    cells = _equal_time(judge)
    report = {"closeness": figures, "column_sums": columns, "cells": cells}
    (FOLDER / "figures.json").write_text(json.dumps(report, indent=1))
    judge.finish()


def _closeness(judge: Judge, dataset: gm.Dataset, layer: str) -> list[dict[str, Any]]:
    rows = []
    for seed in SEEDS:
        row = search(dataset, "gcn", layer, gm.WordSwaps(), BRAKE, seed=seed)
        rows.append(row)
        judge.note(f"gcn {layer}, training seed {seed} (right on {row['accuracy']:.1%}): {_told(row)}")
    judge.claim(
        "the models have learned: right on 75% of all nodes", min(row["accuracy"] for row in rows) > 0.75
    )
    loss, agreement = (statistics.mean(row[name] for row in rows) for name in ("loss", "agreement"))
    slowest = max(row["seconds"] for row in rows)
    judge.claim(f"gcn {layer}: mean loss {loss:.2e} <= {BOUNDS[layer]:.0e}", loss <= BOUNDS[layer])
    judge.claim(f"gcn {layer}: mean agreement of predictions {agreement:.1%} >= 99%", agreement >= 0.99)
    judge.claim(f"gcn {layer}: at most {slowest:.1f} s a search; <= {SECONDS} s", slowest <= SECONDS)
    exact = all(
        row["is_binary"] and row["counts_kept"] and row["edges_kept"] and not row["reused"] for row in rows
    )
    judge.claim(f"gcn {layer}: words of every node as many as before, none of them the same", exact)
    same = all(math.isclose(row["reported"], row["loss"], rel_tol=1e-5) for row in rows)
    judge.claim(f"gcn {layer}: reported losses are plain PyG's", same)
    return rows


def _column_sums(judge: Judge, dataset: gm.Dataset) -> dict[str, dict[str, Any]]:
    rows = {}
    for layer in LAYERS:
        row = search(dataset, "gcn", layer, gm.WordSwaps(column_sums="kept"), BRAKE, note="-columns")
        kept = row["counts_kept"] and row["columns_kept"]
        judge.claim(f"gcn {layer}, column sums kept: {_told(row)}; both sums as before", kept)
        rows[layer] = row
    return rows


def _equal_time(judge: Judge) -> list[dict[str, Any]]:
    """Word swaps and straight-through in every cell, equal time and threads; one row a cell."""
    rows = []
    for architecture in ARCHITECTURES:
        for layer in LAYERS:
            choices = _best_choices(judge, architecture, layer)
            rows += [_cell(judge, name, architecture, layer, choices) for name in DATASETS]
    mean = statistics.geometric_mean(row["ratio"] for row in rows)
    judge.claim(f"geometric mean of {len(rows)} cells {mean:.1f}x lower; >= 8x", mean >= 8)
    return rows


def _best_choices(judge: Judge, architecture: str, layer: str) -> list[Choice]:
    """The best rates and slopes of straight-through on Cora, each trial longer and of fewer than the last.

    What is best after seconds is not what is best in the end, so several go into the cells.
    """
    dataset = gm.load_dataset("cora")
    model, _ = _trained(dataset, architecture, CELL_SEED)
    choices = list(itertools.product(RATES, SLOPES))
    for seconds, keep in TRIALS:
        losses = {
            (rate, slope): _generate(
                model, dataset, layer, gm.Adam(rate), seconds, slope=slope
            ).activation_loss
            for rate, slope in choices
        }
        told = ", ".join(f"{rate:g} and {slope:g}: {loss:.1e}" for (rate, slope), loss in losses.items())
        judge.note(f"{architecture} {layer}, trials of {seconds} s on cora, by rate and slope: {told}")
        choices = sorted(losses, key=losses.__getitem__)[:keep]
    return choices


def _cell(judge: Judge, name: str, architecture: str, layer: str, choices: list[Choice]) -> dict[str, Any]:
    cell = (gm.load_dataset(name), architecture, layer)
    swaps = search(*cell, gm.WordSwaps(), EQUAL_SECONDS, seed=CELL_SEED, note="-swaps")
    tried = {
        (rate, slope): search(
            *cell, gm.Adam(rate), EQUAL_SECONDS, slope=slope, seed=CELL_SEED, note=f"-adam-{rate:g}-{slope:g}"
        )
        for rate, slope in choices
    }
    rate, slope = min(tried, key=lambda choice: tried[choice]["loss"])
    best = tried[rate, slope]
    ratio = best["loss"] / swaps["loss"]
    valid = swaps["is_binary"] and swaps["counts_kept"] and swaps["edges_kept"] and not swaps["reused"]
    judge.claim(
        f"{name} {architecture} {layer}, {EQUAL_SECONDS} s each: word swaps {swaps['loss']:.2e} in "
        f"{swaps['seconds']:.0f} s, straight-through {best['loss']:.2e} in {best['seconds']:.0f} s (rate "
        f"{rate:g}, slope {slope:g}; same prediction {swaps['agreement']:.1%} and {best['agreement']:.1%}; "
        f"model right on {swaps['accuracy']:.0%}): {ratio:.1f}x lower; >= 3x, counts exact, no word reused",
        ratio >= 3 and valid,
    )
    compressed = all(row["compression"].startswith("evaluated in") for row in (swaps, best))
    judge.claim(f"{name} {architecture} {layer}: both evaluated in compressed coordinates", compressed)
    return {
        "dataset": name, "architecture": architecture, "layer": layer, "ratio": ratio, "rate": rate,
        "slope": slope, "word_swaps": swaps, "straight_through": best,
    }  # fmt: skip


def search(
    dataset: gm.Dataset,
    architecture: str,
    layer: str,
    solver: Any,
    seconds: float,
    *,
    seed: int = 0,
    slope: float = 1.0,
    note: str = "",
) -> dict[str, Any]:
    """Search, save, and recompute what was saved in a fresh process."""
    model, folder = _trained(dataset, architecture, seed)
    place = folder / f"{layer}{note}"
    started = time.perf_counter()
    metamer = _generate(model, dataset, layer, solver, seconds, slope=slope)
    took = time.perf_counter() - started
    metamer.save(place)
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        RECOMPUTE,
        str(Path(__file__).parent),
        str(folder),
        str(place),
    ]
    fresh = subprocess.run(command, capture_output=True, text=True, check=True)
    return {
        **json.loads(fresh.stdout),
        "seconds": took,
        "status": metamer.status.name,
        "steps": metamer.steps,
        "compression": metamer.config["compression"],
    }


def _generate(
    model: gm.GNN, dataset: gm.Dataset, layer: str, solver: Any, seconds: float, *, slope: float = 1.0
) -> gm.Metamer:
    return gm.generate(
        model,
        dataset.graph,
        layer,
        vary=gm.Features(ones="per_node", slope=slope),
        solver=solver,
        budget=gm.Budget(steps=10**6, seconds=seconds),
        tolerance=0.0,
    )


def _trained(dataset: gm.Dataset, architecture: str, seed: int) -> tuple[gm.GNN, Path]:
    folder = FOLDER / f"{dataset.name}-{architecture}-{seed}"
    model = gm.build_model(architecture, dataset, hidden_channels=64, seed=seed)
    if not folder.exists():
        fitted = gm.fit(model, dataset, seed=seed).model
        folder.mkdir(parents=True)
        save_file(fitted.state_dict(), folder / "model.safetensors")
        (folder / "model.json").write_text(json.dumps(dataclasses.asdict(model.config)))
    gm.load_weights(model, folder / "model.safetensors")
    return model, folder


def _compile() -> None:
    """Compile the kernels, once on a machine, before anything is timed."""
    karate = gm.load_dataset("karate")
    for sums in ("free", "kept"):
        solver = gm.WordSwaps(proposals=1, column_sums=sums)
        gm.generate(
            gm.build_model("gcn", karate), karate.graph, "output", solver=solver, budget=gm.Budget(steps=15)
        )


def _told(row: dict[str, Any]) -> str:
    return (
        f"loss {row['loss']:.2e}, same prediction {row['agreement']:.1%}, {row['reused']} of {row['words']} "
        f"words reused, {row['seconds']:.1f} s, {row['steps']} evaluations, {row['status']}"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
