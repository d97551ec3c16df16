"""The block model's posterior by its definition: a product of probabilities, summed over all assignments."""

from __future__ import annotations

import numpy as np
import torch
from torch_geometric.data import Data

from graph_metamers.datasets import ContextualBlockModel


def log_joint(model: ContextualBlockModel, graph: Data, y: np.ndarray) -> float:
    """log P(X, A | y) for signs y, [n]; constants left out."""
    x, mean = graph.x.double().numpy(), model.mean.numpy()
    total = 0.0
    joined = set(map(tuple, graph.edge_index.T.tolist()))
    for node in range(len(y)):
        total -= float(((x[node] - y[node] * mean) ** 2).sum()) / (2 * model.sigma**2)
        for other in range(node):
            chance = model.p if y[node] == y[other] else model.q
            total += np.log(chance if (node, other) in joined else 1 - chance)
    return total


def brute_force(
    model: ContextualBlockModel, graph: Data, labels: torch.Tensor | None = None, known: tuple[int, ...] = ()
) -> torch.Tensor:
    """Log-odds of class 1 of every node, float64 [n]."""
    num_nodes = len(graph.x)
    totals = np.full((2, num_nodes), -np.inf)
    free = [node for node in range(num_nodes) if node not in known]
    for number in range(2 ** len(free)):
        bits = np.zeros(num_nodes, dtype=int)
        bits[free] = [number >> place & 1 for place in range(len(free))]
        for node in known:
            bits[node] = int(labels[node])
        log = log_joint(model, graph, 2 * bits - 1)
        totals[bits, np.arange(num_nodes)] = np.logaddexp(totals[bits, np.arange(num_nodes)], log)
    return torch.from_numpy(totals[1] - totals[0])


def drawn(
    num_nodes: int, density: float, seed: int, *, p=0.4, q=0.15, strength=0.5
) -> tuple[ContextualBlockModel, Data]:
    """A block model with strong couplings, and any graph, which need not look like a draw from it."""
    generator = torch.Generator().manual_seed(seed)
    model = ContextualBlockModel(torch.full((3,), strength, dtype=torch.float64), 1.0, p, q)
    upper = (torch.rand(num_nodes, num_nodes, generator=generator) < density).triu(1)
    edges = (upper | upper.T).nonzero().T.contiguous()
    graph = Data(
        x=torch.randn(num_nodes, 3, generator=generator),
        edge_index=edges,
        y=torch.randint(2, (num_nodes,), generator=generator),
        num_nodes=num_nodes,
    )
    return model, graph


def random_forest(num_nodes: int, seed: int) -> torch.Tensor:
    """Edges of a random forest with some trees, int64 [2, E]."""
    generator = np.random.default_rng(seed)
    pairs = [
        (node, int(generator.integers(node))) for node in range(1, num_nodes) if generator.random() < 0.8
    ]
    one = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
    return torch.cat([one, one.flip(0)], dim=1)
