"""Numbers about a metamer, each with its chance level, from one search or from several starts of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from graph_metamers.metrics.intervals import Interval, bootstrap_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graph_metamers.types import Varies


_ANY = (-math.inf, math.inf)


@dataclass(frozen=True)
class Measure:
    """One number about the metamers of a layer, over several starts of the search, beside chance.

    Attributes
    ----------
    name
        Stable name, a column of `Audit.rows()`.
    label
        What a reader sees.
    meaning
        One sentence: what it says, unit, range.
    values
        The measure of what was found from each start; nan where it is not defined.
    chances
        The same measure for features shuffled over the nodes, one shuffle for each start; where edges vary,
        for as many random graphs with the same degrees; where both vary, for as many shuffles on such graphs.
    """

    name: str
    label: str
    meaning: str
    values: tuple[float, ...]
    chances: tuple[float, ...]

    @property
    def value(self) -> float:
        """Mean over the starts."""
        return self.interval.estimate

    @property
    def chance(self) -> float:
        """Mean over the shuffles."""
        return self.chance_interval.estimate

    @cached_property
    def interval(self) -> Interval:
        """The mean with its 95% interval over the starts."""
        return interval_over_starts(self.values, limits_of(self.name))

    @cached_property
    def chance_interval(self) -> Interval:
        """The mean of the chance level with its 95% interval over the shuffles."""
        return interval_over_starts(self.chances, limits_of(self.name))


FEWEST_FOR_BOOTSTRAP = 5
"""With fewer starts the bootstrap is far too narrow: a nominal 95% interval holds the truth in about half of
the cases with two values, in 73% with three (measured, see `bootstrap_interval`)."""


def interval_over_starts(values: Sequence[float], limits: tuple[float, float] = _ANY) -> Interval:
    """The mean of one number per start, with a 95% interval where there can be one.

    Starts are resampled, never nodes. The interval is about other starts of the search in the same trained
    model; it says nothing about other trainings. With fewer than `FEWEST_FOR_BOOTSTRAP` starts it is
    Student's t interval, cut at the limits of the measure. `low` and `high` are nan with one start, and where
    a value is not finite.
    """
    if len(values) >= FEWEST_FOR_BOOTSTRAP and all(math.isfinite(value) for value in values):
        return bootstrap_interval(values)
    return student_interval(values, limits)


def student_interval(values: Sequence[float], limits: tuple[float, float] = _ANY) -> Interval:
    """The mean of independent numbers with Student's 95% interval, cut at the limits of the measure.

    `low` and `high` are nan with one number, and where one is not finite.
    """
    if not all(math.isfinite(value) for value in values):
        mean = math.nan if any(math.isnan(value) for value in values) else sum(values) / len(values)
        return Interval(mean, math.nan, math.nan, 0.95, 0, "not finite: no interval")
    if len(values) < 2:
        return bootstrap_interval(values)
    mean, error = float(np.mean(values)), float(stats.sem(values))
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * error
    low, high = max(limits[0], mean - reach), min(limits[1], mean + reach)
    return Interval(mean, low, high, 0.95, 0, f"Student's t: {len(values)} values")


def measure(
    found: Sequence[Mapping[str, float]],
    chance: Sequence[Mapping[str, float]],
    *,
    varies: Varies = "features",
) -> dict[str, Measure]:
    """Put together what was measured from every start, and for as many shuffles.

    Parameters
    ----------
    found, chance
        Name -> value, of what each search found and of shuffled features; the names of `found` count.
    varies
        What may vary: some measures are called otherwise where edges do.

    Returns
    -------
    dict
        Name -> measure, in the order in which they are shown.
    """
    return {
        name: described_measure(
            name,
            [numbers[name] for numbers in found],
            [numbers[name] for numbers in chance],
            varies=varies,
        )
        for name in found[0]
    }


def described_measure(
    name: str, values: Sequence[float], chances: Sequence[float], *, varies: Varies = "features"
) -> Measure:
    """The measure of that name with its label and meaning."""
    label, meaning = _OWN_TEXTS[varies].get(name) or TEXTS[name]
    return Measure(name, label, meaning, tuple(values), tuple(chances))


TEXTS: Mapping[str, tuple[str, str]] = {
    "activation_loss": (
        "Activation loss",
        "Squared error of the layer over its squared size; 0 = matched exactly.",
    ),
    "item_loss_median": ("Item loss, median", "The same for single nodes: half of them have less."),
    "item_loss_95": ("Item loss, 95%", "The same for single nodes: 95% of them have less."),
    "snr_db": (
        "Signal to noise (dB)",
        "-10 log10 of the activation loss: 30 dB is a loss of 0.001, 0 dB a layer of zeros.",
    ),
    "spearman": (
        "Spearman correlation",
        "Rank correlation over the units of a node, mean over nodes, -1 to 1; coarse under 30 units.",
    ),
    "pearson": ("Pearson correlation", "Correlation over the units of a node, mean over nodes, -1 to 1."),
    "matched_share": (
        "Nodes matched",
        "Share of nodes whose item loss is at most ten times the tolerance, 0 to 1.",
    ),
    "prediction_agreement": (
        "Same prediction",
        "Share of the model's own predictions that stay (gate 1), 0 to 1.",
    ),
    "closer_share": (
        "Closer than any real node",
        "Share of nodes that are nearer to their reference than any real node with another "
        "activation is, or equal it (gate 2), 0 to 1.",
    ),
    "different_share": (
        "Not the reference again",
        "Share of nodes whose own features are at least the minimal distance away (gate 3), 0 to 1.",
    ),
    "passing_share": ("Passes all gates", "Share of nodes that pass the three gates, 0 to 1."),
    "visible_share": (
        "... and differs visibly",
        "Of these, nodes that differ by at least the minimal distance where the layer reads, as a "
        "share of all nodes, 0 to 1: what headlines speak of.",
    ),
    "null_space_share": (
        "... only in the null space",
        "Nodes that pass and differ only where the layer does not read, as a share of all nodes, 0 "
        "to 1: metamers by counting dimensions.",
    ),
    "visible_distance": (
        "Visible distance",
        "Distance of the features inside the directions that the layer reads: 0 = the reference, 1 "
        "= unrelated.",
    ),
    "null_space_distance": (
        "Null-space distance",
        "Distance in the directions that the layer does not read, on the same scale; 0 where there are none.",
    ),
    "input_distance": (
        "Input distance",
        "Distance of the features as a whole: 0 = the reference, 1 = unrelated.",
    ),
    "cosine": (
        "Feature cosine",
        "Cosine between a node's features before and after, mean over nodes; positive features have "
        "a high one by chance.",
    ),
    "centred_cosine": (
        "Feature cosine, centred",
        "The same after the mean node is taken off; about 0 for unrelated features.",
    ),
    "word_overlap": ("Word overlap", "Ones in common over ones in either (Jaccard), 0 to 1."),
    "standardised_rms_distance": (
        "Change in standard deviations",
        "Root mean square change of a feature, in units of its standard deviation over the nodes.",
    ),
    "idf_cosine_distance": (
        "Cosine distance, rare words first",
        "One minus the cosine between a node's words before and after, each weighing more the fewer nodes "
        "have it; mean over nodes, 0 to 1.",
    ),
}
"""Name of a measure -> what a reader sees, and one sentence: what it says, unit, range."""

EDGE_TEXTS: Mapping[str, tuple[str, str]] = {
    "different_share": (
        "Not the reference again",
        "Share of nodes of whose neighbours at least the minimal distance are others (gate 3), 0 to 1.",
    ),
    "input_distance": (
        "Input distance",
        "Share of edges that are others, over the same of a random graph with these degrees: 0 = the "
        "reference, 1 = such a graph. It exceeds 1 where no edge of the reference is left.",
    ),
    "edge_overlap": (
        "Edge overlap",
        "Edges in common with the reference over edges in either (Jaccard), 0 to 1.",
    ),
    "kept_degrees": ("Degrees kept", "Share of nodes that keep their number of neighbours, 0 to 1."),
    "clustering": (
        "Clustering",
        "Share of pairs of a node's neighbours that are joined themselves, mean over nodes, 0 to 1.",
    ),
    "homophily": ("Label homophily", "Share of edges that join two nodes of one class, 0 to 1."),
    "weisfeiler_leman_class_distance": (
        "Other neighbourhoods",
        "How differently often neighbourhoods of three hops occur, nodes labelled by class (Weisfeiler-Leman "
        "kernel distance), 0 to 1.",
    ),
    "spectrum_distance": (
        "Spectrum moved",
        "How far the eigenvalues of the normalised Laplacian have moved on average, 0 to 2; of graphs with "
        "more than 1500 nodes as random probes see them.",
    ),
}
"""The same where edges vary, for names that are there for edges alone or mean something else for them."""

BOTH_TEXTS: Mapping[str, tuple[str, str]] = {
    **EDGE_TEXTS,
    "different_share": (
        "Not the reference again",
        "Share of nodes whose own features and whose neighbours are both at least the minimal distance "
        "away (gate 3), 0 to 1.",
    ),
    "input_distance": (
        "Input distance",
        "The smaller of two distances: that of the features as a whole, and that of the edges (the share "
        "that are others, over the same of a random graph with these degrees); 0 = the reference, 1 = "
        "unrelated.",
    ),
}
"""The same where features and edges vary together."""

_OWN_TEXTS: Mapping[Varies, Mapping[str, tuple[str, str]]] = {
    "features": {},
    "structure": EDGE_TEXTS,
    "both": BOTH_TEXTS,
}

_CORRELATIONS = frozenset({"spearman", "pearson", "cosine", "centred_cosine"})
_SHARES = frozenset(
    {"prediction_agreement", "word_overlap", "edge_overlap", "kept_degrees", "clustering", "homophily"}
)


def limits_of(name: str) -> tuple[float, float]:
    """The smallest and the largest value that a measure can have."""
    if name in _CORRELATIONS:
        return -1.0, 1.0
    if name in _SHARES or name.endswith("_share"):
        return 0.0, 1.0
    return _ANY if name == "snr_db" else (0.0, math.inf)
