"""Judge exact swaps from saved files: activations in float64, and counts by trying every swap.

Nothing here imports graph-metamers.
"""

from __future__ import annotations

import itertools
import json
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file
from stacks import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import networkx as nx
    import torch
    from torch import Tensor

SAME = 1e-10


@torch.no_grad()
def changes(folder: Path) -> dict[str, dict[str, Any]]:
    """Name -> what became of a saved graph: every case of `cases.json`, with the model's weights as saved."""
    told = {}
    for name, case in json.loads((folder / "cases.json").read_text()).items():
        place = folder / case["folder"]
        model = _stack(case, place)
        reference, graph = (load_file(place / f"{part}.safetensors") for part in ("reference", "graph"))
        control = load_file(place / "control.safetensors")["edge_index"]
        x, edges = reference["x"].double(), reference["edge_index"]
        before = model.read(x, edges)
        after = model.read(graph["x"].double(), graph["edge_index"])
        ours, theirs = _pairs(graph["edge_index"]), _pairs(edges)
        told[name] = {
            "change": _largest(before, after),
            "control": _largest(before, model.read(x, control)),
            "scale": max(float(part.abs().max()) for part in before),
            "replaced": len(theirs - ours) // 2,
            "edges": len(theirs) // 2,
            "control_replaced": len(theirs - _pairs(control)) // 2,
            "valid": len(ours) == graph["edge_index"].shape[1] == edges.shape[1]
            and all(u != v and (v, u) in ours for u, v in ours)
            and torch.equal(*(part.flatten().bincount() for part in (edges, graph["edge_index"])))
            and torch.equal(reference["x"], graph["x"]),
        }
    return told


def _stack(case: dict[str, Any], place: Path) -> Stack:
    weights = load_file(place / "model.safetensors")
    model = Stack(case["kind"], case["layers"], inputs=case["inputs"])
    model.load_state_dict(weights)
    return model.double().eval()


def _largest(before: Sequence[Tensor], after: Sequence[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(before, after, strict=True))


def _pairs(edge_index: Tensor) -> set[tuple[int, int]]:
    return set(map(tuple, edge_index.T.tolist()))


@torch.no_grad()
def brute_force(folder: Path) -> dict[str, list[dict[str, int]]]:
    """Case -> counts of every graph of `atlas.safetensors`.

    `unseen`: swaps after which the model, run on each, has the same activations. `alike`: swaps of ends
    whose colours are the same after (hops - 1) rounds. `renamed`: of these, those that are the reference with
    the names of two nodes of equal features exchanged.
    """
    saved = load_file(folder / "atlas.safetensors")
    cases = json.loads((folder / "atlas.json").read_text())
    told: dict[str, Any] = {}
    for name, case in cases.items():
        model = _stack(case, folder / case["folder"])
        told[name] = [
            _counted(model, saved[f"x:{number}"], saved[f"edges:{number}"], case)
            for number in range(len(saved) // 2)
        ]
    return told


def _counted(model: Stack, x: Tensor, edges: Tensor, case: dict[str, Any]) -> dict[str, int]:
    graph = nx.Graph(_pairs(edges))
    graph.add_nodes_from(range(len(x)))
    rows = [tuple(row) for row in x.tolist()]
    start = [(row, graph.degree(v) if case["reads_degrees"] else 0) for v, row in enumerate(rows)]
    colours = _colours(graph, start, case["hops"] - 1)
    swaps = list(_swaps(graph))
    unseen = _unseen(model, x, graph, [after for _, after in swaps])
    names = [
        _edge_set(nx.relabel_nodes(graph, {p: q, q: p}))
        for p, q in itertools.combinations(graph, 2)
        if rows[p] == rows[q]
    ]
    alike = [colours[a] == colours[b] and colours[u] == colours[v] for ((a, u), (b, v)), _ in swaps]
    after = [_edge_set(changed) for _, changed in swaps]
    return {
        "unseen": sum(unseen),
        "unseen_renamed": sum(same and one in names for same, one in zip(unseen, after, strict=True)),
        "alike": sum(alike),
        "alike_renamed": sum(same and one in names for same, one in zip(alike, after, strict=True)),
    }


def _swaps(graph: nx.Graph) -> Iterator[tuple[tuple[tuple[int, int], tuple[int, int]], nx.Graph]]:
    """Two edges a - u, b - v of four nodes, and the graph with a - v, b - u: either way to join them."""
    for (a, u), other in itertools.combinations(graph.edges, 2):
        for b, v in (other, other[::-1]):
            if len({a, u, b, v}) < 4 or graph.has_edge(a, v) or graph.has_edge(b, u):
                continue
            changed = graph.copy()
            changed.remove_edges_from([(a, u), (b, v)])
            changed.add_edges_from([(a, v), (b, u)])
            yield ((a, u), (b, v)), changed


def _edge_set(graph: nx.Graph) -> frozenset[frozenset[int]]:
    return frozenset(map(frozenset, graph.edges))


def _colours(graph: nx.Graph, start: Sequence[Any], rounds: int) -> list[Any]:
    """What a node is, with what its neighbours are, with what theirs are: written out, nothing is hashed."""
    colours = list(start)
    for _ in range(rounds):
        colours = [
            (colours[v], tuple(sorted(Counter(colours[u] for u in graph[v]).items())))
            for v in range(len(start))
        ]
    return colours


def _unseen(model: Stack, x: Tensor, graph: nx.Graph, changed: Sequence[nx.Graph]) -> list[bool]:
    """Whether activations stay, of every changed graph: all in one run, side by side."""
    n, together = len(x), [graph, *changed]
    arcs = [
        torch.tensor(list(one.to_directed().edges), dtype=torch.int64).T + n * place
        for place, one in enumerate(together)
    ]
    read = model.read(x.double().repeat(len(together), 1), torch.cat(arcs, dim=1))
    largest = torch.zeros(len(together), dtype=torch.float64)
    for part in read:
        by_graph = part.view(len(together), -1)
        largest = largest.maximum((by_graph - by_graph[0]).abs().amax(dim=1))
    return (largest[1:] <= SAME).tolist()
