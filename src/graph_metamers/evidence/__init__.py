"""What a finding has to be compared with before it says anything."""

from __future__ import annotations

from graph_metamers.evidence.baselines import ControlScores, label_propagation
from graph_metamers.evidence.bayes_oracle import BayesOracle
from graph_metamers.evidence.belief_propagation import Beliefs, propagate_beliefs
from graph_metamers.evidence.controls import Baseline
from graph_metamers.evidence.distance_report import DistanceReport, MeasuredDistance
from graph_metamers.evidence.distances import DistanceInfo, list_distances, measure_distances
from graph_metamers.evidence.excess import ScaledExcess, oracle_figures, scaled_excess
from graph_metamers.evidence.gating import GateReport, gates
from graph_metamers.evidence.null import NullDistribution, null_distribution
from graph_metamers.evidence.oracle_models import ConstantModel, OracleModel, WithLabelPropagation
from graph_metamers.evidence.panel import train_panel, untrained_panel
from graph_metamers.evidence.panel_members import Panel, PanelMember
from graph_metamers.evidence.panel_report import PanelReport
from graph_metamers.evidence.robustness import OverRobustness, over_robustness
from graph_metamers.evidence.selftesting import SelftestReport, SelftestResult, selftest

__all__ = [
    "Baseline",
    "BayesOracle",
    "Beliefs",
    "ConstantModel",
    "ControlScores",
    "DistanceInfo",
    "DistanceReport",
    "GateReport",
    "MeasuredDistance",
    "NullDistribution",
    "OracleModel",
    "OverRobustness",
    "Panel",
    "PanelMember",
    "PanelReport",
    "ScaledExcess",
    "SelftestReport",
    "SelftestResult",
    "WithLabelPropagation",
    "gates",
    "label_propagation",
    "list_distances",
    "measure_distances",
    "null_distribution",
    "oracle_figures",
    "over_robustness",
    "propagate_beliefs",
    "scaled_excess",
    "selftest",
    "train_panel",
    "untrained_panel",
]
