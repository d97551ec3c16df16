"""Borderline figures: what intervals decide, and what they leave open."""

from __future__ import annotations

import math

import pytest

from graph_metamers.metrics import Interval
from graph_metamers.metrics.deciding import compare, compare_with, majority


def interval(low, high):
    return Interval((low + high) / 2, low, high, 0.95, 10_000, "BCa")


NONE = Interval(0.9, math.nan, math.nan, 0.95, 0, "one value: no interval")


@pytest.mark.parametrize(
    ("found", "other", "answer"),
    [
        (interval(0.51, 0.6), interval(0.4, 0.5), "above"),
        (interval(0.5, 0.6), interval(0.4, 0.5), "undecided"),  # they touch
        (interval(0.45, 0.6), interval(0.4, 0.5), "undecided"),
        (interval(0.3, 0.4), interval(0.4, 0.5), "undecided"),
        (interval(0.3, 0.39), interval(0.4, 0.5), "below"),
        (interval(0.3, 0.3), interval(0.3, 0.3), "undecided"),  # equal, and no spread
        (NONE, interval(0.1, 0.2), "no interval"),
        (interval(0.8, 0.9), NONE, "no interval"),
    ],
)
def test_two_numbers_are_compared_by_their_intervals(found, other, answer):
    assert compare(found, other) == answer


@pytest.mark.parametrize(
    ("share", "answer"),
    [
        (interval(0.501, 0.9), "most"),
        (interval(0.5, 0.9), "undecided"),
        (interval(0.1, 0.9), "undecided"),
        (interval(0.1, 0.5), "undecided"),
        (interval(0.1, 0.499), "few"),
        (NONE, "no interval"),
    ],
)
def test_a_majority_needs_the_whole_interval(share, answer):
    assert majority(share) == answer


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (interval(0.051, 0.1), "above"),
        (interval(0.05, 0.1), "undecided"),
        (interval(-0.1, 0.05), "undecided"),
        (interval(-0.1, 0.049), "below"),
        (interval(0.0, 0.0), "below"),
        (NONE, "no interval"),
    ],
)
def test_a_number_is_compared_with_a_level_by_its_interval(found, answer):
    assert compare_with(found, 0.05) == answer
