"""Local metamer dimension: time beside loops over nodes by plain torch, equal ranks, and a large graph."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings

from judging import ARTEFACTS, Judge

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from cora_models import require_cora

    import graph_metamers as gm

LAYERS = ["act.0", "output"]
HIDDEN = 64
SECONDS, FULL, COMPRESSED, GIB = 30.0, 50.0, 4.0, 8.0
RANK_OF_A = 2569  # of Cora's propagation matrix, 2708 x 2708
LARGE = """
import resource, time, warnings
warnings.simplefilter("ignore")
import torch
import graph_metamers as gm
from torch_geometric.data import Data
from types import SimpleNamespace
torch.set_num_threads(1)
n, draw = 100_000, torch.Generator().manual_seed(0)
pairs = torch.randint(n, (2, 5 * n), generator=draw)
pairs = pairs[:, pairs[0] != pairs[1]]
edge_index = torch.cat([pairs, pairs.flip(0)], dim=1).unique(dim=1)
graph = Data(x=torch.randn(n, 32, generator=draw), edge_index=edge_index)
model = gm.build_model("gcn", SimpleNamespace(num_features=32, num_classes=7), hidden_channels=16)
began = time.perf_counter()
found = gm.local_metamer_dimension(model, graph, ["act.0", "output"])
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
print(edge_index.shape[1], *(len(layer.rank) for layer in found.values()), found["output"].nodes.max().item())
"""


def main() -> None:
    judge = Judge("local metamer dimension: Cora, GCN, hidden 64, one thread")
    torch.set_num_threads(1)
    dataset = require_cora(judge)
    model = gm.fit(gm.build_model("gcn", dataset, hidden_channels=HIDDEN), dataset, seed=0).model
    _timed(judge, model, dataset)
    _beside_loops(judge)
    whole = gm.whole_graph_dimension(model, dataset.graph, "conv.0")
    expected = dataset.graph.x.numel() - RANK_OF_A * HIDDEN
    judge.claim(
        f"the whole graph before the rectifier: {whole.dimension:,} = n F - rank(A) rank(W) = {expected:,}",
        whole.dimension == expected,
    )
    _large(judge)
    judge.finish()


def _timed(judge: Judge, model: gm.GNN, dataset: gm.Dataset) -> None:
    gm.local_metamer_dimension(model, dataset.graph, LAYERS, index=[0])  # imports, and what torch prepares
    began, began_of_processor = time.perf_counter(), time.process_time()
    found = gm.local_metamer_dimension(model, dataset.graph, LAYERS)
    seconds, of_processor = time.perf_counter() - began, time.process_time() - began_of_processor
    judge.claim(
        f"both layers of all 2,708 nodes in {seconds:.1f} s <= {SECONDS:.0f} s, {of_processor:.1f} s of the "
        "processor",
        seconds <= SECONDS,
    )
    for name, dimension in found.items():
        share = dimension.share.median().item()
        linear = (dimension.linear.sum() / dimension.dimension.sum()).item()
        judge.note(
            f"{name}: ranks {dimension.rank.min()} to {dimension.rank.max()}, median share of directions "
            f"that are not seen {share:.2%}, {linear:.1%} of them linear"
        )


def _beside_loops(judge: Judge) -> None:
    """From what `make bench` has saved: processor time, one thread."""
    path = ARTEFACTS / "bench" / "dimensions.json"
    told = json.loads(path.read_text()) if path.exists() else {}
    if "ended" not in told:
        judge.claim(f"{path.name} is there and complete: run `make bench` first, to its end", False)
        return
    for way, bound in (("full", FULL), ("compressed", COMPRESSED)):
        ratio = told[way]["processor"] / told["ours"]["processor"]
        judge.claim(
            f"bench: a loop over nodes, {way}, takes {told[way]['processor']:.0f} s for all nodes (as "
            f"{told['looked_at']} do), ours {told['ours']['processor']:.1f} s: {ratio:.1f} times as long >= "
            f"{bound:.0f}",
            ratio >= bound,
        )
        for layer, equal in told[way]["equal"].items():
            judge.claim(
                f"{layer}, {way}: nodes read and ranks are equal on {equal} of {told['looked_at']}",
                equal == told["looked_at"],
            )


def _large(judge: Judge) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LARGE], stdout=subprocess.PIPE, text=True, check=True
    )
    (seconds, gibibytes), (edges, first, second, most) = (
        [float(word) for word in line.split()] for line in done.stdout.splitlines()
    )
    judge.claim(
        f"a random graph of {first:,.0f} nodes and {edges:,.0f} arcs, 32 features, hidden 16, both layers (a "
        f"node reads up to {most:.0f}): {gibibytes:.1f} GiB <= {GIB:.0f}, {seconds:.0f} s",
        gibibytes <= GIB and first == second == 100_000,
    )


if __name__ == "__main__":
    main()
