"""The bounds on searches of other edges, from what `make bench-edges` has saved."""

from __future__ import annotations

import json
import sys
from typing import Any

from judging import ARTEFACTS, Judge

FOLDER = ARTEFACTS / "bench"
PEERS = ("straight-through", "straight-through (paper)", "PRBCD")
NEAR = 3.0


def main() -> None:
    files = {name: FOLDER / f"{name}.json" for name in ("edges", "edge_growth")}
    saved = {name: json.loads(path.read_text()) for name, path in files.items() if path.exists()}
    told = {name: one for name, one in saved.items() if "ended" in one}  # else it was broken off
    judge = Judge("bench-edges: 1 thread")
    for name in sorted(files.keys() - told.keys()):
        judge.claim(
            f"{files[name].name} is there and complete: run `make bench-edges` first, to its end", False
        )
    if "edge_growth" in told:
        _growth(judge, told["edge_growth"])
    if "edges" in told:
        _edges(judge, told["edges"])
    judge.finish()


def _growth(judge: Judge, told: dict[str, Any]) -> None:
    sizes, largest = told["sizes"], told["sizes"][-1]
    speed, peak = largest["proposals_a_second"] / 1e6, largest["peak_mib"] / 1024
    judge.claim(
        f"{largest['edges']:,} edges, {told['width']} numbers a node: {speed:.2f} million proposals a "
        "second; >= 0.6 at 10^7 edges",
        largest["edges"] >= 10**7 and told["width"] == 32 and speed >= 0.6,
    )
    judge.claim(
        f"exponent of time from {sizes[0]['edges']:,} edges on, {largest['proposals'] / largest['edges']:g} "
        f"proposals an edge: {told['exponent']:.2f}; <= 1.2",
        sizes[0]["edges"] <= 500_000 and told["exponent"] <= 1.2,
    )
    judge.claim(f"peak {peak:.1f} GiB <= 12", peak <= 12)
    for one in sizes:
        own = one["proposals"] / one["processor_seconds"] / 1e6
        judge.note(
            f"{one['edges']:,} edges: {own:.2f} million proposals a second of a processor; "
            f"cost {one['cost']:.3g}, of the random graph {one['cost_of_random']:.3g} "
            f"(share {one['share']:.3f})"
        )


def _edges(judge: Judge, told: dict[str, Any]) -> None:
    cells = told["cells"]
    judge.claim(f"{len(cells)} cells of {told['seconds']:g} s a contender; 4", len(cells) == 4)
    for cell in cells:
        ours, name = cell["ours"], f"{cell['dataset']} {cell['layer']}"
        others = ", ".join(f"{peer} {cell[peer]['loss']:.4f}" for peer in PEERS)
        judge.claim(
            f"{name}: ours {ours['loss']:.4f}, {ours['common']} edges of the reference, degrees kept; "
            f"{others}; random graph {cell['random_loss']:.4f}",
            ours["degrees_kept"] == 1 and ours["edges"] == ours["reference_edges"],
        )
        for peer in PEERS:
            ratio = cell[peer]["loss"] / ours["loss"]
            if ratio < NEAR:
                judge.note(f"{name}: {peer} is within {NEAR:g}x of ours ({ratio:.2f}x)")


if __name__ == "__main__":
    sys.exit(main())
