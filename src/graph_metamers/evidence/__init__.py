"""What a finding has to be compared with before it says anything."""

from __future__ import annotations

from graph_metamers.evidence.baselines import ControlScores, label_propagation

__all__ = ["ControlScores", "label_propagation"]
