"""Edges: the audit of a GCN on Cora where edges vary, and its fronts, recomputed with plain PyG."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from judging import ARTEFACTS, Judge, run
from safetensors.torch import save_file

import graph_metamers as gm

if TYPE_CHECKING:
    from pathlib import Path

    from graph_metamers.synthesis.fronts import FrontPoint

MINUTES = 3
RECOMPUTE = """
import sys, pathlib
sys.path.insert(0, sys.argv[1])
import json, torch
from plain_pyg import load_network, recompute
from safetensors.torch import load_file
folder = pathlib.Path(sys.argv[2])
network, reference = load_network(folder), load_file(folder / "reference.safetensors")
def keys(edges):
    return set(map(tuple, edges.T.tolist()))
def read(edges):
    with torch.no_grad():
        return network(reference["x"], edges)
target = read(reference["edge_index"])
told = []
for layer, edges in sorted(load_file(folder / "fronts.safetensors").items()):
    found, name = read(edges), layer.split(":")[0]
    h, changed = target[name].double(), found[name].double()
    ours, theirs = keys(edges), keys(reference["edge_index"])
    degrees = [torch.bincount(e[0], minlength=len(h)) for e in (edges, reference["edge_index"])]
    told.append((layer, float((changed - h).square().sum() / h.square().sum()),
                 len(ours & theirs) / len(ours | theirs), torch.equal(*degrees)))
print(json.dumps([told, recompute(folder)]))
assert "graph_metamers" not in sys.modules
"""


def main() -> None:
    judge = Judge("fronts: edges of Cora, GCN with 16 hidden units")
    root = os.environ.get("GRAPH_METAMERS_DATA")
    if root is None:
        judge.note("needs the files of Cora: set GRAPH_METAMERS_DATA to the folder that holds planetoid/")
        sys.exit(1)
    folder = ARTEFACTS / "fronts"
    shutil.rmtree(folder, ignore_errors=True)
    started = os.times()
    arguments = ("audit", "--dataset", "cora", "--model", "gcn", "--vary", "structure", "--data-root", root)
    ran = run(*arguments, "--json", "--output", str(folder), OMP_NUM_THREADS="1")
    spent = os.times().children_user - started.children_user
    judge.claim(f"audit --vary structure: exit {ran.returncode}", ran.returncode == 0)
    if ran.returncode:
        judge.note(ran.stderr)
        judge.finish()
    minutes = spent / 60
    judge.claim(f"audit: {minutes:.1f} CPU minutes of one thread <= {MINUTES}", minutes <= MINUTES)
    told = json.loads(ran.stdout)
    page = (folder / "report.html").read_text(encoding="utf-8")
    shown = ['id="structure"', "plot-front-loss-0", 'class="neighbourhoods"']
    judge.claim("the report has section 8, fronts and drawings", all(part in page for part in shown))
    points = _followed(folder)
    fresh = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RECOMPUTE, str(ARTEFACTS.parent / "claims"), str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    recomputed, layers = json.loads(fresh.stdout)
    for layer in dict.fromkeys(name.partition(":")[0] for name in points):
        _judge_front(judge, layer, points, recomputed)
    for row, layer in zip(told["rows"], layers, strict=True):
        judge.note(
            f"{layer['layer']}: first start's loss {layer['loss']:.4f} (reported {layer['reported']:.4f}; "
            f"random graphs {row['activation_loss_chance']:.3f}), same prediction {layer['agreement']:.1%} "
            f"(random graphs {row['prediction_agreement_chance']:.1%}), homophily {row['homophily']:.2f} "
            f"(random {row['homophily_chance']:.2f})"
        )
    judge.finish()


def _judge_front(
    judge: Judge, layer: str, points: dict[str, FrontPoint], recomputed: list[list[Any]]
) -> None:
    """Losses, overlaps and degrees of all points of a front and of its control, by plain PyG and sets."""
    own = [(points[name], *rest) for name, *rest in recomputed if name.partition(":")[0] == layer]
    same = all(
        math.isclose(point.activation_loss, loss, rel_tol=1e-5, abs_tol=1e-9)
        and math.isclose(point.overlap, overlap, abs_tol=1e-12)
        and kept
        for point, loss, overlap, kept in own
    )
    judge.claim(f"{layer}: loss, overlap and degrees of {len(own)} graphs are those of plain PyG", same)
    half = len(own) // 2
    pairs = [(ours[1], theirs[1]) for ours, theirs in zip(own[:half], own[half:], strict=True)]
    ratios = [ours / theirs for ours, theirs in pairs if theirs > 0]
    judge.claim(
        f"{layer}: at every overlap the front's loss is below that of random swaps; at the most "
        f"{max(ratios):.3f} of it",
        max(ratios) < 1,
    )
    within = min(overlap for _, loss, overlap, _ in own[:half] if loss <= 1e-3)
    by_chance = min(overlap for _, loss, overlap, _ in own[half:] if loss <= 1e-3)
    judge.claim(
        f"{layer}: a loss of 0.001 down to an overlap of {within:.3f} (random swaps {by_chance:.3f})",
        within < by_chance,
    )


def _followed(folder: Path) -> dict[str, FrontPoint]:
    """Fronts of the audited model, with their edges saved beside the audit; name -> point."""
    audit = gm.load_audit(folder)
    points, edges = {}, {}
    for layer in audit.layers:
        seen = []
        front = gm.structure_front(
            audit.model, audit.graph, layer.name, on_point=lambda *told, seen=seen: seen.append(told)
        )
        if front != layer.front:
            raise SystemExit(f"the front of {layer.name} is not the one that the audit saved")
        for number, (point, graph) in enumerate(seen):
            points[f"{layer.name}:{number:02}"] = point
            edges[f"{layer.name}:{number:02}"] = graph.edge_index.contiguous()
    save_file(edges, folder / "fronts.safetensors")
    return points


if __name__ == "__main__":
    main()
