"""What can be computed about unseen changes without a search: dimensions, volumes, spectra, visibility."""

from __future__ import annotations

from graph_metamers.theory.bounding import StructureLowerBound, structure_lower_bound
from graph_metamers.theory.dimension import DimensionProgress, MetamerDimension, local_metamer_dimension
from graph_metamers.theory.freedom import FreeShares, free_shares
from graph_metamers.theory.structure import LayerClasses, structure_classes
from graph_metamers.theory.visibility import FeatureVisibility, feature_visibility
from graph_metamers.theory.volume import VolumeChange, volume_change
from graph_metamers.theory.whole_graph import WholeGraphDimension, whole_graph_dimension

__all__ = [
    "DimensionProgress",
    "FeatureVisibility",
    "FreeShares",
    "LayerClasses",
    "MetamerDimension",
    "StructureLowerBound",
    "VolumeChange",
    "WholeGraphDimension",
    "feature_visibility",
    "free_shares",
    "local_metamer_dimension",
    "structure_classes",
    "structure_lower_bound",
    "volume_change",
    "whole_graph_dimension",
]
