"""Observers on Cora: a panel watches an audit of edges and one of words; figures anew from what is kept."""

from __future__ import annotations

import json
import shutil
import time
import warnings
from typing import TYPE_CHECKING, Any

from judging import ARTEFACTS, Judge, recomputed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from cora_models import compile_kernels, require_cora

    import graph_metamers as gm

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ARTEFACTS / "observers"
STARTS = 3
COLUMNS = ("reference", "act.0", "output", "chance")


def main() -> None:
    judge = Judge(f"observers: Cora, GCN with 16 hidden units, {STARTS} starts, one thread")
    dataset = require_cora(judge)
    shutil.rmtree(FOLDER, ignore_errors=True)
    cache = FOLDER / "cache"
    fitted = gm.fit(gm.build_model("gcn", dataset), dataset)
    before = {name: value.clone() for name, value in fitted.model.state_dict().items()}
    x, edges = dataset.graph.x.clone(), dataset.graph.edge_index.clone()
    first = _timed(judge, dataset, fitted, cache, "first")
    second = _timed(judge, dataset, fitted, cache, "second")
    judge.claim(
        f"the panel the second time {second:.2f} s <= half of {first:.1f} s, the first time",
        second <= first / 2,
    )
    for vary in ("structure", "features"):
        compile_kernels(vary)
        _judge(judge, _audited(judge, dataset, fitted, vary, cache), cache, vary)
    same = all(torch.equal(value, before[name]) for name, value in fitted.model.state_dict().items())
    untouched = torch.equal(dataset.graph.x, x) and torch.equal(dataset.graph.edge_index, edges)
    judge.claim("model and graph as before", same and untouched)
    judge.finish()


def _timed(judge: Judge, dataset: gm.Dataset, fitted: Any, cache: Path, which: str) -> float:
    started = time.perf_counter()
    panel = gm.train_panel(dataset, fitted, cache=cache)
    seconds = time.perf_counter() - started
    kinds = [member.kind for member in panel.members]
    origins = [member.facts["origin"] for member in panel.members if "origin" in member.facts]
    judge.note(
        f"the {which} time: {seconds:.2f} s, {origins.count('cache')} of {len(origins)} from the cache"
    )
    if which == "first":
        judge.claim(
            f"{kinds.count('architecture')} other architectures >= 4, {kinds.count('twin')} twins >= 2, "
            f"{kinds.count('features')} features only, {kinds.count('edges')} edges only",
            kinds.count("architecture") >= 4
            and kinds.count("twin") >= 2
            and "features" in kinds
            and "edges" in kinds,
        )
    return seconds


def _audited(judge: Judge, dataset: gm.Dataset, fitted: Any, vary: str, cache: Path) -> Path:
    started = time.perf_counter()
    audit = gm.audit(fitted, dataset, vary=vary, num_starts=STARTS, observers="panel", cache=cache)
    judge.note(f"{vary}: the audit took {time.perf_counter() - started:.0f} s")
    folder = FOLDER / vary
    audit.save(folder)
    gm.write_report([audit], folder / "report.html")
    (folder / "rows.json").write_text(
        json.dumps({"rows": audit.observers.rows(), "kinds": audit.observers.kind_rows()}, indent=1)
    )
    return folder


def _judge(judge: Judge, folder: Path, cache: Path, vary: str) -> None:
    plain = recomputed("plain_panel", "recompute", folder, cache)
    told = json.loads((folder / "rows.json").read_text())["rows"]
    differing = sum(row["differing"] for row in plain["rows"].values())
    answers = len(plain["rows"]) * 3 * 2708
    # Sums in another order of threads decide the few nodes whose two largest numbers are all but equal.
    judge.claim(
        f"{vary}: {differing} of {answers} answers differ from plain PyG's, at most one in 10 000",
        differing <= answers / 10_000,
    )
    largest = max(
        abs(row[name] - shares)
        for row in told
        for name, shares in (
            ("accuracy", plain["starts"][row["observer"]][row["layer"]]),
            ("accuracy_chance", plain["starts"][row["observer"]]["chance"]),
            ("accuracy_reference", plain["rows"][row["observer"]]["reference"][0]),
            ("as_the_model_reference", plain["rows"][row["observer"]]["reference"][1]),
        )
    )
    judge.claim(
        f"{vary}: told figures are the recomputed ones up to {largest:.1e}",
        largest <= 1e-9 + differing / 1000,
    )
    judge.note(f"{vary}: right on the 1000 test nodes (most frequent class {plain['majority']:.3f})")
    judge.note(f"{'':28}" + "".join(f"{name:>12}" for name in COLUMNS))
    for name, row in plain["starts"].items():
        judge.note(f"{name:28}" + "".join(f"{row[column]:12.3f}" for column in COLUMNS))
    _judge_kinds(judge, plain, vary)
    if vary == "structure":
        judge.note(f"homophily: {', '.join(f'{k} {v:.3f}' for k, v in plain['homophily'].items())}")
    else:
        words = recomputed("plain_panel", "words_of_half", folder)
        judge.note(f"words of half of the nodes: {', '.join(f'{k} {v:.3f}' for k, v in words.items())}")


def _judge_kinds(judge: Judge, plain: dict[str, Any], vary: str) -> None:
    """What was measured by hand before: words alone are fooled by other words, most networks are not."""
    kinds = {name: row["kind"] for name, row in plain["rows"].items()}

    def mean(kind: str, column: str) -> float:
        shares = [plain["starts"][name][column] for name, own in kinds.items() if own == kind]
        return sum(shares) / len(shares)

    unmoved = "features" if vary == "structure" else "edges"
    same = mean(unmoved, "output") == mean(unmoved, "reference")
    judge.claim(
        f"{vary}: who sees {unmoved} only gives the same answers ({mean(unmoved, 'output'):.3f})", same
    )
    if vary == "features":
        lost = mean("features", "reference") - mean("features", "output")
        judge.claim(
            f"words alone lose {lost:.3f} of {mean('features', 'reference'):.3f} at the output", lost > 0.1
        )
    kept = mean("architecture", "output") - mean("architecture", "chance")
    whole = mean("architecture", "reference") - mean("architecture", "chance")
    judge.claim(
        f"{vary}: other architectures keep {kept / whole:.0%} of what is above chance", kept > whole / 2
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
