"""The results page: every table in it, made anew from the runs of the studies, without graph-metamers.

`--write` puts the tables into the page; without it they have to stand there as they are made here.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import re
from typing import TYPE_CHECKING, Any

from judging import ROOT, Judge
from plain_results import (
    ACCURACY,
    EXCESS,
    NAMES,
    SETTINGS,
    SHARE,
    Effect,
    Row,
    against,
    by_seed,
    cells_of,
    changes_of,
    effect_at,
    holm,
    paired,
    tables_of,
)
from pyarrow import parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PAGE = ROOT / "docs" / "results.md"
RESULTS = ROOT / "studies" / "results"
CLOSE = 1e-9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into the page")
    options = parser.parse_args()
    judge = Judge("results: the page against the runs of the studies, by NumPy and SciPy")
    studies = {name: _searches(name) for name in ("mitigations", "depth_width", "paper")}
    for name, rows in studies.items():
        _judge_runs(judge, name, rows)
        _judge_comparisons(judge, name, rows)
    tables = tables_of(studies)
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
    cells = cells_of(row for row in rows if row["kind"] == "metamer")
    worst, compared = 0.0, 0
    lines = [line for line in written if line["question"] in single]
    for line in lines:
        factor = single[line["question"]]
        one, base = (_cell_of(cells, line, factor, line[side]) for side in ("level", "baseline"))
        for measure, prefix in ((SHARE, ""), (ACCURACY, "accuracy_"), (EXCESS, "excess_")):
            name = f"{prefix}difference"
            if not line[name]:
                continue
            found = paired(by_seed(one, measure), by_seed(base, measure))
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
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
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


def _judge_headlines(judge: Judge, studies: Mapping[str, list[Row]]) -> None:
    """The sentences on the page that name a direction, each with its figure."""
    rows = [row for row in studies["mitigations"] if row["kind"] == "metamer" and row["dataset"] == "csbm"]
    changes = {change.name: change for change in changes_of("csbm")}

    def effect(name: str, model: str, layer: str, measure: str = EXCESS) -> Effect:
        return effect_at(rows, changes[name], model, layer, measure)

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
    _judge_combinations(judge, effect)
    _judge_real_data(judge, studies["mitigations"])
    _judge_depth_and_width(judge, studies["depth_width"])
    _judge_architectures(judge, studies["paper"])


def _judge_combinations(judge: Judge, effect: Callable[..., Effect]) -> None:
    for model in ("gcn", "sage"):
        for base in ("ELU", "residual"):
            found = effect(f"both, against {base} alone", model, "act.0")
            if model == "gcn":
                judge.claim(f"GCN: both do more than {base} alone at layer 1 ({told(found)})", found.high < 0)
    added = effect("both, against ELU alone", "sage", "act.0")
    judge.claim(
        f"GraphSAGE: residual connections are not shown to add to ELU ({told(added)})", added.high > 0
    )
    for model, layer in itertools.product(("gcn", "sage"), ("act.0", "output")):
        found = effect("all three, against both with random", model, layer)
        judge.claim(
            f"{NAMES[model]} {layer}: all three are not better than both ({told(found)})", found.high > 0
        )


def _judge_depth_and_width(judge: Judge, runs: Sequence[Row]) -> None:
    deep = [row for row in runs if row["kind"] == "metamer" and row["dataset"] == "csbm"]
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
            found = paired(*(by_seed(sides[layers], measure) for layers in (6, 2)))
            holds = found.low > 0 if measure == EXCESS else found.low > -0.01
            judge.claim(f"{NAMES[model]}: six layers instead of two {text} ({told(found)})", holds)
        wide, usual = (
            by_seed(
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
        found = paired(wide, usual)
        judge.claim(
            f"{NAMES[model]}: 128 channels instead of 16 lower it at layer 1 ({told(found)})", found.high < 0
        )


def _judge_real_data(judge: Judge, runs: Sequence[Row]) -> None:
    def effect(dataset: str, name: str, model: str, layer: str, measure: str = SHARE) -> Effect:
        rows = [row for row in runs if row["kind"] == "metamer" and row["dataset"] == dataset]
        (change,) = [change for change in changes_of(dataset) if change.name == name]
        return effect_at(rows, change, model, layer, measure)

    pgd = "adversarial, against random"
    largest = max(
        (
            effect("cora", change.name, model, layer)
            for change in changes_of("cora")
            for model in ("gcn", "sage")
            for layer in ("act.0", "output")
        ),
        key=lambda found: abs(found.mean),
    )
    judge.claim(
        f"Cora: no change moves the share by a point ({in_points(largest)})", abs(largest.mean) < 0.01
    )
    for model, layer in (("gcn", "act.0"), ("gcn", "output"), ("sage", "output")):
        found = effect("chameleon", pgd, model, layer)
        judge.claim(
            f"chameleon, {NAMES[model]} {layer}: adversarial training lowers it ({in_points(found)})",
            found.high < 0,
        )
        found = effect("chameleon", "random, against none", model, layer)
        judge.claim(
            f"chameleon, {NAMES[model]} {layer}: random changes are not shown to ({in_points(found)})",
            found.high > 0,
        )
        found = effect("chameleon", "ELU", model, layer)
        judge.claim(f"chameleon, {NAMES[model]} {layer}: ELU raises it ({in_points(found)})", found.low > 0)
    _judge_adversarial_by_activation(judge, runs)
    for model in ("gcn", "sage"):
        found = effect("chameleon", "adversarial, against none", model, "output", ACCURACY)
        judge.claim(f"chameleon, {NAMES[model]}: at a cost in accuracy ({in_points(found)})", found.high < 0)
        found = effect("cora", pgd, model, "output", ACCURACY)
        judge.claim(
            f"Cora, {NAMES[model]}: adversarial training costs accuracy ({in_points(found)})", found.high < 0
        )


def _judge_adversarial_by_activation(judge: Judge, runs: Sequence[Row]) -> None:
    rows = [row for row in runs if row["kind"] == "metamer" and row["dataset"] == "chameleon"]
    for activation, bounds in (("relu", (-0.27, -0.17)), ("elu", (-0.045, 0.045))):
        means = []
        for place, residual in itertools.product(
            (("gcn", "act.0"), ("gcn", "output"), ("sage", "output")), (False, True)
        ):
            where = {"model": place[0], "layer": place[1], "activation": activation, "residual": residual}
            sides = [{"perturbation": f"{kind} features flips 2"} for kind in ("pgd", "random")]
            means.append(against(rows, SHARE, where, *sides).mean)
        judge.claim(
            f"chameleon, {activation}: adversarial training moves it by {100 * min(means):+.1f} to "
            f"{100 * max(means):+.1f} points",
            bounds[0] <= min(means) and max(means) <= bounds[1],
        )


def _judge_architectures(judge: Judge, runs: Sequence[Row]) -> None:
    rows = [row for row in runs if row["kind"] == "metamer"]
    citations, most = ("cora", "citeseer", "cora_ml"), ("gcn", "sage", "cheb", "sgc")

    def share(dataset: str, model: str, layer: str, weights: str = "trained") -> dict[int, float]:
        wanted = (dataset, model, layer, weights)
        names = ("dataset", "model", "layer", "weights")
        return by_seed((row for row in rows if tuple(row[name] for name in names) == wanted), SHARE)

    places = [
        (model, layer)
        for model in NAMES
        for layer in ("act.0", "output")
        if (model, layer) != ("sgc", "act.0")
    ]
    means = {
        (dataset, *place): sum(share(dataset, *place).values()) / 5
        for dataset in (*citations, "chameleon", "minesweeper")
        for place in places
    }
    high = [mean for (dataset, model, _), mean in means.items() if dataset in citations and model in most]
    judge.claim(
        f"citation graphs; GCN, GraphSAGE, ChebNet, SGC: {min(high):.1%} to {max(high):.1%} of nodes pass "
        "at either layer; 96% or more",
        min(high) >= 0.96,
    )
    outputs = [
        mean for (dataset, _, layer), mean in means.items() if (dataset, layer) == ("chameleon", "output")
    ]
    judge.claim(
        f"chameleon: {min(outputs):.1%} to {max(outputs):.1%} at the output",
        max(outputs) - min(outputs) > 0.5,
    )
    outputs = [
        mean for (dataset, _, layer), mean in means.items() if (dataset, layer) == ("minesweeper", "output")
    ]
    judge.claim(f"Minesweeper: at most {max(outputs):.1%} at the output", max(outputs) < 0.1)
    for model in ("gcn", "gat", "sgc"):
        found = [
            paired(share(dataset, model, layer), share(dataset, model, layer, "random"))
            for dataset in citations
            for name, layer in places
            if name == model
        ]
        small = sum(abs(effect.mean) < 0.02 for effect in found)
        judge.claim(
            f"citation graphs, {NAMES[model]}: training moves it by less than 2 points in {small} of "
            f"{len(found)} cells",
            small >= len(found) - 1,
        )
    for model in ("gcn", "cheb", "sgc"):
        found = paired(share("chameleon", model, "output"), share("chameleon", model, "output", "random"))
        judge.claim(f"chameleon, {NAMES[model]}: training lowers it ({in_points(found)})", found.high < 0)


def told(found: Effect) -> str:
    """A difference with its interval."""
    return f"{found.mean:+.3f}, {found.low:+.3f} to {found.high:+.3f}"


def in_points(found: Effect) -> str:
    """The same of a share."""
    return f"{100 * found.mean:+.1f} points, {100 * found.low:+.1f} to {100 * found.high:+.1f}"


if __name__ == "__main__":
    main()
