"""What the Bayes oracle said of an audit, on disk: counts as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graph_metamers.evidence.excess import ScaledExcess

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNTS = ("matched", "flipped", "flipped_by_noise")


def describe_excess(found: ScaledExcess) -> dict[str, Any]:
    """All of it, with counts as lists."""
    return {
        "varied": found.varied,
        "layer": list(found.layer),
        "reading": found.reading,
        "relative_error": found.relative_error,
        "judged": found.judged,
        "level": found.level,
        "unconverged": found.unconverged,
        **{name: getattr(found, name).tolist() for name in COUNTS},
    }


def restored_excess(stored: Mapping[str, Any]) -> ScaledExcess:
    """What `describe_excess` was given.

    Raises
    ------
    KeyError, ValueError
        If something is missing, or the counts have different shapes.
    """
    matched, flipped = (np.array(stored[name], dtype=np.int64) for name in ("matched", "flipped"))
    by_noise = np.array(stored["flipped_by_noise"], dtype=np.float64)  # a mean over several draws of noise
    if not matched.shape == flipped.shape == by_noise.shape or matched.ndim != 2:
        raise ValueError("counts of the oracle must be tables of one shape, training seeds by noise seeds")
    return ScaledExcess(
        varied=stored["varied"],
        layer=tuple(stored["layer"]),
        reading=stored["reading"],
        relative_error=stored["relative_error"],
        judged=stored["judged"],
        matched=matched,
        flipped=flipped,
        flipped_by_noise=by_noise,
        level=stored["level"],
        unconverged=stored.get("unconverged", 0),  # an audit of before this was counted
    )
