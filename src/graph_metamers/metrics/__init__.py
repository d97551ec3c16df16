"""Pure functions: how good predictions are, how far they agree, and how sure a number over seeds is."""

from __future__ import annotations

from graph_metamers.metrics.classification import (
    Accuracy,
    Agreement,
    accuracy_of,
    predicted_classes,
    prediction_agreement,
)
from graph_metamers.metrics.comparisons import (
    EffectSize,
    PairedTest,
    cohens_d_z,
    holm,
    paired_test,
    rank_biserial,
)
from graph_metamers.metrics.consistency_score import Consistency, consistency
from graph_metamers.metrics.intervals import Interval, bootstrap_interval, nested_bootstrap_interval
from graph_metamers.metrics.ranking import partial_rank_correlation
from graph_metamers.metrics.ratios import ratio_interval

__all__ = [
    "Accuracy",
    "Agreement",
    "Consistency",
    "EffectSize",
    "Interval",
    "PairedTest",
    "accuracy_of",
    "bootstrap_interval",
    "cohens_d_z",
    "consistency",
    "holm",
    "nested_bootstrap_interval",
    "paired_test",
    "partial_rank_correlation",
    "predicted_classes",
    "prediction_agreement",
    "rank_biserial",
    "ratio_interval",
]
