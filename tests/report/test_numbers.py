from __future__ import annotations

import math

import pytest

from graph_metamers.report import numbers


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.6474, "0.65"),
        (0.0, "0.00"),
        (8.1e-4, "8.1 \N{MULTIPLICATION SIGN} 10⁻⁴"),
        (-12.345, "\N{MINUS SIGN}12.35"),
        (123456.0, "1.2 \N{MULTIPLICATION SIGN} 10⁵"),
        (math.inf, "infinite"),
        (-math.inf, "minus infinity"),
        (math.nan, "not defined"),
    ],
)
def test_numbers_have_few_digits_and_words_for_what_is_no_number(value, shown):
    assert numbers.number(value) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (1.0, "100%"),
        (0.0, "0%"),
        (0.9983, "99.8%"),
        (0.99999, "> 99.9%"),
        (1e-5, "< 0.1%"),
        (math.nan, "not defined"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_nothing(share, shown):
    assert numbers.percent(share) == shown


@pytest.mark.parametrize(
    ("loss", "shown"),
    [
        (0.0, "100%"),
        (9.4e-4, "99.91%"),
        (0.124, "87.6%"),
        (1.2, "0%"),
        (math.inf, "0%"),
        (math.nan, "not defined"),
    ],
)
def test_likeness_shows_as_many_digits_as_the_loss_needs(loss, shown):
    assert numbers.alike_percent(loss) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.9992, "0.999"), (0.99996, "> 0.999"), (1.0, "1"), (-0.0057, "\N{MINUS SIGN}0.006")],
)
def test_a_correlation_is_never_rounded_to_one(value, shown):
    assert numbers.correlation(value) == shown


def test_words():
    assert numbers.listed([]) == ""
    assert numbers.listed(["a"]) == "a"
    assert numbers.listed(["a", "b", "c"]) == "a, b and c"
    assert numbers.seconds(0.0732) == "0.07 s"
    assert numbers.count(1797) == "1\u202f797"
    assert numbers.decibel(math.inf) == "infinite"
