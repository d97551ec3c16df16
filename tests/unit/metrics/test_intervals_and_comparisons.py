from __future__ import annotations

import dataclasses
import itertools
import math
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from graph_metamers import ParameterError
from graph_metamers.metrics import (
    bootstrap_interval,
    cohens_d_z,
    holm,
    intervals,
    nested_bootstrap_interval,
    paired_test,
    rank_biserial,
)

EXACT = {"rel": 1e-10, "abs": 1e-10}
SIZES = [3, 8, 13, 30]
SMALL_INTEGERS = st.lists(st.integers(-4, 4), min_size=1, max_size=8)  # ties and zeros are the rule


def pair(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.normal(0.3, 1, size), generator.gamma(1, size=size)


# Intervals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 5, 8])
def test_small_samples_are_covered_as_often_as_is_said(size):
    draws = np.random.default_rng(1).normal(size=(800, size))
    found = [bootstrap_interval(values, num_resamples=1000) for values in draws]
    held = np.mean([interval.low <= 0 <= interval.high for interval in found])
    assert held == pytest.approx(intervals.MEASURED_COVERAGE[size], abs=0.04)  # 3 standard errors


@pytest.mark.parametrize("size", [3, 8, 30, 700])
@pytest.mark.parametrize("statistic", ["mean", "median"])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_is_scipys_bca(size, statistic, level):
    values = np.random.default_rng(size).gamma(2, size=size)
    ours = bootstrap_interval(values, statistic=statistic, level=level, num_resamples=2000, seed=5)
    function = {"mean": np.mean, "median": np.median}[statistic]
    theirs = stats.bootstrap(
        (values,), function, n_resamples=2000, confidence_level=level, rng=np.random.default_rng(5)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), **EXACT)
    assert ours.estimate == pytest.approx(function(values), **EXACT)
    assert (ours.method, ours.level, ours.num_resamples) == ("BCa", level, 2000)


def test_resampling_in_parts_changes_nothing():
    values = np.random.default_rng(0).normal(size=40)
    table = values.reshape(8, 5)
    whole = bootstrap_interval(values), nested_bootstrap_interval(table)
    with patch.object(intervals, "VALUES_AT_ONCE", 40 * 10_000 // 2 + 1):
        assert bootstrap_interval(values) == whole[0]
        # The two levels are drawn in turn, so that parts are other draws of the same kind.
        assert nested_bootstrap_interval(table).low == pytest.approx(whole[1].low, abs=0.03)


def test_any_statistic_will_do():
    values = np.random.default_rng(0).normal(size=12)
    named = bootstrap_interval(values, num_resamples=500)
    own = bootstrap_interval(values, statistic=lambda v: v.sum() / len(v), num_resamples=500)
    assert dataclasses.astuple(own)[:3] == pytest.approx(dataclasses.astuple(named)[:3], **EXACT)
    assert own.method == named.method


def test_a_statistic_that_sorts_in_place_does_no_harm():
    values = [3.0, 1.0, 2.0, 5.0]

    def middle(sample):
        sample.sort()
        return sample[1:3].mean()

    ours = bootstrap_interval(values, statistic=middle, num_resamples=500)
    median = bootstrap_interval(values, statistic="median", num_resamples=500)
    assert (ours.low, ours.high) == (median.low, median.high)
    assert values == [3.0, 1.0, 2.0, 5.0]


def test_one_value_has_no_interval():
    interval = bootstrap_interval([0.5])
    assert interval.estimate == 0.5
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert interval.num_resamples == 0
    assert str(interval) == "0.5 (one value: no interval)"


def test_equal_values_say_that_they_are_equal():
    interval = bootstrap_interval([0.5] * 6)
    assert (interval.low, interval.high) == (0.5, 0.5)
    assert str(interval) == "0.5 (95% interval 0.5 to 0.5, percentile: all values are equal)"


def test_two_values_have_percentiles():
    interval = bootstrap_interval([0.25, 0.75])
    assert (interval.low, interval.high) == (0.25, 0.75)
    assert interval.method == "percentile: fewer than three values"


def test_where_bca_is_not_defined_percentiles_are_taken():
    values = [0.0] * 9 + [1.0]  # leaving one out never changes the median: there is no acceleration
    interval = bootstrap_interval(values, statistic="median")
    theirs = stats.bootstrap(
        (values,), np.median, n_resamples=10_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert (interval.low, interval.high) == tuple(theirs)
    assert interval.method == "percentile: BCa is not defined"


def test_an_interval_reads_as_a_sentence():
    interval = intervals.Interval(0.123456, 0.1, 0.25, 0.9, 1000, "BCa")
    assert str(interval) == "0.1235 (90% interval 0.1 to 0.25, BCa)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        interval.low = 0.0


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(300):
        interval = bootstrap_interval(generator.normal(2, 1, 30), num_resamples=1000, seed=seed)
        hits += interval.low <= 2 <= interval.high
    assert 0.90 <= hits / 300 <= 0.98


def test_tensors_lists_and_flags_are_values():
    expected = bootstrap_interval(np.array([1.0, 0.0, 1.0, 1.0]))
    for values in (torch.tensor([1.0, 0, 1, 1]), [1, 0, 1, 1], [True, False, True, True]):
        assert bootstrap_interval(values) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "not empty, got"),
        ([[1.0, 2.0]], "a vector of finite real numbers"),
        (3.0, "a vector"),
        ([1.0, math.nan], "Leave runs that failed out"),
        ([1.0, math.inf], "Leave runs that failed out"),
        (["0.1", "0.2"], "real numbers"),
        ([1.0, None], "real numbers"),
        ([1j, 2j], "real numbers"),
        ([[1.0], [1.0, 2.0]], "real numbers"),
        (torch.ones(3, requires_grad=True), "real numbers"),
    ],
)
def test_what_are_no_values_is_refused(values, message):
    with pytest.raises(ParameterError, match=message):
        bootstrap_interval(values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("level", 0.0),
        ("level", 1.0),
        ("level", 95),
        ("level", math.nan),
        ("num_resamples", 99),
        ("num_resamples", 1e4),
        ("seed", -1),
        ("seed", 0.5),
        ("statistic", "mode"),
        ("statistic", None),
        ("statistic", lambda values: values),
        ("statistic", lambda values: math.nan),
        ("statistic", lambda values: "0.1"),
    ],
)
def test_settings_outside_their_range_are_refused(name, value):
    for function, values in ((bootstrap_interval, [1, 2, 3]), (nested_bootstrap_interval, [[1, 2], [3, 4]])):
        with pytest.raises(ParameterError, match=f"the '{name}' parameter must be"):
            function(values, **{name: value})
    if name != "statistic":
        with pytest.raises(ParameterError, match=f"the '{name}' parameter must be"):
            paired_test([1, 2, 3], [3, 2, 2], **{name: value})


# Two levels -----------------------------------------------------------------------------------------------


def brute_force_means(table: np.ndarray, *, shared: bool) -> np.ndarray:
    """The mean of every possible resample of a small table."""
    num_rows, num_columns = table.shape
    draws = list(itertools.product(range(num_columns), repeat=num_columns))
    means = []
    for rows in itertools.product(range(num_rows), repeat=num_rows):
        columns = (
            [(draw,) * num_rows for draw in draws] if shared else itertools.product(draws, repeat=num_rows)
        )
        means += [
            np.mean([table[row, list(draw)] for row, draw in zip(rows, chosen, strict=True)])
            for chosen in columns
        ]
    return np.array(means)


@pytest.mark.parametrize("shared", [False, True])
def test_two_levels_are_drawn_as_brute_force_says(shared):
    table = np.array([[0.0, 1.0], [3.0, 7.0], [2.0, 2.5]])
    seen = []

    def mean(values):
        seen.append(values.mean())
        return seen[-1]

    interval = nested_bootstrap_interval(table, statistic=mean, shared_columns=shared, num_resamples=20_000)
    assert seen[0] == interval.estimate == table.mean()
    drawn, every = np.array(seen[1:]), brute_force_means(table, shared=shared)
    assert len(drawn) == 20_000
    assert set(drawn.round(9)) <= set(every.round(9))
    assert drawn.mean() == pytest.approx(every.mean(), abs=0.03)
    assert drawn.var() == pytest.approx(every.var(), rel=0.03)
    assert (interval.low, interval.high) == tuple(np.quantile(drawn, [0.025, 0.975]))


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_a_function_gives_the_same_as_the_name(statistic):
    table = np.random.default_rng(0).normal(size=(4, 3))
    named = nested_bootstrap_interval(table, statistic=statistic, num_resamples=500)
    given_function = nested_bootstrap_interval(
        table, statistic=lambda v: float(getattr(np, statistic)(v)), num_resamples=500
    )
    assert dataclasses.astuple(named)[:3] == pytest.approx(dataclasses.astuple(given_function)[:3], **EXACT)


def test_runs_of_one_model_are_not_independent_runs():
    table = np.repeat(np.random.default_rng(0).normal(size=(6, 1)), 10, axis=1)
    nested = nested_bootstrap_interval(table)
    pooled = bootstrap_interval(table.ravel())
    assert nested.high - nested.low > 2 * (pooled.high - pooled.low)
    rows = bootstrap_interval(table[:, 0])
    assert nested.high - nested.low == pytest.approx(rows.high - rows.low, rel=0.15)


def test_starts_that_are_hard_for_every_model_need_shared_columns():
    table = np.repeat(np.random.default_rng(0).normal(size=(1, 6)), 10, axis=0)
    apart, shared = (nested_bootstrap_interval(table, shared_columns=flag) for flag in (False, True))
    assert shared.high - shared.low > 2 * (apart.high - apart.low)
    assert (apart.method, shared.method) == (
        "two-level percentile",
        "two-level percentile, shared columns",
    )


def test_one_trained_model_has_no_interval():
    interval = nested_bootstrap_interval([[0.5, 0.25, 0.75]])
    assert interval.estimate == 0.5
    assert math.isnan(interval.low)
    assert str(interval) == "0.5 (one training seed: no interval)"


def test_a_table_of_equal_values_says_so():
    interval = nested_bootstrap_interval([[0.5, 0.5], [0.5, 0.5]])
    assert (interval.low, interval.high) == (0.5, 0.5)
    assert interval.method == "two-level percentile: all values are equal"


@pytest.mark.parametrize("table", [[1.0, 2.0], [], [[]], [[1.0], [1.0, 2.0]], [[1.0, math.nan]], [[[1.0]]]])
def test_what_is_no_complete_table_is_refused(table):
    with pytest.raises(ParameterError, match="the 'table' parameter must be a matrix"):
        nested_bootstrap_interval(table)


# Paired tests ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [*SIZES, 80])
def test_wilcoxon_is_scipys(size):
    a, b = pair(size)
    ours, theirs = paired_test(a, b), stats.wilcoxon(a, b)
    assert (ours.statistic, ours.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), **EXACT)
    assert ours.method == f"Wilcoxon signed-rank, {'exact' if size <= 50 else 'normal approximation'}"
    assert ours.num_pairs == size


@pytest.mark.parametrize("size", [14, 40, 80])
def test_wilcoxon_with_many_ties_is_scipys_approximation(size):
    a, b = (np.random.default_rng(seed).integers(0, 4, size) for seed in (0, 1))
    ours, theirs = paired_test(a, b), stats.wilcoxon((a - b)[a != b])
    assert (ours.statistic, ours.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), **EXACT)


@pytest.mark.parametrize("size", SIZES)
def test_t_is_scipys(size):
    a, b = pair(size)
    ours, theirs = paired_test(a, b, method="t"), stats.ttest_rel(a, b)
    assert (ours.statistic, ours.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), **EXACT)
    assert ours.effect_size.cohens_d_z == pytest.approx(theirs.statistic / math.sqrt(size), **EXACT)


@pytest.mark.parametrize("size", SIZES)
def test_permutation_is_scipys(size):
    a, b = pair(size)
    ours = paired_test(a, b, method="permutation", seed=3)
    theirs = stats.permutation_test(
        (a - b,), np.mean, permutation_type="samples", n_resamples=10_000, rng=np.random.default_rng(3)
    )
    exchanged = stats.permutation_test(
        (a, b),
        lambda x, y: np.mean(x - y),
        permutation_type="samples",
        n_resamples=10_000,
        rng=np.random.default_rng(3),
    )
    assert (ours.statistic, ours.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), **EXACT)
    exact = size < 14  # 2^14 signs are more than 10 000
    assert ours.p_value == pytest.approx(exchanged.pvalue, **(EXACT if exact else {"abs": 0.02}))
    assert ours.method == f"permutation, {f'all {2**size}' if exact else '10000 random'} signs"


def signed(differences: list[int]) -> np.ndarray:
    """The differences under every change of sign, [2^n, n]."""
    return np.array(list(itertools.product([1, -1], repeat=len(differences)))) * np.array(differences)


@given(SMALL_INTEGERS)
def test_permutation_is_brute_force(differences):
    ours = paired_test(differences, np.zeros(len(differences)), method="permutation", num_resamples=300)
    sums = signed(differences).sum(axis=1)
    assert ours.p_value == pytest.approx(np.mean(np.abs(sums) >= abs(sum(differences))), **EXACT)


@given(SMALL_INTEGERS)
def test_wilcoxon_with_ties_and_equal_pairs_is_brute_force(differences):
    ours = paired_test(differences, np.zeros(len(differences)), num_resamples=100)
    sizes = np.abs([difference for difference in differences if difference])
    ranks = np.array([(sizes < size).sum() + ((sizes == size).sum() + 1) / 2 for size in sizes])
    signs = np.sign([difference for difference in differences if difference])
    every = signed(ranks).sum(axis=1) if len(ranks) else np.zeros(1)
    observed = (ranks * signs).sum()
    assert ours.p_value == pytest.approx(np.mean(np.abs(every) >= abs(observed) - 1e-9), **EXACT)
    assert ours.statistic == min(ranks[signs > 0].sum(), ranks[signs < 0].sum())
    assert ours.effect_size.rank_biserial == pytest.approx(
        observed / ranks.sum() if len(ranks) else 0.0, **EXACT
    )


@given(SMALL_INTEGERS, st.sampled_from(["wilcoxon", "t", "permutation"]))
def test_exchanging_a_and_b_changes_only_signs(differences, method):
    zeros = np.zeros(len(differences))
    one, other = (
        paired_test(*given, method=method, num_resamples=300)
        for given in ((differences, zeros), (zeros, differences))
    )
    assert one.p_value == pytest.approx(other.p_value, nan_ok=True, **EXACT)
    assert 0 <= one.p_value <= 1 or (method == "t" and math.isnan(one.p_value))
    for name in ("cohens_d_z", "rank_biserial"):
        ours, theirs = getattr(one.effect_size, name), getattr(other.effect_size, name)
        assert ours == pytest.approx(-theirs, nan_ok=True, **EXACT)
    assert one.difference.estimate == -other.difference.estimate


def test_the_smallest_p_values_are_those_that_the_docstring_names():
    for size, smallest in ((5, 0.0625), (8, 0.0078125)):
        a = np.arange(1.0, size + 1)
        for method in ("wilcoxon", "permutation"):
            assert paired_test(a, 0 * a, method=method).p_value == smallest == 2.0 ** (1 - size)


@pytest.mark.parametrize("method", ["wilcoxon", "t", "permutation"])
def test_equal_pairs_do_not_differ(method):
    test = paired_test([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], method=method)
    assert test.p_value == 1
    assert test.statistic == 0
    assert dataclasses.astuple(test.effect_size) == (0, 0)
    assert (test.difference.low, test.difference.high) == (0, 0)


def test_a_constant_difference_is_no_certainty():
    a, b = [0.5, 0.3, 0.9], [0.4, 0.2, 0.8]  # 0.1 up to rounding
    test = paired_test(a, b, method="t")
    assert test.statistic == math.inf
    assert math.isnan(test.p_value)
    assert "all differences are the same" in test.method
    assert test.effect_size.cohens_d_z == math.inf
    assert cohens_d_z(b, a) == -math.inf
    assert paired_test(a, b).p_value == 0.25
    assert paired_test(a, b, method="permutation").p_value == 0.25


def test_one_pair_proves_nothing():
    for method, p_value in (("wilcoxon", 1.0), ("permutation", 1.0), ("t", math.nan)):
        test = paired_test([2.0], [1.0], method=method)
        assert test.p_value == pytest.approx(p_value, nan_ok=True)
        assert math.isnan(test.effect_size.cohens_d_z)
        assert test.difference.method == "one value: no interval"


def test_the_difference_is_that_of_the_pairs():
    a, b = pair(12)
    test = paired_test(a, b, level=0.9, num_resamples=500, seed=7)
    assert test.difference == bootstrap_interval(a - b, level=0.9, num_resamples=500, seed=7)


def test_a_test_reads_as_a_sentence():
    test = paired_test([3.0, 5.0, 7.5, 4.0], [1.0, 2.0, 3.0, 4.5])
    assert str(test) == (
        f"difference {test.difference}; p = 0.25 (Wilcoxon signed-rank, exact, 4 pairs); "
        "d_z 1.07, rank-biserial 0.8"
    )


def test_pairs_must_be_pairs():
    with pytest.raises(ParameterError, match="the 'b' parameter must be as long as 'a', 3 numbers"):
        paired_test([1, 2, 3], [1, 2])
    with pytest.raises(ParameterError, match=r"the 'method' parameter.*Did you mean 'wilcoxon'"):
        paired_test([1, 2, 3], [1, 2, 3], method="wilcoxn")
    with pytest.raises(ParameterError, match="the 'a' parameter"):
        cohens_d_z([math.nan], [1.0])


# Effect sizes ---------------------------------------------------------------------------------------------


def test_cohens_d_z_by_hand():
    # Differences 1, 2, 3, 6: mean 3, squared deviations 4 + 1 + 0 + 9 = 14, sd sqrt(14 / 3).
    assert cohens_d_z([2, 4, 6, 10], [1, 2, 3, 4]) == pytest.approx(3 / math.sqrt(14 / 3), **EXACT)


@pytest.mark.parametrize("size", SIZES)
def test_rank_biserial_by_brute_force(size):
    a, b = pair(size)
    d = a - b
    # R+ is the number of pairs i <= j whose average (d_i + d_j) / 2 is positive (Tukey's Walsh averages).
    positive = sum(d[i] + d[j] > 0 for i in range(size) for j in range(i, size))
    total = size * (size + 1) / 2
    assert rank_biserial(a, b) == pytest.approx((positive - (total - positive)) / total, **EXACT)
    assert rank_biserial(np.abs(d), np.zeros(size)) == 1
    assert rank_biserial(-np.abs(d), np.zeros(size)) == -1


@given(st.floats(0.01, 100), st.floats(-100, 100))
def test_effect_sizes_have_no_unit(scale, shift):
    a, b = pair(9)
    for effect in (cohens_d_z, rank_biserial):
        assert effect(scale * a + shift, scale * b + shift) == pytest.approx(effect(a, b), rel=1e-6)


# Many tests -----------------------------------------------------------------------------------------------


def rejected_by_holm(p_values: list[float], alpha: float) -> list[bool]:
    """The step-down procedure as it is defined: go on while the next smallest is at most alpha / (left)."""
    rejected = [False] * len(p_values)
    for step, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[place] * (len(p_values) - step) > alpha:
            break
        rejected[place] = True
    return rejected


P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(P_VALUES)
def test_holm_rejects_what_its_definition_rejects(p_values):
    adjusted = holm(p_values)
    for alpha in {0.0, 0.05, *(value for value in adjusted if value < 1)}:
        assert (adjusted <= alpha).tolist() == rejected_by_holm(p_values, alpha)


@given(P_VALUES, st.randoms(use_true_random=False))
def test_holm_keeps_order_and_lies_between_none_and_bonferroni(p_values, random):
    adjusted = holm(p_values)
    assert (adjusted >= np.array(p_values)).all()
    assert (adjusted <= np.minimum(1, len(p_values) * np.array(p_values))).all()
    assert (np.diff(adjusted[np.argsort(p_values, kind="stable")]) >= 0).all()
    order = list(range(len(p_values)))
    random.shuffle(order)
    assert holm([p_values[place] for place in order]).tolist() == adjusted[order].tolist()


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.7]).tolist() == [0.7]


def test_a_test_that_is_not_defined_does_not_count():
    adjusted = holm([0.01, math.nan, 0.04])
    assert adjusted[[0, 2]].tolist() == [0.02, 0.04]
    assert math.isnan(adjusted[1])
    assert np.isnan(holm([math.nan])).all()


@pytest.mark.parametrize("p_values", [[-0.1, 0.5], [0.5, 1.1], [], [[0.5]], [math.inf], ["0.5"]])
def test_what_are_no_p_values_is_refused(p_values):
    with pytest.raises(ParameterError, match="the 'p_values' parameter"):
        holm(p_values)
