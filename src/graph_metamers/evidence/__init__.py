"""What a finding has to be compared with before it says anything."""

from __future__ import annotations

from graph_metamers.evidence.baselines import ControlScores, label_propagation
from graph_metamers.evidence.controls import Baseline
from graph_metamers.evidence.gating import GateReport, gates
from graph_metamers.evidence.null import NullDistribution, null_distribution
from graph_metamers.evidence.panel import train_panel, untrained_panel
from graph_metamers.evidence.panel_members import Panel, PanelMember
from graph_metamers.evidence.panel_report import PanelReport
from graph_metamers.evidence.selftesting import SelftestReport, SelftestResult, selftest

__all__ = [
    "Baseline",
    "ControlScores",
    "GateReport",
    "NullDistribution",
    "Panel",
    "PanelMember",
    "PanelReport",
    "SelftestReport",
    "SelftestResult",
    "gates",
    "label_propagation",
    "null_distribution",
    "selftest",
    "train_panel",
    "untrained_panel",
]
