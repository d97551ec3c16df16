"""Distances between features: how far the rows of nodes have moved, in five senses, and their distributions.

Of several kinds of nodes all rows count, each beside its own kind.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from graph_metamers.arrays import array_of
from graph_metamers.metrics.distances.registry import Chance, FeatureDistance, Reading, Seen, register
from graph_metamers.metrics.fidelity import centred_cosine, cosine, word_overlap
from graph_metamers.metrics.wasserstein import wasserstein_by_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor


ROWS_AT_ONCE = 256  # what a processor holds near: larger blocks take three times as long


@register
class Cosine(FeatureDistance):
    """1 - cosine between a node's features before and after, mean over nodes."""

    name = "cosine"
    text = "One minus the cosine between a node's features before and after, mean over nodes."
    unit = "1 - cosine"
    limits = (0.0, 2.0)
    is_symmetric = True

    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:  # noqa: ARG002
        """See `Distance.raw`."""
        return Reading(_mean_row_distance(changed, reference, cosine))


@register
class CentredCosine(FeatureDistance):
    """The same after the mean node of the reference is taken off both."""

    name = "centred_cosine"
    text = "The same after the reference's mean node is taken off; about 1 for unrelated features."
    unit = "1 - cosine"
    limits = (0.0, 2.0)
    is_symmetric = False

    def _why_not_here(self, changed: Seen, reference: Seen) -> str:  # noqa: ARG002
        return _why_constant(reference)

    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:  # noqa: ARG002
        """See `Distance.raw`."""
        return Reading(_mean_row_distance(changed, reference, centred_cosine, whole=True))


@register
class IdfCosine(FeatureDistance):
    """Cosine distance in which rare words weigh more, for binary features."""

    name = "idf_cosine"
    text = "Cosine distance of binary features in which a word weighs more the fewer nodes have it."
    unit = "1 - cosine"
    limits = (0.0, 1.0)
    is_symmetric = False

    def _why_not_here(self, changed: Seen, reference: Seen) -> str:
        return _why_not_binary(changed, reference)

    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:  # noqa: ARG002
        """See `Distance.raw`."""
        return Reading(_mean_row_distance(changed, reference, cosine, weigh=inverse_frequencies))


def inverse_frequencies(x: Tensor) -> Tensor:
    """Weight of each word, float64 [F]: log((1 + n) / (1 + number of nodes that have it)) + 1.

    Parameters
    ----------
    x
        Of 0 and 1, [n, F].

    Notes
    -----
    Source: Sparck Jones 1972, smoothed as in scikit-learn: as if one node more had every word.
    """
    counts = (x != 0).double().sum(dim=0)
    return ((1 + len(x)) / (1 + counts)).log() + 1


@register
class Jaccard(FeatureDistance):
    """1 - Jaccard index of the ones of binary features."""

    name = "jaccard"
    text = "Share of the ones in either graph's binary features that are not in both."
    unit = "share of ones"
    limits = (0.0, 1.0)
    is_symmetric = True

    def _why_not_here(self, changed: Seen, reference: Seen) -> str:
        return _why_not_binary(changed, reference)

    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:  # noqa: ARG002
        """See `Distance.raw`."""
        ours, theirs = (torch.cat([x.flatten() for x in seen.features]) for seen in (changed, reference))
        overlap = word_overlap(ours, theirs)
        return Reading(0.0 if math.isnan(overlap) else 1 - overlap)


@register
class StandardisedRms(FeatureDistance):
    """Root mean square change, each feature in units of its standard deviation."""

    name = "standardised_rms"
    text = "Root mean square change of a feature in units of its standard deviation over the reference."
    unit = "standard deviations"
    limits = (0.0, math.inf)
    is_symmetric = False

    def _why_not_here(self, changed: Seen, reference: Seen) -> str:  # noqa: ARG002
        return _why_constant(reference)

    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:  # noqa: ARG002
        """See `Distance.raw`."""
        total, count = 0.0, 0
        for ours, theirs in zip(changed.features, reference.features, strict=True):
            varies = _varies(theirs)
            scale = torch.where(varies, 1 / theirs.double().std(dim=0, correction=0), 0.0)
            for x, y in _blocks(ours, theirs):
                total += float(((x - y) * scale).square().sum())
            count += len(theirs) * int(varies.sum())
        return Reading(math.sqrt(total / count))


@register
class FeatureWasserstein(FeatureDistance):
    """How far the distribution of each feature has moved, mean over features."""

    name = "wasserstein"
    text = (
        "How far the distribution of a feature over the nodes has moved (Wasserstein-1), in units of its "
        "standard deviation, mean over features; which node has which value does not count."
    )
    unit = "standard deviations"
    limits = (0.0, math.inf)
    chance: ClassVar[Chance] = "resampled"
    is_symmetric = False
    is_aligned = False

    def _why_not_here(self, changed: Seen, reference: Seen) -> str:  # noqa: ARG002
        return _why_constant(reference)

    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:  # noqa: ARG002
        """See `Distance.raw`."""
        found = []
        for ours, theirs in zip(changed.features, reference.features, strict=True):
            varies = _varies(theirs)
            x, y = (array_of(part[:, varies].double()) for part in (ours, theirs))
            found.append(wasserstein_by_column(x, y) / y.std(axis=0))
        return Reading(float(np.concatenate(found).mean()))


def _mean_row_distance(
    changed: Seen,
    reference: Seen,
    alike: Callable[[Tensor, Tensor], Tensor],
    *,
    weigh: Callable[[Tensor], Tensor] | None = None,
    whole: bool = False,
) -> float:
    """Mean over all rows of 1 - how alike they are.

    Two rows of zeros are equal (0), and a row of zeros is unrelated to any other (1): without this a node
    that loses all its words would not count.

    Parameters
    ----------
    alike
        Likeness of rows, [rows], nan where one is zero.
    weigh
        Weight of every feature, [F], from the reference's, [n, F].
    whole
        Whether `alike` needs all rows at once.
    """
    total, count = 0.0, 0
    for ours, theirs in zip(changed.features, reference.features, strict=True):
        weights = 1.0 if weigh is None else weigh(theirs)
        for x, y in _blocks(ours, theirs, len(theirs) if whole else ROWS_AT_ONCE):
            differs = (x != y).any(dim=1).double()
            likeness = alike(x * weights, y * weights)
            total += float(torch.where(likeness.isnan(), differs, 1 - likeness).sum())
        count += len(theirs)
    return max(0.0, total / count)


def _blocks(ours: Tensor, theirs: Tensor, rows: int = ROWS_AT_ONCE) -> Iterator[tuple[Tensor, Tensor]]:
    """Some rows of both after the other, float64: all of a large graph do not fit a second time."""
    for first in range(0, len(theirs), max(rows, 1)):
        yield ours[first : first + rows].double(), theirs[first : first + rows].double()


def _varies(x: Tensor) -> Tensor:
    if not len(x):
        return torch.zeros(x.shape[1], dtype=torch.bool)
    return x.amin(dim=0) < x.amax(dim=0)


def _why_constant(reference: Seen) -> str:
    varies = any(bool(_varies(x).any()) for x in reference.features)
    return "" if varies else "every feature is the same at all nodes of the reference"


def _why_not_binary(changed: Seen, reference: Seen) -> str:
    return "" if changed.is_binary and reference.is_binary else "the features are not all 0 or 1"
