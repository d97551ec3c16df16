from __future__ import annotations

import enum
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graph_metamers.errors import FileFormatError, ParameterError
from graph_metamers.storage import read_json, to_jsonable, to_number, write_json


class Status(enum.StrEnum):
    DONE = "done"


class Level(enum.IntEnum):
    LOW = 1


@dataclass(frozen=True)
class Config:
    steps: int
    shape: tuple[int, ...]
    status: Status


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Config(3, (1, 2), Status.DONE), {"steps": 3, "shape": [1, 2], "status": "done"}),
        ({Status.DONE: Level.LOW}, {"done": 1}),
        (torch.tensor([[1.0, math.inf]]), [[1.0, "Infinity"]]),
        (torch.tensor(2), 2),
        (np.float32(0.5), 0.5),
        (np.array([1, 2]), [1, 2]),
        (np.bool_(True), True),
        ([math.nan, -math.inf], ["NaN", "-Infinity"]),
        (Path("a"), "a"),
        (torch.Size([2]), [2]),
    ],
)
def test_every_kind_has_its_form(value, expected):
    result = to_jsonable(value)
    assert result == expected
    assert json.loads(json.dumps(result, allow_nan=False)) == expected


@pytest.mark.parametrize(
    ("value", "where"),
    [({"a": [0, {1}]}, r"value\['a'\]\[1\]"), ({1: 2}, "str keys"), (1j, "complex"), (Config, "type")],
)
def test_what_has_no_form_is_named(value, where):
    with pytest.raises(ParameterError, match=where):
        to_jsonable(value)


@given(st.floats())
def test_every_float_survives(number):
    again = to_number(json.loads(json.dumps(to_jsonable(number), allow_nan=False)))
    assert again == number or (math.isnan(again) and math.isnan(number))


@pytest.mark.parametrize("value", ["nan", "1.0", True, None, [1.0]])
def test_what_is_no_number(value):
    with pytest.raises(FileFormatError, match="a number"):
        to_number(value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)  # it writes files
@given(json_values)
def test_write_then_read_is_the_identity(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(value, path)
    assert read_json(path) == value


def test_nothing_is_written_of_a_value_without_a_form(tmp_path):
    with pytest.raises(ParameterError):
        write_json({"a": {1}}, tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "{", "NaN", "[Infinity]", "[" * 100_000, "\udcff"])
def test_what_is_not_json_is_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(FileFormatError, match="is not a JSON file"):
        read_json(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match="cannot read"):
        read_json(tmp_path / "none.json")
