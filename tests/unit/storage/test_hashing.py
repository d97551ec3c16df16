from __future__ import annotations

import pytest
import torch

from graph_metamers.errors import ParameterError
from graph_metamers.storage import fingerprint, json_fingerprint

BASE = {"a": torch.arange(6, dtype=torch.float32).view(2, 3), "b": torch.tensor(True)}


def test_it_is_a_sha256():
    assert len(fingerprint(BASE)) == 64
    assert int(fingerprint(BASE), 16) > 0


@pytest.mark.parametrize(
    "other",
    [
        dict(reversed(BASE.items())),
        BASE | {"a": BASE["a"].t().contiguous().t()},
        BASE | {"a": BASE["a"].clone().requires_grad_()},
    ],
    ids=["order", "strides", "requires_grad"],
)
def test_what_does_not_count(other):
    assert fingerprint(other) == fingerprint(BASE)


@pytest.mark.parametrize(
    "other",
    [
        BASE | {"a": BASE["a"] + 1},
        BASE | {"a": BASE["a"].view(3, 2)},
        BASE | {"a": BASE["a"].double()},
        BASE | {"c": torch.zeros(0)},
        {"a": BASE["a"]},
        {"aa": BASE["a"], "b": BASE["b"]},
    ],
    ids=["value", "shape", "dtype", "extra", "missing", "name"],
)
def test_what_counts(other):
    assert fingerprint(other) != fingerprint(BASE)


def test_every_dtype_has_one():
    dtypes = [torch.bool, torch.int8, torch.int64, torch.float16, torch.bfloat16, torch.complex64]
    assert len({fingerprint({"a": torch.zeros((), dtype=dtype)}) for dtype in dtypes}) == len(dtypes)


def test_a_sparse_tensor_is_refused():
    with pytest.raises(ParameterError, match="dense"):
        fingerprint({"a": torch.eye(2).to_sparse()})


def test_json_ignores_the_order_of_keys_and_the_kind_of_sequence():
    assert json_fingerprint({"a": (1, 2), "b": {"c": 1, "d": 2}}) == json_fingerprint(
        {"b": {"d": 2, "c": 1}, "a": [1, 2]}
    )
    assert json_fingerprint([1, 2]) != json_fingerprint([2, 1])
