"""What no other edges can reach: the proved bound for a GCN on Cora, beside what rewiring found."""

from __future__ import annotations

import json
import math
import shutil
import time
import warnings
from typing import TYPE_CHECKING, Any

from judging import ARTEFACTS, Judge, recomputed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from cora_models import compile_kernels, require_cora, trained

    import graph_metamers as gm

if TYPE_CHECKING:
    from cora_models import Trained

FOLDER = ARTEFACTS / "certificate"
SEEDS = range(3)
LAYER = "conv.0"  # before the activation function
SECONDS = 60
WITHIN = 5  # times the bound: what rewiring reaches at the most
SOLVER = gm.Rewire()
BUDGET = gm.Budget(steps=400)


def main() -> None:
    judge = Judge(
        f"certificate: Cora, GCN, hidden 16, layer 1 before ReLU, {torch.get_num_threads()} threads"
    )
    dataset = require_cora(judge)
    shutil.rmtree(FOLDER, ignore_errors=True)
    compile_kernels("structure")
    karate = gm.load_dataset("karate")
    gm.structure_lower_bound(gm.build_model("gcn", karate), karate.graph, LAYER)  # compiles
    rows = []
    for seed in SEEDS:
        made = trained(dataset, "gcn", seed, FOLDER)
        rows.append({**_proved(judge, dataset, made), **_found(dataset, made)})
        _judge_row(judge, made.folder.name, rows[-1])
    (FOLDER / "figures.json").write_text(json.dumps(rows, indent=1))
    judge.finish()


def _proved(judge: Judge, dataset: gm.Dataset, made: Trained) -> dict[str, Any]:
    """The bound, and what nodes of each degree add to it."""
    started, spent = time.perf_counter(), time.process_time()
    proved = gm.structure_lower_bound(made.model, dataset.graph, LAYER, seconds=SECONDS - 5)
    seconds, busy = time.perf_counter() - started, time.process_time() - spent
    for row in proved.rows()[:3]:
        judge.note(
            f"{made.folder.name}: degree {row['degree']} adds {row['loss']:.2e}, from {row['exact']} of "
            f"{row['nodes']} nodes"
        )
    judge.note(f"{made.folder.name}: nothing proved of {proved.unproved_energy:.0%} of the layer's energy")
    return {
        "bound": proved.bound,
        "by_degree": proved.by_degree(),
        "bound_seconds": seconds,
        "bound_busy": busy,
    }


def _found(dataset: gm.Dataset, made: Trained) -> dict[str, Any]:
    """What rewiring reaches on the same layer, recomputed from saved files."""
    metamer = gm.generate(
        made.model, dataset.graph, LAYER, vary="structure", solver=SOLVER, tolerance=1e-5, budget=BUDGET
    )
    place = made.folder / LAYER
    metamer.save(place)
    return dict(recomputed("plain_certificate", "recompute_certificate", made.folder, place))


def _judge_row(judge: Judge, name: str, row: dict[str, Any]) -> None:
    judge.claim(
        f"{name}: bound {row['bound']:.2e} proved in {row['bound_seconds']:.1f} s (computing "
        f"{row['bound_busy']:.1f} s) <= {SECONDS} s",
        row["bound"] > 0 and row["bound_seconds"] <= SECONDS,
    )
    ours = row["by_degree"][1]
    judge.claim(
        f"{name}: degree 1 adds {ours:.6e}, plain PyG's nearest neighbours {row['nearest']:.6e}",
        math.isclose(ours, row["nearest"], rel_tol=1e-6),
    )
    judge.claim(
        f"{name}: rewiring reached {row['loss']:.2e}, {row['loss'] / row['bound']:.1f} times the bound: from "
        f"1 to {WITHIN} (a random graph: {row['random']:.2f})",
        row["bound"] <= row["loss"] <= WITHIN * row["bound"],
    )
    graph = row["graph"]
    kept = graph["degrees_kept"] and graph["count_kept"] and graph["both_directions"] and row["features_kept"]
    judge.claim(
        f"{name}: of rewiring {graph['common']} edges in common with the reference, degrees and features "
        "kept, no edge twice, no new self-loop",
        bool(kept) and not (graph["common"] or graph["doubled"] or graph["new_loops"]),
    )


if __name__ == "__main__":
    main()
