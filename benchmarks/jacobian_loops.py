"""Ranks of Jacobians node by node, with torch, numpy and PyTorch Geometric alone.

The peers of `dimensions.py`: nothing here imports graph-metamers.
"""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import numpy as np
    import torch
    from safetensors.torch import load_file
    from torch import Tensor, nn
    from torch_geometric.nn import GCNConv
    from torch_geometric.utils import k_hop_subgraph

if TYPE_CHECKING:
    from pathlib import Path

HOPS = {"act.0": 1, "output": 2}


class PlainGCN(nn.Module):
    """Two layers with a rectifier between."""

    def __init__(self, inputs: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.conv = nn.ModuleList([GCNConv(inputs, hidden), GCNConv(hidden, classes)])

    def forward(self, x: Tensor, edge_index: Tensor, layer: str) -> Tensor:
        """Numbers of every node at a layer, [n, d]."""
        hidden = self.conv[0](x, edge_index).relu()
        return hidden if layer == "act.0" else self.conv[1](hidden, edge_index)


def ranks(way: str, weights: Path, graph: Path) -> dict[str, Any]:
    """Seconds on the clock and of the processor, and (nodes read, rank) at both layers, by a loop over nodes.

    `full`: the Jacobian by all features of the ball of one hop more, so that degrees at its edge are right.
    `compressed`: by X Q, Q an orthonormal basis of the rows of the first weights; the same otherwise.
    """
    torch.set_num_threads(1)
    saved, own = load_file(graph), load_file(weights)
    x, edge_index, nodes = saved["x"].double(), saved["edge_index"], saved["nodes"]
    first = own["conv.0.lin.weight"].double()
    hidden, classes = len(first), len(own["conv.1.lin.weight"])
    features = x
    if way == "compressed":
        basis = torch.linalg.qr(first.T).Q
        features, own["conv.0.lin.weight"] = x @ basis, first @ basis
    model = PlainGCN(features.shape[1], hidden, classes).double().eval()
    model.load_state_dict(own)
    _rank(model, features, edge_index, int(nodes[0]), "act.0", x.shape[1])  # what torch prepares
    began, began_of_processor = time.perf_counter(), time.process_time()
    counted = {
        layer: [_rank(model, features, edge_index, int(v), layer, x.shape[1]) for v in nodes]
        for layer in HOPS
    }
    return {
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - began_of_processor,
        "ranks": counted,
    }


def _rank(
    model: PlainGCN, x: Tensor, edge_index: Tensor, node: int, layer: str, num_features: int
) -> tuple[int, int]:
    """Nodes within the hops of a layer, and the rank."""
    hops, n = HOPS[layer], len(x)
    ball, edges, place, _ = k_hop_subgraph(node, hops + 1, edge_index, relabel_nodes=True, num_nodes=n)
    inside = torch.isin(ball, k_hop_subgraph(node, hops, edge_index, num_nodes=n)[0])
    jacobian = torch.autograd.functional.jacobian(
        lambda own: model(own, edges, layer)[place[0]], x[ball], vectorize=True
    )
    matrix = jacobian[:, inside].flatten(start_dim=1).numpy()
    values = np.linalg.svd(matrix, compute_uv=False)
    longest = max(len(matrix), int(inside.sum()) * num_features)
    return int(inside.sum()), int((values > values[0] * longest * np.finfo(np.float64).eps).sum())
