from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data, HeteroData

from graph_metamers.errors import BindingError
from graph_metamers.reading import bind_by_name, call_model

GRAPH = Data(x=torch.ones(3, 2), edge_index=torch.tensor([[0, 1], [1, 2]]), edge_attr=torch.ones(2, 4))


def model_with(forward) -> nn.Module:
    module = nn.Module()
    module.forward = forward
    return module


def test_attributes_are_bound_by_name_whatever_their_order():
    bound = bind_by_name(model_with(lambda edge_attr, x: None), GRAPH)
    assert bound == {"edge_attr": GRAPH.edge_attr, "x": GRAPH.x}


def test_optional_parameters_that_the_graph_lacks_keep_their_default():
    assert set(bind_by_name(model_with(lambda x, edge_weight=None: None), GRAPH)) == {"x"}


@pytest.mark.parametrize(
    "forward", [lambda data: None, lambda graph: None, lambda inputs: None, lambda g, depth=2: None]
)
def test_the_whole_graph(forward):
    (value,) = bind_by_name(model_with(forward), GRAPH).values()
    assert value is GRAPH


def test_a_lone_features_parameter_is_not_the_whole_graph():
    assert bind_by_name(model_with(lambda x: None), GRAPH)["x"] is GRAPH.x


def test_batch_is_none_for_a_single_graph_and_the_vector_for_a_batch():
    model = model_with(lambda x, batch: None)
    assert bind_by_name(model, GRAPH)["batch"] is None
    batch = Batch.from_data_list([GRAPH, GRAPH])
    assert torch.equal(bind_by_name(model, batch)["batch"], torch.tensor([0, 0, 0, 1, 1, 1]))


def test_a_lone_parameter_called_batch_is_the_whole_batch():
    batch = Batch.from_data_list([GRAPH, GRAPH])
    assert bind_by_name(model_with(lambda batch: None), batch)["batch"] is batch


def test_counts_are_bound():
    model = model_with(lambda x, num_nodes, num_graphs: None)
    bound = bind_by_name(model, Batch.from_data_list([GRAPH, GRAPH]))
    assert (bound["num_nodes"], bound["num_graphs"]) == (6, 2)


def test_hetero_dictionaries_with_and_without_suffix():
    graph = HeteroData()
    graph["a"].x = torch.ones(2, 3)
    graph["a", "to", "a"].edge_index = torch.zeros(2, 1, dtype=torch.long)
    for forward in (lambda x, edge_index: None, lambda x_dict, edge_index_dict: None):
        features, edges = bind_by_name(model_with(forward), graph).values()
        assert features == {"a": graph["a"].x}
        assert edges == {("a", "to", "a"): graph["a", "to", "a"].edge_index}


def test_a_missing_attribute_is_named_with_what_there_is():
    with pytest.raises(BindingError, match=r"needs 'pos'.*edge_attr, edge_index, x.*forward="):
        bind_by_name(model_with(lambda x, pos: None), GRAPH)


def test_a_forward_without_names_asks_for_one():
    with pytest.raises(BindingError, match="named parameters"):
        bind_by_name(model_with(lambda *args: None), GRAPH)


def test_own_forward_and_transform():
    doubled = call_model(
        model_with(lambda x: x),
        GRAPH,
        forward=lambda model, graph: model.forward(graph.x + 1),
        transform=lambda graph: Data(x=2 * graph.x),
    )
    assert torch.equal(doubled, torch.full((3, 2), 3.0))
