"""What intervals allow to say: the comparisons on which every sentence about an audit rests.

Each rule answers in one word, and one of the words is always that the numbers do not decide. No rule looks
at an estimate where there is an interval.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from graph_metamers.auditing.layer_results import LayerAudit
    from graph_metamers.metrics import Interval

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


def majority(share: Interval) -> Majority:
    """Whether a share is more than a half.

    Returns
    -------
    str
        `"most"` if the whole interval lies above 1/2, `"few"` if it lies below, `"undecided"` if it holds
        1/2, `"no interval"` if there is none.
    """
    if math.isnan(share.low):
        return "no interval"
    if share.low > 0.5:
        return "most"
    return "few" if share.high < 0.5 else "undecided"


def kind_of(layer: LayerAudit) -> Literal["visible", "null space"]:
    """What kind most metamers of a layer are.

    `"null space"` if more nodes pass the gates by differing where the layer does not read than by
    differing where it does (by their intervals; with one start by their values), else `"visible"`, which
    changed edges always are, alone or beside features.
    """
    if layer.varies != "features":
        return "visible"
    hidden, seen = layer.measures["null_space_share"], layer.measures["visible_share"]
    compared = compare(hidden.interval, seen.interval)
    by_value = compared == "no interval" and hidden.value > seen.value
    return "null space" if compared == "above" or by_value else "visible"
