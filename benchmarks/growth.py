"""How time and memory of a search grow with the number of nodes and with the width of the features.

Graphs are drawn at random: average degree 10, two classes with their own mean features, and three in four
edges inside a class. Every size runs in a process of its own, on a GCN with 64 hidden units whose weights are
drawn and not trained, from one start to a loss of 1e-2 at the first layer. Reported are the whole of
`generate` and, apart, its steps. Torch is asked to take large tensors in large pages, as the command line
does.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import time
import warnings
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from contenders import peak_mib
    from features import apart
    from torch_geometric.data import Data
    from torch_geometric.nn import GCN

    import graph_metamers as gm

NODES = (10_000, 100_000, 1_000_000)
WIDTHS = (64, 256, 1024, 4096, 8192)
NODES_OF_WIDTHS = 10_000
LARGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}
"""What the command line sets too, and what the docs advise for large graphs: read by torch, on Linux."""
FEATURES, DEGREE, HIDDEN, TOLERANCE = 64, 10, 64, 1e-2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=NODES)
    parser.add_argument("--widths", type=int, nargs="*", default=WIDTHS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("artefacts/bench/growth.json"))
    options = parser.parse_args()
    os.environ.update(LARGE_PAGES, OMP_NUM_THREADS=str(options.threads))  # the processes inherit it
    began = time.time()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    print(f"to a loss of {TOLERANCE:g}, {options.threads} threads, large pages")
    nodes = [_middle(size, options.threads) for size in options.nodes]
    widths = [_apart(NODES_OF_WIDTHS, width, options.threads) for width in options.widths]
    told: dict[str, Any] = {
        "began": began,
        "ended": time.time(),
        "threads": options.threads,
        "nodes": nodes,
        "widths": widths,
    }
    told["exponents"] = [
        math.log(b["seconds"] / a["seconds"]) / math.log(b["nodes"] / a["nodes"])
        for a, b in itertools.pairwise(nodes)
    ]
    print("exponent of time from one number of nodes to the next:", *(f"{e:.2f}" for e in told["exponents"]))
    options.output.write_text(json.dumps(told, indent=2) + "\n")
    print(options.output)


def _middle(nodes: int, threads: int) -> dict[str, Any]:
    """The middle one of three by its time: large tensors get new memory, which takes now more, now less."""
    tries = [_apart(nodes, FEATURES, threads) for _ in range(3)]
    return sorted(tries, key=lambda told: told["seconds"])[1]


def _apart(nodes: int, features: int, threads: int) -> dict[str, Any]:
    told = apart(measure, nodes, features, threads)
    print(
        f"{nodes:>9} nodes {told['edges']:>9} edge entries {features:>5} features {told['seconds']:8.2f} s "
        f"{told['steps']:>3} evaluations, loss {told['loss']:.1e}, peak {told['peak_mib'] / 1024:.2f} GiB  "
        f"{told['compression']}",
        flush=True,
    )
    return told


def measure(nodes: int, features: int, threads: int) -> dict[str, Any]:
    """One search; a smaller one before it, so that nothing is loaded or compiled inside the time."""
    torch.set_num_threads(threads)
    model = _model(64)
    gm.generate(model, drawn_graph(500, 64), "act", vary=gm.Features(kind="continuous"), tolerance=TOLERANCE)
    model, graph = _model(features), drawn_graph(nodes, features)
    started = time.perf_counter()
    metamer = gm.generate(model, graph, "act", vary=gm.Features(kind="continuous"), tolerance=TOLERANCE)
    return {
        "nodes": nodes,
        "edges": graph.num_edges,
        "features": features,
        "seconds": time.perf_counter() - started,
        "steps": metamer.steps,
        "loss": metamer.activation_loss,
        "is_metamer": metamer.is_metamer,
        "compression": metamer.config["compression"],
        "peak_mib": peak_mib(),
    }


def _model(features: int) -> GCN:
    torch.manual_seed(0)
    return GCN(features, HIDDEN, num_layers=2, out_channels=2)


def drawn_graph(nodes: int, features: int) -> Data:
    """Features [nodes, features] around the mean of one of two classes; DEGREE edge entries a node."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(nodes) * 2 // nodes  # nodes of a class are neighbours in memory
    half = nodes // 2
    pairs = nodes * DEGREE // 2
    source = torch.randint(nodes, (pairs,), generator=generator)
    inside = torch.rand(pairs, generator=generator) < 0.75
    side = torch.where(inside, labels[source], 1 - labels[source])
    target = torch.randint(half, (pairs,), generator=generator) + side * half
    edges = torch.stack([torch.cat([source, target]), torch.cat([target, source])])
    means = torch.randn(2, features, generator=generator)
    x = torch.randn(nodes, features, generator=generator).add_(means[labels])
    return Data(x=x, edge_index=edges, y=labels)


if __name__ == "__main__":
    main()
