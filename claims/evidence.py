"""Gates, intervals and chance levels: what the instrument accepts, and what it refuses."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from gates import Cora
from judging import ARTEFACTS, ROOT, Judge, run
from safetensors.torch import load_file

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch

    import graph_metamers as gm

SELFTEST_SECONDS = 180
GATES_SECONDS = 5
AUDITS = {
    "cora": (
        "--dataset",
        "cora",
        "--model",
        "gcn",
        "--hidden-channels",
        "64",
        "--feature-kind",
        "continuous",
    ),
    "digits": ("--dataset", "digits", "--model", "gcn"),
}


def main() -> None:
    judge = Judge("evidence: gates on Cora, intervals and chance levels of every number, the self-test")
    root = os.environ.get("GRAPH_METAMERS_DATA")
    if root is None:
        judge.note("needs the files of Cora: set GRAPH_METAMERS_DATA to the folder that holds planetoid/")
        sys.exit(1)
    for name, words in AUDITS.items():
        _audit(judge, name, words)
    _gates(judge, Cora(ARTEFACTS / "evidence" / "cora"))
    _time(judge, ARTEFACTS / "evidence" / "cora")
    _equal_to_scipy(judge)
    _selftest(judge)
    _data_sets(judge, Path(root))
    judge.finish()


def _audit(judge: Judge, name: str, words: tuple[str, ...]) -> None:
    folder = ARTEFACTS / "evidence" / name
    shutil.rmtree(folder, ignore_errors=True)
    ran = run("audit", *words, "--output", str(folder), "--json")
    judge.claim(f"{name}: audit runs, exit {ran.returncode}", ran.returncode == 0)
    told = json.loads(ran.stdout)
    for table in ("rows", "cross_layer_rows"):
        names = [key.removesuffix("_chance_low") for key in told[table][0] if key.endswith("_chance_low")]
        bad = [n for row in told[table] for n in names if not _has_intervals(row, n)]
        judge.claim(
            f"{name}: {len(told[table])} {table}, {len(names)} numbers each, all with interval and chance "
            f"level with interval; without: {bad}",
            not bad and len(names) >= 2,
        )
    page = (folder / "report.html").read_text(encoding="utf-8")
    shown = len(re.findall(r'<p class="unit">[^<]*; 95% interval', page))
    judge.claim(f"{name}: {shown} of the report's 3 headlines have intervals", shown == 3)
    with (folder / "nodes.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    nodes = len(load_file(folder / "reference.safetensors")["y"])
    starts = told["rows"][0]["num_starts"]
    expected = len(told["rows"]) * starts * nodes
    judge.claim(f"{name}: nodes.csv has {len(rows)} rows = layers x starts x nodes", len(rows) == expected)
    share = sum(row["passes"] == "1" for row in rows if row["layer"] == "output") / (starts * nodes)
    reported = told["rows"][-1]["passing_share"]
    judge.claim(
        f"{name}: {share:.6f} of its rows pass at the output, reported {reported:.6f}",
        math.isclose(share, reported, abs_tol=1e-12),
    )


def _has_intervals(row: dict[str, Any], name: str) -> bool:
    return all(
        isinstance(row[key], float) and row[f"{key}_low"] <= row[key] <= row[f"{key}_high"]
        for key in (name, f"{name}_chance")
    )


def _gates(judge: Judge, cora: Cora) -> None:
    rewired = cora.rewired()
    kept = {tuple(edge) for edge in cora.edges.T.tolist()} & {tuple(edge) for edge in rewired.T.tolist()}
    judge.note(f"same-degree rewiring keeps {len(kept) / cora.edges.shape[1]:.1%} of the edges")
    exact = cora.null_space_metamer()
    for layer in cora.audit["layers"]:
        name, place = layer["name"], cora.folder / f"layer_{layer['depth']}"
        node, rival = cora.nearest(name)
        free = cora.gates(name, exact, cora.edges, rival)
        judge.claim(
            f"{name}: exact null-space metamer: {free['null space']:.2%} of nodes pass as kind null space "
            f"(>= 99%), {free['visible']:.2%} as visible (0)",
            free["null space"] >= 0.99 and free["visible"] == 0,
        )
        h = cora.activations[name]
        copied = (h[node] - h).norm(dim=1) / h.norm(dim=1)
        beats = float((copied < rival - 1e-5 * (1 + rival)).double().mean())
        judge.claim(f"{name}: the nearest real node passes gate 2 on {beats:.0%} (0%)", beats == 0)
        graph = load_file(place / "graph.safetensors")
        found = cora.gates(name, graph["x"], graph["edge_index"], rival)
        loss = json.loads((place / "metamer.json").read_text())["activation_loss"]
        judge.claim(
            f"{name}: optimised metamer at loss {loss:.2e}: {found['passes']:.2%} pass (>= 97%), "
            f"{found['visible']:.2%} as visible",
            found["passes"] >= 0.97 and loss <= 1e-3,
        )
        reported = layer["measures"]["passing_share"]["values"][0]
        judge.claim(
            f"{name}: reported {reported:.4f}, plain PyG {found['passes']:.4f}, at most one node apart",
            abs(reported - found["passes"]) <= 1.5 / len(cora.x),
        )
        other = cora.gates(name, cora.x, rewired, rival)
        judge.claim(
            f"{name}: same-degree rewiring: {other['passes']:.1%} pass (< 20%)", other["passes"] < 0.2
        )


def _time(judge: Judge, folder: Path) -> None:
    audit = gm.load_audit(folder)
    assert audit.model is not None
    metamer = audit.layers[0].metamer
    started = time.perf_counter()
    null = gm.null_distribution(audit.model, audit.graph, "act.0")
    report = gm.gates(metamer, null, vary=gm.Features(kind="continuous"))
    seconds = time.perf_counter() - started
    judge.claim(
        f"null and gates of all {len(report.passes)} nodes at d = {null.activations.shape[1]}: "
        f"{seconds:.1f} s <= {GATES_SECONDS} with {torch.get_num_threads()} threads",
        seconds <= GATES_SECONDS and null.activations.shape[1] == 64,
    )


def _equal_to_scipy(judge: Judge) -> None:
    tests = ("tests/unit/metrics/test_fidelity.py", "tests/unit/metrics/test_intervals_and_comparisons.py")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *tests], cwd=ROOT, capture_output=True, text=True, check=False
    )
    summary = (ran.stdout.strip().splitlines() or ["nothing"])[-1]
    judge.claim(
        f"Spearman, Pearson, SNR, bootstrap, paired tests equal SciPy's: {summary}", not ran.returncode
    )


def _selftest(judge: Judge) -> None:
    started = time.perf_counter()
    ran = run("selftest", "--seeds", "20", "--json")
    seconds = time.perf_counter() - started
    results = json.loads(ran.stdout)["results"]
    right = sum(result["right"] for result in results)
    judge.claim(
        f"selftest: {right} of {len(results)} right over 20 seeds, exit {ran.returncode}",
        right == len(results) and ran.returncode == 0 and len(results) >= 140,
    )
    judge.claim(f"selftest: {seconds:.0f} s <= {SELFTEST_SECONDS}", seconds <= SELFTEST_SECONDS)


def _data_sets(judge: Judge, root: Path) -> None:
    """The documented figures, in a process without a network and with a data root nobody can write to."""
    inside = (
        f"mount --bind '{root}' '{root}' && mount -o remount,ro,bind '{root}' && ! touch '{root}/.probe' "
        f"2>/dev/null && exec '{sys.executable}' -m pytest -q tests/unit/datasets/test_documented_figures.py"
    )
    ran = subprocess.run(
        ["unshare", "--map-root-user", "--net", "--mount", "sh", "-c", inside],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    summary = (ran.stdout.strip().splitlines() or [ran.stderr.strip()])[-1]
    judge.claim(
        f"every data set loads from a read-only root, no network, with the documented figures: {summary}",
        ran.returncode == 0 and "skipped" not in summary,
    )


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
