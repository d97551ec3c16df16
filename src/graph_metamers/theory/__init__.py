"""What can be computed about unseen changes without a search: dimensions, volumes, spectra, visibility."""

from __future__ import annotations

from graph_metamers.theory.dimension import DimensionProgress, MetamerDimension, local_metamer_dimension
from graph_metamers.theory.visibility import FeatureVisibility, feature_visibility
from graph_metamers.theory.volume import VolumeChange, volume_change

__all__ = [
    "DimensionProgress",
    "FeatureVisibility",
    "MetamerDimension",
    "VolumeChange",
    "feature_visibility",
    "local_metamer_dimension",
    "volume_change",
]
