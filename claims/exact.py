"""Exact swaps: no activation changes, for ten convolutions; and they are as many as brute force finds."""

from __future__ import annotations

import json
import shutil
import warnings
from typing import TYPE_CHECKING, Any

from judging import ARTEFACTS, Judge, recomputed
from safetensors.torch import save_file

if TYPE_CHECKING:
    from collections.abc import Iterable

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import networkx as nx
    import numpy as np
    import torch
    from cora_models import require_cora
    from stacks import HOPS, Stack
    from torch_geometric.data import Data
    from torch_geometric.transforms import NormalizeFeatures

    import graph_metamers as gm

FOLDER = ARTEFACTS / "exact"
SAME, OTHER = 1e-10, 1e-3
KINDS = ("GCN", "SAGE mean", "SAGE max", "GAT", "GATv2", "GIN", "GraphConv")
MANY_HOPS = tuple(HOPS)
ALIKE = ("messages", "inputs")
FEATURES, ROWS = 16, 3
COUNTED = {"GraphConv": False, "GCN": True, "GAT": False}  # whether the degree is read beside what is summed
GRAPHS_OF_ATLAS = 60
REGULAR_GRAPHS = 6  # of eight nodes, all of which look alike: swaps that are no relabellings at any depth


def main() -> None:
    judge = Judge("exact swaps: plain PyTorch Geometric in float64, random weights")
    dataset = require_cora(judge)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    _unchanged(judge, dataset)
    _counts(judge)
    _refusals(judge)
    judge.finish()


def _unchanged(judge: Judge, dataset: gm.Dataset) -> None:
    """Swap edges of graphs with few distinct rows, and read every layer before and after."""
    classes = Data(x=torch.eye(7)[dataset.graph.y], edge_index=dataset.graph.edge_index)
    drawn, covered = _drawn(), _covering()
    cases: dict[str, Any] = {}
    for alike in ALIKE:
        for kind in KINDS:
            cases |= _swapped(kind, 1, alike, drawn, "random graph")
            for layers in (1, 2, 3):
                cases |= _swapped(kind, layers, alike, covered, "covering graph")
        for kind in MANY_HOPS:
            cases |= _swapped(kind, 1, alike, covered, "covering graph")
    for kind in ("GCN", "SAGE mean", "GAT"):
        for layers in (1, 2):
            cases |= _swapped(kind, layers, "messages", classes, "Cora's classes")
    (FOLDER / "cases.json").write_text(json.dumps(cases))
    rows = {
        name: {**row, **cases[name]} for name, row in recomputed("plain_swaps", "changes", FOLDER).items()
    }
    for kind in (*KINDS, *MANY_HOPS):
        _judge_kind(judge, kind, [row for row in rows.values() if row["kind"] == kind])
    for name, row in rows.items():
        if row["graph"] == "Cora's classes":
            judge.note(
                f"{name}: {row['admissible_swaps']:,} admissible swaps, {row['relabellings']:,} "
                f"of them relabellings; {row['swaps_made']:,} made, {row['replaced']:,} of "
                f"{row['edges']:,} edges replaced"
            )


def _judge_kind(judge: Judge, kind: str, rows: list[dict[str, Any]]) -> None:
    change, scale = max(row["change"] for row in rows), max(row["scale"] for row in rows)
    layers = sorted({row["layers"] for row in rows})
    judge.claim(
        f"{kind}, {'1 layer' if layers == [1] else '1 to 3 layers'}, {len(rows)} graphs, at least "
        f"{min(row['replaced'] for row in rows)} edges replaced: activations change by {change:.1e} at the "
        f"most (largest {scale:.1f}) <= {SAME:.0e}",
        change <= SAME and all(row["replaced"] > 0 and row["valid"] for row in rows),
    )
    control = min(row["control"] for row in rows)
    judge.claim(
        f"{kind}: as many swaps at random change some activation by at least {control:.2g} > {OTHER:.0e}",
        control > OTHER,
    )
    hops = {(row["layers"], row["hops"]) for row in rows}
    expected = {(count, HOPS.get(kind, 1) * count) for count in layers}
    judge.claim(f"{kind}: (layers, hops) are {sorted(hops)}", hops == expected)


def _swapped(kind: str, layers: int, alike: str, graph: Data, title: str) -> dict[str, Any]:
    """Swap, and save the metamer with the model and as many swaps at random."""
    model = Stack(kind, layers, inputs=graph.x.shape[1])
    solver = gm.ExactSwaps(alike=alike)
    metamer = gm.generate(model, graph, "output", vary="structure", solver=solver)
    found = metamer.config["findings"]
    name = f"{kind}, {layers} layers, {title}, {alike}"
    place = FOLDER / name.replace(", ", "-").replace(" ", "_").replace("'", "")
    metamer.save(place)
    save_file(model.state_dict(), place / "model.safetensors")
    control = nx.Graph(graph.edge_index.T.tolist())
    nx.double_edge_swap(control, nswap=max(found["swaps_made"], 1), max_tries=10**6, seed=0)
    save_file({"edge_index": _arcs(control.edges)}, place / "control.safetensors")
    told = {part: found[part] for part in ("hops", "admissible_swaps", "relabellings", "swaps_made")}
    case = {"kind": kind, "layers": layers, "inputs": graph.x.shape[1], "folder": place.name, "graph": title}
    return {name: {**case, **told}}


def _counts(judge: Judge) -> None:
    """What the solver counts, beside brute force over all swaps: graphs of the atlas, and regular ones."""
    generator = np.random.default_rng(0)
    atlas = [graph for graph in nx.graph_atlas_g() if graph.number_of_edges() > 1]
    chosen = [atlas[place] for place in generator.choice(len(atlas), GRAPHS_OF_ATLAS, replace=False)]
    graphs = [_with_rows(graph, int(generator.integers(1, 3)), number) for number, graph in enumerate(chosen)]
    regular = [nx.random_regular_graph(3, 8, seed=seed) for seed in range(REGULAR_GRAPHS)]
    graphs += [_with_rows(graph, 1, seed=0) for graph in regular]
    tensors = {f"x:{number}": graph.x for number, graph in enumerate(graphs)}
    tensors |= {f"edges:{number}": graph.edge_index for number, graph in enumerate(graphs)}
    save_file(tensors, FOLDER / "atlas.safetensors")
    cases, counted = {}, {}
    for kind, reads_degrees in COUNTED.items():
        for layers in (1, 2, 3):
            name, folder = f"{kind}, {layers} layers", f"atlas-{kind}-{layers}"
            model = Stack(kind, layers, inputs=FEATURES)
            (FOLDER / folder).mkdir()
            save_file(model.state_dict(), FOLDER / folder / "model.safetensors")
            case = {"kind": kind, "layers": layers, "inputs": FEATURES, "folder": folder}
            cases[name] = {**case, "hops": layers, "reads_degrees": reads_degrees}
            counted[name] = {alike: [_count(model, graph, alike) for graph in graphs] for alike in ALIKE}
    (FOLDER / "atlas.json").write_text(json.dumps(cases))
    for name, tried in recomputed("plain_swaps", "brute_force", FOLDER).items():
        for alike, way, told in (
            ("messages", "unseen", "that leave every activation when the model is run on each"),
            ("inputs", "alike", "between ends of the same colours, written out"),
        ):
            ours = counted[name][alike]
            theirs = [(row[way], row[f"{way}_renamed"]) for row in tried]
            sums = [tuple(map(sum, zip(*rows, strict=True))) for rows in (ours, theirs)]
            equal = sum(one == other for one, other in zip(ours, theirs, strict=True))
            judge.claim(
                f"{name}, {alike}: {sums[0][0]} swaps counted, {sums[0][1]} of them relabellings; brute "
                f"force {sums[1][0]} and {sums[1][1]} {told}; equal on {equal} of {len(ours)} graphs",
                equal == len(ours) and sums[0][0] > sums[0][1] > 0,
            )


def _count(model: Stack, graph: Data, alike: str) -> tuple[int, int]:
    solver = gm.ExactSwaps(swaps=1, alike=alike)
    found = gm.generate(model, graph, "output", vary="structure", solver=solver).config["findings"]
    return found["admissible_swaps"], found["relabellings"]


def _refusals(judge: Judge) -> None:
    """What would not be exact is refused, with its reason."""
    graph = _drawn()
    graph.edge_index = graph.edge_index[:, graph.edge_index[1].argsort(stable=True)]  # as LSTMs want them
    for told, kind, options, reason in (
        ("LSTM aggregation", "SAGE LSTM", {}, "order of neighbours"),
        ("a transform", "GCN", {"transform": NormalizeFeatures()}, "transform"),
    ):
        model = Stack(kind, 1, inputs=FEATURES)
        try:
            gm.generate(model, graph, "output", vary="structure", solver="exact_swaps", **options)
        except gm.ParameterError as error:
            judge.claim(f"{told} is refused: {error}", reason in str(error))
        else:
            judge.claim(f"{told} is refused", False)


def _drawn() -> Data:
    return _with_rows(nx.gnm_random_graph(60, 120, seed=0), ROWS, seed=0)


def _covering() -> Data:
    """Six copies of a small graph, joined at random: copies of a node look alike at any number of hops."""
    base, copies = nx.gnm_random_graph(12, 20, seed=0), 6
    small, generator = _with_rows(base, ROWS, seed=0), np.random.default_rng(0)
    pairs = [
        (u + 12 * copy, v + 12 * other)
        for u, v in base.edges
        for copy, other in enumerate(generator.permutation(copies).tolist())
    ]
    return Data(x=small.x.repeat(copies, 1), edge_index=_arcs(pairs))


def _with_rows(graph: nx.Graph, distinct: int, seed: int) -> Data:
    """A graph whose nodes have one of a few rows of features each."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(distinct, FEATURES, generator=generator)
    x = rows[torch.randint(distinct, (len(graph),), generator=generator)]
    return Data(x=x, edge_index=_arcs(graph.edges))


def _arcs(pairs: Iterable[tuple[int, int]]) -> torch.Tensor:
    """Both directions of every pair, int64 [2, 2 * pairs]."""
    one = torch.tensor(list(pairs), dtype=torch.int64).T
    return torch.cat([one, one.flip(0)], dim=1).contiguous()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
