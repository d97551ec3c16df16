"""Whether two quantities rise together, by their ranks, beside a third one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

if TYPE_CHECKING:
    import numpy.typing as npt


def partial_rank_correlation(
    first: npt.ArrayLike, second: npt.ArrayLike, given: npt.ArrayLike | None = None
) -> float:
    """Spearman's correlation of two quantities, with what the ranks of a third one explain taken out.

    Parameters
    ----------
    first, second, given
        One number an item, [items]; entries that are not finite in any of them are left out.

    Returns
    -------
    float
        -1 to 1; chance level 0. nan with fewer than four items, or where nothing is left that varies.

    Notes
    -----
    Pearson's correlation of the residuals of both ranks (ties get their mean) after least squares on the
    ranks of `given`; without it Spearman's correlation.

    Examples
    --------
    >>> partial_rank_correlation([1, 2, 3, 4], [10, 20, 25, 90])
    1.0
    """
    columns = [np.asarray(column, dtype=np.float64) for column in (first, second)]
    columns += [] if given is None else [np.asarray(given, dtype=np.float64)]
    kept = np.isfinite(columns).all(axis=0)
    if kept.sum() < 4:
        return math.nan
    ranks = [rankdata(column[kept]) for column in columns]
    beside = np.stack([np.ones(len(ranks[0])), *ranks[2:]], axis=1)
    left = [rank - beside @ np.linalg.lstsq(beside, rank, rcond=None)[0] for rank in ranks[:2]]
    sizes = [float(np.linalg.norm(residual)) for residual in left]
    if min(sizes) < 1e-9 * len(left[0]):
        return math.nan
    return float(np.clip(left[0] @ left[1] / (sizes[0] * sizes[1]), -1.0, 1.0).round(12))
