"""What intervals allow to say: comparisons that answer in one word.

One of the words is always that the numbers do not decide. No rule looks at an estimate where there is an
interval.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from graph_metamers.metrics.intervals import Interval

Comparison = Literal["above", "below", "undecided", "no interval"]
Majority = Literal["most", "few", "undecided", "no interval"]


def compare(found: Interval, other: Interval) -> Comparison:
    """Whether one number is above another, or below it.

    Returns
    -------
    str
        `"above"` or `"below"` if the intervals have no point in common, `"undecided"` if they have,
        `"no interval"` if either has none. Intervals that touch have a point in common.
    """
    if math.isnan(found.low) or math.isnan(other.low):
        return "no interval"
    if found.low > other.high:
        return "above"
    return "below" if found.high < other.low else "undecided"


def compare_with(found: Interval, level: float) -> Comparison:
    """Whether a number is above a fixed level, or below it; as `compare`."""
    if math.isnan(found.low):
        return "no interval"
    if found.low > level:
        return "above"
    return "below" if found.high < level else "undecided"


def majority(share: Interval) -> Majority:
    """Whether a share is more than a half.

    Returns
    -------
    str
        `"most"` if the whole interval lies above 1/2, `"few"` if it lies below, `"undecided"` if it holds
        1/2, `"no interval"` if there is none.
    """
    words: dict[Comparison, Majority] = {"above": "most", "below": "few"}
    answer = compare_with(share, 0.5)
    return words.get(answer, "no interval" if answer == "no interval" else "undecided")
