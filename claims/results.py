"""The results page: every table in it, made anew from the runs of the studies, without graph-metamers.

`--write` puts the tables into the page; without it they have to stand there as they are made here.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from judging import ROOT, Judge
from pyarrow import parquet
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

PAGE = ROOT / "docs" / "results.md"
RESULTS = ROOT / "studies" / "results"
SETTINGS = (
    "dataset", "split", "model", "num_layers", "hidden_channels", "activation", "residual", "perturbation",
    "drop_edge", "label_propagation", "weights", "vary", "feature_kind", "layer", "solver",
)  # fmt: skip
SHARE, EXCESS, ACCURACY = "passing_share", "excess", "test_accuracy"
SEEDS = [0, 1, 2, 3, 4]
CLOSE = 1e-9
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into the page")
    options = parser.parse_args()
    judge = Judge("results: the page against the runs of the studies, by NumPy and SciPy")
    studies = {name: _searches(name) for name in ("mitigations", "depth_width", "paper")}
    for name, rows in studies.items():
        _judge_runs(judge, name, rows)
        _judge_comparisons(judge, name, rows)
    tables = _tables(studies)
    page = PAGE.read_text(encoding="utf-8")
    if options.write:
        for name, lines in tables.items():
            page = _replaced(page, name, lines)
        PAGE.write_text(page, encoding="utf-8")
    for name, lines in tables.items():
        judge.claim(f"the page has the table '{name}' as it is made here", _standing(page, name) == lines)
    bare = re.sub(r"<!-- table: .*?<!-- end -->", "", page, flags=re.DOTALL)
    names = re.findall(r"<!-- table: (.*?) -->", page)
    judge.claim("and no other table", sorted(names) == sorted(tables) and "|---" not in bare)
    _judge_headlines(judge, studies)
    judge.finish()


# --- what was run ---------------------------------------------------------------------------------------


def _searches(study: str) -> list[Row]:
    rows: list[Row] = parquet.read_table(RESULTS / study / "runs.parquet").to_pylist()
    return rows


def _judge_runs(judge: Judge, study: str, rows: Sequence[Row]) -> None:
    failed = sum(row["error"] is not None for row in rows)
    models = sum(row["kind"] == "model" for row in rows)
    expected = {"mitigations": (360, 720), "depth_width": (200, 480), "paper": (300, 550)}[study]
    judge.claim(
        f"{study}: {models} models and {len(rows) - models} searches of {expected}, {failed} failed",
        (models, len(rows) - models, failed) == (*expected, 0),
    )


def _judge_comparisons(judge: Judge, study: str, rows: Sequence[Row]) -> None:
    """The study's own table of comparisons, where one setting differs, against SciPy."""
    with (RESULTS / study / "comparisons.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    single = {
        "activation": "activation", "residual": "residual", "perturbation": "perturbation",
        "width": "hidden_channels", "weights": "weights", "architecture": "model",
    }  # fmt: skip
    cells = _cells(row for row in rows if row["kind"] == "metamer")
    worst, compared = 0.0, 0
    lines = [line for line in written if line["question"] in single]
    for line in lines:
        factor = single[line["question"]]
        one, base = (_cell_of(cells, line, factor, line[side]) for side in ("level", "baseline"))
        for measure, prefix in ((SHARE, ""), (ACCURACY, "accuracy_"), (EXCESS, "excess_")):
            name = f"{prefix}difference"
            if not line[name]:
                continue
            found = _paired(_by_seed(one, measure), _by_seed(base, measure))
            expected = (found.mean, found.low, found.high, found.p)
            told = [float(line[key]) for key in (name, f"{name}_low", f"{name}_high", f"{prefix}p")]
            worst = max(worst, *(_apart(*pair) for pair in zip(told, expected, strict=True)))
            compared += 1
    judge.claim(
        f"{study}: {compared} differences, intervals and p-values are SciPy's ({worst:.0e})",
        worst < CLOSE and compared >= 2 * len(lines) > 0,
    )
    worst = 0.0
    for question in {line["question"] for line in written}:
        of_it = [line for line in written if line["question"] == question]
        for prefix in ("", "accuracy_", "excess_"):
            worst = max([worst, *_apart_from_holm(of_it, prefix)])
    judge.claim(
        f"{study}: p-values are corrected after Holm, question by question ({worst:.0e})", worst < CLOSE
    )


def _apart_from_holm(lines: Sequence[Row], prefix: str) -> list[float]:
    """How far each corrected p-value of a measure is from Holm's; accuracy is the same at every layer."""
    known = [line for line in lines if line[f"{prefix}p"]]
    own = ("dataset", "model", "context", "level", "baseline")
    names = own if prefix == "accuracy_" else (*own, "layer", "vary")
    p_values = {tuple(line[name] for name in names): float(line[f"{prefix}p"]) for line in known}
    corrected = dict(zip(p_values, _holm(list(p_values.values())), strict=True))
    return [
        _apart(float(line[f"{prefix}p_holm"]), corrected[tuple(line[name] for name in names)])
        for line in known
    ]


def _apart(one: float, other: float) -> float:
    if math.isnan(one) or math.isnan(other):
        return 0.0 if math.isnan(one) and math.isnan(other) else math.inf
    return abs(one - other)


def _cell_of(cells: Mapping[Any, list[Row]], line: Row, factor: str, level: str) -> list[Row]:
    """The searches on one side of a line of the table."""
    (found,) = [
        members
        for members in cells.values()
        if _word(factor, members[0][factor]) == level and _context(members[0], factor) == _told(line, factor)
    ]
    return found


def _word(factor: str, value: Any) -> str:
    if factor == "residual":
        return "residual" if value else "none"
    return f"width {value}" if factor == "hidden_channels" else str(value)


def _context(row: Row, factor: str) -> tuple[Any, ...]:
    # SGC has no activation function; it stands beside models with the usual one.
    usual = {"activation": "relu"} if factor == "model" and row["model"] == "sgc" else {}
    own = ("dataset", "model", "layer", "vary")
    left_out = {factor, "drop_edge"} if factor == "perturbation" else {factor}
    named = [f"{name} {usual.get(name, row[name])}" for name in SETTINGS if name not in (*own, *left_out)]
    return (*(row[name] for name in own if name not in left_out), ", ".join(named))


def _told(line: Row, factor: str) -> tuple[Any, ...]:
    own = ("dataset", "model", "layer", "vary")
    return (*(line[name] for name in own if name != factor), line["context"])


# --- statistics -----------------------------------------------------------------------------------------


def _cells(rows: Iterable[Row]) -> dict[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        found[tuple(row[name] for name in SETTINGS)].append(row)
    return found


def _by_seed(rows: Iterable[Row], measure: str) -> dict[int, float]:
    """Training seed -> value; the studies have one search a model and layer, and five seeds."""
    found: dict[int, float] = {}
    for row in rows:
        assert row["seed"] not in found, row
        found[row["seed"]] = row[measure]
    assert sorted(found) == SEEDS, found
    return found


def _paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Effect:
    return _effect([ours[seed] - theirs[seed] for seed in SEEDS])


def _effect(differences: Sequence[float]) -> Effect:
    values = np.array(differences)
    mean, error = float(values.mean()), float(stats.sem(values))
    if np.ptp(values) <= 1e-12 * np.abs(values).max():  # no spread to test with
        return Effect(mean, mean, mean, 1.0 if mean == 0 else math.nan)
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return Effect(mean, mean - reach, mean + reach, float(stats.ttest_1samp(values, 0).pvalue))


def _holm(p_values: Sequence[float]) -> list[float]:
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
    values = _by_seed(chosen, measure)
    return _effect([values[seed] for seed in SEEDS])


# --- tables ---------------------------------------------------------------------------------------------

PGD = {"csbm": "pgd features l2 0.5", "cora": "pgd features flips 2", "chameleon": "pgd features flips 2"}


def _changes(dataset: str) -> list[Change]:
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


def _tables(studies: Mapping[str, list[Row]]) -> dict[str, list[str]]:
    searches = {name: [row for row in rows if row["kind"] == "metamer"] for name, rows in studies.items()}
    mitigations, depth_width, paper = (searches[name] for name in ("mitigations", "depth_width", "paper"))
    tables = {f"effects {name}": _effects_table(mitigations, name) for name in ("csbm", "cora", "chameleon")}
    tables |= {"combinations csbm": _combinations_table(mitigations, "csbm", EXCESS)}
    tables |= {"combinations cora chameleon": _shares_table(mitigations, ("cora", "chameleon"))}
    tables |= {"depth csbm": _depth_table(depth_width, "csbm", EXCESS)}
    tables |= {"depth csbm shares": _depth_table(depth_width, "csbm", SHARE)}
    tables |= {"width csbm": _width_table(depth_width, "csbm", EXCESS)}
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
    cases = list(itertools.product(_changes(dataset), ("gcn", "sage"), ("act.0", "output")))
    columns = []
    for measure in measures:
        effects = {case: _effect_at(rows, *case, measure) for case in cases}
        # Accuracy is the model's: the same at both layers, and one comparison.
        counted = {
            case: effect.p for case, effect in effects.items() if measure != ACCURACY or case[2] == "output"
        }
        corrected = dict(zip(counted, _holm(list(counted.values())), strict=True))
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


def _effect_at(rows: Sequence[Row], change: Change, model: str, layer: str, measure: str) -> Effect:
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
        (model, layer, dataset): _paired(
            *(
                _by_seed(
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
    corrected = dict(zip(effects, _holm([effect.p for effect in effects.values()]), strict=True))
    for model, layer in cases:
        texts = []
        for dataset in datasets:
            effect = effects[model, layer, dataset]
            text = f"{100 * effect.mean:+.1f}, {100 * effect.low:+.1f} to {100 * effect.high:+.1f}"
            texts.append(f"**{text}**" if corrected[model, layer, dataset] < SURE else text)
        place = "layer 1" if layer == "act.0" else "output"
        lines.append(f"| {NAMES[model]}, {place} | " + " | ".join(texts) + " |")
    return lines


# --- the page -------------------------------------------------------------------------------------------


def _block(name: str) -> re.Pattern[str]:
    return re.compile(rf"<!-- table: {re.escape(name)} -->\n(.*?)<!-- end -->\n", re.DOTALL)


def _replaced(page: str, name: str, lines: Sequence[str]) -> str:
    text = "\n".join(lines)
    found, count = _block(name).subn(lambda _: f"<!-- table: {name} -->\n\n{text}\n\n<!-- end -->\n", page)
    if count != 1:
        raise SystemExit(f"{PAGE} must have one place for the table '{name}', got {count}")
    return found


def _standing(page: str, name: str) -> list[str]:
    found = _block(name).search(page)
    return [] if found is None else found[1].strip().split("\n")


# --- what the page says in words ------------------------------------------------------------------------


def _judge_headlines(judge: Judge, studies: Mapping[str, list[Row]]) -> None:
    """The sentences on the page that name a direction, each with its figure."""
    rows = [row for row in studies["mitigations"] if row["kind"] == "metamer" and row["dataset"] == "csbm"]
    changes = {change.name: change for change in _changes("csbm")}

    def effect(name: str, model: str, layer: str, measure: str = EXCESS) -> Effect:
        return _effect_at(rows, changes[name], model, layer, measure)

    def told(found: Effect) -> str:
        return f"{found.mean:+.3f}, {found.low:+.3f} to {found.high:+.3f}"

    for model in ("gcn", "sage"):
        name, elu, accuracy = (
            NAMES[model],
            effect("ELU", model, "act.0"),
            effect("ELU", model, "act.0", ACCURACY),
        )
        judge.claim(f"{name}: ELU lowers the excess at layer 1 ({told(elu)})", elu.high < 0)
        judge.claim(
            f"{name}: and costs less than a point of accuracy ({told(accuracy)})", accuracy.low > -0.01
        )
        residual = effect("residual", model, "act.0")
        judge.claim(f"{name}: residual connections lower it at layer 1 ({told(residual)})", residual.high < 0)
        both = effect("ELU and residual, against neither", model, "act.0")
        judge.claim(f"{name}: both together lower it at layer 1 ({told(both)})", both.high < 0)
        for layer in ("act.0", "output"):
            pgd = effect("adversarial, against random", model, layer)
            judge.claim(
                f"{name} {layer}: adversarial training is not shown to lower it ({told(pgd)})", pgd.high > 0
            )
    for layer in ("act.0", "output"):
        pgd = effect("adversarial, against random", "sage", layer)
        judge.claim(f"GraphSAGE {layer}: adversarial training raises it ({told(pgd)})", pgd.low > 0)
        for model in ("gcn", "sage"):
            random = effect("random, against none", model, layer)
            small = max(abs(random.low), abs(random.high)) < 0.05
            judge.claim(
                f"{NAMES[model]} {layer}: random changes move it by less than 0.05 ({told(random)})", small
            )
    cost = effect("residual", "gcn", "act.0", ACCURACY)
    judge.claim(
        f"GCN: residual connections cost one to three points of accuracy ({told(cost)})", cost.high < -0.01
    )
    deep = [row for row in studies["depth_width"] if row["kind"] == "metamer" and row["dataset"] == "csbm"]
    for model in ("gcn", "sage"):
        sides = {
            layers: [
                row
                for row in deep
                if (row["model"], row["num_layers"], row["hidden_channels"], row["layer"])
                == (model, layers, 16, "output")
            ]
            for layers in (2, 6)
        }
        for measure, text in (
            (EXCESS, "raise the excess at the output"),
            (ACCURACY, "do not lower accuracy"),
        ):
            found = _paired(*(_by_seed(sides[layers], measure) for layers in (6, 2)))
            holds = found.low > 0 if measure == EXCESS else found.low > -0.01
            judge.claim(f"{NAMES[model]}: six layers instead of two {text} ({told(found)})", holds)
        wide, usual = (
            _by_seed(
                [
                    row
                    for row in deep
                    if (row["model"], row["num_layers"], row["hidden_channels"], row["layer"])
                    == (model, 2, width, "act.0")
                ],
                EXCESS,
            )
            for width in (128, 16)
        )
        found = _paired(wide, usual)
        judge.claim(
            f"{NAMES[model]}: 128 channels instead of 16 lower it at layer 1 ({told(found)})", found.high < 0
        )


if __name__ == "__main__":
    main()
