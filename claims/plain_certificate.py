"""Recompute what is claimed of certificates, with PyTorch Geometric and safetensors alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from plain_pyg import compare_edges, rebuild_from
from safetensors.torch import load_file

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor
    from torch_geometric.nn import GCNConv


@torch.no_grad()
def recompute_certificate(model: Path, metamer: Path) -> dict[str, Any]:
    """The first layer's loss of a saved metamer and of a random graph, and degree 1's part of the bound."""
    conv = rebuild_from(model).conv[0].double()
    reference, graph = (load_file(metamer / f"{name}.safetensors") for name in ("reference", "graph"))
    x, old, new = reference["x"].double(), reference["edge_index"], graph["edge_index"]
    chance = load_file(model / "random.safetensors")["edge_index"]
    h = conv(x, old)
    return {
        "loss": _loss(conv(x, new), h),
        "random": _loss(conv(x, chance), h),
        "nearest": _nearest(conv, x, old, h),
        "features_kept": torch.equal(graph["x"], reference["x"]),
        "graph": compare_edges(new, old, len(x)),
    }


def _nearest(conv: GCNConv, x: Tensor, edge_index: Tensor, h: Tensor) -> float:
    """What nodes of degree 1 leave at least, each with its best other neighbour, over the energy.

    The message of u to v is W x_u / sqrt((d_u + 1) (d_v + 1)), whatever the other edges are.
    """
    source, target = edge_index
    degrees = torch.bincount(target, minlength=len(x))
    scale = (degrees + 1).double().rsqrt()
    sent = conv.lin(x) * scale[:, None]
    total = 0.0
    for v, u in zip(target.tolist(), source.tolist(), strict=True):
        if degrees[v] == 1:
            errors = (sent - sent[u]).square().sum(dim=1) * scale[v] ** 2
            errors[[u, v]] = torch.inf
            errors[degrees == 0] = torch.inf
            total += float(errors.min())
    return total / float(h.square().sum())


def _loss(changed: Tensor, h: Tensor) -> float:
    return float((changed - h).square().sum() / h.square().sum())
