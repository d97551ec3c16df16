"""Runs that differ in their seeds alone, put together: one number a training seed, with an interval."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from graph_metamers.evidence.measures import limits_of, student_interval
from graph_metamers.metrics.intervals import nested_bootstrap_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graph_metamers.metrics import Interval

MODEL_SETTINGS = (
    "dataset", "split", "model", "num_layers", "hidden_channels", "activation", "residual", "perturbation",
    "drop_edge", "label_propagation", "weights",
)  # fmt: skip
SETTINGS = (*MODEL_SETTINGS, "vary", "feature_kind", "layer", "solver")

INVARIANCE = "passing_share"
"""What questions are answered with: the share of nodes that pass all gates, in [0, 1]."""

ACCURACY = "test_accuracy"
EXCESS = "excess"
"""Where the Bayes classifier of the data is known: the scaled excess invariance of each search, >= 0.

Changed Bayes labels of matched nodes over those that noise changes at the same nodes (see `ScaledExcess`); a
mean over searches is one of ratios. 0 for the oracle itself, 1 for a constant model.
"""

BESIDE = (EXCESS, "visible_distance", "edge_overlap", "prediction_agreement", "activation_loss")
"""Other measures of a search that tables show, where it has them."""


@dataclass(frozen=True, eq=False)
class Cell:
    """All searches of one layer of one kind of model, over its seeds.

    Attributes
    ----------
    settings
        Name -> value of each of `SETTINGS`.
    depth
        Place of the layer among those of the model, from 1.
    rows
        Measure -> training seed -> search seed -> value.
    num_metamers, num_searches
        How many searches found a metamer, of how many.
    num_at_chance
        How many of the models are not shown to be better than the most frequent class.
    num_parameters
        Of each model.
    """

    settings: Mapping[str, Any]
    depth: int
    rows: Mapping[str, Mapping[int, Mapping[int, float]]]
    num_metamers: int
    num_searches: int
    num_at_chance: int
    num_parameters: int

    @property
    def seeds(self) -> list[int]:
        """The training seeds, sorted."""
        return sorted(self.rows[ACCURACY])

    def by_seed(self, measure: str) -> dict[int, float]:
        """Training seed -> mean over its searches."""
        found = self.rows.get(measure, {})
        return {seed: sum(values.values()) / len(values) for seed, values in sorted(found.items())}

    def is_known(self, measure: str) -> bool:
        """Whether every search has a finite value of a measure."""
        values = [value for searches in self.rows.get(measure, {}).values() for value in searches.values()]
        return len(values) == self.num_searches and all(math.isfinite(value) for value in values)

    def interval(self, measure: str) -> Interval:
        """The mean with its 95% interval.

        Student's t over training seeds: a bootstrap of five values, nominally at 95%, holds the mean in 84%
        (`bootstrap_interval`). With several searches in each model, over training seeds and search seeds
        together (`nested_bootstrap_interval`, whose columns are shared: a seed starts every model at the same
        point), and not narrower than Student's. Accuracy has no searches.
        """
        table = [list(values.values()) for _, values in sorted(self.rows[measure].items())]
        widths = {len(values) for values in table}
        finite = all(math.isfinite(value) for values in table for value in values)
        limits = (0.0, 1.0) if measure == ACCURACY else limits_of(measure)
        over_seeds = student_interval(list(self.by_seed(measure).values()), limits)
        nested = len(table) > 1 and len(widths) == 1 and widths != {1}
        if not nested or not finite or measure == ACCURACY:
            return over_seeds
        over_both = nested_bootstrap_interval(table, shared_columns=True)
        low, high = min(over_both.low, over_seeds.low), max(over_both.high, over_seeds.high)
        return replace(over_both, low=low, high=high, method=f"{over_both.method}, widened to Student's t")


def cells_of(rows: Iterable[Mapping[str, Any]]) -> list[Cell]:
    """Put the rows of searches together; rows of models and of failures are left out.

    Parameters
    ----------
    rows
        From `rows_of`, or of a table of a store.
    """
    grouped: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["kind"] == "metamer" and row.get("error") is None:
            grouped[tuple(row[name] for name in SETTINGS)].append(row)
    return [_cell(members) for members in grouped.values()]


def _cell(members: Sequence[Mapping[str, Any]]) -> Cell:
    first = members[0]
    values: dict[str, dict[int, dict[int, float]]] = {}
    for measure in (INVARIANCE, *BESIDE, ACCURACY):
        found: dict[int, dict[int, float]] = defaultdict(dict)
        for row in sorted(members, key=lambda row: (row["seed"], row["search_seed"])):
            if row.get(measure) is not None:
                found[row["seed"]][row["search_seed"]] = float(row[measure])
        if found:
            values[measure] = dict(found)
    models = {row["seed"]: bool(row["at_chance"]) for row in members}
    return Cell(
        settings={name: first[name] for name in SETTINGS},
        depth=int(first["depth"]),
        rows=values,
        num_metamers=sum(bool(row["is_metamer"]) for row in members),
        num_searches=len(members),
        num_at_chance=sum(models.values()),
        num_parameters=int(first["num_parameters"]),
    )
