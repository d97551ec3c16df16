"""Two conditions, seed by seed: paired tests, effect sizes, and a correction for many tests at once.

Values are one number per seed, as in `intervals`, which says why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from scipy import stats

from graph_metamers.errors import ParameterError
from graph_metamers.metrics.intervals import (
    Floats,
    Interval,
    batch_size,
    bootstrap_interval,
    check_resampling,
    numbers_of,
    quiet_about_degenerate_data,
)
from graph_metamers.parameters import check_choice

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

PairedMethod: TypeAlias = Literal["wilcoxon", "t", "permutation"]


MOST_EXACT_PAIRS = 50
"""Up to here the null distribution of the signed ranks is exact (the limit of scipy's "auto")."""


MOST_TIED_PAIRS = 13
"""Up to here all 2^n signs are tried when ranks are tied (the limit of scipy's "auto")."""


@dataclass(frozen=True)
class EffectSize:
    """How large a paired difference is, whatever its unit and however many pairs there are.

    Attributes
    ----------
    cohens_d_z
        See `cohens_d_z`; any size, 0 = no difference.
    rank_biserial
        See `rank_biserial`; in [-1, 1], 0 = no difference.
    """

    cohens_d_z: float
    rank_biserial: float


@dataclass(frozen=True)
class PairedTest:
    """Whether two things measured with the same seeds differ, by how much, and how surely.

    Attributes
    ----------
    statistic
        Wilcoxon: the smaller of the two rank sums; t: the t value; permutation: the mean difference.
    p_value
        Two-sided, in [0, 1]; nan where the test is not defined. Never below 2^(1 - pairs) for Wilcoxon and
        permutation: with five pairs not below 0.0625, with eight not below 0.0078.
    method
        Which test, and whether its null distribution was exact.
    num_pairs
        Number of pairs, those that are equal included.
    effect_size
        How large the difference is, without a unit.
    difference
        Mean of a - b with its bootstrap interval; see `bootstrap_interval`.
    """

    statistic: float
    p_value: float
    method: str
    num_pairs: int
    effect_size: EffectSize
    difference: Interval

    def __str__(self) -> str:
        effect = f"d_z {self.effect_size.cohens_d_z:.3g}, rank-biserial {self.effect_size.rank_biserial:.3g}"
        return (
            f"difference {self.difference}; p = {self.p_value:.3g} ({self.method}, {self.num_pairs} pairs); "
            f"{effect}"
        )


def paired_test(
    a: ArrayLike,
    b: ArrayLike,
    *,
    method: PairedMethod = "wilcoxon",
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> PairedTest:
    """Test whether two conditions that were run with the same seeds differ; two-sided.

    Parameters
    ----------
    a, b
        [num_pairs] each, one finite number per seed, `a[i]` and `b[i]` from the same seed. Never one per
        node: see the head of this module. For shares of n, pass counts: rounding would break ties.
    method
        - `"wilcoxon"`: signed ranks (Wilcoxon 1945), equal pairs left out; no assumption but symmetry. Exact
          up to 50 unequal pairs, with tied ranks up to 13; otherwise the normal approximation.
        - `"t"`: differences are normal.
        - `"permutation"`: the mean difference under all changes of sign (Fisher 1935), or `num_resamples`
          random ones if there are more than that.
    level, num_resamples, seed
        Of the interval of the difference, as for `bootstrap_interval`; the last two also of random signs.

    Returns
    -------
    PairedTest
        If all pairs are equal, p is 1. For `"t"`, p is nan with one pair, and with differences that are all
        the same but not 0: the formula would say 0, of two pairs as of twenty.

    Raises
    ------
    ParameterError
        If a parameter is outside its range or `a` and `b` differ in length.

    Notes
    -----
    Several tests in one table need `holm`.

    Examples
    --------
    >>> relu = [0.61, 0.64, 0.58, 0.66, 0.60, 0.63, 0.57, 0.65]
    >>> elu = [0.52, 0.50, 0.53, 0.49, 0.55, 0.47, 0.56, 0.51]
    >>> test = paired_test(relu, elu)
    >>> test.p_value, test.effect_size.rank_biserial
    (0.0078125, 1.0)
    """
    first, second = _pairs(a, b)
    check_choice("method", method, ("wilcoxon", "t", "permutation"))
    level, num_resamples, seed = check_resampling(level, num_resamples, seed)
    differences = first - second
    if method == "wilcoxon":
        statistic, p_value, how = _wilcoxon(differences)
    elif method == "t":
        statistic, p_value, how = _t(first, second)
    else:
        statistic, p_value, how = _permutation(differences, num_resamples, seed)
    return PairedTest(
        statistic=statistic,
        p_value=p_value,
        method=how,
        num_pairs=len(differences),
        effect_size=EffectSize(cohens_d_z(first, second), rank_biserial(first, second)),
        difference=bootstrap_interval(differences, level=level, num_resamples=num_resamples, seed=seed),
    )


def cohens_d_z(a: ArrayLike, b: ArrayLike) -> float:
    """Cohen's d_z = mean(a - b) / sd(a - b), with n - 1 in the standard deviation.

    Equals t / sqrt(n) of the paired t test. 0 if all pairs are equal, infinite if all differences are the
    same but not 0 (up to rounding), nan with one pair. Source: Cohen 1988, section 2.3.5; Lakens 2013, eq. 6.

    Parameters
    ----------
    a, b
        [num_pairs] each, one finite number per seed.

    Raises
    ------
    ParameterError
        If they are not finite vectors of the same length.

    Examples
    --------
    >>> cohens_d_z([3, 5, 7], [1, 2, 3])
    3.0
    """
    first, second = _pairs(a, b)
    differences = first - second
    if not differences.any():
        return 0.0
    if len(differences) == 1:
        return math.nan
    mean = float(differences.mean())
    if _same_difference(first, second):
        return math.copysign(math.inf, mean)
    return mean / float(differences.std(ddof=1))


def rank_biserial(a: ArrayLike, b: ArrayLike) -> float:
    """Matched-pairs rank-biserial correlation (R+ - R-) / (R+ + R-), in [-1, 1].

    R+ and R- are the sums of the ranks of the absolute differences over the pairs with a > b and with a < b;
    equal pairs are left out, tied ones get their mean rank. 1 if a is larger in every unequal pair; 0 if all
    pairs are equal. The effect size that belongs to Wilcoxon's test. Source: King and Minium 2003; Kerby
    2014.

    Parameters
    ----------
    a, b
        [num_pairs] each, one finite number per seed.

    Raises
    ------
    ParameterError
        If they are not finite vectors of the same length.

    Examples
    --------
    >>> rank_biserial([3, 5, 1], [1, 2, 2])  # ranks 2, 3 and, against, 1
    0.6666666666666666
    """
    first, second = _pairs(a, b)
    ranks = _signed_ranks(first - second)
    return float(ranks.sum() / np.abs(ranks).sum()) if len(ranks) else 0.0


def holm(p_values: ArrayLike) -> Floats:
    """Adjust the p-values of several tests so that one false alarm among all of them stays rare.

    Holm's step-down: the i-th smallest of m, times m - i + 1, not below the one before it, not above 1. A
    test whose adjusted value is at most alpha is rejected at a family-wise error rate of alpha, whatever
    the dependence between the tests. Source: Holm 1979.

    Parameters
    ----------
    p_values
        [m], in [0, 1]. nan, a test that is not defined, stays nan and does not count (as in R's `p.adjust`).

    Returns
    -------
    ndarray
        [m] float64, in the order of `p_values`.

    Raises
    ------
    ParameterError
        If one is outside [0, 1] or there is none.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    p = numbers_of("p_values", p_values, 1, nan_allowed=True)
    defined = p[~np.isnan(p)]
    if (defined < 0).any() or (defined > 1).any():
        raise ParameterError("p_values", "between 0 and 1", float(defined[(defined < 0) | (defined > 1)][0]))
    order = defined.argsort(kind="stable")
    steps = np.maximum.accumulate(defined[order] * np.arange(len(defined), 0, -1))
    adjusted = np.empty_like(defined)
    adjusted[order] = steps.clip(max=1)
    result = p.copy()
    result[~np.isnan(p)] = adjusted
    return result


def _wilcoxon(differences: Floats) -> tuple[float, float, str]:
    ranks = _signed_ranks(differences)
    if not len(ranks):
        return 0.0, 1.0, "Wilcoxon signed-rank: all pairs are equal"
    tied = len(np.unique(np.abs(ranks))) < len(ranks)
    if tied and len(ranks) <= MOST_TIED_PAIRS:
        p_value = _sign_flips(ranks, 2**MOST_TIED_PAIRS, seed=0)
        statistic = min(ranks[ranks > 0].sum(), -ranks[ranks < 0].sum())
        return float(statistic), p_value, "Wilcoxon signed-rank, exact"
    exact = not tied and len(ranks) <= MOST_EXACT_PAIRS
    # scipy renamed its normal approximation; "auto" is that one wherever the test is not exact here.
    result = stats.wilcoxon(ranks, method="exact" if exact else "auto")
    how = "Wilcoxon signed-rank, " + ("exact" if exact else "normal approximation")
    return float(result.statistic), float(result.pvalue), how


def _t(first: Floats, second: Floats) -> tuple[float, float, str]:
    if not (first - second).any():
        return 0.0, 1.0, "paired t: all pairs are equal"
    if len(first) == 1:
        return math.nan, math.nan, "paired t: not defined for one pair"
    if _same_difference(first, second):
        sign = float(np.sign(first[0] - second[0]))
        return sign * math.inf, math.nan, "paired t: not defined, all differences are the same"
    with quiet_about_degenerate_data():
        result = stats.ttest_rel(first, second)
    return float(result.statistic), float(result.pvalue), "paired t"


def _permutation(differences: Floats, num_resamples: int, seed: int) -> tuple[float, float, str]:
    exact = 2.0 ** len(differences) <= num_resamples
    how = f"permutation, {f'all {2 ** len(differences)}' if exact else f'{num_resamples} random'} signs"
    return float(differences.mean()), _sign_flips(differences, num_resamples, seed), how


def _sign_flips(differences: Floats, num_resamples: int, seed: int) -> float:
    """Two-sided p-value of the mean under changes of sign: all of them if there are at most num_resamples."""
    if len(differences) == 1:
        return 1.0
    result = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=num_resamples,
        batch=batch_size(differences),
        random_state=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def _signed_ranks(differences: Floats) -> Floats:
    """Ranks of the sizes of the differences that are not 0, with their signs."""
    unequal = differences[differences != 0]
    ranks: Floats = np.sign(unequal) * stats.rankdata(np.abs(unequal))
    return ranks


def _same_difference(first: Floats, second: Floats) -> bool:
    """Whether a - b is one number, up to the rounding of a and b."""
    rounding = 8 * np.spacing(max(np.abs(first).max(), np.abs(second).max()))
    return bool(np.ptp(first - second) <= rounding)


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    first, second = numbers_of("a", a, 1), numbers_of("b", b, 1)
    if len(first) != len(second):
        raise ParameterError("b", f"as long as 'a', {len(first)} numbers", f"{len(second)} numbers")
    return first, second
