from __future__ import annotations

import math

import numpy as np
import pytest

from graph_metamers.errors import ParameterError
from graph_metamers.metrics import nested_bootstrap_interval, ratio_interval


def test_with_one_denominator_it_is_the_nested_bootstrap_of_shares():
    generator = np.random.default_rng(0)
    table = generator.integers(0, 100, size=(4, 5))
    ours = ratio_interval(table, np.full((4, 5), 100), seed=3)
    theirs = nested_bootstrap_interval(table / 100, shared_columns=True, seed=3)
    assert (ours.estimate, ours.low, ours.high) == pytest.approx((theirs.estimate, theirs.low, theirs.high))
    apart = ratio_interval(table, np.full((4, 5), 100), seed=3, shared_columns=False)
    theirs = nested_bootstrap_interval(table / 100, seed=3)
    assert (apart.low, apart.high) == pytest.approx((theirs.low, theirs.high))


def test_counts_of_a_run_stay_together():
    below = np.array([[10, 1000, 30], [400, 20, 5]])
    ratio = ratio_interval(3 * below, below)
    assert (ratio.estimate, ratio.low, ratio.high) == pytest.approx((3.0, 3.0, 3.0))


def test_it_holds_the_truth_about_as_often_as_it_says():
    generator, held = np.random.default_rng(1), 0
    for seed in range(300):
        above, below = generator.poisson(120, size=(1, 12)), generator.poisson(120, size=(1, 12))
        interval = ratio_interval(above, below, num_resamples=500, seed=seed)
        held += interval.low <= 1 <= interval.high
    assert 0.84 < held / 300 < 0.99  # nominal 95%, too narrow with 12 runs


@pytest.mark.parametrize(
    ("above", "below", "method"),
    [
        ([[0, 0]], [[0, 0]], "undefined: 0/0"),
        ([[1, 0]], [[0, 0]], "undefined: division by 0"),
    ],
)
def test_a_ratio_of_nothing_is_no_number(above, below, method):
    interval = ratio_interval(above, below)
    assert math.isnan(interval.estimate)
    assert math.isnan(interval.low)
    assert interval.method == method


def test_where_there_is_nothing_to_resample_there_are_no_ends():
    assert ratio_interval([[3]], [[4]]).method == "one run: no interval"
    assert ratio_interval([[3]], [[4]]).estimate == 0.75
    holes = ratio_interval([[1, 0, 0]], [[1, 0, 0]])
    assert holes.estimate == 1
    assert math.isnan(holes.low)
    assert "0/0" in holes.method


def test_what_is_resampled_is_said():
    assert ratio_interval([[1, 2]], [[3, 3]]).method == "percentile over noise seeds of one model"
    assert ratio_interval([[1], [2]], [[3], [3]]).method == "percentile over training seeds"
    assert ratio_interval([[1, 2]] * 2, [[3, 3]] * 2).method == "two-level percentile, shared columns"


@pytest.mark.parametrize(
    ("above", "below", "name"),
    [
        ([[1, 2]], [[1]], "below"),
        ([[1]], [[-1]], "below"),
        ([[math.nan]], [[1]], "above"),
        ([1], [1], "above"),
    ],
)
def test_what_is_out_of_range_is_refused(above, below, name):
    with pytest.raises(ParameterError, match=f"'{name}'"):
        ratio_interval(above, below)
