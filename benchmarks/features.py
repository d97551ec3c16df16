"""Feature metamers against peers: seconds to a loss of 1e-3 and of 1e-4, side by side in one run.

Peers: Adam on all of X (the way of the paper) and plenoptic's `Metamer`, both on the same function, which
ends at the layer, each at the best of three learning rates: a short trial of each chooses the one that has
come furthest, and its own clock runs on. All contenders of a cell run one after the other in processes of
their own, so that a machine whose speed drifts slows all of them; ours runs before and after the peers, and
its worse run counts.

In some cells an ablation follows at once: compressed features or all of X, L-BFGS or Adam. Their Adam is this
package's own, on the same objective and tape as its L-BFGS, so that nothing else differs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tables
from contenders import PEERS, Cell, Plan, measure
from null_space import null_space_losses

import graph_metamers as gm

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

TOLERANCES = (1e-3, 1e-4)
HIDDEN = 64
MODELS = ("gcn", "sage", "gat", "gin")
LAYERS = ("act.0", "output")
OURS = "lbfgs-compressed"
ABLATED = (("cora", "sage", "act.0"), ("cora", "gat", "output"))
ABLATION_BUDGET = 8.0  # seconds

# Every contender is a fork of one process that has imported everything and computed nothing.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["contenders", "plenoptic"])
# Python 3.11 does not tell that process where this file's neighbours are, and it then goes on without them.
PATHS = (str(Path(__file__).parent), os.environ.get("PYTHONPATH", ""))
os.environ["PYTHONPATH"] = os.pathsep.join(path for path in PATHS if path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", nargs="+", default=["cora", "citeseer"])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--budget", type=float, default=30.0, help="seconds a contender and cell")
    parser.add_argument("--trial", type=float, default=2.0, help="seconds for each learning rate")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("artefacts/bench/features.json"))
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # the processes inherit it
    folder = options.output.parent
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(Plan(TOLERANCES, options.budget, options.trial), options.threads)
    print(*tables.heading(bench.told), sep="\n", flush=True)
    kinds = [(dataset, model) for dataset in options.datasets for model in options.models]
    for dataset, model in kinds:
        weights = trained(dataset, model, folder)
        for layer in LAYERS:
            cell = bench.measure({"dataset": dataset, "model": model, "layer": layer}, weights)
            print(tables.line(cell, options.budget), flush=True)
            _save(bench.told, options.output)
    for dataset, model in kinds:
        bench.keep_what_is_read(dataset, model, trained(dataset, model, folder))
    _save({**bench.told, "ended": time.time()}, options.output)  # without an end it is not complete
    print(*tables.closing(bench.told), options.output, sep="\n")


class Bench:
    """Runs the contenders of one cell after the other and keeps what they tell, as JSON, in `told`."""

    def __init__(self, plan: Plan, threads: int) -> None:
        self.plan, self.threads = plan, threads
        self.shorter = replace(plan, budget=min(ABLATION_BUDGET, plan.budget))
        self.told: dict[str, Any] = {
            "began": time.time(),
            "threads": threads,
            "budget": plan.budget,
            "trial": plan.trial,
            "cells": [],
            "ablation": {"budget": self.shorter.budget, "trial": plan.trial, "cells": []},
            "null_space": [],
        }

    def measure(self, names: dict[str, str], weights: Path) -> dict[str, Any]:
        """All contenders of a cell, in turns; its ablation follows while the machine is as fast as before."""
        cell = Cell(names["dataset"], weights, names["layer"])
        first = self._run(OURS, cell, self.plan)
        found = {peer: self._run(peer, cell, self.plan) for peer in PEERS}
        # What the first run of ours did not reach is not waited for again.
        mine = [first, self._run(OURS, cell, replace(self.plan, tolerances=_reached(first)))]
        worse = tables.worse(mine)
        self.told["cells"].append({**names, "ours": worse, "ours_runs": mine, **found})
        if tuple(names.values()) in ABLATED:
            others = {name: self._run(name, cell, self.shorter) for name in tables.VARIANTS if name != OURS}
            self.told["ablation"]["cells"].append({**names, OURS: worse, **others})
        measured: dict[str, Any] = self.told["cells"][-1]
        return measured

    def keep_what_is_read(self, dataset: str, model: str, weights: Path) -> None:
        """The row of `solver="null_space"`, which is no contender."""
        row = apart(null_space_losses, dataset, weights, self.threads)
        self.told["null_space"].append({"dataset": dataset, "model": model, **row})

    def _run(self, contender: str, cell: Cell, plan: Plan) -> dict[str, Any]:
        return apart(measure, contender, cell, plan, self.threads)


def _reached(run: dict[str, Any]) -> tuple[float, ...]:
    """The tolerances that a run met; the first one in any case."""
    finer = (tolerance for tolerance in TOLERANCES[1:] if run["arrived"][str(tolerance)] is not None)
    return (TOLERANCES[0], *finer)


def apart(work: Callable[..., dict[str, Any]], *arguments: object) -> dict[str, Any]:
    """What a function returns in a process of its own."""
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_send, args=(sender, work, arguments))
    process.start()
    sender.close()
    try:
        told: dict[str, Any] = receiver.recv()
    except EOFError:
        raise SystemExit(f"{work.__name__}{arguments} failed; its error stands above") from None
    process.join()
    return told


def _send(sender: Connection, work: Callable[..., dict[str, Any]], arguments: tuple[object, ...]) -> None:
    with contextlib.redirect_stderr(io.StringIO()):  # plenoptic's progress bar
        told = work(*arguments)
    sender.send(told)


def trained(dataset: str, model: str, folder: Path, *, hidden: int = HIDDEN, seed: int = 0) -> Path:
    """The checkpoint of a data set and model; trained if it is not there."""
    width, number = "" if hidden == HIDDEN else f"-{hidden}", f"-seed-{seed}" if seed else ""
    path = folder / f"{dataset}-{model}{width}{number}.safetensors"
    if not path.exists():
        data = gm.load_dataset(dataset)
        built = gm.build_model(model, data, hidden_channels=hidden, seed=seed)
        gm.save_model(gm.fit(built, data, epochs=100, seed=seed).model, path)
    return path


def _save(told: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
