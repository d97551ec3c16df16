"""Fingerprints: equal content gives equal text, on any machine and in any order."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import torch

from graph_metamers.errors import ParameterError
from graph_metamers.storage.json_files import to_jsonable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["fingerprint", "json_fingerprint"]


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Give the SHA-256 of named tensors: of their names (sorted), dtypes, shapes and bytes.

    Strides, devices and `requires_grad` do not count; the sign of a zero and the bits of a NaN do.

    Parameters
    ----------
    tensors
        Dense tensors of any shape and dtype.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    ParameterError
        If a tensor is sparse or quantised.

    Examples
    --------
    >>> a, b = torch.zeros(2), torch.ones(3)
    >>> fingerprint({"a": a, "b": b}) == fingerprint({"b": b, "a": a})
    True
    >>> fingerprint({"a": torch.zeros(2, 1)}) == fingerprint({"a": torch.zeros(1, 2)})
    False
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        # The header gives the number of bytes that follow, so two different lists never read the same.
        header = [name, str(tensor.dtype), list(tensor.shape)]
        digest.update(json.dumps(header).encode() + b"\n")
        digest.update(_bytes(name, tensor))
    return digest.hexdigest()


def json_fingerprint(value: object) -> str:
    """Give the SHA-256 of anything that `to_jsonable` accepts; the order of keys does not count.

    Parameters
    ----------
    value
        A configuration, a table, any tree of values.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    ParameterError
        If something in the tree has no JSON form.

    Examples
    --------
    >>> json_fingerprint({"a": 1, "b": (2,)}) == json_fingerprint({"b": [2], "a": 1})
    True
    """
    text = json.dumps(to_jsonable(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _bytes(name: str, tensor: Tensor) -> memoryview:
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise ParameterError(f"tensors[{name!r}]", "dense", tensor.layout, "Call .to_dense() first")
    plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    return plain.reshape(-1).view(torch.uint8).numpy().data
