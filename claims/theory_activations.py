"""What ELU does that ReLU does not: dimension, volume, and how well metamers match, over training seeds."""

from __future__ import annotations

import copy
import json
import shutil
import statistics
import warnings
from typing import Any

from cora_models import HIDDEN_CHANNELS, require_cora
from judging import ARTEFACTS, Judge

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import numpy as np
    import torch

    import graph_metamers as gm
    from graph_metamers.inputs import resolve_variables
    from graph_metamers.inputs.visible import visible_space
    from graph_metamers.metrics.comparisons import paired_test
    from graph_metamers.reading import ModelView

FOLDER = ARTEFACTS / "theory"
SEEDS = range(5)  # of training
ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "tanh")
NUM_NODES = 300  # drawn once, the same for every model
DEEP_NODES = 100
SEARCHES = 1  # starts for each model
STEPS = 60
LAYER = "act.0"
FIGURES = ("inactive", "dimension_gain", "sum_of_units", "log_volume", "full_rank_share")


def main() -> None:
    judge = Judge(
        f"activation functions: GCN on Cora, hidden {HIDDEN_CHANNELS}, {len(SEEDS)} training seeds, "
        f"{NUM_NODES} nodes, layer {LAYER}"
    )
    dataset = require_cora(judge)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    nodes = _drawn(dataset, NUM_NODES)
    rows = [_one_model(dataset, activation, seed, nodes) for seed in SEEDS for activation in ("relu", "elu")]
    _judge_closed_forms(judge, rows)
    _tell_same_weights(judge, rows)
    _tell_fidelity(judge, rows)
    deep = [_deep(dataset, seed) for seed in SEEDS]
    _tell_deep(judge, deep)
    others = [
        _one_model(dataset, activation, seed, nodes, searches=0)
        for seed in SEEDS
        for activation in ("leaky_relu", "gelu", "tanh")
    ]
    _tell_retrained(judge, rows + others)
    (FOLDER / "activations.json").write_text(json.dumps({"models": rows + others, "deep": deep}, indent=1))
    judge.finish()


def _drawn(dataset: gm.Dataset, count: int) -> torch.Tensor:
    order = torch.randperm(dataset.num_nodes, generator=torch.Generator().manual_seed(0))
    return order[:count].sort().values


def _one_model(
    dataset: gm.Dataset, activation: str, seed: int, nodes: torch.Tensor, searches: int = SEARCHES
) -> dict[str, Any]:
    """A model trained with an activation function: its own figures, and those of others with its weights."""
    model = gm.build_model("gcn", dataset, hidden_channels=HIDDEN_CHANNELS, activation=activation, seed=seed)
    model = gm.fit(model, dataset, seed=seed).model
    change = gm.volume_change(model, dataset.graph, LAYER, index=nodes)
    return {
        "activation": activation,
        "seed": seed,
        "accuracy": _accuracy(model, dataset),
        **{name: change.summary()[name] for name in FIGURES},
        "same_weights": {row["activation"]: row for row in change.compared(ACTIVATIONS)},
        "closed_form_error": _closed_form_error(model, dataset, change),
        "metamers": [_metamer(model, dataset, start) for start in range(searches)],
    }


def _accuracy(model: gm.GNN, dataset: gm.Dataset) -> float:
    graph = dataset.graph
    with torch.no_grad():
        right = model.eval()(graph.x, graph.edge_index).argmax(dim=1) == graph.y
    return float(right[dataset.split.test].double().mean())


def _closed_form_error(model: gm.GNN, dataset: gm.Dataset, change: gm.VolumeChange) -> float:
    """Largest difference of gain and log-volume from what z alone says, with z by plain PyTorch Geometric."""
    with torch.no_grad():
        z = copy.deepcopy(model.conv[0]).double()(dataset.graph.x.double(), dataset.graph.edge_index)
    z = z.numpy()[change.read.index]
    errors = []
    for name, gain, volume in (
        ("relu", (z < 0).sum(axis=1), np.zeros(len(z))),
        ("elu", np.zeros(len(z)), np.where(z < 0, -z, 0.0).sum(axis=1)),
        ("leaky_relu", np.zeros(len(z)), -np.log(0.01) * (z < 0).sum(axis=1)),
    ):
        found = change.with_activation(name)
        errors += [np.abs(found.dimension_gain - gain).max(), np.abs(found.log_volume - volume).max()]
    return float(max(errors))


def _metamer(model: gm.GNN, dataset: gm.Dataset, start: int) -> dict[str, float]:
    """What a search of so many steps reaches: how close, and how far from the reference.

    The distance is that in the directions that the layer reads; 0 = the reference, 1 = chance.
    """
    features = gm.Features(kind="continuous")
    variables = resolve_variables(features, dataset.graph)
    space = visible_space(ModelView(model), variables, LAYER)
    found = gm.generate(
        model,
        dataset.graph,
        LAYER,
        vary=features,
        budget=gm.Budget(steps=STEPS),
        tolerance=0.0,
        seed=start,
    )
    return {
        "loss": found.activation_loss,
        "median_item_loss": float(found.item_loss.median()),
        "agreement": float(found.prediction_agreement.share),
        "visible_distance": float(space.split(found.graph, variables, "nodes").visible),
    }


def _deep(dataset: gm.Dataset, seed: int) -> dict[str, Any]:
    """The second hidden layer of three: there rows of Jacobians may depend on each other."""
    model = gm.build_model("gcn", dataset, hidden_channels=HIDDEN_CHANNELS, num_layers=3, seed=seed)
    model = gm.fit(model, dataset, seed=seed).model
    change = gm.volume_change(model, dataset.graph, "act.1", index=_drawn(dataset, DEEP_NODES))
    elu = change.with_activation("elu")
    wrong = np.abs(elu.sum_of_units - elu.log_volume)
    return {
        "seed": seed,
        "accuracy": _accuracy(model, dataset),
        **{name: change.summary()[name] for name in FIGURES},
        "mean_rank": float(change.rank.mean()),
        "elu_log_volume": float(elu.log_volume.mean()),
        "elu_sum_of_units": float(elu.sum_of_units.mean()),
        "nodes_with_wrong_sum": int((wrong > 1e-9).sum()),
        "nodes_with_gain_below_inactive": int((change.dimension_gain < change.inactive).sum()),
    }


def _judge_closed_forms(judge: Judge, rows: list[dict[str, Any]]) -> None:
    share = min(row["full_rank_share"] for row in rows)
    judge.claim(f"Jacobians of {LAYER} have independent rows at {share:.1%} of the nodes; 100%", share == 1)
    worst = max(row["closed_form_error"] for row in rows)
    text = f"there gain and log-volume of ReLU, ELU and leaky ReLU are those of z alone: within {worst:.1e}"
    judge.claim(f"{text}; <= 1e-10", worst <= 1e-10)
    relu = [row for row in rows if row["activation"] == "relu"]
    elu = [row for row in rows if row["activation"] == "elu"]
    judge.claim(
        f"trained with ReLU: dimension gain {_over(relu, 'dimension_gain')} of {HIDDEN_CHANNELS} per node, "
        "> 0 for every seed; log-volume 0",
        all(row["dimension_gain"] > 0 == row["log_volume"] for row in relu),
    )
    judge.claim(
        f"trained with ELU: dimension gain 0; log-volume change {_over(elu, 'log_volume')} nats per node, "
        "> 0 for every seed",
        all(row["dimension_gain"] == 0 < row["log_volume"] for row in elu),
    )


def _tell_retrained(judge: Judge, rows: list[dict[str, Any]]) -> None:
    judge.note("each function with its own training; mean per node, +- standard error over training seeds:")
    for activation in ACTIVATIONS:
        own = [row for row in rows if row["activation"] == activation]
        judge.note(
            f"  {activation:<10}  accuracy {_over(own, 'accuracy', 3)}  gain {_over(own, 'dimension_gain')}  "
            f"log-volume {_over(own, 'log_volume')}"
        )


def _tell_same_weights(judge: Judge, rows: list[dict[str, Any]]) -> None:
    for trained in ("relu", "elu"):
        own = [row for row in rows if row["activation"] == trained]
        judge.note(f"weights that were trained with {trained}, other functions in its place:")
        for activation in ACTIVATIONS:
            same = [row["same_weights"][activation] for row in own]
            judge.note(
                f"  {activation:<10}  gain {_over(same, 'dimension_gain')}  log-volume "
                f"{_over(same, 'log_volume')}"
            )


def _tell_deep(judge: Judge, deep: list[dict[str, Any]]) -> None:
    judge.note(
        f"second hidden layer of three (ReLU), {DEEP_NODES} nodes: rank {_over(deep, 'mean_rank')} of "
        f"{HIDDEN_CHANNELS}, independent rows at a share of {_over(deep, 'full_rank_share', 3)}; closed "
        f"{_over(deep, 'inactive')}, gain {_over(deep, 'dimension_gain')}; with ELU there log-volume "
        f"{_over(deep, 'elu_log_volume')}, sum of units {_over(deep, 'elu_sum_of_units')}"
    )
    wrong = sum(row["nodes_with_wrong_sum"] for row in deep)
    below = sum(row["nodes_with_gain_below_inactive"] for row in deep)
    judge.note(
        f"  the sum over units is wrong at {wrong}, and the count of closed units is not the gain at "
        f"{below}, of {DEEP_NODES * len(deep)} nodes"
    )


def _tell_fidelity(judge: Judge, rows: list[dict[str, Any]]) -> None:
    means: dict[str, dict[str, list[float]]] = {}
    for activation in ("relu", "elu"):
        own = [row for row in rows if row["activation"] == activation]
        names = own[0]["metamers"][0]
        means[activation] = {
            name: [statistics.mean(found[name] for found in row["metamers"]) for row in own] for name in names
        }
        told = ", ".join(
            f"{name.replace('_', ' ')} {statistics.mean(values):.3g} +- {_error(values):.1g}"
            for name, values in means[activation].items()
        )
        judge.note(f"metamers of {LAYER} after {STEPS} steps, trained with {activation}: {told}")
    for name in ("loss", "median_item_loss", "agreement", "visible_distance"):
        test = paired_test(means["elu"][name], means["relu"][name])
        judge.note(f"  ELU - ReLU, {name.replace('_', ' ')}: {test}")


def _over(rows: list[dict[str, Any]], name: str, digits: int = 2) -> str:
    values = [float(row[name]) for row in rows]
    return f"{statistics.mean(values):.{digits}f} +- {_error(values):.{digits}f}"


def _error(values: list[float]) -> float:
    return statistics.stdev(values) / len(values) ** 0.5


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
