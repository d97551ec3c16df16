"""Strongly regular graphs and pairs of BREC, from files that may hold anything."""

from __future__ import annotations

import os

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.utils import to_dense_adj

import graph_metamers as gm
from graph_metamers.datasets.expressiveness import (
    BREC_CATEGORIES,
    load_brec_pairs,
    load_strongly_regular_graphs,
)

LINES = [nx.to_graph6_bytes(graph) for graph in (nx.cycle_graph(6), nx.petersen_graph())]
needs_files = pytest.mark.skipif(
    "GRAPH_METAMERS_DATA" not in os.environ, reason="needs sr25/ and brec/: set GRAPH_METAMERS_DATA"
)


def write_pairs(root, **changes):
    (root / "brec").mkdir()
    texts = np.array([line.strip() for line in LINES])
    arrays = {**dict.fromkeys(BREC_CATEGORIES, texts), **changes}
    np.savez(root / "brec" / "brec_pairs.npz", **{k: v for k, v in arrays.items() if v is not None})


def edges(graph):
    return {frozenset(edge) for edge in graph.edge_index.T.tolist()}


def test_graphs_come_back(tmp_path):
    (tmp_path / "sr25").mkdir()
    (tmp_path / "sr25" / "sr251256.g6").write_bytes(b"".join(LINES))
    write_pairs(tmp_path)
    pairs = load_brec_pairs(tmp_path)
    assert list(pairs) == list(BREC_CATEGORIES)
    for hexagon, petersen in (load_strongly_regular_graphs(tmp_path), pairs["cfi"][0]):
        assert edges(hexagon) == set(map(frozenset, nx.cycle_graph(6).edges))
        assert edges(petersen) == set(map(frozenset, nx.petersen_graph().edges))
        assert petersen.num_nodes == 10
        assert petersen.is_undirected()


def test_missing_files_are_named(tmp_path):
    for load, name in ((load_strongly_regular_graphs, "sr251256.g6"), (load_brec_pairs, "brec_pairs.npz")):
        with pytest.raises(gm.DatasetError, match=rf"{name} is not there.*\$GRAPH_METAMERS_DATA"):
            load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cfi": None}, "no array cfi"),
        ({"cfi": np.array([b"x"] * 3)}, "an even number of graph6 texts as 'cfi'"),
        ({"cfi": np.arange(4)}, "an even number of graph6 texts as 'cfi'"),
        ({"cfi": np.array([b"\x01\x02", b"\x01\x02"])}, "in the graph6 format"),
        ({"cfi": np.array([{"a": 1}, None], dtype=object)}, "unpickling could run code"),
    ],
)
def test_other_files_are_refused(tmp_path, changes, message):
    write_pairs(tmp_path, **changes)
    with pytest.raises(gm.FileFormatError, match=message):
        load_brec_pairs(tmp_path)


@needs_files
def test_strongly_regular_graphs_are_what_their_name_says():
    graphs = load_strongly_regular_graphs()
    assert len(graphs) == 15
    for graph in graphs:
        a = to_dense_adj(graph.edge_index, max_num_nodes=25)[0]
        eye, ones = torch.eye(25), torch.ones(25, 25)
        assert torch.equal(a @ a, 12 * eye + 5 * a + 6 * (ones - eye - a))


@needs_files
def test_brec_has_400_pairs():
    pairs = load_brec_pairs()
    assert [len(pairs[name]) for name in BREC_CATEGORIES] == [60, 50, 50, 100, 100, 20, 20]
    for one, other in pairs["basic"]:
        graphs = [nx.Graph(graph.edge_index.T.tolist()) for graph in (one, other)]
        assert not nx.is_isomorphic(*graphs)
        assert sorted(d for _, d in graphs[0].degree) == sorted(d for _, d in graphs[1].degree)
