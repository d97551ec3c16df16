"""What others than the model see in a saved graph: words alone, edges alone, and foreign networks.

Nothing here imports graph-metamers.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from plain_pyg import rebuild_from
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from torch_geometric.nn import LabelPropagation

Table = dict[str, dict[str, float | None]]


@torch.no_grad()
def observe(model: Path, metamer: Path, *foreign: Path) -> Table:
    """Observer -> graph -> figure; `None` where a graph has nothing of its own to see.

    The random graph has the reference's words and degrees. Classifiers learn from the training nodes' labels
    of the reference and are judged on all nodes; the half of the words from a random half, on the other one.
    """
    reference, found = (load_file(metamer / f"{name}.safetensors") for name in ("reference", "graph"))
    chance = {"x": reference["x"], "edge_index": load_file(model / "random.safetensors")["edge_index"]}
    graphs = {"reference": reference, "metamer": found, "random": chance}
    labels, train = reference["y"], load_file(model / "split.safetensors")["train"]
    half = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0)) < len(labels) // 2
    everyone = torch.ones_like(half)
    networks = {f"another {place.name.split('-')[0]}": rebuild_from(place) for place in foreign}
    networks = {"the model itself": rebuild_from(model), **networks}
    propagation = LabelPropagation(num_layers=50, alpha=0.9)
    table: Table = {
        "homophily": {name: _homophily(graph["edge_index"], labels) for name, graph in graphs.items()},
        "words, training nodes": _by_words(reference, found, train, everyone),
        "words, half of the nodes": _by_words(reference, found, half, ~half),
        "label propagation": {
            name: _right(propagation(labels, graph["edge_index"], mask=train), labels)
            for name, graph in graphs.items()
        },
    }
    for observer, network in networks.items():
        table[observer] = {
            name: _right(network(graph["x"], graph["edge_index"])["output"], labels)
            for name, graph in graphs.items()
        }
    majority = float(labels.bincount().max() / len(labels))
    return {**table, "the largest class": dict.fromkeys(graphs, majority)}


def _homophily(edge_index: Tensor, labels: Tensor) -> float:
    source, target = labels[edge_index]
    return float((source == target).double().mean())


def _right(scores: Tensor, labels: Tensor) -> float:
    return float((scores.argmax(dim=1) == labels).double().mean())


def _by_words(
    reference: dict[str, Tensor], found: dict[str, Tensor], learned: Tensor, judged: Tensor
) -> dict[str, float | None]:
    labels = reference["y"]
    classifier = LogisticRegression(max_iter=1000)
    classifier.fit(reference["x"][learned].numpy(), labels[learned].numpy())
    shares: dict[str, float | None] = {
        name: float(classifier.score(graph["x"][judged].numpy(), labels[judged].numpy()))
        for name, graph in (("reference", reference), ("metamer", found))
    }
    return {**shares, "random": None}
