"""The bounds on searches of other edges, from what `make bench-edges` has saved."""

from __future__ import annotations

import json
import statistics
import sys
from typing import Any

from judging import ARTEFACTS, Judge

FOLDER = ARTEFACTS / "bench"
PEERS = ("straight-through", "straight-through (paper)", "PRBCD", "PRBCD (degrees kept)")
LAYERS = ("act.0", "output")
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
        turns = ", ".join(f"{seconds:.1f}" for seconds in one["all_seconds"])
        judge.note(
            f"{one['edges']:,} edges: {turns} s; {own:.2f} million proposals a second of a processor; "
            f"cost {one['cost']:.3g}, of the random graph {one['cost_of_random']:.3g} "
            f"(share {one['share']:.3f})"
        )


def _edges(judge: Judge, told: dict[str, Any]) -> None:
    cells = told["cells"]
    judge.claim(
        f"{len(cells)} cells of {told['seconds']:g} s a contender, {told['lanes']} at a time; 3 trainings on "
        "Cora and 1 on CiteSeer, 2 layers",
        len(cells) == 8,
    )
    for cell in cells:
        ours, name = cell["ours"], f"{cell['dataset']} {cell['layer']} training {cell['seed']}"
        others = ", ".join(f"{peer} {cell[peer]['loss']:.4f}" for peer in PEERS)
        judge.claim(
            f"{name}: ours {ours['loss']:.4f}, {ours['common']} edges of the reference, degrees kept; "
            f"{others}; random graph {cell['random_loss']:.4f}",
            ours["degrees_kept"] == 1 and ours["edges"] == ours["reference_edges"] and not ours["common"],
        )
        _terms(judge, name, cell, told["seconds"])
    for layer in LAYERS:
        _ratios(judge, layer, [cell for cell in cells if (cell["dataset"], cell["layer"]) == ("cora", layer)])
        for cell in cells:
            if (cell["dataset"], cell["layer"]) == ("citeseer", layer):
                shown = (f"{peer} {cell[peer]['loss'] / cell['ours']['loss']:.1f}x" for peer in PEERS)
                judge.note(f"citeseer {layer}: {', '.join(shown)}")


def _terms(judge: Judge, name: str, cell: dict[str, Any], seconds: float) -> None:
    """Whether all had the same time and number of edges, none of the reference's, and degrees where said."""
    peers = [cell[peer] for peer in PEERS]
    judge.claim(
        f"{name}: ours took {cell['ours']['seconds']:.1f} s, peers "
        f"{min(one['seconds'] for one in peers):.1f} to {max(one['seconds'] for one in peers):.1f} s; "
        "as many edges as the reference, none of its own",
        seconds >= 60
        and cell["ours"]["seconds"] <= 1.03 * seconds
        and min(one["seconds"] for one in peers) >= 0.8 * seconds
        and all(one["edges"] == one["reference_edges"] and not one["common"] for one in peers)
        and cell["PRBCD (degrees kept)"]["degrees_kept"] == 1,
    )


def _ratios(judge: Judge, layer: str, cells: list[dict[str, Any]]) -> None:
    """Of mean losses on Cora; peers that do not keep degrees are freer than ours."""
    if len(cells) != 3:
        judge.claim(f"cora {layer}: {len(cells)} trainings; 3", False)
        return
    ours = statistics.mean(cell["ours"]["loss"] for cell in cells)
    for peer in PEERS:
        ratio = statistics.mean(cell[peer]["loss"] for cell in cells) / ours
        kept = statistics.mean(cell[peer]["degrees_kept"] for cell in cells)
        judge.claim(
            f"cora {layer}, mean of {len(cells)} trainings: {peer} (keeps {kept:.0%} of degrees) {ratio:.2f} "
            f"times our loss; >= {NEAR:g}",
            ratio >= NEAR,
        )


if __name__ == "__main__":
    sys.exit(main())
