"""The three gates on Cora, recomputed from a saved audit with PyTorch Geometric, SciPy and NetworkX alone.

Nothing here imports graph-metamers. The audited model is a GCN, whose layers read X only through the first
weight matrix W: its row space is the visible space, by the singular value decomposition.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import networkx as nx
import torch
from plain_pyg import load_network
from safetensors.torch import load_file
from torch import Tensor

if TYPE_CHECKING:
    from pathlib import Path

EQUAL = 1e-5
MIN_DISTANCE = 0.1


class Cora:
    """A saved audit of a GCN: its network, its reference, and what its first weights read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.audit: dict[str, Any] = json.loads((folder / "audit.json").read_text())
        self.network = load_network(folder)
        self.reference = load_file(folder / "reference.safetensors")
        self.x, self.edges = self.reference["x"], self.reference["edge_index"]
        weight = self.network.conv[0].lin.weight.detach().double()
        self.basis = torch.linalg.svd(weight, full_matrices=False).Vh.T
        self.activations = self.read(self.x, self.edges)

    @torch.no_grad()
    def read(self, x: Tensor, edges: Tensor) -> dict[str, Tensor]:
        """Activations of every layer, float64 [n, d]."""
        return {name: value.double() for name, value in self.network(x, edges).items()}

    def nearest(self, layer: str) -> tuple[Tensor, Tensor]:
        """Nearest real node with another activation, int64 [n], and its relative error, [n]; brute force."""
        h = self.activations[layer]
        size = h.norm(dim=1, keepdim=True)
        distance = torch.cdist(h, h, compute_mode="donot_use_mm_for_euclid_dist")
        distance[distance <= EQUAL * size] = torch.inf
        least, node = distance.min(dim=1)
        return node, least / size.flatten()

    def gates(self, layer: str, x: Tensor, edges: Tensor, rival: Tensor) -> dict[str, float]:
        """Shares of nodes: each gate, all of them, and of which kind."""
        changed, h = self.read(x, edges), self.activations
        error = (changed[layer] - h[layer]).norm(dim=1) / h[layer].norm(dim=1)
        same = changed["output"].argmax(1) == h["output"].argmax(1)
        closer = (error < rival - EQUAL * (1 + rival)) | (error <= EQUAL)
        step = (x - self.x).double()
        rewired = self._changed_neighbours(edges)
        different = (self._scaled(step, None) >= MIN_DISTANCE) | rewired
        visible = (self._scaled(step, self.basis) >= MIN_DISTANCE) | rewired
        passes = same & closer & different
        return {
            "closer": float(closer.double().mean()),
            "passes": float(passes.double().mean()),
            "visible": float((passes & visible).double().mean()),
            "null space": float((passes & ~visible).double().mean()),
        }

    def null_space_metamer(self, seed: int = 0) -> Tensor:
        """Noise with the features' means and deviations outside the visible space, the reference inside."""
        generator = torch.Generator().manual_seed(seed)
        x = self.x.double()
        noise = x.mean(0) + x.std(0) * torch.randn(x.shape, generator=generator, dtype=torch.float64)
        step = noise - x
        return (x + step - step @ self.basis @ self.basis.T).float()

    def rewired(self, seed: int = 0) -> Tensor:
        """Random edges with the same degrees: NetworkX's double-edge swaps, ten for each edge."""
        graph = nx.Graph(list(map(tuple, self.edges.T.tolist())))
        graph.remove_edges_from(list(nx.selfloop_edges(graph)))
        swaps = 10 * graph.number_of_edges()
        nx.double_edge_swap(graph, nswap=swaps, max_tries=100 * swaps, seed=seed)
        edges = torch.tensor(list(graph.edges)).T
        return torch.cat([edges, edges.flip(0)], dim=1)

    def _scaled(self, step: Tensor, basis: Tensor | None) -> Tensor:
        """Each node's distance over that of features drawn from random nodes, [n]."""
        x = self.x.double()
        centred, variance = x - x.mean(0), x.var(0, correction=0)
        if basis is None:
            chance = centred.square().sum(1) + variance.sum()
        else:
            step = step @ basis
            chance = (centred @ basis).square().sum(1) + (basis.square().T @ variance).sum()
        return (step.square().sum(1) / chance).sqrt()

    def _changed_neighbours(self, edges: Tensor) -> Tensor:
        """Whether at least a tenth of the edges into a node changed, by the Jaccard index, bool [n]."""
        n = len(self.x)
        old, new = ({(int(a), int(b)) for a, b in pairs.T} for pairs in (self.edges, edges))
        both, either = torch.zeros(n), torch.zeros(n)
        for pair in old | new:
            either[pair[1]] += 1
            both[pair[1]] += pair in old and pair in new
        return torch.where(either > 0, 1 - both / either, 0) >= MIN_DISTANCE
