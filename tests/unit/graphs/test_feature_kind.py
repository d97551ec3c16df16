from __future__ import annotations

import math

import pytest
import torch

from graph_metamers.errors import ParameterError
from graph_metamers.graphs import infer_feature_kind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.0, 1.0], "binary"),
        ([1.0, 1.0], "binary"),
        ([True, False], "binary"),
        ([0, 1, 1], "binary"),
        ([0.0, 0.25, 1.0], "bounded"),
        ([0.0, 1.0001], "continuous"),
        ([-1e-9, 1.0], "continuous"),
        ([0, 1, 2], "continuous"),
    ],
)
def test_values_tell_the_kind(values, kind):
    assert infer_feature_kind(torch.tensor([values])) == kind


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_will_do(dtype):
    assert infer_feature_kind(torch.tensor([0.0, 0.5], dtype=dtype)) == "bounded"


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(0, 3), r"at least one value, got \[0, 3\]"),
        (torch.tensor([0.0, math.nan, math.inf]), "2 values that are NaN or infinite"),
        (torch.ones(2, dtype=torch.complex64), "real tensor"),
        (torch.eye(2).to_sparse(), "dense"),
    ],
    ids=["empty", "non-finite", "complex", "sparse"],
)
def test_what_cannot_be_told(x, message):
    with pytest.raises(ParameterError, match=message):
        infer_feature_kind(x)
