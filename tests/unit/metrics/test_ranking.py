"""Partial rank correlation, against scipy and the closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from graph_metamers.metrics import partial_rank_correlation


def drawn(seed: int, size: int = 40) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.round(random.normal(size=(3, size)) @ np.diag(random.uniform(0.5, 2, size)), 1)  # with ties


@pytest.mark.parametrize("seed", range(5))
def test_without_a_third_it_is_spearmans(seed):
    a, b, _ = drawn(seed)
    assert partial_rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_with_a_third_it_is_the_closed_form(seed):
    a, b, c = drawn(seed)
    b = b + c
    ab, ac, bc = (spearmanr(*pair).statistic for pair in ((a, b), (a, c), (b, c)))
    expected = (ab - ac * bc) / math.sqrt((1 - ac**2) * (1 - bc**2))
    assert partial_rank_correlation(a, b, c) == pytest.approx(expected, abs=1e-10)


def test_what_a_third_explains_is_taken_out():
    third = np.random.default_rng(0).normal(size=500)
    noise = np.random.default_rng(1).normal(size=(2, 500))
    first, second = third + 0.5 * noise
    assert partial_rank_correlation(first, second) > 0.6
    assert abs(partial_rank_correlation(first, second, third)) < 0.1


def test_items_that_are_not_finite_are_left_out():
    a, b, c = drawn(0)
    longer = [np.append(column, value) for column, value in ((a, np.nan), (b, 1.0), (c, 1.0))]
    assert partial_rank_correlation(*longer) == partial_rank_correlation(a, b, c)


@pytest.mark.parametrize("second", [[1, 1, 1, 1, 1], [np.nan] * 5])
def test_without_anything_to_compare_it_is_nan(second):
    assert math.isnan(partial_rank_correlation(range(5), second))
    assert math.isnan(partial_rank_correlation(range(5), range(5), range(5)))
