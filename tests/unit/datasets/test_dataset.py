from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from torch_geometric.data import Data, HeteroData

from graph_metamers.datasets import Dataset, Split
from graph_metamers.errors import DatasetError, ParameterError


def make(**changes: object) -> Dataset:
    graph = Data(
        x=torch.eye(4),
        edge_index=torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]]),
        y=torch.tensor([0, 0, 1, 1]),
    )
    arguments = {
        "name": "square",
        "graphs": (graph,),
        "task_level": "node",
        "feature_kind": "binary",
        "feature_names": None,
        "image_shape": None,
        "class_names": ("a", "b"),
        "split": Split(torch.tensor([0, 2]), torch.tensor([1]), torch.tensor([3]), "by hand"),
        "source": "ours",
    }
    return Dataset(**(arguments | changes))


def test_sizes_and_homophily():
    dataset = make()
    assert (dataset.num_nodes, dataset.num_edges, dataset.num_features, dataset.num_classes) == (4, 4, 4, 2)
    assert dataset.homophily == 0.5
    assert dataset.graph is dataset.graphs[0]


def test_several_graphs_are_not_one():
    graphs = make().graphs * 3
    dataset = make(graphs=graphs, task_level="graph")
    assert dataset.num_nodes == 12
    with pytest.raises(DatasetError, match="square has 3 graphs, not one"):
        _ = dataset.graph
    with pytest.raises(DatasetError, match="no homophily"):
        _ = dataset.homophily


def test_a_heterogeneous_graph_has_no_single_number_of_features():
    graph = HeteroData()
    graph["a"].x = torch.ones(2, 3)
    dataset = make(graphs=(graph,))
    with pytest.raises(DatasetError, match="heterogeneous"):
        _ = dataset.num_features
    assert "several kinds of features" in repr(dataset)


def test_the_fingerprint_is_of_the_content():
    base = make()
    assert base.fingerprint == make().fingerprint == make(name="other", source="x").fingerprint
    moved = base.graph.clone()
    moved.edge_index = moved.edge_index.flip(0)
    other_split = Split(torch.tensor([0, 3]), torch.tensor([1]), torch.tensor([2]), "by hand")
    prints = {make(graphs=(moved,)).fingerprint, make(split=other_split).fingerprint, base.fingerprint}
    assert len(prints) == 3


def test_it_is_frozen_and_can_be_replaced():
    dataset = make()
    with pytest.raises(FrozenInstanceError):
        dataset.name = "x"
    assert replace(dataset, name="x").name == "x"


def test_repr_is_short_and_html_is_escaped():
    dataset = make(name="<b>", source="<script>alert(1)</script>")
    assert len(repr(dataset).splitlines()) == 6
    html = dataset._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "Dataset &lt;b&gt;" in html


@pytest.mark.parametrize(
    "changes",
    [{"graphs": ()}, {"task_level": "edge"}, {"feature_kind": "words"}],
    ids=lambda c: next(iter(c)),
)
def test_values_out_of_range_are_refused(changes):
    with pytest.raises(ParameterError, match=f"'{next(iter(changes))}'"):
        make(**changes)
