"""What a finding has to be compared with before it says anything."""

from __future__ import annotations

from graph_metamers.evidence.baselines import ControlScores, label_propagation
from graph_metamers.evidence.gating import GateReport, gates
from graph_metamers.evidence.null import NullDistribution, null_distribution

__all__ = [
    "ControlScores",
    "GateReport",
    "NullDistribution",
    "gates",
    "label_propagation",
    "null_distribution",
]
