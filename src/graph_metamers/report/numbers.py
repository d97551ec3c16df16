"""Numbers as people read them: few digits, units, and words for what is no number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graph_metamers.metrics import Interval

MINUS = "\N{MINUS SIGN}"
_TIMES = "\N{MULTIPLICATION SIGN}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_HUGE = 1e4
_SMALL = 1e-2


def number(value: float, digits: int = 2) -> str:
    """A number with a fixed count of decimals; powers of ten where that would hide or flood it.

    Examples
    --------
    >>> number(0.6474), number(0.00081), number(float("nan"))
    ('0.65', '8.1 × 10⁻⁴', 'not defined')
    """
    odd = _not_finite(value)
    if odd is not None:
        return odd
    if value != 0 and (abs(value) < _SMALL or abs(value) >= _HUGE):
        return power_of_ten(value)
    return _minus(f"{value:.{digits}f}")


def power_of_ten(value: float) -> str:
    """A number as a x 10^b with two digits."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{_minus(mantissa)} {_TIMES} 10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def percent(share: float, digits: int = 1) -> str:
    """A share in percent; never rounded up to 100% or down to 0%.

    Examples
    --------
    >>> percent(0.9983), percent(1.0), percent(0.99999), percent(0.00001)
    ('99.8%', '100%', '> 99.9%', '< 0.1%')
    """
    odd = _not_finite(share)
    if odd is not None:
        return odd
    if share in (0, 1):
        return f"{share:.0%}"
    smallest = 10 ** -(digits + 2)
    if 0 < share < smallest:
        return f"< {smallest:.{digits}%}"
    if 1 - smallest / 2 < share < 1:
        return f"> {1 - smallest:.{digits}%}"
    return _minus(f"{share:.{digits}%}")


def alike(loss: float) -> float:
    """How much of the activations is reproduced: 1 - loss, at least 0."""
    return max(0.0, 1.0 - loss) if not math.isnan(loss) else math.nan


def alike_percent(loss: float) -> str:
    """`alike` in percent, with as many digits as the loss needs to show.

    Examples
    --------
    >>> alike_percent(9.4e-4), alike_percent(0.124), alike_percent(1.2)
    ('99.91%', '87.6%', '0%')
    """
    if loss >= 1 or not math.isfinite(loss):
        return percent(alike(loss))
    digits = 1 if loss <= 0 else min(6, max(1, -math.floor(math.log10(loss)) - 2))
    return percent(alike(loss), digits)


def correlation(value: float) -> str:
    """A number between -1 and 1, never rounded up to 1.

    Examples
    --------
    >>> correlation(0.9992), correlation(0.99996), correlation(-0.0057), correlation(1.0)
    ('0.999', '> 0.999', '−0.006', '1')
    """
    odd = _not_finite(value)
    if odd is not None:
        return odd
    if value == 1:
        return "1"
    return "> 0.999" if value > 0.9995 else _minus(f"{value:.3f}")


def fraction(value: float) -> str:
    """A share as a number between 0 and 1, never rounded to either.

    Examples
    --------
    >>> fraction(0.7034), fraction(0.0041), fraction(0.99996), fraction(1e-5), fraction(0.0)
    ('0.703', '0.004', '> 0.999', '< 0.001', '0')
    """
    odd = _not_finite(value)
    if odd is not None:
        return odd
    if value in (0, 1):
        return f"{value:.0f}"
    if 0 < value < 0.0005:
        return "< 0.001"
    return "> 0.999" if 0.9995 < value < 1 else _minus(f"{value:.3f}")


def loss_number(value: float) -> str:
    """A loss, with two significant digits where two decimals are too few.

    Examples
    --------
    >>> loss_number(0.5791), loss_number(0.0187), loss_number(0.00094)
    ('0.58', '0.019', '9.4 × 10⁻⁴')
    """
    return number(value, 3 if 0.01 <= abs(value) < 0.1 else 2)


def decibel(value: float) -> str:
    """A signal-to-noise ratio with its unit."""
    odd = _not_finite(value)
    return odd if odd is not None else _minus(f"{value:.1f} dB")


def ends(interval: Interval, show: Callable[[float], str]) -> str:
    """The ends of an interval as shown in a table; one number where both look the same; empty without any.

    Examples
    --------
    >>> from graph_metamers.metrics import bootstrap_interval
    >>> ends(bootstrap_interval([0.5, 0.25, 0.75]), percent), ends(bootstrap_interval([0.5]), percent)
    ('25.0% to 75.0%', '')
    >>> ends(bootstrap_interval([0.0005, 0.0004, 0.0006]), number)
    '4.0 to 6.0 × 10⁻⁴'
    """
    if math.isnan(interval.low):
        return ""
    low, high = show(interval.low), show(interval.high)
    power = high.partition(f" {_TIMES} ")[2]
    if power and low.endswith(f" {_TIMES} {power}") and low != high:
        low = low.partition(" ")[0]
    return low if low == high else f"{low} to {high}"


def seconds(value: float) -> str:
    """A duration.

    Examples
    --------
    >>> seconds(0.0732), seconds(75.2)
    ('0.07 s', '75 s')
    """
    odd = _not_finite(value)
    if odd is not None:
        return odd
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s" if value < 60 else f"{value:.0f} s"


def count(value: int) -> str:
    """A count with thin spaces between groups of three digits."""
    return f"{value:,}".replace(",", "\u202f")


def plural(number_of: int, noun: str) -> str:
    """A count with its noun.

    Examples
    --------
    >>> plural(1, "node"), plural(3, "node")
    ('1 node', '3 nodes')
    """
    return f"{count(number_of)} {noun}{'' if number_of == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """Words in a row.

    Examples
    --------
    >>> listed(["GCN", "GraphSAGE", "GIN"])
    'GCN, GraphSAGE and GIN'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def _not_finite(value: float) -> str | None:
    if math.isnan(value):
        return "not defined"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinity"
    return None


def _minus(text: str) -> str:
    return text.replace("-", MINUS)
