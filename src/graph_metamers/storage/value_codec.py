"""Attribute values of a graph as JSON plus named tensors, and back without loss.

JSON alone would turn a tuple into a list and a key of another type into text, so everything but None, bool,
int, finite float, str and list is tagged: `{"$tensor": name}`, `{"$tuple": [...]}`,
`{"$dict": [[key, value], ...]}` and `{"$float": "NaN"}`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graph_metamers.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graph_metamers.types import Json

__all__ = ["TensorTable", "decode", "encode"]

_DTYPES = frozenset(
    {
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
        torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
    }
)  # fmt: skip
_RESERVED = "__metadata__"


class TensorTable:
    """The tensors of one file, each under a name of its own.

    Attributes
    ----------
    tensors : dict of str to Tensor
        Dense, contiguous tensors on the CPU that share no memory, as safetensors demands.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    def add(self, name: str, tensor: Tensor) -> str:
        """Store a copy of `tensor` under `name`, or under `name#2`, ... if that is taken; return the name."""
        free, number = name, 1
        while free in self.tensors or free in {"", _RESERVED}:
            number += 1
            free = f"{name}#{number}"
        plain = tensor.detach().cpu().resolve_neg()
        self.tensors[free] = plain.clone(memory_format=torch.contiguous_format)
        return free


def encode(value: Any, name: str, table: TensorTable) -> Json:
    """Turn a value into JSON, putting its tensors into `table`.

    Parameters
    ----------
    value
        A tensor, None, bool, int, float, str, or a list, tuple or dict of these. Subclasses (NumPy scalars,
        enums, `EdgeIndex`, parameters) are refused, because they would come back as something else.
    name
        What to call it, in the file and in error messages.
    table
        Where tensors go.

    Raises
    ------
    ParameterError
        If the value is of any other type; the message names the attribute.
    """
    kind = type(value)
    if kind is Tensor:
        return {"$tensor": table.add(name, _savable(value, name))}
    if value is None or kind in {bool, int, str}:
        plain: Json = value
        return plain
    if kind is float:
        return _encode_float(value)
    if kind is list or kind is tuple:
        items: list[Json] = [encode(item, f"{name}.{i}", table) for i, item in enumerate(value)]
        return items if kind is list else {"$tuple": items}
    if kind is dict:
        return {"$dict": [_encode_item(key, item, name, table) for key, item in value.items()]}
    raise ParameterError(
        name,
        "a tensor, None, bool, int, float, str, or a list, tuple or dict of these",
        f"{kind.__module__}.{kind.__qualname__}",
        "Nothing else can be saved in a graph file: convert it, or delete it from the graph",
    )


def decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Turn the JSON that `encode` made back into the value.

    Parameters
    ----------
    value
        What `encode` returned.
    tensors
        The tensors of the file.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the JSON was not made by `encode` or a tensor is missing; callers turn these into
        `FileFormatError`.
    """
    if isinstance(value, list):
        return [decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    [(tag, content)] = value.items()
    if tag == "$tensor":
        return tensors[content]
    if tag == "$float":
        return float(content)
    if tag == "$tuple":
        return tuple(decode(content, tensors))
    if tag == "$dict":
        return dict(decode(content, tensors))
    raise ValueError(f"unknown tag {tag!r}")


def _savable(value: Any, name: str) -> Tensor:
    tensor: Tensor = value
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise ParameterError(name, "a dense tensor", str(tensor.layout), "Call .to_dense() before saving")
    if tensor.dtype not in _DTYPES:
        raise ParameterError(name, "of a dtype that safetensors knows", str(tensor.dtype), "Convert it first")
    return tensor


def _encode_float(value: float) -> Json:
    return value if math.isfinite(value) else {"$float": str(value)}


def _encode_item(key: object, value: object, name: str, table: TensorTable) -> Json:
    label = ".".join(key) if isinstance(key, tuple) and all(isinstance(k, str) for k in key) else str(key)
    return [encode(key, name, table), encode(value, f"{name}.{label}", table)]
