"""What `features.py` has measured, as lines of text; pure functions of the numbers in its JSON."""

from __future__ import annotations

import math
import statistics
from typing import Any

COARSE, FINE = "0.001", "0.0001"
TOLERANCES = (COARSE, FINE)
PEERS = ("adam", "plenoptic")
VARIANTS = {
    "lbfgs-compressed": "L-BFGS, compressed",
    "lbfgs-features": "L-BFGS on X",
    "adam-compressed": "Adam, compressed",
    "adam-features": "Adam on X",
}
NAME_WIDTH = 22


def arrival(told: dict[str, Any], tolerance: str) -> float:
    """Seconds to a tolerance; infinite if it was not met."""
    seconds = told["arrived"].get(tolerance)
    return math.inf if seconds is None else float(seconds)


def worse(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Of some runs the slowest to 1e-3, with the longest time to either tolerance."""
    times = {tolerance: max(arrival(run, tolerance) for run in runs) for tolerance in TOLERANCES}
    arrived = {tolerance: None if time == math.inf else time for tolerance, time in times.items()}
    return {**max(runs, key=lambda run: arrival(run, COARSE)), "arrived": arrived}


def cell_name(cell: dict[str, Any]) -> str:
    return f"{cell['dataset']} {cell['model']} {cell['layer']}"


def better_peer(cell: dict[str, Any], tolerance: str) -> dict[str, Any]:
    """The peer that arrives first; if none does, the one of the lower loss."""
    peers: list[dict[str, Any]] = [cell[peer] for peer in PEERS]
    return min(peers, key=lambda told: (arrival(told, tolerance), told["best"]))


def ratio(cell: dict[str, Any], tolerance: str, budget: float) -> float:
    """Seconds of the better peer, at the most the budget, over ours; 0 if ours does not arrive."""
    theirs = min(arrival(better_peer(cell, tolerance), tolerance), budget)
    return theirs / arrival(cell["ours"], tolerance)


def heading(told: dict[str, Any]) -> list[str]:
    """What stands above the lines of the cells."""
    columns = f"{'ours':>8}{'adam':>8}{'plenop.':>8}{'ratio':>8}{'MiB':>7}{'peer':>6}"
    return [
        f"seconds with {told['threads']} threads, at most {told['budget']:g}; '>' did not arrive",
        "ratio: seconds of the better peer over ours",
        "MiB: largest memory of ours, and of the better peer, above what was there before",
        f"{'to a loss of':{NAME_WIDTH}}{'1e-3':<{len(columns)}}  | 1e-4",
        f"{'':{NAME_WIDTH}}{columns}  |{columns}",
    ]


def line(cell: dict[str, Any], budget: float) -> str:
    """One cell: to either tolerance seconds of all, ratio, and memory of ours and of the better peer."""
    parts = []
    for tolerance in TOLERANCES:
        peer = better_peer(cell, tolerance)
        shown = [_seconds(arrival(cell[who], tolerance), budget) for who in ("ours", *PEERS)]
        parts.append(
            "".join(f"{seconds:>8}" for seconds in shown)
            + f"{ratio(cell, tolerance, budget):>7.1f}x"
            + f"{_memory(cell['ours'], tolerance):>7.0f}{_memory(peer, tolerance):>6.0f}"
        )
    return f"{cell_name(cell):{NAME_WIDTH}}" + "  |".join(parts)


def summary(cells: list[dict[str, Any]], budget: float) -> list[str]:
    """The geometric means, and how many cells arrive."""
    coarse = [ratio(cell, COARSE, budget) for cell in cells]
    arrived = [cell for cell in cells if arrival(cell["ours"], FINE) < math.inf]
    both = [cell for cell in arrived if arrival(better_peer(cell, FINE), FINE) < math.inf]
    lines = [
        f"to 1e-3: geometric mean {_mean(coarse):.1f}x over {len(cells)} cells, least {min(coarse):.1f}x",
        f"to 1e-4: ours arrives in {len(arrived)} of {len(cells)} cells",
    ]
    if both:
        mean = _mean([ratio(cell, FINE, budget) for cell in both])
        lines.append(f"to 1e-4: geometric mean {mean:.1f}x over the {len(both)} cells where both arrive")
    return lines


def closing(told: dict[str, Any]) -> list[str]:
    """What stands below them."""
    return [
        *summary(told["cells"], told["budget"]),
        *_ablation(told["ablation"]),
        *_null_space(told["null_space"]),
    ]


def _ablation(told: dict[str, Any]) -> list[str]:
    """Compressed or not times L-BFGS or Adam: seconds to either tolerance."""
    if not told["cells"]:
        return []
    return [
        f"ablation, at most {told['budget']:g} s each: seconds to 1e-3 / to 1e-4; "
        "Adam at the best of three learning rates",
        f"{'':{NAME_WIDTH}}" + "".join(f"{title:>20}" for title in VARIANTS.values()),
        *(
            f"{cell_name(cell):{NAME_WIDTH}}"
            + "".join(f"{_pair(cell[variant], told['budget']):>20}" for variant in VARIANTS)
            for cell in told["cells"]
        ),
    ]


def _null_space(rows: list[dict[str, Any]]) -> list[str]:
    """Seconds of solver='null_space', and the loss at every layer."""
    return [
        "not a contender: solver='null_space' keeps X Q of the reference, which no contender may read",
        *(
            f"{row['dataset'] + ' ' + row['model']:{NAME_WIDTH}}{row['seconds']:8.2f} s   loss "
            f"{row['losses']['act.0']:.0e} at act.0, {row['losses']['output']:.0e} at the output, "
            f"at most {max(row['losses'].values()):.0e} at its {len(row['losses'])} layers"
            for row in rows
        ),
    ]


def _seconds(seconds: float, budget: float) -> str:
    return f"{seconds:.2f}" if seconds < math.inf else f"> {budget:g}"


def _pair(told: dict[str, Any], budget: float) -> str:
    return " / ".join(_seconds(arrival(told, tolerance), budget) for tolerance in TOLERANCES)


def _memory(told: dict[str, Any], tolerance: str) -> float:
    """MiB when the tolerance was met, or of the whole run if it was not."""
    memory = told["memory_mib"].get(tolerance)
    return float(told["peak_mib"] if memory is None else memory)


def _mean(ratios: list[float]) -> float:
    return statistics.geometric_mean(ratios) if min(ratios) > 0 else 0.0
