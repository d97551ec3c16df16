"""JSON files: strict, written atomically, and with one documented form for numbers that JSON lacks.

JSON has no NaN and no infinity. They are written as the strings "NaN", "Infinity" and "-Infinity" (the form
of Protocol Buffers' JSON mapping), and `to_number` turns them back wherever a number is expected, so every
float survives. Nothing else is tagged: a tensor, an array and a tuple become lists, a dataclass an object, an
enum its value, a path a string.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from torch import Tensor

from graph_metamers.errors import FileFormatError, ParameterError
from graph_metamers.storage.atomic import atomic_file

if TYPE_CHECKING:
    import os

    from graph_metamers.types import Json

__all__ = ["read_json", "to_jsonable", "to_number", "write_json"]

_NON_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})


def to_jsonable(value: object) -> Json:
    """Turn a tree of values into what strict JSON can hold.

    Parameters
    ----------
    value
        None, bool, int, float, str, path, enum, dataclass, tensor, NumPy scalar or array, or a list, tuple
        or mapping (with str keys) of these.

    Returns
    -------
    Json
        New lists and dicts; non-finite floats are "NaN", "Infinity" or "-Infinity" (see `to_number`).

    Raises
    ------
    ParameterError
        If a value has no JSON form or a key is not a str; the message says where in the tree.

    Examples
    --------
    >>> to_jsonable({"shape": (2, 3), "loss": float("nan"), "file": Path("a") / "b"})
    {'shape': [2, 3], 'loss': 'NaN', 'file': 'a/b'}
    """
    return _convert(value, "value")


def to_number(value: Json) -> float:
    """Read a number that `to_jsonable` wrote, the three non-finite ones included.

    Parameters
    ----------
    value
        A JSON number, or one of the strings "NaN", "Infinity", "-Infinity".

    Raises
    ------
    FileFormatError
        If `value` is anything else.

    Examples
    --------
    >>> to_number("-Infinity"), to_number(0.5)
    (-inf, 0.5)
    """
    if isinstance(value, str) and value in _NON_FINITE:
        return float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise FileFormatError(f"a number or one of 'NaN', 'Infinity', '-Infinity' was expected, got {value!r}")


def write_json(value: object, path: str | os.PathLike[str]) -> None:
    """Write a JSON file atomically: UTF-8, two spaces of indent, keys in the order given.

    Parameters
    ----------
    value
        Anything that `to_jsonable` accepts.
    path
        Where to; an existing file is replaced.

    Raises
    ------
    ParameterError
        If something in `value` has no JSON form; nothing is written then.
    OutputError
        If `path` cannot be written.
    """
    text = json.dumps(to_jsonable(value), indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike[str]) -> Json:
    """Read a strict JSON file.

    Parameters
    ----------
    path
        A UTF-8 file.

    Raises
    ------
    FileFormatError
        If the file is missing or is not strict JSON (bare NaN and Infinity are not).
    """
    try:
        parsed: Json = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise FileFormatError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path} is not a JSON file: {error}") from error
    return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"a bare {name} is not JSON")


def _convert(value: object, where: str) -> Json:  # noqa: C901, PLR0911 - one line per type is clearer than a table
    # Enums first: a StrEnum is a str and an IntEnum an int, and their own type would reach the JSON writer.
    if isinstance(value, enum.Enum):
        return _convert(value.value, where)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _float(float(value))
    if isinstance(value, (str, PurePath)):
        return str(value)
    if isinstance(value, (np.generic, np.ndarray)):
        return _convert(value.tolist(), where)
    if isinstance(value, Tensor):
        return _convert(value.detach().tolist(), where)
    if isinstance(value, (list, tuple)):
        return [_convert(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _convert(getattr(value, field.name), f"{where}.{field.name}")
            for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {_key(key, where): _convert(item, f"{where}[{key!r}]") for key, item in value.items()}
    raise ParameterError(where, "something JSON can hold", type(value).__name__, "Convert it first")


def _float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise ParameterError(where, "a mapping with str keys", key, "JSON has no other keys")
    return str(key.value) if isinstance(key, enum.Enum) else str(key)
