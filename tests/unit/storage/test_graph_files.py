from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.data.data import BaseData

from graph_metamers.errors import FileFormatError, ParameterError
from graph_metamers.storage import load_graph, save_graph


def assert_same(first: object, second: object) -> None:
    assert type(first) is type(second)
    if isinstance(first, Tensor):
        assert first.dtype == second.dtype
        assert first.shape == second.shape
        assert torch.equal(first.nan_to_num(7.0), second.nan_to_num(7.0))
    elif isinstance(first, BaseData):
        assert_same(first.to_dict(), second.to_dict())
    elif isinstance(first, dict):
        assert list(first) == list(second)
        for key in first:
            assert_same(first[key], second[key])
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            assert_same(a, b)
    elif isinstance(first, float) and math.isnan(first):
        assert math.isnan(second)
    else:
        assert first == second


def homogeneous(size: int = 3) -> Data:
    return Data(
        x=torch.rand(size, 2),
        edge_index=torch.tensor([[0, 1], [1, 2]]),
        y=torch.arange(size),
        train_mask=torch.arange(size) == 0,
    )


def heterogeneous() -> HeteroData:
    graph = HeteroData()
    graph["paper"].x = torch.rand(2, 2)
    graph["author"].x = torch.rand(3, 1, dtype=torch.float64)
    graph["paper", "by", "author"].edge_index = torch.tensor([[0], [2]])
    graph["paper", "cites", "paper"].edge_index = torch.tensor([[0], [1]])
    graph.year = 1998
    return graph


GRAPHS = {
    "data": homogeneous(),
    "hetero": heterogeneous(),
    "batch": Batch.from_data_list([homogeneous(3), homogeneous(5)]),
    "hetero batch": Batch.from_data_list([heterogeneous(), heterogeneous()]),
    "batch of named": Batch.from_data_list([Data(x=torch.ones(2, 1), name=name) for name in "ab"]),
    "only a number of nodes": Data(num_nodes=4),
    "empty": Data(),
}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_save_then_load_is_the_identity(tmp_path, graph):
    save_graph(graph, tmp_path / "g.safetensors")
    loaded = load_graph(tmp_path / "g.safetensors")
    assert_same(graph, loaded)
    if graph.to_dict():
        assert graph.num_nodes == loaded.num_nodes


@pytest.mark.parametrize("name", ["batch", "hetero batch", "batch of named"])
def test_a_loaded_batch_can_be_taken_apart(tmp_path, name):
    save_graph(GRAPHS[name], tmp_path / "g")
    assert_same(GRAPHS[name].to_data_list(), load_graph(tmp_path / "g").to_data_list())


def test_a_batch_made_by_hand(tmp_path):
    batch = Batch(x=torch.rand(2, 1), batch=torch.tensor([0, 1]))
    save_graph(batch, tmp_path / "g")
    loaded = load_graph(tmp_path / "g")
    assert_same(batch, loaded)
    assert loaded.num_graphs == 2


dtypes = st.sampled_from(
    [
        torch.float32,
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.uint8,
        torch.bool,
    ]
)
tensors = st.builds(
    lambda shape, dtype: (torch.rand(shape) * 4).to(dtype), st.lists(st.integers(0, 3), max_size=3), dtypes
)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
leaves = tensors | st.none() | st.booleans() | st.integers() | st.floats() | text
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(text | st.integers() | st.tuples(text, text), inner, max_size=3)
    ),
    max_leaves=6,
)
attribute_names = text.filter(lambda name: not name.startswith("_") and name != "num_nodes")


@settings(deadline=None)  # it writes files
@given(st.dictionaries(attribute_names, values.filter(lambda value: value is not None), max_size=4))
def test_any_attribute_survives(tmp_path_factory, attributes):
    graph = Data()
    for name, value in attributes.items():
        graph._store[name] = value
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    save_graph(graph, path)
    assert_same(graph, load_graph(path))


def test_names_in_the_file_are_those_of_the_attributes(tmp_path):
    graph = homogeneous()
    save_graph(graph, tmp_path / "g.safetensors")
    tensors = load_file(tmp_path / "g.safetensors")
    assert set(tensors) == {"x", "edge_index", "y", "train_mask"}
    assert torch.equal(tensors["x"], graph.x)


def test_names_in_a_heterogeneous_file_can_be_read(tmp_path):
    save_graph(heterogeneous(), tmp_path / "g")
    assert "paper|by|author/edge_index" in load_file(tmp_path / "g")


def test_names_that_collide_stay_apart(tmp_path):
    graph = HeteroData()
    graph["a|b|c"].x = torch.zeros(1)
    graph["a", "b", "c"].x = torch.ones(1)
    save_graph(graph, tmp_path / "g")
    assert_same(graph, load_graph(tmp_path / "g"))


def test_views_and_shared_memory_are_written_whole(tmp_path):
    base = torch.arange(12.0).view(3, 4)
    edge_index = torch.tensor([[0, 1], [1, 2]])
    graph = Data(
        x=base.t(), edge_index=edge_index, back=edge_index.flip(0), same=edge_index, row=edge_index[1]
    )
    graph.stretched = torch.ones(1).expand(3)
    graph.grad = torch.ones(2, requires_grad=True)
    save_graph(graph, tmp_path / "g")
    loaded = load_graph(tmp_path / "g")
    assert_same(graph, loaded)
    assert not loaded.grad.requires_grad
    assert graph.grad.requires_grad


def test_a_loaded_graph_does_not_hang_on_its_file(tmp_path):
    graph = homogeneous()
    save_graph(graph, tmp_path / "g")
    loaded = load_graph(tmp_path / "g")
    (tmp_path / "g").write_bytes(b"")
    assert_same(graph, loaded)


@pytest.mark.parametrize(
    "value",
    [np.zeros(2), np.float64(1.0), {1, 2}, 1j, object(), torch.nn.Parameter(torch.ones(1)), [object()]],
    ids=lambda value: type(value).__name__,
)
def test_another_attribute_is_named(tmp_path, value):
    graph = homogeneous()
    graph.extra = value
    with pytest.raises(ParameterError, match="'extra"):
        save_graph(graph, tmp_path / "g")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [torch.eye(2).to_sparse(), torch.ones(1, dtype=torch.complex128)])
def test_a_tensor_without_a_form_is_named(tmp_path, value):
    with pytest.raises(ParameterError, match="'extra'"):
        save_graph(Data(extra=value), tmp_path / "g")


def test_another_class_is_refused(tmp_path):
    class PairData(Data):
        pass

    with pytest.raises(ParameterError, match="PairData"):
        save_graph(PairData(x=torch.ones(1, 1)), tmp_path / "g")


def write_with(path, metadata):
    save_file({"x": torch.ones(1, 1)}, path, metadata=metadata)


def data_layout(**store: object) -> str:
    return json.dumps({"version": 1, "type": "Data", "batch": None, "stores": [store]})


@pytest.mark.parametrize(
    "header",
    [
        "{",
        "[]",
        "{}",
        '{"version": 1}',
        '{"version": 1, "type": "Batch", "stores": [], "batch": null}',
        data_layout(key=None, attributes=[["x", {"$tensor": "y"}]]),
        data_layout(key=None, attributes=[["x", {"$what": 1}]]),
        data_layout(key="paper", attributes=[]),
    ],
)
def test_a_damaged_header_is_refused(tmp_path, header):
    write_with(tmp_path / "g", {"graph_metamers.graph": header})
    with pytest.raises(FileFormatError, match="damaged"):
        load_graph(tmp_path / "g")


def test_a_later_version_is_refused(tmp_path):
    write_with(tmp_path / "g", {"graph_metamers.graph": '{"version": 2}'})
    with pytest.raises(FileFormatError, match="version 2"):
        load_graph(tmp_path / "g")


def test_other_files_are_refused(tmp_path):
    write_with(tmp_path / "g", None)
    with pytest.raises(FileFormatError, match="without a graph"):
        load_graph(tmp_path / "g")
    (tmp_path / "t").write_text("text")
    with pytest.raises(FileFormatError, match="not a safetensors file"):
        load_graph(tmp_path / "t")
    with pytest.raises(FileFormatError, match="no file"):
        load_graph(tmp_path / "none")


def test_a_file_cut_off_is_refused(tmp_path):
    save_graph(homogeneous(), tmp_path / "g")
    whole = (tmp_path / "g").read_bytes()
    (tmp_path / "g").write_bytes(whole[:-3])
    with pytest.raises(FileFormatError, match="not a safetensors file"):
        load_graph(tmp_path / "g")


def test_the_header_is_strict_json(tmp_path):
    save_graph(Data(x=torch.ones(1, 1), score=math.nan), tmp_path / "g")
    with safe_open(tmp_path / "g", framework="pt") as file:
        layout = json.loads(file.metadata()["graph_metamers.graph"], parse_constant=pytest.fail)
    assert layout["type"] == "Data"
