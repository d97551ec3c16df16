"""Recompute the controls of an audit from saved graphs, with PyTorch Geometric and numpy alone.

Nothing here imports graph-metamers.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from plain_pyg import load_network, rebuild
from safetensors.torch import load_file
from scipy.spatial.distance import cdist

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

import torch
from torch_geometric.nn import LabelPropagation

MIN_DISTANCE, EQUAL = 0.1, 1e-5
Graph = dict[str, "Tensor"]


@torch.no_grad()
def recompute_control(audit: Path, control: Path) -> dict[str, float]:
    """What one saved control is: `control.json` names its layer, and `weights` of its own if it has any."""
    told = json.loads((control / "control.json").read_text())
    reference, graph = load_file(audit / "reference.safetensors"), load_file(control / "graph.safetensors")
    network = load_network(audit)
    if (control / "model.safetensors").exists():
        network = rebuild(control, json.loads((audit / "audit.json").read_text())["config"]["model"])
    ours, theirs = (network(part["x"], part["edge_index"]) for part in (graph, reference))
    h, changed = theirs[told["layer"]].double(), ours[told["layer"]].double()
    same = ours["output"].argmax(1) == theirs["output"].argmax(1)
    distance, per_node = _distance(told["varies"], graph, reference)
    passes = same & _closer(changed, h) & torch.from_numpy(per_node >= MIN_DISTANCE)
    return {
        "activation_loss": float((changed - h).square().sum() / h.square().sum()),
        "input_distance": distance,
        "prediction_agreement": float(same.double().mean()),
        "passing_share": float(passes.double().mean()),
    }


@torch.no_grad()
def recompute_without_graph(audit: Path, split: Path) -> dict[str, dict[str, float]]:
    """The controls that need no graph: nearest real nodes of every layer, and label propagation."""
    reference, network = load_file(audit / "reference.safetensors"), load_network(audit)
    train = load_file(split)["train"]
    x, edges, labels = reference["x"], reference["edge_index"], reference["y"]
    read = network(x, edges)
    predicted = read["output"].argmax(1)
    others = torch.ones(len(labels), dtype=torch.bool)
    others[train] = False
    said = LabelPropagation(num_layers=50, alpha=0.9)(labels, edges, mask=train).argmax(1)
    found = {"label_propagation": {"prediction_agreement": _share((said == predicted)[others])}}
    for layer in ("act.0", "output"):
        h = read[layer].double()
        nearest, error = _nearest(h)
        known = np.isfinite(error)
        # Where several nodes are as near, any of them may stand in: the least and the largest distance.
        farthest = _farthest_of_nearest(h, x.double())
        low, high = (_of_features({"x": x[places], "edge_index": edges}, reference)[0] for places in farthest)
        found[layer] = {
            "activation_loss": float(
                np.square(error[known]).sum() / np.square(np.linalg.norm(h[known], axis=1)).sum()
            ),
            "prediction_agreement": _share((predicted[nearest] == predicted)[known]),
            "input_distance": low,
            "largest_input_distance": high,
        }
    return found


def _farthest_of_nearest(h: Tensor, x: Tensor) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Of the nodes as near as the nearest one, those whose features are least and most far away."""
    distances = cdist(h.numpy(), h.numpy())
    distances[distances <= EQUAL * np.linalg.norm(h.numpy(), axis=1, keepdims=True)] = np.inf
    tied = distances <= distances.min(axis=1, keepdims=True) * (1 + EQUAL)
    apart = cdist(x.numpy(), x.numpy())
    return np.where(tied, apart, np.inf).argmin(axis=1), np.where(tied, apart, -np.inf).argmax(axis=1)


def _share(mask: Tensor) -> float:
    return float(mask.double().mean())


def _nearest(h: Tensor) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """By brute force: the nearest row that is not equal, and how far away it is."""
    distances = cdist(h.numpy(), h.numpy())
    equal = distances <= EQUAL * np.linalg.norm(h.numpy(), axis=1, keepdims=True)
    distances[equal] = np.inf
    return distances.argmin(axis=1), distances.min(axis=1)


def _closer(changed: Tensor, h: Tensor) -> Tensor:
    """Closer than any real node with another activation is, by more than rounding; or equal."""
    size = h.norm(dim=1).clamp(min=1e-300)
    rival = torch.from_numpy(_nearest(h)[1]) / size
    error = (changed - h).norm(dim=1) / size
    return (error < rival * (1 - EQUAL) - EQUAL) | (error <= EQUAL)


def _distance(varies: str, graph: Graph, reference: Graph) -> tuple[float, np.ndarray[Any, Any]]:
    if varies == "features":
        return _of_features(graph, reference)
    if varies == "structure":
        return _of_edges(graph, reference)
    features, edges = _of_features(graph, reference), _of_edges(graph, reference)
    return min(features[0], edges[0]), np.fmin(features[1], edges[1])


def _of_features(graph: Graph, reference: Graph) -> tuple[float, np.ndarray[Any, Any]]:
    x, changed = reference["x"].double().numpy(), graph["x"].double().numpy()
    squares = np.square(changed - x).sum(axis=1)
    chance = (np.square(x - x.mean(axis=0)) + x.var(axis=0)).sum(axis=1)
    return float(np.sqrt(squares.sum() / chance.sum())), np.sqrt(squares / chance)


def _of_edges(graph: Graph, reference: Graph) -> tuple[float, np.ndarray[Any, Any]]:
    """Share of edges that are others over its chance in a random graph with these degrees."""
    ours, theirs = (set(map(tuple, part["edge_index"].T.tolist())) for part in (graph, reference))
    degrees = torch.bincount(reference["edge_index"][1], minlength=len(reference["x"])).double()
    source, target = reference["edge_index"]
    again = float((degrees[source] * degrees[target] / len(source)).clamp(max=1).sum())
    chance = 1 - again / (2 * len(source) - again)
    both, either = (np.zeros(len(degrees)) for _ in range(2))
    for pairs, count in ((ours & theirs, both), (ours | theirs, either)):
        for _, into in pairs:
            count[into] += 1
    per_node = np.where(either > 0, 1 - both / np.maximum(either, 1), 0.0)
    return (1 - len(ours & theirs) / len(ours | theirs)) / chance, per_node / chance
