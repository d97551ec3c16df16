from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors
from torch_geometric.datasets import KarateClub

from graph_metamers.datasets import list_datasets, load_dataset, resolve_data_root
from graph_metamers.errors import DatasetError, FileFormatError, ParameterError


def test_digits_are_joined_to_their_nearest_images():
    graph = load_dataset("digits").graph
    pixels = graph.x.double() * 16
    distances, _ = NearestNeighbors(n_neighbors=8).fit(pixels.numpy()).kneighbors()
    joined = torch.zeros(1797, 1797, dtype=torch.bool)
    joined[graph.edge_index[0], graph.edge_index[1]] = True
    assert torch.equal(joined, joined.T)
    assert not joined.diagonal().any()
    own = torch.cdist(pixels, pixels).masked_fill(~joined, torch.inf).topk(8, largest=False).values
    torch.testing.assert_close(own, torch.as_tensor(distances))


def test_digits_are_those_of_scikit_learn():
    dataset = load_dataset("digits", seed=3)
    graph, original = dataset.graph, load_digits()
    assert torch.equal(graph.x, torch.tensor(original.data / 16, dtype=torch.float32))
    assert torch.equal(graph.y, torch.tensor(original.target))
    assert (dataset.num_nodes, dataset.num_edges, dataset.num_features) == (1797, 19858, 64)
    assert (dataset.feature_kind, dataset.image_shape) == ("bounded", (8, 8))
    assert dataset.feature_names[19] == "row 2, column 3"
    assert dataset.class_names == tuple("0123456789")
    assert [len(part) for part in (dataset.split.train, dataset.split.validation, dataset.split.test)] == [
        200,
        500,
        1097,
    ]
    assert dataset.split.description.endswith("seed 3")
    assert dataset.notes == (
        "The edges were computed once from the original pixels; changed pixels leave them.",
    )


def test_edges_of_digits_are_eight_nearest_in_both_directions():
    dataset = load_dataset("digits")
    edge_index = dataset.graph.edge_index
    edges = set(map(tuple, edge_index.t().tolist()))
    assert len(edges) == edge_index.size(1)
    assert all((b, a) in edges and a != b for a, b in edges)
    distances = torch.cdist(dataset.graph.x[:50], dataset.graph.x)
    for node in range(50):
        eighth = distances[node].sort().values[8]
        nearer = (distances[node] < eighth - 1e-4).nonzero().view(-1).tolist()
        assert all((node, other) in edges for other in nearer if other != node)


def test_karate_is_that_of_pyg():
    dataset = load_dataset("karate")
    original = KarateClub()[0]
    for name in ("x", "edge_index", "y"):
        assert torch.equal(dataset.graph[name], original[name])
    assert torch.equal(dataset.split.train, original.train_mask.nonzero().view(-1))
    assert (len(dataset.split.validation), len(dataset.split.test)) == (15, 15)
    assert (dataset.num_classes, dataset.feature_kind) == (4, "binary")


@pytest.mark.parametrize("name", ["digits", "karate", "csbm"])
def test_one_seed_gives_one_data_set(name):
    assert load_dataset(name, seed=1).fingerprint == load_dataset(name, seed=1).fingerprint
    assert load_dataset(name, seed=1).fingerprint != load_dataset(name, seed=2).fingerprint


def test_the_list_names_what_can_be_loaded():
    infos = list_datasets()
    assert [info.name for info in infos] == [
        "digits", "karate", "cora", "citeseer", "cora_ml", "citeseer_full", "amazon_computers", "coauthor_cs",
        "texas", "wisconsin", "cornell", "actor", "chameleon", "minesweeper", "csbm",
    ]  # fmt: skip
    for info in infos:
        if not info.needs_files:
            assert load_dataset(info.name).name == info.name


@pytest.mark.parametrize(
    ("name", "close"), [("digit", "digits"), ("Kora", "cora"), ("cite-seer", "citeseer")]
)
def test_an_unknown_name_gets_a_suggestion(name, close):
    with pytest.raises(
        DatasetError, match=rf"Did you mean '{close}'.*Known are digits, karate, cora, citeseer"
    ):
        load_dataset(name)


def test_a_name_like_no_other_gets_the_list_only():
    with pytest.raises(DatasetError, match=r"no data set 'zzzz'\. Known are"):
        load_dataset("zzzz")


def test_names_are_read_in_any_case():
    assert load_dataset("Karate").name == "karate"


def test_something_like_a_path_is_a_path(tmp_path):
    with pytest.raises(FileFormatError, match=r"no file mine\.npz"):
        load_dataset("mine.npz")
    with pytest.raises(FileFormatError, match="is a folder"):
        load_dataset(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"split": 1}, "split"),
        ({"seed": -1}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"feature_kind": "x"}, "feature_kind"),
    ],
)
def test_parameters_out_of_range_are_refused(changes, name):
    with pytest.raises(ParameterError, match=f"'{name}'"):
        load_dataset("karate", **changes)


def test_a_kind_can_be_widened_and_is_noted():
    dataset = load_dataset("digits", feature_kind="continuous")
    assert dataset.feature_kind == "continuous"
    assert "treated as continuous, as asked" in dataset.notes[-1]
    assert load_dataset("digits", feature_kind="bounded").notes == load_dataset("digits").notes


def test_a_kind_cannot_be_narrowed():
    with pytest.raises(
        ParameterError, match="'feature_kind' parameter must be 'bounded' or wider, got 'binary'"
    ):
        load_dataset("digits", feature_kind="binary")


def test_the_data_root_is_the_argument_else_the_variable_else_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAPH_METAMERS_DATA", str(tmp_path / "variable"))
    assert resolve_data_root(tmp_path / "argument") == tmp_path / "argument"
    assert resolve_data_root() == tmp_path / "variable"
    monkeypatch.setenv("GRAPH_METAMERS_DATA", "")
    assert resolve_data_root().name == "graph-metamers"
