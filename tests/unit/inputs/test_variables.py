from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData

import graph_metamers as gm
from graph_metamers.inputs import resolve_variables


def small_graph(num_nodes: int = 30, seed: int = 0) -> Data:
    x = torch.randn(num_nodes, 4, generator=torch.Generator().manual_seed(seed))
    return Data(x=x, edge_index=torch.tensor([[0, 1], [1, 2]]))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_kind_is_inferred_and_can_be_overridden():
    binary = Data(x=torch.eye(3), edge_index=torch.empty(2, 0, dtype=torch.long))
    kinds = [
        resolve_variables(vary, binary).values["x"].kind
        for vary in ("features", gm.Features(kind="continuous"), gm.Features(low=0.0, high=2.0))
    ]
    assert kinds == ["binary", "continuous", "bounded"]


def test_the_chance_level_is_what_shuffling_gives_on_average():
    graph = small_graph(400)
    graph.x = graph.x * torch.tensor([1.0, 5.0, 0.1, 0.0]) + 3
    variables = resolve_variables("features", graph)
    squares = [
        variables.distance(variables.shuffled(generator(seed)), "nodes").scaled ** 2 for seed in range(300)
    ]
    assert sum(squares) / len(squares) == pytest.approx(1.0, rel=0.01)


def test_the_chance_level_holds_for_a_mask_of_rows():
    graph = small_graph(400)
    graph.x[:100] *= 10
    mask = torch.arange(400) < 100
    variables = resolve_variables(gm.Features(mutable=mask), graph)
    squares = [
        variables.distance(variables.shuffled(generator(seed)), "nodes").scaled ** 2 for seed in range(300)
    ]
    assert sum(squares) / len(squares) == pytest.approx(1.0, rel=0.01)


def test_distance_is_zero_for_the_reference_and_per_item_in_closed_form():
    graph = small_graph()
    variables = resolve_variables("features", graph)
    assert variables.distance(graph, "nodes").scaled == 0
    changed = Data(x=graph.x.clone(), edge_index=graph.edge_index)
    changed.x[3, 1] += 2
    distance = variables.distance(changed, "nodes")
    centred = graph.x.double() - graph.x.double().mean(dim=0)
    expected = 2 / (centred[3].square() + centred.square().mean(dim=0)).sum().sqrt()
    assert distance.raw == pytest.approx(2, rel=1e-6)
    assert float(distance.items[3]) == pytest.approx(float(expected), rel=1e-5)
    assert distance.items.count_nonzero() == 1


def test_graph_items_own_all_their_rows():
    batch = Batch.from_data_list([small_graph(5, 1), small_graph(7, 2)])
    changed = batch.clone()
    changed.x[6] += 1
    items = resolve_variables("features", batch).distance(changed, "graphs").items
    assert items.tolist()[0] == 0
    assert items.tolist()[1] > 0


def test_an_empty_graph_of_a_batch_is_counted():
    batch = Batch.from_data_list(
        [
            small_graph(5),
            small_graph(4),
            Data(x=torch.zeros(0, 4), edge_index=torch.empty(2, 0, dtype=torch.long)),
        ]
    )
    items = resolve_variables("features", batch).distance(batch, "graphs").items
    assert items.shape == (3,)
    assert items[2].isnan()


def test_shuffling_keeps_every_features_values_and_the_frozen_entries():
    graph = small_graph()
    mutable = torch.rand(30, 4, generator=generator(1)) > 0.3
    variables = resolve_variables(gm.Features(mutable=mutable), graph)
    shuffled = variables.shuffled(generator()).x
    assert torch.equal(shuffled[~mutable], graph.x[~mutable])
    assert torch.equal(shuffled.sort(dim=0).values, graph.x.sort(dim=0).values)
    assert (shuffled != graph.x)[mutable].float().mean() > 0.8


def test_hetero_types_that_are_not_named_keep_their_features():
    graph = HeteroData()
    graph["a"].x, graph["b"].x = torch.randn(4, 2), torch.randn(3, 5)
    variables = resolve_variables({"b": "features"}, graph)
    changed = variables.discrete(variables.start("noise", generator()))
    assert torch.equal(changed["a"].x, graph["a"].x)
    assert not torch.equal(changed["b"].x, graph["b"].x)
    assert variables.distance(changed, "nodes:a").items.numel() == 0
    assert variables.distance(changed, "nodes:b").items.numel() == 3


@pytest.mark.parametrize("vary", ["structur", {"a": "features"}, {}, {"x": 3}, None])
def test_what_cannot_vary_is_said(vary):
    with pytest.raises(gm.ParameterError, match="'vary' parameter must be"):
        resolve_variables(vary, small_graph())


@pytest.mark.parametrize(
    "mutable", [torch.ones(29, dtype=torch.bool), torch.ones(30, 4), torch.zeros(30, 4, dtype=torch.bool)]
)
def test_bad_masks_are_refused(mutable):
    with pytest.raises(gm.ParameterError, match="'mutable' parameter must be"):
        resolve_variables(gm.Features(mutable=mutable), small_graph())


def test_a_mask_of_nodes_and_a_mask_of_features():
    rows = torch.arange(30) < 3
    columns = torch.tensor([[True, False, True, False]])
    for mask, count in ((rows, 12), (columns, 60)):
        values = resolve_variables(gm.Features(mutable=mask), small_graph()).values["x"]
        assert int(values.mutable.sum()) == count


@pytest.mark.parametrize("options", [{"kind": "words"}, {"ones": "some"}, {"kind": "binary", "low": 0.0}])
def test_bad_options_are_refused_at_once(options):
    with pytest.raises(gm.ParameterError):
        gm.Features(**options)


def test_a_graph_without_features_is_refused():
    with pytest.raises(gm.ModelError, match="node features 'x'"):
        resolve_variables("features", Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=3))


def test_the_slope_of_straight_through_is_that_of_the_values():
    words = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert gm.Features(slope=0.25).values(words).slope == 0.25
    with pytest.raises(gm.ParameterError, match="slope"):
        gm.Features(slope=0.0)
