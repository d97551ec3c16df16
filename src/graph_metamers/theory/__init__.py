"""What can be counted without a search: dimensions of the metamer sets, by derivatives at the reference."""

from __future__ import annotations

from graph_metamers.theory.dimension import DimensionProgress, MetamerDimension, local_metamer_dimension
from graph_metamers.theory.whole_graph import WholeGraphDimension, whole_graph_dimension

__all__ = [
    "DimensionProgress",
    "MetamerDimension",
    "WholeGraphDimension",
    "local_metamer_dimension",
    "whole_graph_dimension",
]
