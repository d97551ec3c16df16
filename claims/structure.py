"""Other edges, the same degrees: how near rewiring comes for four models on Cora, beside random graphs."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import time
import warnings
from typing import Any

from judging import ARTEFACTS, Judge, recomputed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from cora_models import Trained, compile_kernels, require_cora, trained

    import graph_metamers as gm

FOLDER = ARTEFACTS / "structure"
SEEDS = range(3)
LAYERS = ("act.0", "output")
SHARES = {"gcn": 0.05, "sage": 0.08, "gin": 0.08, "gat": 0.15}  # of the loss of a random graph
AGREEMENT = 0.94  # of the GCN, at the output
SECONDS = 60
SOLVER = gm.Rewire()
BUDGET = gm.Budget(steps=400)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "models", nargs="*", default=list(SHARES), help=f"of {', '.join(SHARES)}; all of them"
    )
    chosen = parser.parse_args().models
    judge = Judge(f"structure: Cora, hidden 16, one start, {torch.get_num_threads()} thread")
    dataset = require_cora(judge)
    compile_kernels("structure")
    for architecture in chosen:
        bound, figures = SHARES[architecture], {}
        for seed in SEEDS:
            shutil.rmtree(FOLDER / f"{architecture}-{seed}", ignore_errors=True)
        models = [trained(dataset, architecture, seed, FOLDER) for seed in SEEDS]
        for layer in LAYERS:
            rows = [_search(judge, dataset, made, layer) for made in models]
            _judge_rows(judge, f"{architecture} {layer}", rows, bound)
            if architecture == "gcn":
                _judge_agreement(judge, layer, rows)
            figures[layer] = rows
        (FOLDER / f"{architecture}.json").write_text(json.dumps(figures, indent=1))
    judge.finish()


def _search(judge: Judge, dataset: gm.Dataset, made: Trained, layer: str) -> dict[str, Any]:
    """Search, save, and recompute what was saved in a fresh process."""
    started, spent = time.perf_counter(), time.process_time()
    metamer = gm.generate(
        made.model, dataset.graph, layer, vary="structure", solver=SOLVER, tolerance=1e-5, budget=BUDGET
    )
    seconds, busy = time.perf_counter() - started, time.process_time() - spent
    place = made.folder / layer
    metamer.save(place)
    row = recomputed("plain_pyg", "recompute_edges", made.folder, place)
    judge.note(
        f"{made.folder.name} {layer} (right on {row['accuracy']:.1%}): loss {row['loss']:.4f}, a random "
        f"graph {row['random']:.3f}, the start {row['start']:.3f}, same prediction {row['agreement']:.1%}, "
        f"{seconds:.1f} s ({busy:.1f} s of computing), {metamer.steps} evaluations, {metamer.status.name}"
    )
    return {**row, "seconds": seconds, "busy": busy, "steps": metamer.steps, "status": metamer.status.name}


def _judge_rows(judge: Judge, name: str, rows: list[dict[str, Any]], bound: float) -> None:
    of_random, of_start = (
        statistics.mean(row["loss"] / row[level] for row in rows) for level in ("random", "start")
    )
    judge.claim(
        f"{name}: mean loss {of_random:.2%} of a random graph's and {of_start:.2%} of the start's "
        f"<= {bound:.0%}",
        max(of_random, of_start) <= bound,
    )
    slowest, busiest = (max(row[unit] for row in rows) for unit in ("seconds", "busy"))
    judge.claim(
        f"{name}: at most {slowest:.1f} s a search (computing {busiest:.1f} s) <= {SECONDS} s",
        slowest <= SECONDS,
    )
    graphs = [row["graph"] for row in rows]
    judge.claim(
        f"{name}: {sum(graph['common'] for graph in graphs)} edges in common with the reference",
        not any(graph["common"] for graph in graphs),
    )
    valid = all(_is_valid(graph) for row in rows for graph in (row["graph"], row["random_graph"]))
    judge.claim(
        f"{name}: features, degrees and number of edges as before, no edge twice, no new self-loop, both "
        "directions of each (random graphs too)",
        valid and all(row["features_kept"] for row in rows),
    )
    same = all(math.isclose(row["reported"], row["loss"], rel_tol=1e-5) for row in rows)
    judge.claim(f"{name}: reported losses are plain PyG's", same)


def _judge_agreement(judge: Judge, layer: str, rows: list[dict[str, Any]]) -> None:
    agreement = statistics.mean(row["agreement"] for row in rows)
    if layer == "output":
        judge.claim(
            f"gcn output: mean agreement of predictions {agreement:.1%} >= {AGREEMENT:.0%}",
            agreement >= AGREEMENT,
        )
    else:
        judge.note(f"gcn {layer}: mean agreement of predictions {agreement:.1%}")


def _is_valid(graph: dict[str, Any]) -> bool:
    kept = graph["degrees_kept"] and graph["count_kept"] and graph["both_directions"]
    return kept and not graph["doubled"] and not graph["new_loops"]


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
