"""What can be computed about unseen changes without a search: dimensions, volumes, spectra, visibility."""

from __future__ import annotations

from graph_metamers.theory.structure import LayerClasses, structure_classes
from graph_metamers.theory.visibility import FeatureVisibility, feature_visibility
from graph_metamers.theory.volume import VolumeChange, volume_change

__all__ = [
    "FeatureVisibility",
    "LayerClasses",
    "VolumeChange",
    "feature_visibility",
    "structure_classes",
    "volume_change",
]
