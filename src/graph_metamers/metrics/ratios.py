"""A ratio of two counts over runs, with its interval over seeds; 0/0 is no number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from graph_metamers.errors import ParameterError
from graph_metamers.metrics.intervals import Interval, check_resampling, numbers_of
from graph_metamers.parameters import check_flag

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ratio_interval"]


def ratio_interval(
    above: ArrayLike,
    below: ArrayLike,
    *,
    shared_columns: bool = True,
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Two-level bootstrap interval of sum(above) / sum(below), runs resampled as wholes.

    A run is a training seed with a noise seed; both its counts stay together. Resampling is that of
    `nested_bootstrap_interval`: training seeds, then noise seeds. With one training seed only noise seeds are
    resampled: the interval is then about other noise in this model, and `method` says so.

    Parameters
    ----------
    above, below
        [training seeds, noise seeds], finite, `below` not negative; counts over the nodes of a run, never one
        number a node.
    shared_columns
        Whether column j is the same noise in every row.
    level, num_resamples, seed
        As for `bootstrap_interval`.

    Returns
    -------
    Interval
        All nan if `below` sums to 0: 0/0 is undefined, which `method` says. Without ends where there is one
        run only, or a resample would be 0/0.

    Raises
    ------
    ParameterError
        If a parameter is outside its range, or the shapes differ.

    Notes
    -----
    Ends are percentiles: with few runs the interval is too narrow, and where all runs agree it has no width;
    see `nested_bootstrap_interval` for measured coverage. Ours.

    Examples
    --------
    >>> print(ratio_interval([[3, 4], [2, 3]], [[10, 10], [10, 10]]))
    0.3 (95% interval 0.2 to 0.4, two-level percentile, shared columns)
    >>> print(ratio_interval([[0, 0]], [[0, 0]]))
    nan (undefined: 0/0)
    """
    numerators, denominators = numbers_of("above", above, 2), numbers_of("below", below, 2)
    if numerators.shape != denominators.shape:
        raise ParameterError("below", f"of shape {list(numerators.shape)}", list(denominators.shape))
    if bool((denominators < 0).any()):
        raise ParameterError("below", "at least 0", float(denominators.min()))
    level, num_resamples, seed = check_resampling(level, num_resamples, seed)
    shared_columns = check_flag("shared_columns", shared_columns)
    top, bottom = float(numerators.sum()), float(denominators.sum())
    if bottom == 0:
        reason = "undefined: 0/0" if top == 0 else "undefined: division by 0"
        return Interval(math.nan, math.nan, math.nan, level, 0, reason)
    if numerators.size == 1:
        return Interval(top / bottom, math.nan, math.nan, level, 0, "one run: no interval")
    if numerators.shape[1] == 1 and numerators.shape[0] > 1:  # then rows are all there is to resample
        numerators, denominators, method = numerators.T, denominators.T, "percentile over training seeds"
    elif numerators.shape[0] == 1:
        method = "percentile over noise seeds of one model"
    else:
        method = "two-level percentile" + (", shared columns" if shared_columns else "")
    places = _drawn(numerators.shape, num_resamples, np.random.default_rng(seed), shared=shared_columns)
    tops = numerators[places].sum(axis=(1, 2))
    bottoms = denominators[places].sum(axis=(1, 2))
    if bool((bottoms == 0).any()):
        return Interval(top / bottom, math.nan, math.nan, level, 0, "a resample is 0/0: no interval")
    low, high = np.quantile(tops / bottoms, [(1 - level) / 2, (1 + level) / 2])
    return Interval(top / bottom, float(low), float(high), level, num_resamples, method)


def _drawn(
    shape: tuple[int, ...], num_resamples: int, generator: np.random.Generator, *, shared: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of every resample, broadcast to [num_resamples, rows, columns]."""
    num_rows, num_columns = shape
    rows = generator.integers(num_rows, size=(num_resamples, num_rows, 1))
    columns = generator.integers(num_columns, size=(num_resamples, 1 if shared else num_rows, num_columns))
    return rows, columns
