"""Graphs in files: tensors as safetensors, all else as JSON in the header. Nothing is ever unpickled.

For a single `Data` the names in the file are the attribute names, so any safetensors reader can open it:
`safetensors.torch.load_file(path)["x"]`. In a heterogeneous graph they are "paper/x" and
"paper|cites|paper/edge_index".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch_geometric.data import Batch, Data, HeteroData

from graph_metamers.errors import FileFormatError, ParameterError
from graph_metamers.storage.atomic import atomic_file
from graph_metamers.storage.value_codec import TensorTable, decode, encode

if TYPE_CHECKING:
    import os

    from torch import Tensor

    from graph_metamers.types import Graph, Json

__all__ = ["load_graph", "save_graph"]

_HEADER = "graph_metamers.graph"
_VERSION = 1
_BATCH_BOOKKEEPING = ("_num_graphs", "_slice_dict", "_inc_dict")
"""What `Batch.to_data_list` needs; PyG keeps it beside the attributes, not among them."""


def save_graph(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Save a graph to one safetensors file; `load_graph` gives an equal one.

    Parameters
    ----------
    graph
        A `Data`, a `HeteroData`, or a `Batch` of either. Attributes may be tensors, None, bool, int, float,
        str, and lists, tuples and dicts of these. Tensors may be views or share memory; each is written
        whole. Devices and `requires_grad` are not saved.
    path
        Where to; an existing file is replaced atomically.

    Raises
    ------
    ParameterError
        If an attribute cannot be saved; the message names it. Nothing is written then.
    OutputError
        If `path` cannot be written.
    """
    base = _base_class(graph)
    table = TensorTable()
    layout: dict[str, Json] = {
        "version": _VERSION,
        "type": base.__name__,
        "stores": [_encode_store(key, store, table) for key, store in _stores(graph)],
        "batch": _encode_bookkeeping(graph, table) if isinstance(graph, Batch) else None,
    }
    metadata = {_HEADER: json.dumps(layout, allow_nan=False)}
    with atomic_file(path) as temporary:
        # Not `save_file`: it makes a file that only its owner can read, whatever the umask says.
        temporary.write_bytes(save(table.tensors, metadata=metadata))


def load_graph(path: str | os.PathLike[str]) -> Graph:
    """Load a graph that `save_graph` wrote, on the CPU.

    Parameters
    ----------
    path
        A file of `save_graph`.

    Returns
    -------
    Data or HeteroData
        Of the same type, with the same attributes in the same order, and the same dtypes; a `Batch` can be
        taken apart again with `to_data_list`.

    Raises
    ------
    FileFormatError
        If the file is missing, damaged, or was not written by `save_graph`.
    """
    metadata, tensors = _read(Path(path))
    if _HEADER not in metadata:
        raise FileFormatError(f"{path} is a safetensors file without a graph in it. Write it with save_graph")
    try:
        layout = json.loads(metadata[_HEADER])
        if layout["version"] != _VERSION:
            raise FileFormatError(
                f"{path} has the graph file version {layout['version']!r}, this version reads {_VERSION}. "
                "Update graph-metamers"
            )
        return _decode_graph(layout, tensors)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{path} is a damaged graph file: {error!r}. Write it again") from error


def _base_class(graph: Graph) -> Any:
    # PyG makes the class of a batch on the fly, with the class of its members last among the bases.
    base = type(graph).__bases__[-1] if isinstance(graph, Batch) else type(graph)
    if base is not Data and base is not HeteroData:
        raise ParameterError(
            "graph",
            "a Data, a HeteroData, or a Batch of these",
            base.__name__,
            "Copy its attributes into a Data",
        )
    return base


def _stores(graph: Graph) -> list[tuple[Json, Any]]:
    """List the attribute stores with their keys: None, a node type, or the three parts of an edge type."""
    if isinstance(graph, Data):
        return [(None, graph._store)]
    nodes = [(name, graph.get_node_store(name)) for name in graph.node_types]
    edges = [(list(name), graph.get_edge_store(*name)) for name in graph.edge_types]
    return [(None, graph._global_store), *nodes, *edges]


def _encode_store(key: Json, store: Any, table: TensorTable) -> Json:
    prefix = "" if key is None else f"{'|'.join(key) if isinstance(key, list) else key}/"  # type: ignore[arg-type]
    attributes: list[Json] = [
        [name, encode(value, prefix + name, table)] for name, value in store.to_dict().items()
    ]
    return {"key": key, "attributes": attributes}


def _global_store(graph: Graph) -> Any:
    return graph._store if isinstance(graph, Data) else graph._global_store


def _encode_bookkeeping(graph: Graph, table: TensorTable) -> Json:
    private = vars(_global_store(graph))
    return {
        name: encode(private[name], f"batch{name}", table) for name in _BATCH_BOOKKEEPING if name in private
    }


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            # Cloned, because the reader may map the file into memory, and files get replaced.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a dict
            return file.metadata() or {}, tensors
    except FileNotFoundError as error:
        raise FileFormatError(f"there is no file {path}. Check the name") from error
    except (OSError, SafetensorError) as error:
        raise FileFormatError(f"{path} is not a safetensors file: {error}") from error


def _decode_graph(layout: Any, tensors: dict[str, Tensor]) -> Graph:
    base = {"Data": Data, "HeteroData": HeteroData}[layout["type"]]
    bookkeeping = layout["batch"]
    graph = base() if bookkeeping is None else Batch(_base_cls=base)
    for store in layout["stores"]:
        target = _store_for(graph, store["key"])
        for name, value in store["attributes"]:
            # A name with an underscore belongs on the store, not among its attributes (PyG's `_num_nodes`).
            holder = vars(target) if name == "_num_nodes" else target
            holder[name] = decode(value, tensors)
    for name in _BATCH_BOOKKEEPING:
        if bookkeeping is not None and name in bookkeeping:
            setattr(_global_store(graph), name, decode(bookkeeping[name], tensors))
    return graph


def _store_for(graph: Graph, key: Any) -> Any:
    if key is None:
        return _global_store(graph)
    return graph.get_edge_store(*key) if isinstance(key, list) else graph.get_node_store(key)
