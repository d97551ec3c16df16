from __future__ import annotations

import io
import math
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData

from graph_metamers.datasets import load_dataset
from graph_metamers.datasets.zip_limits import MAX_UNPACKED_BYTES
from graph_metamers.errors import DatasetError, FileFormatError
from graph_metamers.storage import save_graph

NUM_NODES = 12


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ring = torch.arange(NUM_NODES)
    return {
        "x": torch.rand(NUM_NODES, 3, generator=generator),
        "edge_index": torch.stack([ring, ring.roll(1)]),
        "y": ring % 2,
    }


def masks() -> dict[str, torch.Tensor]:
    ring = torch.arange(NUM_NODES)
    return {"train_mask": ring < 4, "val_mask": (ring >= 4) & (ring < 8), "test_mask": ring >= 8}


def write_pt(path, parts):
    torch.save(Data(**parts), path)


def write_npz(path, parts):
    np.savez(path, **{k: v.numpy() if isinstance(v, torch.Tensor) else np.array(v) for k, v in parts.items()})


def write_safetensors(path, parts):
    save_graph(Data(**parts), path)


WRITERS = {".pt": write_pt, ".npz": write_npz, ".safetensors": write_safetensors}


@pytest.fixture(params=WRITERS)
def written(request, tmp_path):
    """Write parts in each of the formats and load them."""

    def write_and_load(parts, **options):
        path = tmp_path / f"mine{request.param}"
        WRITERS[request.param](path, parts)
        return load_dataset(path, **options)

    return write_and_load


def test_all_formats_give_the_same_graph(written):
    parts = tensors()
    dataset = written(parts | masks())
    for name, value in parts.items():
        assert torch.equal(dataset.graph[name], value)
    assert set(dataset.graph.keys()) == {"x", "edge_index", "y"}
    assert dataset.split.train.tolist() == [0, 1, 2, 3]
    assert dataset.split.description == "masks of the file"
    assert (dataset.name, dataset.num_classes, dataset.feature_kind) == ("mine", 2, "bounded")
    assert dataset.class_names == ("class 0", "class 1")
    assert dataset.feature_names is None
    assert dataset.notes == ()
    assert dataset.source.startswith("own file mine.")


def test_names_edge_values_and_other_tensors_are_kept(written):
    extra = {
        "edge_weight": torch.rand(NUM_NODES),
        "edge_attr": torch.rand(NUM_NODES, 2),
        "pos": torch.rand(NUM_NODES, 2),
        "feature_names": ["a", "b", "c"],
        "class_names": ["even", "odd", "neither"],
    }
    dataset = written(tensors() | extra)
    for name in ("edge_weight", "edge_attr", "pos"):
        assert torch.equal(dataset.graph[name], extra[name])
    assert dataset.feature_names == ("a", "b", "c")
    assert dataset.class_names == ("even", "odd", "neither")
    assert "feature_names" not in dataset.graph


def test_without_masks_the_split_is_seeded(written):
    dataset = written(tensors(), seed=5)
    assert dataset.split.description.endswith("seed 5")
    assert len(dataset.split.train) == 6


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.float64, torch.bool])
def test_other_numbers_become_float32_and_this_is_noted(written, dtype):
    parts = tensors() | {"x": (torch.arange(NUM_NODES * 3).view(-1, 3) % 2).to(dtype)}
    dataset = written(parts)
    assert dataset.graph.x.dtype == torch.float32
    assert dataset.feature_kind == "binary"
    assert dataset.notes == (f"The features were {str(dtype)[6:]} and are used as float32.",)


def test_smaller_integers_become_int64(written):
    parts = tensors()
    dataset = written(parts | {"y": parts["y"].int(), "edge_index": parts["edge_index"].int()})
    assert dataset.graph.y.dtype == dataset.graph.edge_index.dtype == torch.int64


def test_the_kind_can_be_given(written):
    assert written(tensors(), feature_kind="continuous").feature_kind == "continuous"


def changed(name: str, value: object) -> dict[str, object]:
    parts = tensors() | masks()
    return parts | {name: value}


def holed() -> torch.Tensor:
    x = tensors()["x"]
    x[4, 1], x[7, 2] = math.nan, math.inf
    return x


N = NUM_NODES
DEFECTS = {
    "x 1-D": (changed("x", torch.ones(N)), r"'x' must be \[num_nodes, num_features\]"),
    "x empty": (changed("x", torch.ones(N, 0)), r"'x' must be .* got \[12, 0\]"),
    "x NaN": (changed("x", holed()), "2 that are NaN or infinite, the first at node 4, feature 1"),
    "x too large": (
        changed("x", torch.full((N, 1), 1e300, dtype=torch.float64)),
        "'x' must be finite float32",
    ),
    "edges transposed": (
        changed("edge_index", torch.zeros(N, 2).long()),
        r"'edge_index' must be \[2, num_edges\]",
    ),
    "edges float": (changed("edge_index", torch.zeros(2, 3)), "'edge_index' must be integers, got float32"),
    "edges outside": (
        changed("edge_index", torch.tensor([[0, 1, 2], [1, 12, -1]])),
        r"0\.\.11, got 2 edges outside, the first in column 1: \[1, 12\]",
    ),
    "y short": (changed("y", torch.zeros(3).long()), r"'y' must be \[12\].* got \[3\]"),
    "y column": (changed("y", torch.zeros(N, 1).long()), r"'y' must be \[12\].* got \[12, 1\]"),
    "y float": (changed("y", torch.zeros(N)), "'y' must be integers.* got float32"),
    "y negative": (changed("y", torch.arange(N) - 1), "'y' must be not negative, got -1"),
    "y ids": (changed("y", torch.arange(N) * 1000), "'y' must be class numbers.* got 11000"),
    "y one class": (changed("y", torch.zeros(N).long()), "'y' must be of two classes"),
    "mask int": (changed("train_mask", torch.ones(N).long()), "'train_mask' must be bool, got int64"),
    "mask shape": (
        changed("val_mask", torch.ones(N, 10).bool()),
        r"'val_mask' must be \[12\], got \[12, 10\]",
    ),
    "mask empty": (changed("test_mask", torch.zeros(N).bool()), "'test_mask' must be true for one node"),
    "masks overlap": (
        changed("val_mask", torch.arange(N) > 2),
        r"masks overlap: .* got '1 items in both'",
    ),
    "one mask": (tensors() | {"train_mask": masks()["train_mask"]}, "missing: val_mask, test_mask"),
    "weights": (changed("edge_weight", torch.ones(3)), r"'edge_weight' must be \[12\], got \[3\]"),
    "weights NaN": (changed("edge_weight", torch.full((N,), math.nan)), "'edge_weight' must be finite"),
    "weights int": (changed("edge_weight", torch.ones(N).long()), "'edge_weight' must be floating-point"),
    "attributes": (changed("edge_attr", torch.ones(3, 1)), r"'edge_attr' must be \[12\] or \[12, D\]"),
    "feature names": (changed("feature_names", ["a"]), "'feature_names' must be 3 names, got 1"),
    "class names": (changed("class_names", ["a"]), "'class_names' must be 2 names or more, got 1"),
    "names numbers": (changed("class_names", torch.tensor([1, 2])), "'class_names' must be a list of text"),
}


@pytest.mark.parametrize(("parts", "message"), DEFECTS.values(), ids=DEFECTS)
def test_each_defect_has_one_clear_error(written, parts, message):
    with pytest.raises(DatasetError, match=message) as caught:
        written(parts)
    assert "mine." in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x", "edge_index", "y"])
def test_what_is_missing_is_named(written, name):
    parts = tensors()
    del parts[name]
    parts["z"] = torch.ones(1)
    with pytest.raises(DatasetError, match=f"'{name}' is missing"):
        written(parts)


def test_text_as_features_is_refused(tmp_path):
    write_npz(tmp_path / "g.npz", tensors() | {"x": [["a"] * 3] * N})
    with pytest.raises(DatasetError, match="'x' must be a tensor or array of numbers"):
        load_dataset(tmp_path / "g.npz")


def test_attributes_that_are_no_tensors_are_left_out_and_noted(tmp_path):
    write_pt(tmp_path / "g.pt", tensors() | {"origin": "field work", "num_nodes": N})
    dataset = load_dataset(tmp_path / "g.pt")
    assert "origin" not in dataset.graph
    assert dataset.notes == ("Left out of the graph, because they are no tensors: origin.",)


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.pt", "no file"), ("graph.csv", r"unknown ending '\.csv'; known are \.pt, \.npz, \.safetensors")],
)
def test_missing_and_unknown_files(tmp_path, name, message):
    (tmp_path / "graph.csv").touch()
    with pytest.raises(FileFormatError, match=message):
        load_dataset(tmp_path / name)


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04broken"])
def test_damaged_files_are_refused_in_one_line(tmp_path, suffix, content):
    path = tmp_path / f"g{suffix}"
    path.write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        load_dataset(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_cut_off_is_refused(tmp_path, suffix):
    path = tmp_path / f"g{suffix}"
    WRITERS[suffix](path, tensors())
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FileFormatError):
        load_dataset(path)


class Malicious:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("by", ["torch", "pickle"])
def test_a_pickle_as_pt_is_refused_and_nothing_is_executed(tmp_path, by):
    witness, path = tmp_path / "witness", tmp_path / "g.pt"
    content = Data(**tensors(), extra=Malicious(f"touch {witness}"))
    if by == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(FileFormatError, match="unpickling") as caught:
        load_dataset(path)
    assert not witness.exists()
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)


def heterogeneous() -> HeteroData:
    graph = HeteroData()
    graph["a"].x = torch.ones(2, 2)
    graph["a", "to", "a"].edge_index = torch.tensor([[0], [1]])
    return graph


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (heterogeneous(), "HeteroData"),
        ([Data()], "list"),
        ({"x": torch.ones(1)}, "dict"),
        (torch.ones(2), "Tensor"),
    ],
)
def test_other_contents_of_pt_are_named(tmp_path, content, name):
    torch.save(content, tmp_path / "g.pt")
    with pytest.raises(FileFormatError, match=f"holds a {name}; a single"):
        load_dataset(tmp_path / "g.pt")


def test_a_batch_is_not_one_graph(tmp_path):
    save_graph(Batch.from_data_list([Data(**tensors())] * 2), tmp_path / "g.safetensors")
    with pytest.raises(FileFormatError, match="holds a DataBatch"):
        load_dataset(tmp_path / "g.safetensors")


def test_loading_pt_leaves_the_list_of_safe_globals(tmp_path):
    write_pt(tmp_path / "g.pt", tensors())
    before = torch.serialization.get_safe_globals()
    assert Data in before, "PyG registers some of its classes; torch's context manager would forget them"
    load_dataset(tmp_path / "g.pt")
    assert set(torch.serialization.get_safe_globals()) == set(before)


def test_objects_in_npz_are_refused_by_their_header(tmp_path):
    witness = tmp_path / "witness"
    np.savez(tmp_path / "g.npz", x=np.array([Malicious(f"touch {witness}")], dtype=object))
    with pytest.raises(FileFormatError, match=r"'x\.npy' holds Python objects"):
        load_dataset(tmp_path / "g.npz")
    assert not witness.exists()


def npy(shape: str, payload: bytes, descr: str = "<f4") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + payload


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy("(1000000000000,)", b"\0" * 8), "declares 4000000000128 bytes"),
        (npy("(1,)", b"\0" * 8), "declares 132 bytes"),
        (npy("(-1, -2)", b"\0" * 8), "declares"),
        (npy("('a',)", b""), "readable"),
        (npy("(1,)", b"\0" * 4)[:20], "readable"),
        (b"\x93NUMPY\x09\x00" + b"\0" * 40, "unknown format version|readable"),
    ],
)
def test_headers_that_lie_are_refused_before_anything_is_allocated(tmp_path, content, message):
    with zipfile.ZipFile(tmp_path / "g.npz", "w") as archive:
        archive.writestr("x.npy", content)
    with pytest.raises(FileFormatError, match=message):
        load_dataset(tmp_path / "g.npz")


def test_other_members_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "g.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(FileFormatError, match=r"'readme\.txt' in it is not an array"):
        load_dataset(tmp_path / "g.npz")


@pytest.mark.parametrize("suffix", [".npz", ".pt"])
def test_an_archive_larger_than_the_limit_is_refused_unread(tmp_path, suffix):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(3):
            archive.writestr(f"x{number}.npy", b"\0" * 16)
    # The sizes in the directory of the archive are what readers allocate by: declare 3 x 4 GiB.
    content = bytearray(buffer.getvalue())
    place = content.find(b"PK\x01\x02")
    while place >= 0:
        content[place + 24 : place + 28] = (2**32 - 2).to_bytes(4, "little")
        place = content.find(b"PK\x01\x02", place + 4)
    (tmp_path / f"g{suffix}").write_bytes(content)
    assert MAX_UNPACKED_BYTES < 3 * (2**32 - 2)
    with pytest.raises(FileFormatError, match=r"12\.0 GiB unpacked; the limit is 8 GiB"):
        load_dataset(tmp_path / f"g{suffix}")


def test_arrays_of_the_other_byte_order_are_read(tmp_path):
    arrays = {name: value.numpy() for name, value in tensors().items()}
    arrays["x"] = arrays["x"].astype(">f4")
    np.savez_compressed(tmp_path / "g.npz", **arrays)
    assert torch.equal(load_dataset(tmp_path / "g.npz").graph.x, tensors()["x"])
