"""Structure metamers against peers: the loss that is reached in equal time, side by side in one run.

Two layers of a trained GCN with 16 hidden units are to be matched by a graph without an edge of the
reference; on Cora for three trainings. Peers: straight-through as this package ships it; straight-through as
in the paper, with slope 1 and a constant rate; and the block-coordinate descent of PyTorch Geometric (PRBCD)
on the same loss, as it is and held to the degrees of the reference. Each has short trials of its settings and
then, like ours, the whole time. All of a cell run one after the other in processes of their own, on one
thread. Ours keeps degrees; but for the one that is held to them the others are freer. Cells that were
measured before are kept (`--again` measures all). GraphSAGE, GIN and GAT take no edge weights: no peer runs
on them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from edge_contenders import HIDDEN, SETTINGS, EdgeCell, measure_edges, random_losses, refused
from features import LAYERS, apart, trained

PEERS = tuple(name for name in SETTINGS if name != "ours")
NEAR = 3.0  # a peer whose loss is less than so many times ours is said to be near
TRAININGS = {"cora": 3}  # seeds; of other data sets one
OTHERS = ("sage", "gin", "gat")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", nargs="+", default=["cora", "citeseer"])
    parser.add_argument("--seconds", type=float, default=60.0, help="a contender and cell")
    parser.add_argument("--trial", type=float, help="seconds for each setting; default: a twelfth")
    parser.add_argument("--lanes", type=int, default=1, help="cells at a time, a core for each")
    parser.add_argument("--output", type=Path, default=Path("artefacts/bench/edges.json"))
    parser.add_argument("--again", action="store_true", help="measure cells that the output has, too")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # the processes inherit it
    trial = options.seconds / 12 if options.trial is None else options.trial
    folder = options.output.parent
    folder.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {
        "began": time.time(),
        "threads": 1,
        "lanes": options.lanes,
        "hidden": HIDDEN,
        "seconds": options.seconds,
        "trial": trial,
        "cells": [],
    }
    kept = {} if options.again else measured_before(options.output, told)
    cells = []
    for dataset in options.datasets:
        for seed in range(TRAININGS.get(dataset, 1)):
            weights = trained(dataset, "gcn", folder, hidden=HIDDEN, seed=seed)
            cells += [EdgeCell(dataset, weights, layer, seed) for layer in LAYERS]
    print(*heading(told), sep="\n", flush=True)
    with ThreadPoolExecutor(options.lanes) as lanes:
        for cell in lanes.map(
            lambda one: kept.get(name_of(one)) or measured(one, options.seconds, trial), cells
        ):
            told["cells"].append(cell)
            print(*lines(cell), sep="\n", flush=True)
            _save(told, options.output)
    told["refused"] = {model: apart(refused, model) for model in OTHERS}
    _save({**told, "ended": time.time()}, options.output)  # without an end it is not complete
    print(*closing(told), options.output, sep="\n")


def name_of(cell: EdgeCell) -> tuple[str, str, int]:
    """What tells a cell from the others."""
    return cell.dataset, cell.layer, cell.seed


def measured_before(path: Path, plan: dict[str, Any]) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Cells of an earlier run with the same plan, by name."""
    told = json.loads(path.read_text()) if path.exists() else {"cells": []}
    if any(told.get(key) != plan[key] for key in ("threads", "lanes", "hidden", "seconds", "trial")):
        return {}
    return {(one["dataset"], one["layer"], one["seed"]): one for one in told["cells"]}


def measured(cell: EdgeCell, seconds: float, trial: float) -> dict[str, Any]:
    """All contenders of a cell, one after the other."""
    chance = apart(random_losses, cell)
    found = {contender: apart(measure_edges, contender, cell, seconds, trial) for contender in SETTINGS}
    names = dict(zip(("dataset", "layer", "seed"), name_of(cell), strict=True))
    return {"model": "gcn", **names, **chance, **found}


def ratio(cell: dict[str, Any], contender: str) -> float:
    """Loss of a contender over ours."""
    return float(cell[contender]["loss"] / cell["ours"]["loss"])


def heading(told: dict[str, Any]) -> list[str]:
    """What stands above the cells."""
    return [
        f"GCN, {told['hidden']} hidden units: loss after {told['seconds']:g} s each with {told['threads']} "
        f"thread, settings chosen in trials of {told['trial']:.3g} s; {told['lanes']} cells at a time",
        "share: of the loss of a random graph with the same degrees; ratio: loss over ours",
        "common: edges of the reference; degrees: share of nodes that keep theirs; agree: predictions",
        f"{'':26}{'loss':>9}{'share':>8}{'ratio':>8}{'common':>8}{'edges':>13}{'degrees':>9}{'agree':>7}"
        f"{'s':>7}{'steps':>8}",
    ]


def lines(cell: dict[str, Any]) -> list[str]:
    """One cell: a line for each contender."""
    name, chance = f"{cell['dataset']} {cell['layer']} training {cell['seed']}", cell["random_loss"]
    found = [f"{name}: a random graph with the same degrees has {chance:.4f}"]
    for contender in SETTINGS:
        told = cell[contender]
        edges = f"{told['edges']}/{told['reference_edges']}"
        found.append(
            f"  {contender:24}{told['loss']:9.5f}{told['loss'] / chance:8.4f}"
            f"{ratio(cell, contender):7.1f}x{told['common']:>8}{edges:>13}{told['degrees_kept']:9.3f}"
            f"{told['agreement']:7.3f}{told['seconds']:7.1f}{told['steps']:>8}  {told['setting']}"
            + remark(cell, contender)
        )
    return found


def remark(cell: dict[str, Any], contender: str) -> str:
    """Whether a peer is near ours, or better."""
    if contender == "ours" or ratio(cell, contender) >= NEAR:
        return ""
    return "; BETTER than ours" if ratio(cell, contender) < 1 else f"; within {NEAR:g}x of ours"


def means(cells: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, float]]:
    """Mean loss over trainings of each contender, for each data set and layer."""
    names = dict.fromkeys((cell["dataset"], cell["layer"]) for cell in cells)
    return {
        name: {
            contender: statistics.mean(
                cell[contender]["loss"] for cell in cells if (cell["dataset"], cell["layer"]) == name
            )
            for contender in SETTINGS
        }
        for name in names
    }


def closing(told: dict[str, Any]) -> list[str]:
    """Mean losses over trainings as ratios to ours, and why there are no other models."""
    found = []
    for (dataset, layer), mean in means(told["cells"]).items():
        ratios = ", ".join(f"{peer} {mean[peer] / mean['ours']:.1f}x" for peer in PEERS)
        found.append(f"{dataset} {layer}: mean loss {mean['ours']:.5f}; {ratios}")
    for model, reasons in told["refused"].items():
        found.append(f"{model}: no peer; " + "; ".join(f"{who}: {why}" for who, why in reasons.items()))
    return found


def _save(told: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
