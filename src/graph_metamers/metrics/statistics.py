"""How sure a number is: intervals over seeds, paired tests, effect sizes, and many tests at once.

Every function takes *one number per seed*: per training seed, per noise seed, or per pair of them. Never one
number per node. The nodes of one graph share one model, one start and their neighbours' messages; they are
one draw, however many there are. Resampling them gives an interval for this model and this start only,
often tens of times too narrow for any sentence about an architecture. So: first summarise each run over its
nodes, then come here with the summaries. (At graph level, with graphs drawn independently, a graph may take
the place of a seed.)
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from graph_metamers.errors import ParameterError
from graph_metamers.parameters import MAX_SEED, check_choice, check_flag, check_integer, check_real

if TYPE_CHECKING:
    from collections.abc import Iterator

Floats: TypeAlias = NDArray[np.float64]
Statistic: TypeAlias = Literal["mean", "median"] | Callable[[Floats], float]
"""What is estimated: "mean", "median", or a function from values [n] to one number."""

PairedMethod: TypeAlias = Literal["wilcoxon", "t", "permutation"]

MIN_RESAMPLES = 100
"""With fewer resamples the ends of an interval are noise."""

MOST_EXACT_PAIRS = 50
"""Up to here the null distribution of the signed ranks is exact (the limit of scipy's "auto")."""

MOST_TIED_PAIRS = 13
"""Up to here all 2^n signs are tried when ranks are tied (the limit of scipy's "auto")."""

VALUES_AT_ONCE = 2**22
"""Resampled values held in memory at once, 32 MiB of them and as much for their indices."""


@dataclass(frozen=True)
class Interval:
    """A number and the range in which repeating everything with other seeds would put it.

    Attributes
    ----------
    estimate
        The statistic of the values that are there.
    low, high
        Ends of the interval; both nan if there is none.
    level
        How often such intervals hold the true value, if there are enough values, in (0, 1).
    num_resamples
        Resamples drawn, 0 if there is no interval.
    method
        How it was made, or why there is none.
    """

    estimate: float
    low: float
    high: float
    level: float
    num_resamples: int
    method: str

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.estimate:.4g} ({self.method})"
        ends = f"{self.low:.4g} to {self.high:.4g}"
        return f"{self.estimate:.4g} ({self.level * 100:g}% interval {ends}, {self.method})"


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


def bootstrap_interval(
    values: ArrayLike,
    *,
    statistic: Statistic = "mean",
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Bootstrap interval of a statistic of one number per seed.

    Bias-corrected and accelerated (BCa; Efron 1987), by `scipy.stats.bootstrap`. Percentiles instead, which
    `method` then says, with fewer than three values, with values that are all equal, and where BCa is not
    defined (a median of many equal values).

    Parameters
    ----------
    values
        [n], one finite number per seed, or per training seed x noise seed if all of them are independent
        (otherwise `nested_bootstrap_interval`). Never one per node: the nodes of one graph are one draw, and
        resampling them says nothing about other seeds; see the head of this module.
    statistic
        `"mean"`, `"median"`, or a function from values [n] to one finite number; it is called
        `num_resamples + n` times.
    level
        Nominal coverage, in (0, 1).
    num_resamples
        At least 100.
    seed
        Of the resampling; one seed gives one interval.

    Returns
    -------
    Interval
        With one value, `low` and `high` are nan: a single run has no spread to learn from.

    Raises
    ------
    ParameterError
        If a parameter is outside its range; also for a value that is not finite: count failed runs,
        do not average them.

    Notes
    -----
    Few values give intervals that are too narrow. Coverage of the nominal 95% interval of the mean of
    normal values, measured over 4000 samples (ours): 73% with 3 values, 84% with 5,
    89% with 8, 90% with 10, 92% with 20, 93% with 30.

    Time O(n num_resamples + n^2), memory at most about 100 MB.

    Examples
    --------
    >>> print(bootstrap_interval([0.61, 0.64, 0.58, 0.66, 0.60, 0.63, 0.57, 0.65]))
    0.6175 (95% interval 0.5962 to 0.6387, BCa)
    >>> print(bootstrap_interval([0.61]))
    0.61 (one value: no interval)
    """
    sample = _numbers("values", values, 1)
    level, num_resamples, seed = _settings(level, num_resamples, seed)
    function = _vectorised(statistic)
    estimate = float(function(sample, axis=-1))
    if len(sample) == 1:
        return Interval(estimate, math.nan, math.nan, level, 0, "one value: no interval")
    reason = _why_no_bca(sample)
    if not reason:
        low, high = _bootstrap_ends(sample, function, level, num_resamples, seed, "BCa")
        if math.isfinite(low) and math.isfinite(high):
            return Interval(estimate, low, high, level, num_resamples, "BCa")
        reason = "BCa is not defined"
    low, high = _bootstrap_ends(sample, function, level, num_resamples, seed, "percentile")
    return Interval(estimate, low, high, level, num_resamples, f"percentile: {reason}")


def nested_bootstrap_interval(
    table: ArrayLike,
    *,
    statistic: Statistic = "mean",
    shared_columns: bool = False,
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Two-level bootstrap interval for training seeds x noise seeds.

    Runs that share a trained model are alike, so that k models with m starts each are not k m independent
    runs. Each resample draws k rows with replacement, then m columns with replacement within each drawn row;
    the ends are percentiles of the statistic over the k m values (Davison and Hinkley 1997, section 3.8).

    Parameters
    ----------
    table
        [training seeds, noise seeds], finite, complete; one number per run, never per node.
    statistic
        As for `bootstrap_interval`, of all values [training seeds * noise seeds] of a resample.
    shared_columns
        Whether column j is the same draw in every row, and not merely the j-th draw within its row. Then
        columns are drawn once for all rows (the pigeonhole bootstrap; Owen 2007). It is wider if some noise
        seeds are hard for every model. `generate` with the same seed and the same reference graph
        starts every model at the same point: say `True` for a claim about other starts too. (10 models x
        8 shared starts, equal normal spread of models, starts and rest, 4000 tables, ours: the nominal
        95% interval holds the truth in 82% if `False`, in 93% if `True`.)
    level, num_resamples, seed
        As for `bootstrap_interval`.

    Returns
    -------
    Interval
        With one row, `low` and `high` are nan: one trained model says nothing about another training.

    Raises
    ------
    ParameterError
        If a parameter is outside its range, or `table` is not a complete finite matrix.

    Notes
    -----
    With few rows it is too narrow. Coverage of the nominal 95% interval of the mean, for m = 4 and equal
    normal spread between and within rows, measured over 4000 tables (ours): 84% with 3 rows, 88% with 5, 93%
    with 10, 95% with 20. Where noise within rows is all there is, it is too wide, since resampling rows
    already contains that noise.

    Time O(k m num_resamples), memory at most about 100 MB.

    Examples
    --------
    >>> print(nested_bootstrap_interval([[0.61, 0.64], [0.58, 0.57], [0.66, 0.70], [0.60, 0.63]]))
    0.6238 (95% interval 0.5875 to 0.6637, two-level percentile)
    """
    matrix = _numbers("table", table, 2)
    level, num_resamples, seed = _settings(level, num_resamples, seed)
    shared_columns = check_flag("shared_columns", shared_columns)
    function = _vectorised(statistic)
    estimate = float(function(matrix.reshape(-1), axis=-1))
    if len(matrix) == 1:
        return Interval(estimate, math.nan, math.nan, level, 0, "one training seed: no interval")
    generator = np.random.default_rng(seed)
    resampled = _nested_statistics(matrix, function, num_resamples, generator, shared=shared_columns)
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    method = "two-level percentile, shared columns" if shared_columns else "two-level percentile"
    method += ": all values are equal" if _all_equal(matrix) else ""
    return Interval(estimate, float(low), float(high), level, num_resamples, method)


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
    level, num_resamples, seed = _settings(level, num_resamples, seed)
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

    R+ and R- are the sums of the ranks of |a - b| over the pairs with a > b and with a < b; equal pairs are
    left out, tied ones get their mean rank. 1 if a is larger in every unequal pair; 0 if all pairs are equal.
    The effect size that belongs to Wilcoxon's test. Source: King and Minium 2003; Kerby 2014.

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
    p = _numbers("p_values", p_values, 1, nan_allowed=True)
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


class _Function(Protocol):
    def __call__(self, values: Floats, *, axis: int) -> Floats: ...


def _vectorised(statistic: Statistic) -> _Function:
    """The statistic along an axis."""
    if not callable(statistic):
        known: dict[str, Any] = {"mean": np.mean, "median": np.median}
        named: _Function = known[check_choice("statistic", statistic, known)]
        return named

    def one(values: Floats) -> float:
        result = np.asarray(statistic(values.copy()))  # it may sort in place
        if result.ndim or result.dtype.kind not in "biuf" or not np.isfinite(result):
            must = "a function from values [n] to one finite number, also for resampled values"
            raise ParameterError("statistic", must, result.tolist())
        return float(result)

    return lambda values, *, axis: np.apply_along_axis(one, axis, values)


def _bootstrap_ends(
    sample: Floats,
    function: _Function,
    level: float,
    num_resamples: int,
    seed: int,
    method: Literal["BCa", "percentile"],
) -> tuple[float, float]:
    with _no_warnings_of_degenerate_data():
        ends = stats.bootstrap(
            (sample,),
            function,
            vectorized=True,
            n_resamples=num_resamples,
            batch=_batch(sample),
            confidence_level=level,
            method=method,
            random_state=np.random.default_rng(seed),  # `rng` before scipy 1.15
        ).confidence_interval
    return float(ends.low), float(ends.high)


def _why_no_bca(sample: Floats) -> str:
    if _all_equal(sample):
        return "all values are equal"
    return "fewer than three values" if len(sample) < 3 else ""


def _nested_statistics(
    table: Floats, function: _Function, num_resamples: int, generator: np.random.Generator, *, shared: bool
) -> Floats:
    """The statistic of every resample, [num_resamples]."""
    num_rows, num_columns = table.shape
    resampled = []
    for first in range(0, num_resamples, _batch(table)):
        count = min(_batch(table), num_resamples - first)
        rows = generator.integers(num_rows, size=(count, num_rows, 1))
        columns = generator.integers(num_columns, size=(count, 1 if shared else num_rows, num_columns))
        resampled.append(function(table[rows, columns].reshape(count, -1), axis=-1))
    return np.concatenate(resampled)


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
    with _no_warnings_of_degenerate_data():
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
        batch=_batch(differences),
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


def _all_equal(values: Floats) -> bool:
    return bool((values == values.flat[0]).all())


def _batch(values: Floats) -> int:
    return max(1, VALUES_AT_ONCE // values.size)


def _settings(level: float, num_resamples: int, seed: int) -> tuple[float, int, int]:
    return (
        check_real("level", level, low=0, high=1, low_included=False),
        check_integer("num_resamples", num_resamples, low=MIN_RESAMPLES),
        check_integer("seed", seed, low=0, high=MAX_SEED),
    )


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    first, second = _numbers("a", a, 1), _numbers("b", b, 1)
    if len(first) != len(second):
        raise ParameterError("b", f"as long as 'a', {len(first)} numbers", f"{len(second)} numbers")
    return first, second


def _numbers(name: str, values: ArrayLike, ndim: int, *, nan_allowed: bool = False) -> Floats:
    shape = "a vector" if ndim == 1 else "a matrix [training seeds, noise seeds]"
    must = f"{shape} of {'' if nan_allowed else 'finite '}real numbers, not empty"
    try:
        array: NDArray[Any] = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged; a tensor with gradients
        raise ParameterError(name, must, str(error)) from error
    if array.dtype.kind not in "biuf" or array.ndim != ndim or not array.size:
        raise ParameterError(name, must, f"{array.dtype} of shape {list(array.shape)}")
    numbers = array.astype(np.float64)
    if not nan_allowed and not np.isfinite(numbers).all():
        mend = "Leave runs that failed out, and say how many they were"
        raise ParameterError(name, must, "NaN or infinity", mend=mend)
    return numbers


@contextmanager
def _no_warnings_of_degenerate_data() -> Iterator[None]:
    """Keep quiet about what `method` says anyway."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
