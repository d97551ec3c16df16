from __future__ import annotations

import os
import pickle
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from torch_geometric.datasets import Planetoid
from torch_geometric.io import read_planetoid_data

from graph_metamers.datasets import load_dataset
from graph_metamers.datasets.planetoid import CITESEER, CORA, PlanetoidFiles
from graph_metamers.datasets.planetoid_files import PARTS
from graph_metamers.errors import DatasetError, FileFormatError, OutputError

SETS = {"cora": CORA, "citeseer": CITESEER}
DATA = os.environ.get("GRAPH_METAMERS_DATA")
needs_data = pytest.mark.skipif(
    not DATA, reason="set GRAPH_METAMERS_DATA to a folder with planetoid/Cora/raw"
)


def raw_folder(root: Path, files: PlanetoidFiles) -> Path:
    return root / "planetoid" / files.name / "raw"


def write_small_set(root: Path, files: PlanetoidFiles) -> Path:
    """Write files of the right form: 14 + 500 + 40 known nodes, then 30 test nodes out of order."""
    rng = np.random.default_rng(0)
    raw = raw_folder(root, files)
    raw.mkdir(parents=True)
    num_classes, known, tested = len(files.class_names), 554, 30
    test_index = known + rng.permutation(tested)
    num_nodes = known + tested
    if files is CITESEER:  # numbers without a row, neither first nor last
        test_index = test_index + (test_index > known + 10) * 2
        num_nodes += 2
    words = (rng.random((known + tested, 9)) < 0.3).astype(np.float32)
    labels = np.eye(num_classes, dtype=np.int32)[rng.integers(0, num_classes, known + tested)]
    graph = defaultdict(list)
    for node in range(num_nodes):
        graph[node] = [node, *rng.integers(0, num_nodes, 3).tolist()]
    content = {
        "x": sparse.csr_matrix(words[:14]),
        "allx": sparse.csr_matrix(words[:known]),
        "tx": sparse.csr_matrix(words[known:]),
        "y": labels[:14],
        "ally": labels[:known],
        "ty": labels[known:],
        "graph": graph,
    }
    for part, value in content.items():
        (raw / f"ind.{files.name.lower()}.{part}").write_bytes(pickle.dumps(value, 4))
    (raw / f"ind.{files.name.lower()}.test.index").write_text("".join(f"{node}\n" for node in test_index))
    return raw


def assert_equal_to_pyg(dataset, original) -> None:
    for name in ("x", "edge_index", "y"):
        assert torch.equal(dataset.graph[name], original[name])
        assert dataset.graph[name].dtype == original[name].dtype
    for part, mask in (("train", "train_mask"), ("validation", "val_mask"), ("test", "test_mask")):
        assert torch.equal(getattr(dataset.split, part), original[mask].nonzero().view(-1))
    assert dataset.split.description == "public split"


@pytest.mark.parametrize("name", SETS)
def test_a_small_set_is_read_as_pyg_reads_it(tmp_path, name):
    raw = write_small_set(tmp_path, SETS[name])
    dataset = load_dataset(name, data_root=tmp_path)
    assert_equal_to_pyg(dataset, read_planetoid_data(str(raw), name))
    assert dataset.feature_kind == "binary"


def test_nodes_without_a_row_are_noted(tmp_path):
    write_small_set(tmp_path, CITESEER)
    [note] = load_dataset("citeseer", data_root=tmp_path).notes
    assert note.startswith("2 nodes have neither words nor a class")


@needs_data
@pytest.mark.parametrize("name", SETS)
def test_the_real_set_is_read_as_pyg_reads_it(tmp_path, name):
    files = SETS[name]
    before = sorted(Path(DATA, "planetoid", files.name).rglob("*"))
    dataset = load_dataset(name)
    shutil.copytree(raw_folder(Path(DATA), files), tmp_path / files.name / "raw")
    assert_equal_to_pyg(dataset, Planetoid(str(tmp_path), files.name)[0])
    assert sorted(Path(DATA, "planetoid", files.name).rglob("*")) == before


@needs_data
@pytest.mark.parametrize(
    ("name", "sizes"),
    [("cora", [351, 217, 418, 818, 426, 298, 180]), ("citeseer", [249 + 15, 590, 668, 701, 596, 508])],
)
def test_sizes_of_the_classes_justify_their_names(name, sizes):
    assert torch.bincount(load_dataset(name).graph.y).tolist() == sizes


@pytest.mark.parametrize("part", PARTS)
def test_a_file_cut_off_is_refused(tmp_path, part):
    raw = write_small_set(tmp_path, CORA)
    path = raw / f"ind.cora.{part}"
    path.write_bytes(path.read_bytes()[: -len(path.read_bytes()) // 2] + b"\xff")
    with pytest.raises(FileFormatError, match=part):
        load_dataset("cora", data_root=tmp_path)


def forged_csr() -> sparse.csr_matrix:
    matrix = sparse.csr_matrix(np.eye(20, 9, dtype=np.float32))
    matrix.indices[:] = 10**8
    return matrix


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("allx", forged_csr()),
        ("allx", np.array([object()])),
        ("allx", [1, 2]),
        ("tx", np.ones((30, 8))),
        ("ty", np.ones((30, 3))),
        ("ally", np.ones((2, 7))),
        ("graph", [1, 2]),
        ("graph", {0: [1], 1: [0]}),
        ("graph", {0: ["a"]}),
        ("graph", {node: [10**6] for node in range(584)}),
    ],
)
def test_files_that_lie_are_refused(tmp_path, part, value):
    raw = write_small_set(tmp_path, CORA)
    (raw / f"ind.cora.{part}").write_bytes(pickle.dumps(value, 4))
    with pytest.raises(FileFormatError):
        load_dataset("cora", data_root=tmp_path)


@pytest.mark.parametrize("text", ["", "-1\n-2", "99999999999", "one"])
def test_a_test_index_that_lies_is_refused(tmp_path, text):
    raw = write_small_set(tmp_path, CORA)
    (raw / "ind.cora.test.index").write_text(text)
    with pytest.raises(FileFormatError):
        load_dataset("cora", data_root=tmp_path)


@pytest.fixture
def no_network(monkeypatch, socket_enabled):
    """Point every download at a port where nobody listens."""
    for name in ("https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_network_the_error_names_the_files_that_would_do(tmp_path, no_network):
    with pytest.raises(DatasetError) as caught:
        load_dataset("cora", data_root=tmp_path)
    message = str(caught.value)
    assert str(raw_folder(tmp_path, CORA)) in message
    assert all(f"ind.cora.{part}" in message for part in PARTS)
    assert "--data-root" in message
    assert not (tmp_path / "planetoid").exists()


def test_a_root_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "planetoid").touch()
    with pytest.raises(OutputError, match="planetoid is a file"):
        load_dataset("cora", data_root=tmp_path)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder in place of the real server: the downloader takes file:// too, which needs no network."""
    folder = tmp_path / "server"
    folder.mkdir()
    monkeypatch.setattr(Planetoid, "url", folder.as_uri())
    return folder


def test_a_download_that_is_not_the_published_file_is_refused(tmp_path, server):
    (server / "ind.cora.x").write_bytes(b"something else")
    with pytest.raises(FileFormatError, match="another file than the published one"):
        load_dataset("cora", data_root=tmp_path)
    assert not (tmp_path / "planetoid").exists()


def test_a_file_that_the_server_lacks_is_named(tmp_path, server):
    with pytest.raises(DatasetError, match=r"ind\.cora\.x is missing.*No such file"):
        load_dataset("cora", data_root=tmp_path)


@needs_data
def test_missing_files_are_downloaded(tmp_path, server):
    for path in raw_folder(Path(DATA), CORA).iterdir():
        shutil.copy(path, server)
    downloaded = load_dataset("cora", data_root=tmp_path)
    assert downloaded.fingerprint == load_dataset("cora").fingerprint
    assert len(list(raw_folder(tmp_path, CORA).iterdir())) == len(PARTS)
