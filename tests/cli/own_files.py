"""Graphs, models and traps that the tests write to disk."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data

OWN_MODEL = """
import torch
from torch_geometric.nn import GCN


class Wrapped(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x, edge_index):
        return self.inner(x, edge_index)


def with_data(dataset):
    return Wrapped(GCN(dataset.num_features, 8, num_layers=2, out_channels=dataset.num_classes))


def without(width=8):
    return Wrapped(GCN(34, width, num_layers=2, out_channels=4))


def lazy(dataset):
    return Lazy(dataset.num_classes)


class Lazy(torch.nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.map = torch.nn.LazyLinear(classes)

    def forward(self, x):
        return self.map(x)


class AsksForMore(torch.nn.Module):
    def forward(self, x, positions):
        return x


def needs_two(one, two):
    return None


def no_module():
    return 3


def fails():
    raise RuntimeError("first line\\nsecond line")


number = 3
"""


def graph_parts(**changes: Any) -> dict[str, Any]:
    """A small sound graph of 30 nodes as arrays; `None` leaves a part out."""
    nodes = np.arange(30)
    parts = {
        "x": np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32),
        "edge_index": np.stack([nodes, (nodes + 1) % 30]),
        "y": nodes % 3,
    }
    return {name: value for name, value in {**parts, **changes}.items() if value is not None}


def write_graph(**changes: Any) -> Path:
    """Write a graph to `graph.npz` in the working folder."""
    path = Path("graph.npz")
    np.savez(path, **graph_parts(**changes))
    return path


class _Payload:
    """Unpickled, it makes a file."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (Path.touch, (Path("executed"),))


def write_plain_pickle() -> Path:
    """A pickle that is no archive of torch."""
    path = Path("plain.pt")
    path.write_bytes(pickle.dumps(_Payload()))
    return path


def write_torch_pickle() -> Path:
    """A file of torch.save with a payload beside a graph."""
    path = Path("graph.pt")
    torch.save(Data(x=torch.ones(3, 2), more=_Payload()), path)
    return path


def write_object_array() -> Path:
    """An .npz whose labels are pickled objects."""
    return write_graph(y=np.array([_Payload()] * 30, dtype=object))


def write_zip_bomb() -> Path:
    """A tiny .npz that declares 9 GiB."""
    path = write_graph()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.npy", b"\x93NUMPY")
        archive.infolist()[-1].file_size = 9 * 2**30
    return path


def write_own_model(text: str = OWN_MODEL) -> Path:
    """A Python file with factories of models."""
    path = Path("mine.py")
    path.write_text(text)
    return path


def write_audit(**_: Any) -> None:
    """A folder that looks like a damaged audit."""
    Path("audit").mkdir()
    Path("audit", "audit.json").write_text('{"schema_version": 1')
