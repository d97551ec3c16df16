"""What a saved audit's observers say, recomputed from their kept weights by plain PyTorch Geometric.

Nothing here imports graph-metamers.
"""

from __future__ import annotations

import itertools
import json
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from plain_pyg import load_network
    from safetensors.torch import load_file
    from sklearn.linear_model import LogisticRegression
    from torch import Tensor, nn
    from torch.nn import functional as F  # noqa: N812 (the field's own name)
    from torch_geometric.nn import ChebConv, GATConv, GCNConv, GINConv, LabelPropagation, SAGEConv, SGConv

Look = dict[str, Tensor]


@torch.no_grad()
def recompute(audit: Path, cache: Path) -> dict[str, Any]:
    """Observer -> graph -> what was told and what plain PyG says, each [accuracy, as the model, as before].

    The graphs are the reference and what the first start of every layer found: those that are saved.
    """
    told = json.loads((audit / "audit.json").read_text())
    reference = load_file(audit / "reference.safetensors")
    seen = load_file(audit / "observers.safetensors")
    judged, labels = seen["judged"], reference["y"]
    layers = told["observers"]["layers"]
    graphs = {"reference": reference}
    for depth, name in enumerate(layers, start=1):
        graphs[name] = load_file(audit / f"layer_{depth}" / "graph.safetensors")
    network = load_network(audit)
    model = network(reference["x"], reference["edge_index"])["output"].argmax(dim=1)
    rows: dict[str, Any] = {}
    for number, one in enumerate(told["observers"]["observers"]):
        look = _look(one, cache, network, labels)
        before = look(reference)
        columns = {"reference": seen[f"observer_{number}.reference"]}
        for depth, name in enumerate(layers, start=1):
            columns[name] = seen[f"observer_{number}.layer_{depth}"][0]
        row: dict[str, Any] = {"kind": one["kind"], "differing": 0}
        for name, classes in columns.items():
            own = look(graphs[name])
            row["differing"] += int((own != classes).sum())
            row[name] = [_share(own, right, judged) for right in (labels, model, before)]
        rows[one["name"]] = row
    return {
        "rows": rows,
        "layers": layers,
        "majority": float(labels[judged].bincount().max() / len(judged)),
        "starts": _means(seen, labels, judged, told["observers"]["observers"], layers),
        "homophily": {name: _homophily(graph["edge_index"], labels) for name, graph in graphs.items()},
    }


def _look(one: dict[str, Any], cache: Path, network: nn.Module, labels: Tensor) -> Callable[[Look], Tensor]:
    """From a graph to the class of every node."""
    facts = one["facts"]
    if one["kind"] == "itself":
        return lambda graph: network(graph["x"], graph["edge_index"])["output"].argmax(dim=1)
    if one["kind"] == "edges":
        train = _train_nodes(one, labels)
        spread = LabelPropagation(num_layers=50, alpha=0.9)
        return lambda graph: spread(labels, graph["edge_index"], mask=train).argmax(dim=1)
    if one["kind"] == "features":
        return _line(cache / "observers" / f"{facts['key']}.safetensors")
    plain = Plain(facts["settings"]["model"])
    plain.load_state_dict(load_file(cache / "observers" / f"{facts['key']}.safetensors"))
    plain.eval()
    normalised = facts["settings"]["transform"] == "NormalizeFeatures"
    return lambda graph: plain(
        _normalised(graph["x"]) if normalised else graph["x"], graph["edge_index"]
    ).argmax(dim=1)


def _train_nodes(one: dict[str, Any], labels: Tensor) -> Tensor:
    """The 20 first nodes of each class are Planetoid's: the first 140 of Cora."""
    count = int(one["facts"]["learned_from"].split()[3])
    train = torch.arange(count)
    assert labels[train].bincount().tolist() == [20] * 7
    return train


def _line(path: Path) -> Callable[[Look], Tensor]:
    kept = load_file(path)
    return lambda graph: kept["known"][(graph["x"].double() @ kept["weight"].T + kept["bias"]).argmax(dim=1)]


def _normalised(x: Tensor) -> Tensor:
    return x / x.sum(dim=1, keepdim=True).clamp(min=1)


def _share(classes: Tensor, right: Tensor, judged: Tensor) -> float:
    return float((classes == right)[judged].double().mean())


def _means(
    seen: Look, labels: Tensor, judged: Tensor, observers: list[dict[str, Any]], layers: list[str]
) -> dict[str, dict[str, float]]:
    """Accuracy of each observer over all starts, from what it is saved to have seen."""
    table: dict[str, dict[str, float]] = {}
    for number, one in enumerate(observers):
        parts = {name: seen[f"observer_{number}.layer_{depth}"] for depth, name in enumerate(layers, 1)}
        parts["chance"] = seen[f"observer_{number}.chance"]
        parts["reference"] = seen[f"observer_{number}.reference"][None]
        table[one["name"]] = {
            name: float((classes == labels)[:, judged].double().mean()) for name, classes in parts.items()
        }
    return table


def _homophily(edges: Tensor, labels: Tensor) -> float:
    source, target = labels[edges]
    return float((source == target).double().mean())


@torch.no_grad()
def words_of_half(audit: Path) -> dict[str, float]:
    """Graph -> how often words are right that learned from a random half of the nodes, on the other half."""
    reference = load_file(audit / "reference.safetensors")
    labels = reference["y"]
    half = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0)) < len(labels) // 2
    line = LogisticRegression(max_iter=1000).fit(reference["x"][half].numpy(), labels[half].numpy())
    graphs = {"reference": reference}
    for place in sorted(audit.glob("layer_*")):
        graphs[place.name] = load_file(place / "graph.safetensors")
    return {
        name: float(line.score(graph["x"][~half].numpy(), labels[~half].numpy()))
        for name, graph in graphs.items()
    }


class Plain(nn.Module):
    """The networks of the panel, written out again: a nonlinearity after all convolutions but the last."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.activation = {"relu": F.relu, "elu": F.elu, "identity": lambda x: x}[config["activation"]]
        hidden = [] if config["architecture"] == "sgc" else [config["hidden_channels"]]
        widths = [config["in_channels"], *hidden, config["out_channels"]]
        pairs = list(itertools.pairwise(widths))
        self.conv = nn.ModuleList(
            [_convolution(config, *pair, heads=8) for pair in pairs[:-1]]
            + [_convolution(config, *pairs[-1], heads=1)]
        )
        assert config["norm"] == "none"

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Logits of every node."""
        for conv in self.conv[:-1]:
            x = self.activation(conv(x, edge_index))
        return self.conv[-1](x, edge_index)


def _convolution(config: dict[str, Any], inputs: int, outputs: int, heads: int) -> nn.Module:
    kind, hidden = config["architecture"], config["hidden_channels"]
    if kind == "gin":
        perceptron = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
        return GINConv(perceptron)
    made: dict[str, Callable[[], nn.Module]] = {
        "gcn": lambda: GCNConv(inputs, outputs),
        "sage": lambda: SAGEConv(inputs, outputs),
        "gat": lambda: GATConv(inputs, outputs // heads, heads=heads),
        "cheb": lambda: ChebConv(inputs, outputs, K=3),
        "sgc": lambda: SGConv(inputs, outputs, K=2),
    }
    return made[kind]()
