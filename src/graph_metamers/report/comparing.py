"""Whether the visible distances of two audited models differ by more than the start explains."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graph_metamers.metrics import PairedTest, holm, paired_test
from graph_metamers.report.curves import layers_at
from graph_metamers.report.numbers import ends, number, power_of_ten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.auditing import Audit, LayerAudit
    from graph_metamers.report.labels import ModelLabel

FEWEST_PAIRS = 3
"""With fewer starts in common, a paired test says nothing."""


@dataclass(frozen=True)
class Comparison:
    """Two models at the same depth, paired by start.

    Attributes
    ----------
    first, second
        Model and layer.
    difference, interval
        Mean of first minus second over the starts, and its 95% interval.
    effect_size
        Cohen's d_z: the mean difference over its standard deviation.
    p_value
        Of the paired t test, adjusted by Holm for all comparisons of the table.
    """

    first: tuple[ModelLabel, str]
    second: tuple[ModelLabel, str]
    difference: str
    interval: str
    effect_size: str
    p_value: str


def comparisons(audits: Sequence[tuple[ModelLabel, Audit]]) -> tuple[Comparison, ...]:
    """Compare the visible distances of every two models that can be compared, at every depth.

    They can if they have the data set, the name of the layer, tolerance and least distance, and at least
    `FEWEST_PAIRS` starts in common, and if every start found a metamer.

    A paired t test, since the Wilcoxon test of five pairs can never be below 0.06. It compares two trained
    models; architectures would need several trainings of each.
    """
    tested = [
        (one, other, test)
        for depth in sorted({layer.depth for _, audit in audits for layer in audit.layers})
        for one, other in itertools.combinations(_comparable(audits, depth), 2)
        if (test := _test(one, other)) is not None
    ]
    if not tested:
        return ()
    adjusted = holm([test.p_value for _, _, test in tested])
    return tuple(
        _comparison(one, other, test, float(p))
        for (one, other, test), p in zip(tested, adjusted, strict=True)
    )


@dataclass(frozen=True)
class _Runs:
    """The visible distances of a layer's metamers, by seed, and what has to agree to compare them."""

    model: ModelLabel
    layer: LayerAudit
    fingerprint: str
    distances: dict[int, float]

    @property
    def terms(self) -> tuple[str, str, float, float]:
        """Data set, layer, tolerance and least distance."""
        metamer = self.layer.metamer
        return self.fingerprint, self.layer.name, metamer.tolerance, metamer.min_distance


def _comparable(audits: Sequence[tuple[ModelLabel, Audit]], depth: int) -> list[_Runs]:
    """The layers at a depth of which every start found a metamer."""
    fingerprints = {label: audit.dataset.fingerprint for label, audit in audits}
    found = []
    for label, layer in layers_at(audits, depth):
        seeds = [start.seed for start in layer.starts]
        distances = dict(zip(seeds, layer.measures["visible_distance"].values, strict=True))
        if layer.is_matched:
            found.append(_Runs(label, layer, fingerprints[label], distances))
    return found


def _test(one: _Runs, other: _Runs) -> PairedTest | None:
    seeds = sorted(one.distances.keys() & other.distances.keys())
    if one.terms != other.terms or len(seeds) < FEWEST_PAIRS:
        return None
    return paired_test([one.distances[s] for s in seeds], [other.distances[s] for s in seeds], method="t")


def shown_p(p_value: float) -> str:
    """A p-value as shown."""
    if math.isnan(p_value):
        return "not defined"
    return power_of_ten(p_value) if p_value < 0.001 else f"{p_value:.3f}"


def _comparison(one: _Runs, other: _Runs, test: PairedTest, p_value: float) -> Comparison:
    return Comparison(
        (one.model, one.layer.name),
        (other.model, other.layer.name),
        number(test.difference.estimate),
        ends(test.difference, number),
        number(test.effect_size.cohens_d_z, 1),
        shown_p(p_value),
    )
