from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.datasets import Amazon, CitationFull, Coauthor
from torch_geometric.io import read_npz as read_npz_of_pyg

from graph_metamers.datasets import load_dataset
from graph_metamers.datasets.attributed import AMAZON_COMPUTERS, CITESEER_FULL, COAUTHOR_CS, CORA_ML
from graph_metamers.errors import DatasetError, FileFormatError
from graph_metamers.graphs import infer_feature_kind

SETS = {files.name: files for files in (CORA_ML, CITESEER_FULL, AMAZON_COMPUTERS, COAUTHOR_CS)}
DATA = os.environ.get("GRAPH_METAMERS_DATA")
needs_data = pytest.mark.skipif(
    not DATA, reason="set GRAPH_METAMERS_DATA to a folder with citation_full/cora_ml/raw and the others"
)
LOADERS = [
    pytest.param("cora_ml", lambda root: CitationFull(str(root / "citation_full"), "Cora_ML")),
    pytest.param("citeseer_full", lambda root: CitationFull(str(root / "citation_full"), "CiteSeer")),
    pytest.param(
        "amazon_computers", lambda root: Amazon(str(root / "amazon"), "Computers"), marks=pytest.mark.slow
    ),
    pytest.param("coauthor_cs", lambda root: Coauthor(str(root / "coauthor"), "CS"), marks=pytest.mark.slow),
]
NUM_NODES, NUM_FEATURES = 40, 3


def small_arrays() -> dict[str, np.ndarray]:
    """A file of the right form, with counts, zeros, doubles, loops and edges in one direction."""
    rng = np.random.default_rng(0)
    per_row = 2
    indptr = np.arange(0, NUM_NODES * per_row + 1, per_row, dtype=np.int32)
    return {
        "attr_data": rng.integers(0, 4, NUM_NODES * per_row).astype(np.uint8),
        "attr_indices": rng.integers(0, NUM_FEATURES, NUM_NODES * per_row).astype(np.int16),
        "attr_indptr": indptr,
        "attr_shape": np.array([NUM_NODES, NUM_FEATURES]),
        "adj_data": np.ones(NUM_NODES * per_row, dtype=np.uint8),
        "adj_indices": rng.integers(0, NUM_NODES, NUM_NODES * per_row).astype(np.int32),
        "adj_indptr": indptr,
        "adj_shape": np.array([NUM_NODES, NUM_NODES]),
        "labels": (np.arange(NUM_NODES) % 2).astype(np.uint8),
    }


def write(root: Path, arrays: dict[str, object], files=CORA_ML) -> Path:
    path = root / files.folder / files.file
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def assert_equal_to_pyg(graph, original) -> None:
    for name in ("x", "edge_index", "y"):
        assert torch.equal(graph[name], original[name])
        assert graph[name].dtype == original[name].dtype


def test_a_small_file_is_read_as_pyg_reads_it(tmp_path):
    path = write(tmp_path, small_arrays())
    dataset = load_dataset("cora_ml", data_root=tmp_path)
    assert_equal_to_pyg(dataset.graph, read_npz_of_pyg(path))
    assert (dataset.feature_kind, dataset.feature_names) == ("binary", None)
    assert dataset.class_names == ("class 0", "class 1")
    assert dataset.split.description.endswith("seed 0")


@needs_data
@pytest.mark.parametrize(("name", "loader"), LOADERS)
def test_the_real_set_is_read_as_pyg_reads_it(tmp_path, name, loader):
    files = SETS[name]
    shutil.copytree(Path(DATA, files.folder), tmp_path / files.folder)
    dataset = load_dataset(name)
    assert_equal_to_pyg(dataset.graph, loader(tmp_path)[0])
    assert dataset.feature_kind == infer_feature_kind(dataset.graph.x)


@needs_data
def test_cora_ml_has_its_words_and_classes(tmp_path):
    dataset = load_dataset("cora_ml")
    with np.load(Path(DATA, CORA_ML.folder, CORA_ML.file), allow_pickle=False) as arrays:
        assert dataset.feature_names == tuple(arrays["attr_names"].tolist())
        assert [name.split("/")[-1].replace("_", " ") for name in arrays["class_names"]] == list(
            dataset.class_names
        )
    assert {"neural", "bayesian", "genetic"} <= set(dataset.feature_names)
    genetic = dataset.graph.x[:, dataset.feature_names.index("genetic")] == 1
    most = torch.bincount(dataset.graph.y[genetic]).argmax()
    assert dataset.class_names[most] == "Genetic Algorithms", "the words are in the order of the columns"


@needs_data
def test_nothing_is_written_to_the_data_root():
    before = sorted(Path(DATA, "citation_full").rglob("*"))
    load_dataset("citeseer_full")
    assert sorted(Path(DATA, "citation_full").rglob("*")) == before


MEASURE = """
from pathlib import Path
from graph_metamers.datasets import load_dataset
def peak():
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
load_dataset("karate")
before = peak()
x = load_dataset("coauthor_cs").graph.x
print((peak() - before) / (x.numel() * x.element_size()))
"""


@needs_data
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_coauthor_is_never_in_memory_twice():
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEASURE], capture_output=True, text=True, check=True
    )
    assert 0.9 < float(run.stdout) < 1.5


def test_names_are_kept_in_plain_text(tmp_path):
    names = {"attr_names": np.array(["a", "b", "c"]), "class_names": np.array(["On/The_One", "Other"])}
    write(tmp_path, small_arrays() | names)
    dataset = load_dataset("cora_ml", data_root=tmp_path)
    assert (dataset.feature_names, dataset.class_names) == (("a", "b", "c"), ("The One", "Other"))


def test_names_that_are_pickled_are_left_out_unread(tmp_path):
    names = {name: np.array([len] * 3, dtype=object) for name in ("attr_names", "class_names")}
    write(tmp_path, small_arrays() | names | {"idx_to_node": np.array({0: len})})
    dataset = load_dataset("cora_ml", data_root=tmp_path)
    assert (dataset.feature_names, dataset.class_names) == (None, ("class 0", "class 1"))


@pytest.mark.parametrize("files", SETS.values(), ids=SETS)
def test_a_missing_file_is_asked_for_and_nothing_is_made(tmp_path, files):
    with pytest.raises(DatasetError) as caught:
        load_dataset(files.name, data_root=tmp_path)
    message = str(caught.value)
    assert files.file in message
    assert str(tmp_path / files.folder) in message
    assert "no checksum" in message
    assert "torch_geometric.datasets." in message
    assert "\n" not in message
    assert not list(tmp_path.iterdir())


ARRAYS = small_arrays()
LIES = {
    "no labels": {"labels": None},
    "labels of objects": {"labels": np.array([len] * NUM_NODES, dtype=object)},
    "labels short": {"labels": ARRAYS["labels"][:-1]},
    "labels negative": {"labels": ARRAYS["labels"].astype(np.int64) - 1},
    "labels large": {"labels": ARRAYS["labels"].astype(np.int64) * 1000},
    "labels float": {"labels": ARRAYS["labels"].astype(float)},
    "columns out of range": {"attr_indices": ARRAYS["attr_indices"] + 10**4},
    "columns negative": {"attr_indices": ARRAYS["attr_indices"] - 5},
    "rows out of range": {"attr_indptr": ARRAYS["attr_indptr"] * 1000},
    "nodes out of range": {"adj_indices": ARRAYS["adj_indices"] + 10**6},
    "NaN": {"attr_data": np.full(len(ARRAYS["attr_data"]), np.nan)},
    "text": {"attr_data": np.full(len(ARRAYS["attr_data"]), "a")},
    "another adjacency": {"adj_shape": np.array([NUM_NODES, NUM_NODES + 1])},
    "huge": {"attr_shape": np.array([NUM_NODES, 2**40])},
    "shape of three": {"attr_shape": np.array([NUM_NODES, 2, 1])},
    "no edge": {
        "adj_data": np.ones(0),
        "adj_indices": np.ones(0, dtype=int),
        "adj_indptr": np.zeros(NUM_NODES + 1, dtype=int),
    },
    "words short": {"attr_names": np.array(["a"])},
    "words long": {"attr_names": np.array(["a"] * 9)},
    "classes short": {"class_names": np.array(["a"])},
    "classes numbers": {"class_names": np.arange(2)},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_files_that_lie_are_refused_in_one_line(tmp_path, lie):
    path = write(tmp_path, small_arrays() | lie)
    with pytest.raises(FileFormatError) as caught:
        load_dataset("cora_ml", data_root=tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [0, 30, 1000])
def test_a_file_cut_off_is_refused(tmp_path, cut):
    path = write(tmp_path, small_arrays())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(FileFormatError, match=r"cora_ml\.npz"):
        load_dataset("cora_ml", data_root=tmp_path)
