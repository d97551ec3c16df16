"""Is this a graph one can train on? One clear error for each defect, before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graph_metamers.datasets.splits import Split
from graph_metamers.errors import DatasetError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "checked_edge_index",
    "checked_edge_values",
    "checked_names",
    "checked_split",
    "checked_x",
    "checked_y",
]

_MASKS = ("train_mask", "val_mask", "test_mask")


def checked_x(parts: Mapping[str, Any]) -> tuple[Tensor, tuple[str, ...]]:
    """Check the features and convert them to float32.

    Parameters
    ----------
    parts
        What the file holds; `x` must be real numbers [num_nodes, F], both at least 1.

    Returns
    -------
    x
        float32 [num_nodes, F], finite.
    notes
        A sentence if the dtype was changed.

    Raises
    ------
    DatasetError
        If `x` is missing or is anything else.
    """
    x = _required(parts, "x")
    if x.is_complex() or x.layout != torch.strided or x.is_quantized:
        raise _defect("x", "dense real numbers", f"{x.dtype}, {x.layout}", "Convert it first")
    if x.dim() != 2 or 0 in x.shape:
        raise _defect("x", "[num_nodes, num_features], both at least 1", list(x.shape), "Reshape it")
    # Checked after the conversion, because a large float64 becomes infinite in float32.
    converted = x.to(torch.float32)
    bad = (~torch.isfinite(converted)).nonzero()
    if len(bad):
        node, feature = bad[0].tolist()
        raise _defect(
            "x",
            "finite float32 numbers",
            f"{len(bad)} that are NaN or infinite, the first at node {node}, feature {feature}",
            "Replace them",
        )
    notes = () if x.dtype == torch.float32 else (f"The features were {_plain(x)} and are used as float32.",)
    return converted, notes


def checked_edge_index(parts: Mapping[str, Any], num_nodes: int) -> Tensor:
    """Check the edges and convert them to int64.

    Parameters
    ----------
    parts
        What the file holds; `edge_index` must be integers [2, E] in 0..num_nodes - 1.
    num_nodes
        Rows of `x`.

    Raises
    ------
    DatasetError
        If `edge_index` is missing or is anything else.
    """
    edge_index = _required(parts, "edge_index")
    if not _is_integer(edge_index):
        raise _defect("edge_index", "integers", _plain(edge_index), "Convert it with .long()")
    if edge_index.dim() != 2 or edge_index.size(0) != 2:
        raise _defect("edge_index", "[2, num_edges]", list(edge_index.shape), "Transpose or reshape it")
    edges = edge_index.to(torch.int64)
    outside = ((edges < 0) | (edges >= num_nodes)).any(dim=0).nonzero().view(-1)
    if len(outside):
        first = int(outside[0])
        raise _defect(
            "edge_index",
            f"numbers of nodes in 0..{num_nodes - 1}",
            f"{len(outside)} edges outside, the first in column {first}: {edges[:, first].tolist()}",
            "Number the nodes by their rows in 'x'",
        )
    return edges


def checked_y(parts: Mapping[str, Any], num_nodes: int) -> Tensor:
    """Check the classes and convert them to int64.

    Parameters
    ----------
    parts
        What the file holds; `y` must be integers [num_nodes] from 0, at least two different.
    num_nodes
        Rows of `x`.

    Raises
    ------
    DatasetError
        If `y` is missing or is anything else.
    """
    y = _required(parts, "y")
    if not _is_integer(y):
        raise _defect("y", "integers, one class number for each node", _plain(y), "Convert it with .long()")
    if y.shape != (num_nodes,):
        raise _defect("y", f"[{num_nodes}], one class for each row of 'x'", list(y.shape), "Reshape it")
    y = y.to(torch.int64)
    lowest, highest = int(y.min()), int(y.max())
    if lowest < 0:
        raise _defect(
            "y",
            "not negative",
            f"{lowest}",
            "Give nodes without a class any, and leave them out of the masks",
        )
    if highest >= num_nodes:
        raise _defect(
            "y", "class numbers 0, 1, ...", f"{highest} among {num_nodes} nodes", "Number the classes"
        )
    if lowest == highest:
        raise _defect("y", "of two classes at least", f"only class {lowest}", "There is nothing to learn")
    return y


def checked_edge_values(parts: Mapping[str, Any], name: str, num_edges: int) -> Tensor:
    """Check edge weights [E] or edge attributes [E, D]: one finite row for each edge; floats become float32.

    Raises
    ------
    DatasetError
        If they are anything else.
    """
    value = _required(parts, name)
    shapes = {1} if name == "edge_weight" else {1, 2}
    if value.dim() not in shapes or value.size(0) != num_edges:
        wanted = f"[{num_edges}]" if name == "edge_weight" else f"[{num_edges}] or [{num_edges}, D]"
        raise _defect(name, wanted, list(value.shape), "Give one for each column of 'edge_index'")
    if value.is_complex() or (name == "edge_weight" and not value.is_floating_point()):
        raise _defect(name, "floating-point numbers", _plain(value), "Convert it with .float()")
    converted = value.to(torch.float32) if value.is_floating_point() else value
    bad = (~torch.isfinite(converted)).nonzero()
    if len(bad):
        where = f"{len(bad)} that are NaN or infinite, the first at edge {int(bad[0, 0])}"
        raise _defect(name, "finite", where, "Replace them")
    return converted


def checked_split(parts: Mapping[str, Any], num_nodes: int) -> Split | None:
    """Make a split of the three masks; None if there is no mask.

    Parameters
    ----------
    parts
        What the file holds; `train_mask`, `val_mask` and `test_mask` must be bool [num_nodes], disjoint, and
        none empty.
    num_nodes
        Rows of `x`.

    Raises
    ------
    DatasetError
        If one or two are missing, or they are anything else.
    """
    given = [name for name in _MASKS if parts.get(name) is not None]
    if not given:
        return None
    if len(given) < len(_MASKS):
        missing = ", ".join(name for name in _MASKS if name not in given)
        raise DatasetError(
            f"the masks must be given all three or not at all; missing: {missing}. Add the rest"
        )
    train, validation, test = (_indices(_required(parts, name), name, num_nodes) for name in _MASKS)
    try:
        return Split(train=train, validation=validation, test=test, description="masks of the file")
    except ParameterError as error:
        raise DatasetError(f"the masks overlap: {error}. Give each node one part at most") from error


def checked_names(value: object, name: str, count: int, *, or_more: bool = False) -> tuple[str, ...]:
    """Check names of features or classes.

    Parameters
    ----------
    value
        A list, tuple or array of str.
    name
        For messages.
    count
        How many there must be.
    or_more
        Whether more than `count` are welcome.

    Raises
    ------
    DatasetError
        If it is anything else.
    """
    names = value.tolist() if hasattr(value, "tolist") and not isinstance(value, Tensor) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(item, str) for item in names):
        raise _defect(name, "a list of text", type(value).__name__, "Convert each to str")
    if len(names) < count or (len(names) > count and not or_more):
        raise _defect(name, f"{count} names{' or more' if or_more else ''}", len(names), "Give one for each")
    return tuple(str(item) for item in names)


def _indices(mask: Tensor, name: str, num_nodes: int) -> Tensor:
    if mask.dtype != torch.bool:
        raise _defect(name, "bool", _plain(mask), "Convert it with .bool()")
    if mask.shape != (num_nodes,):
        raise _defect(name, f"[{num_nodes}]", list(mask.shape), "Choose one column, or reshape it")
    index = mask.nonzero().view(-1)
    if not len(index):
        raise _defect(name, "true for one node at least", "none", "Leave all three masks out to get a split")
    return index


def _required(parts: Mapping[str, Any], name: str) -> Tensor:
    value = parts.get(name)
    if value is None:
        raise DatasetError(f"'{name}' is missing. Needed are x, edge_index and y; add it to the file")
    if not isinstance(value, Tensor):
        raise _defect(name, "a tensor or array of numbers", type(value).__name__, "Convert it first")
    return value


def _is_integer(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)


def _plain(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _defect(name: str, must: str, got: object, mend: str) -> DatasetError:
    return DatasetError(f"'{name}' must be {must}, got {got}. {mend}")
