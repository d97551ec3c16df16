from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import GAT, GCN, GIN, GraphNorm, GraphSAGE, HeteroConv, SAGEConv
from torch_geometric.transforms import Constant

import graph_metamers as gm
from graph_metamers.errors import ModelError

GRAPH = Data(x=torch.ones(4, 3), edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]))


class Product(nn.Module):
    """Multiplies with a weight of its own, in no module that says how wide its input is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(5, 2))

    def forward(self, x):
        return x @ self.weight


class Refuses(nn.Module):
    """Fails in its own forward for another reason than the width that it has given its input."""

    def __init__(self) -> None:
        super().__init__()
        self.in_channels = 3

    def forward(self, x):
        x = x.repeat(1, 2)
        return self.fail(x)

    def fail(self, x):
        raise RuntimeError("out of ideas")


@pytest.mark.parametrize(
    "model", [kind(5, 4, num_layers=2, out_channels=2) for kind in (GCN, GraphSAGE, GIN, GAT)]
)
@pytest.mark.parametrize(
    "call",
    [
        gm.layers,
        gm.check,
        lambda model, graph: gm.generate(model, graph, "act"),
        lambda model, graph: gm.activations(model, graph, "output"),
    ],
)
def test_a_graph_of_another_width_is_an_error_that_says_so(model, call):
    with pytest.raises(
        ModelError, match=r"graph with 3 features a node.*takes 5 features, and was given 3"
    ) as caught:
        call(model, GRAPH)
    assert type(model).__name__ in str(caught.value)
    assert "Build the model for 3 features" in str(caught.value)
    assert "shapes cannot be multiplied" in str(caught.value.__cause__)


def test_an_audit_says_so_too():
    dataset = gm.load_dataset("karate")
    with pytest.raises(ModelError, match=r"graph with 34 features a node: 'convs.0.lin' \(Linear\) takes 5"):
        gm.audit(GCN(5, 4, num_layers=2, out_channels=dataset.num_classes), dataset)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(5), GraphNorm(5), nn.Linear(5, 1)])
def test_the_module_that_refused_is_named(norm):
    model = nn.Sequential(nn.Linear(3, 4), norm)
    with pytest.raises(ModelError, match=r"'1' \(\w+\) takes 5 features, and was given 4$"):
        gm.layers(model, GRAPH, forward=lambda model, graph: model(graph.x))


def test_a_product_outside_of_any_module_is_given_in_the_words_of_torch():
    with pytest.raises(ModelError, match=r"Product must fit.* 3 features a node: .*\(4x3 and 5x2\)"):
        gm.layers(Product(), GRAPH)


def test_the_features_are_those_behind_the_transform():
    with pytest.raises(ModelError, match="graph with 4 features a node"):
        gm.layers(GCN(5, 4, num_layers=1), GRAPH, transform=Constant())


def test_every_node_type_of_a_heterogeneous_graph_is_named():
    graph = HeteroData()
    graph["a"].x, graph["b"].x = torch.ones(2, 3), torch.ones(2, 6)
    relations = ("a", "to", "b"), ("b", "to", "a")
    for relation in relations:
        graph[relation].edge_index = torch.zeros(2, 1, dtype=torch.long)
    model = HeteroConv({relation: SAGEConv((5, 5), 4) for relation in relations})
    with pytest.raises(
        ModelError, match=r"graph with features a: 3, b: 6: .* takes 5 features, and was given 3$"
    ):
        gm.layers(model, graph, forward=lambda model, graph: model(graph.x_dict, graph.edge_index_dict))


def test_an_error_of_another_kind_stays_what_it_is():
    with pytest.raises(RuntimeError, match=r"^out of ideas$"):
        gm.layers(Refuses(), GRAPH)
