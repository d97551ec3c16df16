"""Local metamer dimensions of all nodes against loops over nodes by plain torch, side by side in one run.

Cora, a GCN with 64 hidden units, its first layer and its output, one thread. The peers go from node to node:
torch's vectorised Jacobian on the ball around it, and numpy's singular values, by all features and by
compressed ones; they do some nodes, and their time for all is extrapolated. Each contender has a process of
its own; ours runs before, between and after, and its median counts. Imports are not timed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from features import HIDDEN, LAYERS, apart, trained
    from jacobian_loops import ranks
    from safetensors.torch import save_file

    import graph_metamers as gm

WAYS = ("compressed", "full")
LOOKED_AT = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=LOOKED_AT, help="that peers do")
    parser.add_argument("--output", type=Path, default=Path("artefacts/bench/dimensions.json"))
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # the processes inherit it
    began, folder = time.time(), options.output.parent
    folder.mkdir(parents=True, exist_ok=True)
    weights, graph = trained("cora", "gcn", folder), folder / "dimensions-graph.safetensors"
    nodes = _write_graph(graph, options.nodes)
    print(
        f"Jacobian ranks of all nodes of Cora, GCN with {HIDDEN} hidden units, two layers, 1 thread",
        flush=True,
    )
    mine, peers = [apart(ours, weights)], {}
    for way in WAYS:
        peers[way] = apart(ranks, way, weights, graph)
        mine.append(apart(ours, weights))
    told = _told(mine, peers, nodes)
    options.output.write_text(json.dumps({"began": began, **told, "ended": time.time()}, indent=1))
    print(*lines(told), options.output, sep="\n")


def ours(weights: Path) -> dict[str, Any]:
    """Seconds for all nodes and both layers, and (nodes read, rank) of each."""
    torch.set_num_threads(1)
    model, graph = gm.load_model(weights), gm.load_dataset("cora").graph
    gm.local_metamer_dimension(model, graph, list(LAYERS), index=[0])  # imports, and what torch prepares
    began, began_of_processor = time.perf_counter(), time.process_time()
    found = gm.local_metamer_dimension(model, graph, list(LAYERS))
    return {
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - began_of_processor,
        "ranks": {
            layer: list(zip(one.nodes.tolist(), one.rank.tolist(), strict=True))
            for layer, one in found.items()
        },
    }


def _write_graph(path: Path, count: int) -> list[int]:
    graph = gm.load_dataset("cora").graph
    nodes = torch.randperm(graph.num_nodes, generator=torch.Generator().manual_seed(0))[:count]
    save_file({"x": graph.x, "edge_index": graph.edge_index.contiguous(), "nodes": nodes}, path)
    return [int(node) for node in nodes]


def _told(mine: list[dict[str, Any]], peers: dict[str, dict[str, Any]], nodes: list[int]) -> dict[str, Any]:
    num_nodes = len(mine[0]["ranks"][LAYERS[0]])
    rows = {}
    for way, peer in peers.items():
        equal = {
            layer: sum(
                tuple(mine[0]["ranks"][layer][node]) == tuple(other)
                for node, other in zip(nodes, peer["ranks"][layer], strict=True)
            )
            for layer in LAYERS
        }
        scale = num_nodes / len(nodes)
        rows[way] = {
            "seconds": peer["seconds"] * scale,
            "processor": peer["processor"] * scale,
            "equal": equal,
        }
    own = {name: statistics.median(run[name] for run in mine) for name in ("seconds", "processor")}
    return {"threads": 1, "num_nodes": num_nodes, "looked_at": len(nodes), "ours": own, **rows}


def lines(told: dict[str, Any]) -> list[str]:
    """The contenders, a line each."""
    mine = told["ours"]
    found = [
        f"  ours                      {mine['seconds']:8.1f} s  ({mine['processor']:.1f} s of the processor)"
    ]
    for way in WAYS:
        row = told[way]
        same = ", ".join(f"{layer} {count}" for layer, count in row["equal"].items())
        found.append(
            f"  loop, {way:18}  {row['seconds']:8.1f} s  ({row['processor']:.1f} s), "
            f"{row['processor'] / mine['processor']:.1f}x ours; equal of {told['looked_at']}: {same}"
        )
    return found


if __name__ == "__main__":
    main()
