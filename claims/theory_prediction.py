"""Do derivatives at the reference foretell which nodes a search moves far? Degrees are taken out."""

from __future__ import annotations

import json
import math
import statistics
import time
import warnings
from typing import Any

from cora_models import HIDDEN_CHANNELS, require_cora
from judging import ARTEFACTS, Judge

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from scipy import stats

    import graph_metamers as gm
    from graph_metamers.inputs import resolve_variables
    from graph_metamers.inputs.visible import visible_space
    from graph_metamers.metrics import partial_rank_correlation
    from graph_metamers.reading import ModelView

FOLDER = ARTEFACTS / "theory"
SEEDS = range(5)  # of training, and of the start
NUM_NODES = 100
LAYERS = ("act.0", "output")
MODELS = ("gcn", "sage")
OBJECTIVES = ("match", "farthest")
TOLERANCE = 1e-3
BUDGET = gm.Budget(steps=600)
FEATURES = gm.Features(kind="continuous")


def main() -> None:
    judge = Judge(
        f"prediction against achievement: {NUM_NODES} random nodes, {len(SEEDS)} training seeds, "
        f"loss {TOLERANCE:g}"
    )
    datasets = {"digits": gm.load_dataset("digits"), "cora": require_cora(judge)}
    rows = [
        row
        for name, dataset in datasets.items()
        for kind in MODELS
        for seed in SEEDS
        for row in _one_model(name, dataset, kind, seed)
    ]
    for name in datasets:
        for kind in MODELS:
            for layer in LAYERS:
                _tell(
                    judge,
                    [row for row in rows if (row["data"], row["model"], row["layer"]) == (name, kind, layer)],
                )
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "prediction.json").write_text(json.dumps(rows, indent=1))
    judge.claim(
        f"all {len(rows)} searches met their tolerance", all(row["status"] == "converged" for row in rows)
    )
    judge.finish()


def _one_model(name: str, dataset: gm.Dataset, kind: str, seed: int) -> list[dict[str, Any]]:
    model = gm.build_model(kind, dataset, hidden_channels=HIDDEN_CHANNELS, seed=seed)
    model = gm.fit(model, dataset, seed=seed).model
    graph = dataset.graph
    nodes = torch.randperm(dataset.num_nodes, generator=torch.Generator().manual_seed(0))[:NUM_NODES]
    degrees = torch.bincount(graph.edge_index[1], minlength=dataset.num_nodes)[nodes]
    variables = resolve_variables(FEATURES, graph)
    rows = []
    for layer in LAYERS:
        space = visible_space(ModelView(model), variables, layer)
        began = time.perf_counter()
        shares = {
            "exact": gm.free_shares(model, graph, layer, index=nodes).shares,
            "soft": gm.free_shares(model, graph, layer, index=nodes, tolerance=TOLERANCE).shares,
        }
        seconds = time.perf_counter() - began
        for objective in OBJECTIVES:
            found = gm.generate(
                model,
                graph,
                layer,
                vary=FEATURES,
                objective=objective,
                tolerance=TOLERANCE,
                seed=seed,
                budget=BUDGET,
            )
            moved = space.split(found.graph, variables, "nodes").visible_items[nodes]
            rows.append(
                {
                    "data": name,
                    "model": kind,
                    "layer": layer,
                    "seed": seed,
                    "objective": objective,
                    "status": found.status.value,
                    "moved": float(moved.nanmean()),
                    "seconds": seconds,
                    "degree": partial_rank_correlation(degrees, moved),
                    **{f"mean_{way}": float(share.mean()) for way, share in shares.items()},
                    **{way: partial_rank_correlation(share, moved, degrees) for way, share in shares.items()},
                }
            )
    return rows


def _tell(judge: Judge, rows: list[dict[str, Any]]) -> None:
    first = rows[0]
    head = f"{first['data']} {first['model']} {first['layer']}"
    judge.note(
        f"{head}: free share {statistics.mean(r['mean_exact'] for r in rows):.1%} exactly, "
        f"{statistics.mean(r['mean_soft'] for r in rows):.1%} up to the tolerance; "
        f"{statistics.mean(r['seconds'] for r in rows):.1f} s for both"
    )
    for objective in OBJECTIVES:
        own = [row for row in rows if row["objective"] == objective]
        told = ", ".join(
            f"{way} {_interval([row[way] for row in own])}" for way in ("exact", "soft", "degree")
        )
        moved = statistics.mean(row["moved"] for row in own)
        judge.note(f"  {objective}: moved {moved:.2f} of chance; rank correlation {told}")


def _interval(values: list[float]) -> str:
    """Mean and 95% interval over training seeds (Student's t)."""
    if not all(map(math.isfinite, values)):
        return "nothing varies"
    mean, error = statistics.mean(values), stats.sem(values)
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return f"{mean:+.2f} [{mean - reach:+.2f}, {mean + reach:+.2f}]"


if __name__ == "__main__":
    main()
