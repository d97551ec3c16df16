from __future__ import annotations

import math

import numpy as np
import pytest

from graph_metamers.errors import ParameterError
from graph_metamers.parameters import check_choice, check_flag, check_integer, check_real, check_seeds


@pytest.mark.parametrize("value", [2, np.int64(2), np.uint8(2)])
def test_integers_of_python_and_numpy_pass_as_int(value):
    checked = check_integer("n", value, low=1, high=2)
    assert checked == 2
    assert type(checked) is int


@pytest.mark.parametrize("value", [0, 3, True, np.True_, 2.0, "2", None, math.nan])
def test_what_is_no_integer_in_range_is_refused(value):
    with pytest.raises(ParameterError, match=r"the 'n' parameter must be an integer from 1 to 2, got "):
        check_integer("n", value, low=1, high=2)


@pytest.mark.parametrize("value", [0, 0.5, np.float32(0.5)])
def test_reals_pass_as_float(value):
    assert type(check_real("p", value, low=0.0, high=1.0)) is float


@pytest.mark.parametrize("value", [-0.1, 1.0, math.nan, math.inf, True, "0.5", None, 1j])
def test_what_is_no_real_in_range_is_refused(value):
    with pytest.raises(ParameterError, match="a finite number at least 0 and less than 1"):
        check_real("p", value, low=0.0, high=1.0)


def test_the_ends_of_a_range_count_as_stated():
    assert check_real("p", 1, low=0, high=1, high_included=True) == 1.0
    with pytest.raises(ParameterError, match=r"a finite number greater than 0, got 0\.0"):
        check_real("p", 0, low=0, low_included=False)
    with pytest.raises(ParameterError, match="a finite number at least 0, got inf"):
        check_real("p", math.inf, low=0)


@pytest.mark.parametrize("value", [0, 1, "no", None])
def test_only_a_bool_is_a_flag(value):
    with pytest.raises(ParameterError, match="True or False"):
        check_flag("residual", value)


def test_an_unknown_choice_names_all_and_the_closest():
    with pytest.raises(ParameterError, match=r"one of 'relu', 'elu', got 'ReLU'. Did you mean 'relu'\?"):
        check_choice("activation", "ReLU", ["relu", "elu"])


@pytest.mark.parametrize("value", ["zzzz", None, 3, ["relu"]])
def test_without_a_close_choice_nothing_is_guessed(value):
    with pytest.raises(ParameterError) as caught:
        check_choice("activation", value, ["relu", "elu"])
    assert "Did you mean" not in str(caught.value)


def test_seeds():
    assert check_seeds("seeds", np.arange(3)) == [0, 1, 2]
    with pytest.raises(ParameterError, match="'seeds' parameter must be several integers"):
        check_seeds("seeds", 3)
    for value in ([], [1, 1], [-1], [0.5]):
        with pytest.raises(ParameterError, match="'seeds'"):
            check_seeds("seeds", value)
