"""Recompute what an audit reports from its saved files, with PyTorch Geometric and safetensors alone.

Nothing here imports graph-metamers: the models are written out again, so that a mistake in the instrument
cannot hide in the claim.
"""

from __future__ import annotations

import itertools
import json
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from safetensors.torch import load_file
    from torch import Tensor, nn
    from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv


class Network(nn.Module):
    """Convolution, BatchNorm where there is one, ReLU; the last convolution gives the logits."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        if (config["activation"], config["residual"]) != ("relu", False):
            raise SystemExit(f"these claims are about plain ReLU networks, got {config}")
        widths = [config["in_channels"]]
        widths += [config["hidden_channels"]] * (config["num_layers"] - 1) + [config["out_channels"]]
        pairs = list(itertools.pairwise(widths))
        self.conv = nn.ModuleList([_convolution(config, *pair) for pair in pairs[:-1]])
        self.conv.append(_convolution(config, *pairs[-1], heads=1))
        batch_norm = config["norm"] == "batch"
        self.norm = nn.ModuleList([nn.BatchNorm1d(out) for _, out in pairs[:-1]] if batch_norm else [])

    def forward(self, x: Tensor, edge_index: Tensor) -> dict[str, Tensor]:
        """Activations by the names that the audit uses."""
        read = {}
        for number, conv in enumerate(self.conv[:-1]):
            x = conv(x, edge_index)
            x = (self.norm[number](x) if len(self.norm) else x).relu()
            read[f"act.{number}"] = x
        return {**read, "output": self.conv[-1](x, edge_index)}


def _convolution(config: dict[str, Any], inputs: int, outputs: int, heads: int = 8) -> nn.Module:
    """One layer; only GAT has heads, side by side and `outputs` wide together."""
    if config["architecture"] == "gcn":
        return GCNConv(inputs, outputs)
    if config["architecture"] == "sage":
        return SAGEConv(inputs, outputs)
    if config["architecture"] == "gat":
        return GATConv(inputs, outputs // heads, heads=heads)
    if config["architecture"] != "gin":
        raise SystemExit(f"these claims are about GCN, GraphSAGE, GAT and GIN, got {config}")
    hidden = config["hidden_channels"]
    perceptron = [nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs)]
    return GINConv(nn.Sequential(*perceptron))


def load_network(folder: Path) -> Network:
    """The audited model, rebuilt from its saved weights."""
    return rebuild(folder, json.loads((folder / "audit.json").read_text())["config"]["model"])


def rebuild(folder: Path, config: dict[str, Any]) -> Network:
    """A network of this config with the weights of `model.safetensors`."""
    network = Network(config)
    network.load_state_dict(load_file(folder / "model.safetensors"))
    return network.eval()


@torch.no_grad()
def recompute(folder: Path) -> list[dict[str, Any]]:
    """One row per audited layer: what was reported, and what PyTorch Geometric computes from the files."""
    network, reference = load_network(folder), load_file(folder / "reference.safetensors")
    audit = json.loads((folder / "audit.json").read_text())
    expected = network(reference["x"], reference["edge_index"])
    rows = []
    for layer in audit["layers"]:
        place = folder / f"layer_{layer['depth']}"
        graph = load_file(place / "graph.safetensors")
        found = network(graph["x"], graph["edge_index"])
        h, changed = (read[layer["name"]].double() for read in (expected, found))
        error, energy = (changed - h).square().sum(dim=1), h.square().sum(dim=1)
        item_loss = torch.where(error == 0, 0.0, error / energy)
        rows.append(
            {
                "layer": layer["name"],
                "reported": json.loads((place / "metamer.json").read_text())["activation_loss"],
                "loss": float(error.sum() / energy.sum()),
                "median": float(item_loss.quantile(0.5, interpolation="higher")),
                "high": float(item_loss.quantile(0.95, interpolation="higher")),
                "within": float((item_loss <= 1e-2).double().mean()),
                "agreement": float(
                    (found["output"].argmax(1) == expected["output"].argmax(1)).double().mean()
                ),
                "edges_kept": torch.equal(graph["edge_index"], reference["edge_index"]),
                "overlap": _overlap(graph["x"], reference["x"]),
                "is_binary": bool(((graph["x"] == 0) | (graph["x"] == 1)).all()),
                "ones": (int(graph["x"].sum()), int(reference["x"].sum())),
            }
        )
    return rows


@torch.no_grad()
def test_accuracy(folder: Path, test_nodes: Tensor) -> float:
    """Share of right predictions on the given nodes of the reference."""
    network, reference = load_network(folder), load_file(folder / "reference.safetensors")
    predicted = network(reference["x"], reference["edge_index"])["output"].argmax(dim=1)
    return float((predicted == reference["y"])[test_nodes].double().mean())


@torch.no_grad()
def recompute_words(model: Path, metamer: Path) -> dict[str, Any]:
    """What a saved metamer with binary features is, by a network whose config is in `model.json`."""
    network = rebuild_from(model)
    reference, graph = (load_file(metamer / f"{name}.safetensors") for name in ("reference", "graph"))
    told = json.loads((metamer / "metamer.json").read_text())
    x, words = graph["x"], reference["x"]
    h, changed = (network(part["x"], part["edge_index"]) for part in (reference, graph))
    (layer,) = told["layer"]
    return {
        "reported": told["activation_loss"],
        "loss": _loss(changed[layer], h[layer]),
        "agreement": float((changed["output"].argmax(1) == h["output"].argmax(1)).double().mean()),
        "accuracy": float((h["output"].argmax(1) == reference["y"]).double().mean()),
        "reused": int((x * words).sum()),
        "words": int(words.sum()),
        "is_binary": bool(((x == 0) | (x == 1)).all()),
        "counts_kept": torch.equal(x.sum(dim=1), words.sum(dim=1)),
        "columns_kept": torch.equal(x.sum(dim=0), words.sum(dim=0)),
        "edges_kept": torch.equal(graph["edge_index"], reference["edge_index"]),
    }


@torch.no_grad()
def recompute_edges(model: Path, metamer: Path) -> dict[str, Any]:
    """What a saved metamer with other edges is, beside the random graph in the model's folder."""
    network = rebuild_from(model)
    reference, graph = (load_file(metamer / f"{name}.safetensors") for name in ("reference", "graph"))
    told = json.loads((metamer / "metamer.json").read_text())
    chance = load_file(model / "random.safetensors")["edge_index"]
    (layer,) = told["layer"]
    x, edges, old = reference["x"], graph["edge_index"], reference["edge_index"]
    h, changed, by_chance = (network(*pair) for pair in ((x, old), (graph["x"], edges), (x, chance)))
    return {
        "reported": told["activation_loss"],
        "start": told["start_loss"],
        "loss": _loss(changed[layer], h[layer]),
        "random": _loss(by_chance[layer], h[layer]),
        "agreement": float((changed["output"].argmax(1) == h["output"].argmax(1)).double().mean()),
        "accuracy": float((h["output"].argmax(1) == reference["y"]).double().mean()),
        "features_kept": torch.equal(graph["x"], x),
        "graph": compare_edges(edges, old, len(x)),
        "random_graph": compare_edges(chance, old, len(x)),
    }


@torch.no_grad()
def recompute_first_layer(model: Path, metamer: Path) -> float:
    """Activation loss at the first layer of a metamer that was matched somewhere else."""
    network = rebuild_from(model)
    reference, graph = (load_file(metamer / f"{name}.safetensors") for name in ("reference", "graph"))
    h, changed = (network(part["x"], part["edge_index"])["act.0"] for part in (reference, graph))
    return _loss(changed, h)


def compare_edges(edges: Tensor, reference: Tensor, num_nodes: int) -> dict[str, Any]:
    """How edges differ from the reference's, by sets of pairs and counts."""
    ours, theirs = (set(map(tuple, part.T.tolist())) for part in (edges, reference))
    degrees = [
        torch.bincount(part[side], minlength=num_nodes) for side in (0, 1) for part in (edges, reference)
    ]
    return {
        "common": len(ours & theirs),
        "degrees_kept": torch.equal(*degrees[:2]) and torch.equal(*degrees[2:]),
        "count_kept": edges.shape == reference.shape,
        "doubled": edges.shape[1] - len(ours),
        "new_loops": len({pair for pair in ours - theirs if pair[0] == pair[1]}),
        "both_directions": all((v, u) in ours for u, v in ours),
    }


def rebuild_from(folder: Path) -> Network:
    """A network whose config is in `model.json`."""
    return rebuild(folder, json.loads((folder / "model.json").read_text()))


def _loss(changed: Tensor, h: Tensor) -> float:
    h = h.double()
    return float((changed.double() - h).square().sum() / h.square().sum())


def _overlap(changed: Tensor, reference: Tensor) -> float:
    both, either = (changed > 0) & (reference > 0), (changed > 0) | (reference > 0)
    return float(both.sum() / either.sum())
