"""Plain PyTorch Geometric convolutions one after another; nothing here imports graph-metamers."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from torch import Tensor, nn
    from torch.nn.functional import leaky_relu
    from torch_geometric.nn import (
        ChebConv,
        GATConv,
        GATv2Conv,
        GCNConv,
        GINConv,
        GraphConv,
        SAGEConv,
        SGConv,
        TAGConv,
    )

WIDTH = 8


def _gin(inputs: int) -> nn.Module:
    return GINConv(nn.Sequential(nn.Linear(inputs, WIDTH), nn.LeakyReLU(), nn.Linear(WIDTH, WIDTH)))


CONVOLUTIONS: dict[str, Callable[[int], nn.Module]] = {
    "GCN": lambda inputs: GCNConv(inputs, WIDTH),
    "SAGE mean": lambda inputs: SAGEConv(inputs, WIDTH),
    "SAGE max": lambda inputs: SAGEConv(inputs, WIDTH, aggr="max"),
    "GAT": lambda inputs: GATConv(inputs, WIDTH // 2, heads=2),
    "GATv2": lambda inputs: GATv2Conv(inputs, WIDTH // 2, heads=2),
    "GIN": _gin,
    "GraphConv": lambda inputs: GraphConv(inputs, WIDTH),
    "Cheb of order 3": lambda inputs: ChebConv(inputs, WIDTH, K=3),
    "SGC of 2 steps": lambda inputs: SGConv(inputs, WIDTH, K=2),
    "TAG of 3 steps": lambda inputs: TAGConv(inputs, WIDTH, K=3),
    "SAGE LSTM": lambda inputs: SAGEConv(inputs, WIDTH, aggr="lstm"),
}
HOPS = {"Cheb of order 3": 2, "SGC of 2 steps": 2, "TAG of 3 steps": 3}
"""Steps of message passing of one layer; of the others one."""


class Stack(nn.Module):
    """Layers of one kind with a leaky rectifier between two, so that none is silent; weights by the seed."""

    def __init__(self, kind: str, layers: int, *, inputs: int, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            widths = [inputs, *[WIDTH] * (layers - 1)]
            self.convs = nn.ModuleList([CONVOLUTIONS[kind](width) for width in widths])

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Numbers of every node, [n, WIDTH]."""
        return self.read(x, edge_index)[-1]

    def read(self, x: Tensor, edge_index: Tensor) -> list[Tensor]:
        """What every convolution returns, [n, WIDTH] each."""
        read: list[Tensor] = []
        for conv in self.convs:
            read.append(conv(leaky_relu(read[-1]) if read else x, edge_index))
        return read
