"""What a finding has to be compared with before it says anything."""

from __future__ import annotations

from graph_metamers.evidence.baselines import ControlScores, label_propagation
from graph_metamers.evidence.distance_report import DistanceReport, MeasuredDistance
from graph_metamers.evidence.distances import DistanceInfo, list_distances, measure_distances
from graph_metamers.evidence.gating import GateReport, gates
from graph_metamers.evidence.null import NullDistribution, null_distribution
from graph_metamers.evidence.selftesting import SelftestReport, SelftestResult, selftest

__all__ = [
    "ControlScores",
    "DistanceInfo",
    "DistanceReport",
    "GateReport",
    "MeasuredDistance",
    "NullDistribution",
    "SelftestReport",
    "SelftestResult",
    "gates",
    "label_propagation",
    "list_distances",
    "measure_distances",
    "null_distribution",
    "selftest",
]
