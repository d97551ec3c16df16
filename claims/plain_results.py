"""Statistics and tables of the results page, from the runs of the studies, by NumPy and SciPy alone."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

SETTINGS = (
    "dataset", "split", "model", "num_layers", "hidden_channels", "activation", "residual", "perturbation",
    "drop_edge", "label_propagation", "weights", "vary", "feature_kind", "layer", "solver",
)  # fmt: skip
SHARE, EXCESS, ACCURACY = "passing_share", "excess", "test_accuracy"
SEEDS = [0, 1, 2, 3, 4]
SURE = 0.05
NAMES = {"gcn": "GCN", "sage": "GraphSAGE", "gin": "GIN", "gat": "GAT", "cheb": "ChebNet", "sgc": "SGC"}
DATASETS = {
    "csbm": "block model", "cora": "Cora", "chameleon": "chameleon", "citeseer": "CiteSeer",
    "cora_ml": "Cora_ML", "minesweeper": "Minesweeper",
}  # fmt: skip

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Change:
    """Settings with a change and without it; what is averaged over must have both."""

    name: str
    after: Mapping[str, Any]
    before: Mapping[str, Any]


class Effect(NamedTuple):
    """A difference with its 95% interval (Student's t) and the p-value of the paired t test."""

    mean: float
    low: float
    high: float
    p: float


def cells_of(rows: Iterable[Row]) -> dict[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        found[tuple(row[name] for name in SETTINGS)].append(row)
    return found


def by_seed(rows: Iterable[Row], measure: str) -> dict[int, float]:
    """Training seed -> value; the studies have one search a model and layer, and five seeds."""
    found: dict[int, float] = {}
    for row in rows:
        assert row["seed"] not in found, row
        found[row["seed"]] = row[measure]
    assert sorted(found) == SEEDS, found
    return found


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Effect:
    return _effect([ours[seed] - theirs[seed] for seed in SEEDS])


def _effect(differences: Sequence[float]) -> Effect:
    values = np.array(differences)
    mean, error = float(values.mean()), float(stats.sem(values))
    if np.ptp(values) <= 1e-12 * np.abs(values).max():  # no spread to test with
        return Effect(mean, mean, mean, 1.0 if mean == 0 else math.nan)
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return Effect(mean, mean - reach, mean + reach, float(stats.ttest_1samp(values, 0).pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    known = [place for place, p in enumerate(p_values) if not math.isnan(p)]
    found, largest = [math.nan] * len(p_values), 0.0
    for rank, place in enumerate(sorted(known, key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (len(known) - rank) * p_values[place]))
        found[place] = largest
    return found


def _main_effect(rows: Sequence[Row], change: Change, measure: str) -> Effect:
    """With the change minus without it: seed by seed, averaged over all other settings of the study."""
    factors = change.after.keys()
    sides: list[dict[tuple[Any, ...], float]] = []
    for settings in (change.after, change.before):
        chosen = [row for row in rows if all(row[name] == value for name, value in settings.items())]
        others = [name for name in (*SETTINGS, "seed") if name not in factors]
        sides.append({tuple(row[name] for name in others): row[measure] for row in chosen})
    assert sides[0].keys() == sides[1].keys(), change
    by_seed: dict[int, list[float]] = defaultdict(list)
    for case, value in sides[0].items():
        by_seed[case[-1]].append(value - sides[1][case])
    assert sorted(by_seed) == SEEDS, change
    return _effect([float(np.mean(values)) for _, values in sorted(by_seed.items())])


def _level(rows: Sequence[Row], measure: str, **settings: Any) -> Effect:
    chosen = [row for row in rows if all(row[name] == value for name, value in settings.items())]
    values = by_seed(chosen, measure)
    return _effect([values[seed] for seed in SEEDS])


PGD = {"csbm": "pgd features l2 0.5", "cora": "pgd features flips 2", "chameleon": "pgd features flips 2"}


def changes_of(dataset: str) -> list[Change]:
    pgd = PGD[dataset]
    random = pgd.replace("pgd", "random")
    both = {"activation": "elu", "residual": True}
    neither = {"activation": "relu", "residual": False}
    return [
        Change("ELU", {"activation": "elu"}, {"activation": "relu"}),
        Change("residual", {"residual": True}, {"residual": False}),
        Change("adversarial, against random", {"perturbation": pgd}, {"perturbation": random}),
        Change("adversarial, against none", {"perturbation": pgd}, {"perturbation": "none"}),
        Change("random, against none", {"perturbation": random}, {"perturbation": "none"}),
        Change("ELU and residual, against neither", both, neither),
        Change("both, against ELU alone", both, both | {"residual": False}),
        Change("both, against residual alone", both, both | {"activation": "relu"}),
        Change(
            "all three, against both with random",
            both | {"perturbation": pgd},
            both | {"perturbation": random},
        ),
    ]


def tables_of(studies: Mapping[str, list[Row]]) -> dict[str, list[str]]:
    searches = {name: [row for row in rows if row["kind"] == "metamer"] for name, rows in studies.items()}
    mitigations, depth_width, paper = (searches[name] for name in ("mitigations", "depth_width", "paper"))
    tables = {f"effects {name}": _effects_table(mitigations, name) for name in ("csbm", "cora", "chameleon")}
    tables |= {"against plain csbm": _against_plain_table(mitigations, "csbm")}
    tables |= {"combinations csbm": _combinations_table(mitigations, "csbm", EXCESS)}
    tables |= {"combinations cora chameleon": _shares_table(mitigations, ("cora", "chameleon"))}
    tables |= {"depth csbm": _depth_table(depth_width, "csbm", EXCESS)}
    tables |= {"depth csbm shares": _depth_table(depth_width, "csbm", SHARE)}
    tables |= {"width csbm": _width_table(depth_width, "csbm", EXCESS)}
    tables |= {"width csbm shares": _width_table(depth_width, "csbm", SHARE)}
    tables |= {"depth cora": _depth_table(depth_width, "cora", SHARE)}
    tables |= {"width cora": _width_table(depth_width, "cora", SHARE)}
    tables |= {"architectures": _architecture_table(paper)}
    tables |= {"weights": _weights_table(paper)}
    return tables


def _effects_table(rows: Sequence[Row], dataset: str) -> list[str]:
    """One row a change, architecture and layer; p-values are Holm's over the column."""
    rows = [row for row in rows if row["dataset"] == dataset]
    measures = [EXCESS, SHARE, ACCURACY] if dataset == "csbm" else [SHARE, ACCURACY]
    heads = {EXCESS: "scaled excess", SHARE: "nodes that pass", ACCURACY: "test accuracy"}
    cases = list(itertools.product(changes_of(dataset), ("gcn", "sage"), ("act.0", "output")))
    columns = []
    for measure in measures:
        effects = {case: effect_at(rows, *case, measure) for case in cases}
        # Accuracy is the model's: the same at both layers, and one comparison.
        counted = {
            case: effect.p for case, effect in effects.items() if measure != ACCURACY or case[2] == "output"
        }
        corrected = dict(zip(counted, holm(list(counted.values())), strict=True))
        columns.append(
            [
                _signed(effect, corrected[(*case[:2], "output") if measure == ACCURACY else case])
                for case, effect in effects.items()
            ]
        )
    lines = [
        "| change | model, layer | " + " | ".join(heads[measure] for measure in measures) + " |",
        "|---|---|" + "---|" * len(measures),
    ]
    for (change, model, layer), *texts in zip(cases, *columns, strict=True):
        place = "layer 1" if layer == "act.0" else "output"
        lines.append(f"| {change.name} | {NAMES[model]}, {place} | " + " | ".join(texts) + " |")
    return lines


def _against_plain_table(rows: Sequence[Row], dataset: str) -> list[str]:
    """Each combination against ReLU without anything, seed by seed."""
    rows = [row for row in rows if row["dataset"] == dataset]
    plain = {"activation": "relu", "residual": False, "perturbation": "none"}
    lines = [
        "| | GCN, layer 1 | GCN, output | GCN, accuracy | GraphSAGE, layer 1 | GraphSAGE, output "
        "| GraphSAGE, accuracy |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, settings in _kinds(dataset)[1:]:
        texts = []
        for model in ("gcn", "sage"):
            for measure, layer in ((EXCESS, "act.0"), (EXCESS, "output"), (ACCURACY, "output")):
                found = against(rows, measure, {"model": model, "layer": layer}, settings, plain)
                texts.append(f"{found.mean:+.2f}, {found.low:+.2f} to {found.high:+.2f}")
        lines.append(f"| {name} | " + " | ".join(texts) + " |")
    return lines


def against(
    rows: Sequence[Row], measure: str, where: Row, settings: Mapping[str, Any], base: Mapping[str, Any]
) -> Effect:
    """One kind of model against another one, seed by seed."""
    sides = [
        by_seed(
            (row for row in rows if all(row[key] == value for key, value in (where | dict(side)).items())),
            measure,
        )
        for side in (settings, base)
    ]
    return paired(*sides)


def effect_at(rows: Sequence[Row], change: Change, model: str, layer: str, measure: str) -> Effect:
    chosen = [row for row in rows if (row["model"], row["layer"]) == (model, layer)]
    return _main_effect(chosen, change, measure)


def _signed(effect: Effect, p: float) -> str:
    text = f"{effect.mean:+.3f}, {effect.low:+.3f} to {effect.high:+.3f}"
    return f"**{text}**" if p < SURE else text


def _interval(effect: Effect) -> str:
    return f"{effect.mean:.2f}, {max(0.0, effect.low):.2f} to {effect.high:.2f}"


def _accuracy(effect: Effect) -> str:
    return f"{effect.mean:.3f}, {max(0.0, effect.low):.3f} to {min(1.0, effect.high):.3f}"


def _share(effect: Effect) -> str:
    low, high = max(0.0, effect.low), min(1.0, effect.high)
    return f"{100 * effect.mean:.1f}, {100 * low:.1f} to {100 * high:.1f}"


def _kinds(dataset: str) -> list[tuple[str, dict[str, Any]]]:
    pgd = PGD[dataset]
    trainings = [("", "none"), (", random changes", pgd.replace("pgd", "random")), (", adversarial", pgd)]
    return [
        (
            f"{activation}{', residual' if residual else ''}{words}",
            {"activation": activation.lower(), "residual": residual, "perturbation": perturbation},
        )
        for words, perturbation in trainings
        for activation in ("ReLU", "ELU")
        for residual in (False, True)
    ]


def _combinations_table(rows: Sequence[Row], dataset: str, measure: str) -> list[str]:
    rows = [row for row in rows if row["dataset"] == dataset]
    lines = [
        "| | GCN, layer 1 | GCN, output | its accuracy | GraphSAGE, layer 1 | GraphSAGE, output "
        "| its accuracy | parameters |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, settings in _kinds(dataset):
        texts, sizes = [], []
        for model in ("gcn", "sage"):
            texts += [
                _interval(_level(rows, measure, model=model, layer=layer, **settings))
                for layer in ("act.0", "output")
            ]
            texts.append(f"{_level(rows, ACCURACY, model=model, layer='output', **settings).mean:.3f}")
            chosen = [
                row
                for row in rows
                if all(row[key] == value for key, value in ({"model": model} | settings).items())
            ]
            sizes.append(str(chosen[0]["num_parameters"]))
        lines.append(f"| {name} | " + " | ".join(texts) + f" | {' / '.join(sizes)} |")
    return lines


def _shares_table(rows: Sequence[Row], datasets: Sequence[str]) -> list[str]:
    """Least and largest share of the 12 combinations, and the accuracies."""
    lines = [
        "| nodes that pass, % | plain (ReLU), 95% interval | least of the 12 combinations | largest of them "
        "| test accuracy of the 12 |",
        "|---|---|---|---|---|",
    ]
    for dataset, model, layer in itertools.product(datasets, ("gcn", "sage"), ("act.0", "output")):
        chosen = [
            row for row in rows if (row["dataset"], row["model"], row["layer"]) == (dataset, model, layer)
        ]
        cells = {name: _level(chosen, SHARE, **settings) for name, settings in _kinds(dataset)}
        accuracies = [_level(chosen, ACCURACY, **settings).mean for _, settings in _kinds(dataset)]
        ends = [f(cells.items(), key=lambda item: item[1].mean) for f in (min, max)]
        place = "layer 1" if layer == "act.0" else "output"
        lines.append(
            f"| {DATASETS[dataset]}: {NAMES[model]}, {place} | {_share(cells['ReLU'])} | "
            + " | ".join(f"{_share(effect)} ({name})" for name, effect in ends)
            + f" | {min(accuracies):.3f} to {max(accuracies):.3f} |"
        )
    return lines


def _depth_table(rows: Sequence[Row], dataset: str, measure: str) -> list[str]:
    rows = [row for row in rows if row["dataset"] == dataset and row["hidden_channels"] == 16]
    depths = (2, 3, 4, 6, 8)
    text: Callable[[Effect], str] = _interval if measure == EXCESS else _share
    head = "scaled excess" if measure == EXCESS else "nodes that pass, %"
    lines = [
        f"| {head} | " + " | ".join(f"{depth} layers" for depth in depths) + " |",
        "|---|" + "---|" * len(depths),
    ]
    places: dict[str, Callable[[int], str]] = {
        "first hidden layer": lambda _: "act.0",
        "last hidden layer": lambda depth: f"act.{depth - 2}",
        "output": lambda _: "output",
    }
    for model, (place, layer) in itertools.product(("gcn", "sage"), places.items()):
        cells = [_level(rows, measure, model=model, num_layers=depth, layer=layer(depth)) for depth in depths]
        lines.append(f"| {NAMES[model]}, {place} | " + " | ".join(map(text, cells)) + " |")
    return [*lines, *_accuracy_lines(rows, "num_layers", depths)]


def _width_table(rows: Sequence[Row], dataset: str, measure: str) -> list[str]:
    rows = [row for row in rows if row["dataset"] == dataset and row["num_layers"] == 2]
    widths = (4, 8, 16, 32, 64, 128)
    text: Callable[[Effect], str] = _interval if measure == EXCESS else _share
    head = "scaled excess" if measure == EXCESS else "nodes that pass, %"
    lines = [
        f"| {head} | " + " | ".join(f"{width} channels" for width in widths) + " |",
        "|---|" + "---|" * len(widths),
    ]
    for model, layer in itertools.product(("gcn", "sage"), ("act.0", "output")):
        cells = [_level(rows, measure, model=model, hidden_channels=width, layer=layer) for width in widths]
        place = "layer 1" if layer == "act.0" else "output"
        lines.append(f"| {NAMES[model]}, {place} | " + " | ".join(map(text, cells)) + " |")
    return [*lines, *_accuracy_lines(rows, "hidden_channels", widths)]


def _accuracy_lines(rows: Sequence[Row], factor: str, levels: Sequence[int]) -> list[str]:
    return [
        f"| test accuracy, {NAMES[model]} | "
        + " | ".join(
            _accuracy(_level(rows, ACCURACY, model=model, layer="output", **{factor: level}))
            for level in levels
        )
        + " |"
        for model in ("gcn", "sage")
    ]


def _architecture_table(rows: Sequence[Row]) -> list[str]:
    datasets = ("cora", "citeseer", "cora_ml", "chameleon", "minesweeper")
    lines = [
        "| nodes that pass, % (test accuracy) | " + " | ".join(DATASETS[name] for name in datasets) + " |",
        "|---|" + "---|" * len(datasets),
    ]
    for model, layer in itertools.product(NAMES, ("act.0", "output")):
        if (model, layer) == ("sgc", "act.0"):
            continue  # it has no hidden layer
        texts = []
        for dataset in datasets:
            settings = {"dataset": dataset, "model": model, "layer": layer, "weights": "trained"}
            accuracy = f" ({_level(rows, ACCURACY, **settings).mean:.3f})" if layer == "output" else ""
            texts.append(_share(_level(rows, SHARE, **settings)) + accuracy)
        place = "layer 1" if layer == "act.0" else "output"
        lines.append(f"| {NAMES[model]}, {place} | " + " | ".join(texts) + " |")
    return lines


def _weights_table(rows: Sequence[Row]) -> list[str]:
    """Trained minus random weights, seed by seed."""
    datasets = ("cora", "citeseer", "cora_ml", "chameleon", "minesweeper")
    lines = [
        "| points of a percent | " + " | ".join(DATASETS[name] for name in datasets) + " |",
        "|---|" + "---|" * len(datasets),
    ]
    cases = [case for case in itertools.product(NAMES, ("act.0", "output")) if case != ("sgc", "act.0")]
    effects = {
        (model, layer, dataset): paired(
            *(
                by_seed(
                    (
                        row
                        for row in rows
                        if (row["dataset"], row["model"], row["layer"], row["weights"])
                        == (dataset, model, layer, weights)
                    ),
                    SHARE,
                )
                for weights in ("trained", "random")
            )
        )
        for model, layer in cases
        for dataset in datasets
    }
    corrected = dict(zip(effects, holm([effect.p for effect in effects.values()]), strict=True))
    for model, layer in cases:
        texts = []
        for dataset in datasets:
            effect = effects[model, layer, dataset]
            text = f"{100 * effect.mean:+.1f}, {100 * effect.low:+.1f} to {100 * effect.high:+.1f}"
            texts.append(f"**{text}**" if corrected[model, layer, dataset] < SURE else text)
        place = "layer 1" if layer == "act.0" else "output"
        lines.append(f"| {NAMES[model]}, {place} | " + " | ".join(texts) + " |")
    return lines
