"""How far apart two distributions of numbers are: Wasserstein-1, the area between their distribution curves.

In units of the numbers: how far each would have to be moved, on average, to turn one into the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def wasserstein_by_column(values: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """Distance between the values of each column, float64 [k].

    Parameters
    ----------
    values, others
        [n, k], or [n] for one column; as many of each.

    Notes
    -----
    With as many values of each it is the mean difference of the sorted ones. O(n log n) a column.

    Examples
    --------
    >>> wasserstein_by_column(np.array([0.0, 1.0]), np.array([2.0, 0.0])).item()
    0.5
    """
    ours, theirs = (np.asarray(part, dtype=np.float64).reshape(len(part), -1) for part in (values, others))
    distances: NDArray[np.float64] = np.abs(np.sort(ours, axis=0) - np.sort(theirs, axis=0)).mean(axis=0)
    return distances
