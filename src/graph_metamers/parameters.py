"""Checks of single parameters, each with the same wording: what it must be, what it was, how to mend it."""

from __future__ import annotations

import difflib
import math
import numbers
import operator
from collections.abc import Iterable

from graph_metamers.errors import ParameterError

MAX_SEED = 2**63 - 1
"""The largest seed: what fits in the signed 64 bits of an index tensor or a Parquet column."""


def check_integer(name: str, value: object, *, low: int, high: int | None = None) -> int:
    """Return `value` as an `int` between `low` and `high`, both included.

    NumPy integers are accepted, since a grid of settings often comes from an array. A `bool` is not: it is
    a misplaced flag, never a count.

    Raises
    ------
    ParameterError
        If it is no integer or out of range.
    """
    must = f"an integer of at least {low}" if high is None else f"an integer from {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ParameterError(name, must, value)
    number = operator.index(value)
    if number < low or (high is not None and number > high):
        raise ParameterError(name, must, number)
    return number


def check_seeds(name: str, value: object) -> list[int]:
    """Return the integers of an iterable if they are seeds, and all of them different.

    Raises
    ------
    ParameterError
        If it is no iterable, empty, holds anything but integers from 0 on, or holds one of them twice.
    """
    if not isinstance(value, Iterable):
        raise ParameterError(name, "several integers, such as range(8)", value)
    checked = [check_integer(name, seed, low=0, high=MAX_SEED) for seed in value]
    if not checked or len(set(checked)) != len(checked):
        must = "at least one integer, and all of them different"
        raise ParameterError(
            name, must, checked, mend="A seed repeated gives the same result, and no new run"
        )
    return checked


def check_real(
    name: str,
    value: object,
    *,
    low: float,
    high: float = math.inf,
    low_included: bool = True,
    high_included: bool = False,
) -> float:
    """Return `value` as a finite `float` between `low` and `high`.

    Raises
    ------
    ParameterError
        If it is no number, not finite (NaN, infinity) or out of range.
    """
    lower = f"at least {low:g}" if low_included else f"greater than {low:g}"
    upper = "" if math.isinf(high) else f" and {'at most' if high_included else 'less than'} {high:g}"
    must = f"a finite number {lower}{upper}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ParameterError(name, must, value)
    number = float(value)
    above = number >= low if low_included else number > low
    below = number <= high if high_included else number < high
    if not (math.isfinite(number) and above and below):
        raise ParameterError(name, must, number)
    return number


def check_layer(name: str, value: object) -> str:
    """Return `value` if it can be the name of one layer: a `str`.

    Raises
    ------
    ParameterError
        If it is something else, such as a list of names.
    """
    if not isinstance(value, str):
        raise ParameterError(name, "the name of one layer", value)
    return value


def check_flag(name: str, value: object) -> bool:
    """Return `value` if it is a `bool`.

    Raises
    ------
    ParameterError
        If it is anything else; a string such as "no" would otherwise count as true.
    """
    if not isinstance(value, bool):
        raise ParameterError(name, "True or False", value)
    return value


def check_choice(name: str, value: object, choices: Iterable[str]) -> str:
    """Return `value` if it is one of `choices`.

    Raises
    ------
    ParameterError
        If it is not; the error suggests the closest choice.
    """
    known = list(choices)
    if isinstance(value, str) and value in known:
        return value
    close = difflib.get_close_matches(value.lower(), known, n=1) if isinstance(value, str) else []
    raise ParameterError(
        name,
        f"one of {', '.join(repr(choice) for choice in known)}",
        value,
        mend=f"Did you mean {close[0]!r}?" if close else "",
    )
