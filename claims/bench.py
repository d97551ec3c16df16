"""The bounds on speed and memory, from what `make bench` has saved."""

from __future__ import annotations

import json
import math
import statistics
import sys
from typing import Any

from judging import ARTEFACTS, Judge

FOLDER = ARTEFACTS / "bench"
PEERS = ("adam", "plenoptic")
COARSE, FINE = "0.001", "0.0001"
NOISE = 1.05
VARIANTS = {
    "lbfgs-compressed": "L-BFGS compressed",
    "lbfgs-features": "L-BFGS on X",
    "adam-compressed": "Adam compressed",
    "adam-features": "Adam on X",
}


BETWEEN = 2.0  # minutes between parts of one run at most


def main() -> None:
    files = {name: FOLDER / f"{name}.json" for name in ("steps", "dimensions", "growth", "features")}
    saved = {name: json.loads(path.read_text()) for name, path in files.items() if path.exists()}
    told = {name: one for name, one in saved.items() if "ended" in one}  # else it was broken off
    threads = ", ".join(f"{name} with {one['threads']} threads" for name, one in told.items())
    judge = Judge(f"bench: {threads}")
    for name in sorted(files.keys() - told.keys()):
        judge.claim(f"{files[name].name} is there and complete: run `make bench` first, to its end", False)
    if "features" in told:
        _features(judge, told["features"])
        _ablation(judge, told["features"]["ablation"])
        _null_space(judge, told["features"]["null_space"])
    if "steps" in told:
        _steps(judge, told["steps"]["cells"])
    if "growth" in told:
        _growth(judge, told["growth"])
    if told.keys() == files.keys():
        _time(judge, told)
    judge.finish()


def _time(judge: Judge, told: dict[str, dict[str, Any]]) -> None:
    """From the first beginning to the last end; of parts that were measured again later, their sum."""
    minutes = {name: (one["ended"] - one["began"]) / 60 for name, one in told.items()}
    parts = ", ".join(f"{name} {spent:.1f}" for name, spent in minutes.items())
    total = (max(one["ended"] for one in told.values()) - min(one["began"] for one in told.values())) / 60
    what = "the bench took"
    if total - sum(minutes.values()) > BETWEEN:
        what, total = (
            "not one run, some parts were measured again later: together they took",
            sum(minutes.values()),
        )
    judge.claim(f"{what} {total:.1f} minutes ({parts}); <= 30", total <= 30)


def _features(judge: Judge, told: dict[str, Any]) -> None:
    cells, budget = told["cells"], told["budget"]
    judge.claim(f"{len(cells)} cells; 16", len(cells) == 16)
    coarse = [_ratio(cell, COARSE, budget) for cell in cells]
    mean = statistics.geometric_mean(coarse)
    judge.claim(f"to 1e-3: geometric mean {mean:.1f}x over the better peer; >= 20x", mean >= 20)
    missed = sum(_better(cell, COARSE) == math.inf for cell in cells)
    judge.note(
        f"in {missed} of {len(cells)} cells no peer arrives at 1e-3 in {budget:g} s, and counts as if then"
    )
    arrived = [cell for cell in cells if _seconds(cell["ours"], FINE) < math.inf]
    judge.claim(f"to 1e-4: ours arrives in {len(arrived)} cells; >= 12", len(arrived) >= 12)
    both = [_ratio(cell, FINE, budget) for cell in arrived if _better(cell, FINE) < math.inf]
    mean = statistics.geometric_mean(both) if both else 0.0
    judge.claim(
        f"to 1e-4: geometric mean {mean:.1f}x over {len(both)} cells where both arrive; >= 8x", mean >= 8
    )
    for layer, bound in (("act.0", 5), ("output", 3)):
        for cell in cells:
            if (cell["dataset"], cell["model"], cell["layer"]) == ("cora", "gat", layer):
                seconds = _seconds(cell["ours"], COARSE)
                judge.claim(f"GAT on Cora, {layer}, to 1e-3: {seconds:.2f} s <= {bound} s", seconds <= bound)
    ours = max(cell["ours"]["peak_mib"] for cell in cells)
    least = max(min(cell[peer]["peak_mib"] for peer in PEERS) for cell in cells)
    judge.note(f"largest memory of a search: {ours:.0f} MiB, of the leaner peer {least:.0f} MiB")
    slower = [
        _name(cell)
        for cell in cells
        for tolerance in (COARSE, FINE)
        if _better(cell, tolerance) < math.inf and _ratio(cell, tolerance, budget) < 1 / NOISE
    ]
    judge.claim(f"no cell slower than the better peer; slower: {slower or 'none'}", not slower)


def _ablation(judge: Judge, told: dict[str, Any]) -> None:
    for cell in told["cells"]:
        shown = (
            f"{title} {_shown(cell[variant], COARSE)} / {_shown(cell[variant], FINE)}"
            for variant, title in VARIANTS.items()
        )
        judge.note(f"ablation, {_name(cell)}, s to 1e-3 / 1e-4 of {told['budget']:g}: {', '.join(shown)}")


def _shown(told: dict[str, Any], tolerance: str) -> str:
    seconds = _seconds(told, tolerance)
    return f"{seconds:.2f}" if seconds < math.inf else "not"


def _null_space(judge: Judge, rows: list[dict[str, Any]]) -> None:
    judge.claim(f"{len(rows)} models with the null space; 8", len(rows) == 8)
    for row in rows:
        layer, loss = max(row["losses"].items(), key=lambda pair: pair[1])
        judge.claim(
            f"null space, {row['dataset']} {row['model']}, float32, {row['seconds']:.2f} s: loss at most "
            f"{loss:.1e} at {len(row['losses'])} layers ({layer}); <= 1e-12",
            loss <= 1e-12,
        )


def _steps(judge: Judge, cells: list[dict[str, Any]]) -> None:
    worst = max(cells, key=lambda cell: cell["ratio"])
    text = f"a step costs at most {worst['ratio']:.2f}x a bare pass ({_name(worst)}, {len(cells)} cells)"
    judge.claim(f"{text}; <= 1.25x", worst["ratio"] <= 1.25)


def _growth(judge: Judge, told: dict[str, Any]) -> None:
    largest = told["nodes"][-1]
    judge.claim(
        f"{largest['nodes']} nodes, {largest['edges']} edge entries, {largest['features']} features: loss "
        f"{largest['loss']:.1e} <= 1e-2 in {largest['seconds']:.1f} s",
        largest["nodes"] >= 10**6 and largest["is_metamer"] and largest["loss"] <= 1e-2,
    )
    judge.claim(f"peak {largest['peak_mib'] / 1024:.1f} GiB <= 12", largest["peak_mib"] <= 12 * 1024)
    exponent = told["exponents"][-1]
    judge.claim(f"exponent of time to the largest graph {exponent:.2f} <= 1.15", exponent <= 1.15)


def _seconds(told: dict[str, Any], tolerance: str) -> float:
    seconds = told["arrived"].get(tolerance)
    return math.inf if seconds is None else float(seconds)


def _better(cell: dict[str, Any], tolerance: str) -> float:
    return min(_seconds(cell[peer], tolerance) for peer in PEERS)


def _ratio(cell: dict[str, Any], tolerance: str, budget: float) -> float:
    """Seconds of the better peer, at the most its budget, over ours; nearly 0 if ours does not arrive."""
    return min(_better(cell, tolerance), budget) / _seconds(cell["ours"], tolerance) or 1e-9


def _name(cell: dict[str, Any]) -> str:
    return f"{cell['dataset']} {cell['model']} {cell['layer']}"


if __name__ == "__main__":
    sys.exit(main())
