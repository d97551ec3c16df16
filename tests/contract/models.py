"""Every kind of model and graph that the instrument has to serve, one row each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.nn import (
    GAT,
    GCN,
    GIN,
    PNA,
    EdgeCNN,
    GCNConv,
    GraphSAGE,
    SAGEConv,
    global_mean_pool,
    to_hetero,
)
from torch_geometric.transforms import NormalizeFeatures
from torch_geometric.utils import degree, erdos_renyi_graph

import graph_metamers as gm

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Row:
    """A model, a graph it reads, and a layer to match."""

    name: str
    model: nn.Module
    graph: Any
    layer: str
    transform: Callable[[Any], Any] | None = None


def _graph(seed: int, num_nodes: int = 24, num_features: int = 10) -> Data:
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        edge_index = erdos_renyi_graph(num_nodes, 0.2)
    return Data(x=torch.randn(num_nodes, num_features, generator=generator), edge_index=edge_index)


class GraphClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = GCNConv(10, 8)
        self.act = nn.ReLU()
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        return self.head(global_mean_pool(self.act(self.conv(x, edge_index)), batch))


class TakesData(nn.Module):
    """Called as model(data), with functional activations and a module that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = GCNConv(10, 8)
        self.twice = GCNConv(8, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, data: Data) -> Tensor:
        hidden = F.elu(self.first(data.x, data.edge_index))
        hidden = F.elu(self.twice(hidden, data.edge_index))
        hidden = torch.tanh(self.twice(hidden, data.edge_index))
        return F.log_softmax(self.last(hidden), dim=1)


class TwoLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = SAGEConv((-1, -1), 8)
        self.act = nn.ELU()
        self.conv2 = SAGEConv((-1, -1), 3)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.conv2(F.leaky_relu(self.act(self.conv1(x, edge_index))), edge_index)


def _hetero_graph() -> HeteroData:
    generator = torch.Generator().manual_seed(5)
    graph = HeteroData()
    graph["movie"].x = torch.randn(12, 7, generator=generator)
    graph["user"].x = torch.randn(9, 6, generator=generator)
    for relation in ("rates", "likes"):  # two relations into one type
        ends = [torch.randint(0, limit, (30,), generator=generator) for limit in (9, 12)]
        graph["user", relation, "movie"].edge_index = torch.stack(ends)
    ends = [torch.randint(0, limit, (30,), generator=generator) for limit in (12, 9)]
    graph["movie", "seen_by", "user"].edge_index = torch.stack(ends)
    return graph


def _hetero_row() -> Row:
    graph = _hetero_graph()
    model = to_hetero(TwoLayers(), graph.metadata(), aggr="sum")
    with torch.no_grad():
        model(graph.x_dict, graph.edge_index_dict)  # lazy weights get their shapes
    return Row("to_hetero", model, graph, "conv1/movie")


def _basic(name: str, kind: type[nn.Module], **options: Any) -> Row:
    return Row(name, kind(10, 8, num_layers=2, out_channels=3, **options), _graph(3), "act")


def _pna_options() -> dict[str, Any]:
    graph = _graph(3)
    histogram = torch.bincount(degree(graph.edge_index[1], graph.num_nodes, dtype=torch.long))
    return {"aggregators": ["mean", "max", "std"], "scalers": ["identity", "amplification"], "deg": histogram}


def build_rows() -> list[Row]:
    """All rows, newly built, with the same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        batch = Batch.from_data_list([_graph(seed, num_nodes=8 + seed) for seed in range(6)])
        zoo = [_zoo_row(info.name) for info in gm.list_models()]
        return [
            Row("batch with mean readout", GraphClassifier(), batch, "output"),
            Row("model(data), functional", TakesData(), _graph(1), "elu()#2"),
            Row("model(data), reused module", TakesData(), _graph(1), "twice#2"),
            Row("NormalizeFeatures", GCN(10, 8, 2, 3), _graph(2), "act", NormalizeFeatures()),
            _hetero_row(),
            _basic("BasicGNN GCN", GCN),
            _basic("BasicGNN GraphSAGE", GraphSAGE),
            _basic("BasicGNN GIN", GIN),
            _basic("BasicGNN GAT", GAT),
            _basic("BasicGNN PNA", PNA, **_pna_options()),
            _basic("BasicGNN EdgeCNN", EdgeCNN),
            *zoo,
        ]


def _zoo_row(name: str) -> Row:
    config = gm.ModelConfig(architecture=name, in_channels=10, out_channels=3, hidden_channels=8)
    model = gm.GNN(config)
    # One without a hidden layer (SGC) is matched at its output.
    return Row(f"zoo {name}", model, _graph(3), "act.0" if len(model.act) else "output")


NAMES = [row.name for row in build_rows()]


def find_row(name: str) -> Row:
    return next(row for row in build_rows() if row.name == name)
