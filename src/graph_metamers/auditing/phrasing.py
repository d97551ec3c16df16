"""Numbers and lists as sentences about an audit write them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graph_metamers.auditing.layer_results import LayerAudit
    from graph_metamers.auditing.results import Audit
    from graph_metamers.metrics import Interval


RANDOM_GRAPHS = "random graphs with the same degrees"


@dataclass(frozen=True)
class Terms:
    """What is called how where features, or edges, vary."""

    changed: str
    unrelated: str
    differs: str
    passing: str


TERMS = {
    "features": Terms("features", "unrelated features", "differ where the layer reads", "visible_share"),
    "structure": Terms("edges", RANDOM_GRAPHS, "have other neighbours", "passing_share"),
    "both": Terms(
        "features and edges",
        f"unrelated features on {RANDOM_GRAPHS}",
        "differ in their features and in their neighbours",
        "passing_share",
    ),
}


def joined(remarks: Sequence[str]) -> str:
    """With commas."""
    return ", ".join(remarks)


def where(audit: Audit, layers: Sequence[LayerAudit]) -> str:
    """Which layers of an audit."""
    return "every audited layer" if len(layers) == len(audit.layers) else listed(layers)


def listed(layers: Sequence[LayerAudit]) -> str:
    """Names of layers."""
    return ", ".join(layer.name for layer in layers)


def starts_of(layers: Sequence[LayerAudit]) -> str:
    """From how many starts, said once where all layers agree."""
    found = list(dict.fromkeys(layer.found for layer in layers))
    if len(found) == 1:
        return f"{found[0]} starts" if len(layers[0].starts) > 1 else "one start"
    return ", ".join(f"{layer.found} starts at {layer.name}" for layer in layers)


def span(intervals: Sequence[Interval], show: Callable[[float], str] | None = None) -> str:
    """From the lowest to the highest end, in percent unless told otherwise."""
    both = [ends(interval) for interval in intervals]
    shown = show or percent
    low, high = shown(min(low for low, _ in both)), shown(max(high for _, high in both))
    if high == f"over {low}":
        return f"{low} or more"
    if low == f"under {high}":
        return f"{high} or less"
    return low if low == high else f"{low} to {high}"


def ends(interval: Interval) -> tuple[float, float]:
    """The ends, or the estimate twice where there is no interval."""
    if math.isnan(interval.low):
        return interval.estimate, interval.estimate
    return interval.low, interval.high


def plain(value: float) -> str:
    """Two decimals."""
    return f"{value:.2f}" if math.isfinite(value) else "not defined"


def short(value: float) -> str:
    """Two digits."""
    return "not defined" if math.isnan(value) else f"{value:.2g}"


def percent(share: float, digits: int = 1) -> str:
    """A share in percent; never rounded up to all, nor down to none, where something is missing or there."""
    smallest = 10 ** -(digits + 2)
    rounded = f"{share:.{digits}%}"
    if share < 1 and float(rounded[:-1]) >= 100:
        return f"over {1 - smallest:.{digits}%}"
    if share > 0 and float(rounded[:-1]) == 0:
        return f"under {smallest:.{digits}%}"
    return f"{share:.0%}" if share in (0, 1) else rounded
