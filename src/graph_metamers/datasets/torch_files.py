"""PyTorch files (.pt) that hold a PyG graph; only tensors and PyG's own containers are unpickled.

PyG's `fs.torch_load` is never used: it falls back to full unpickling, which runs whatever the file says.
"""

from __future__ import annotations

import re
import zipfile
from typing import TYPE_CHECKING, Any

import torch
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
from torch_geometric.data.feature_store import TensorAttr
from torch_geometric.data.graph_store import EdgeAttr, EdgeLayout
from torch_geometric.data.storage import BaseStorage, EdgeStorage, GlobalStorage, NodeStorage

from graph_metamers.datasets.zip_limits import ensure_within_limit
from graph_metamers.errors import FileFormatError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["graph_attributes", "read_pt"]

_SAFE = [
    Data, HeteroData, DataEdgeAttr, DataTensorAttr, EdgeAttr, EdgeLayout, TensorAttr,
    BaseStorage, EdgeStorage, GlobalStorage, NodeStorage,
]  # fmt: skip
_REFUSED_NAME = re.compile(r"Unsupported (?:global|class|operand)\S*:? ?(?:GLOBAL )?([\w.]+)")


def read_pt(path: Path) -> object:
    """Read a file of `torch.save`.

    Parameters
    ----------
    path
        A file that holds a `Data` or `HeteroData`, or plain tensors in lists and dicts.

    Returns
    -------
    object
        Whatever the file holds, on the CPU; the caller checks what it is.

    Raises
    ------
    FileFormatError
        If the file is damaged, too large unpacked, or holds any other class or function.
    """
    try:
        if not zipfile.is_zipfile(path):
            raise FileFormatError(
                f"{path} is damaged or a plain pickle, and unpickling that could run code. "
                "Save the graph with torch.save (PyTorch 1.6 or later)"
            )
        with zipfile.ZipFile(path) as archive:
            ensure_within_limit(archive, path)
        # On leaving, torch forgets every name given here, also those that PyG had registered for good.
        unregistered = [item for item in _SAFE if item not in torch.serialization.get_safe_globals()]
        with torch.serialization.safe_globals(unregistered):
            content: object = torch.load(path, map_location="cpu", weights_only=True)
    except FileFormatError:
        raise
    # A damaged pickle can fail in any way at all.
    except Exception as error:
        raise FileFormatError(f"{path} was not loaded: {_reason(error)}") from error
    return content


def graph_attributes(content: Any, path: Path) -> dict[str, object]:
    """Take the attributes of a single homogeneous graph.

    Parameters
    ----------
    content
        What a file held.
    path
        For messages.

    Raises
    ------
    FileFormatError
        If the content is anything but a `Data`.
    """
    if isinstance(content, Batch) or type(content) is not Data:
        raise FileFormatError(
            f"{path} holds a {type(content).__name__}; a single torch_geometric.data.Data is needed. "
            "For other graphs, make a Dataset in Python"
        )
    try:
        return dict(Data.to_dict(content))
    except (AttributeError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path} holds a damaged Data: {error!r}. Save it again") from error


def _reason(error: Exception) -> str:
    """Say in one line why torch refused; its own message is a page that advises to switch safety off."""
    text = str(error)
    found = _REFUSED_NAME.search(text)
    if found:
        return (
            f"it holds {found.group(1)}, and unpickling that could run code. Save a plain "
            "torch_geometric.data.Data of tensors, or an .npz or .safetensors file"
        )
    first = text.strip().splitlines()[0] if text.strip() else repr(error)
    if "Weights only load failed" in first:
        return (
            "it is not a plain file of torch.save, and unpickling it could run code. Save a "
            "torch_geometric.data.Data of tensors, or an .npz or .safetensors file"
        )
    return f"it is damaged or no file of torch.save ({first})"
