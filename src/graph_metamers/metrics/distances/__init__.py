"""Every distance between two versions of a graph, each a small class on one list.

A distance says what it looks at, in which unit, and which unrelated graph stands at 1 on its scale; it reads
two `Seen` graphs and gives a `Reading`. Adding one is a class with `@register` in a file that is imported
here.
"""

from __future__ import annotations

from graph_metamers.metrics.distances import (
    cut,
    features,
    spectrum,
    structure,
    transport,
    weisfeiler_leman,
)
from graph_metamers.metrics.distances.registry import (
    CHANCES,
    Chance,
    Distance,
    FeatureDistance,
    Kind,
    Reading,
    Seen,
    StructureDistance,
    model_free,
    register,
    registered,
)

__all__ = [
    "CHANCES",
    "Chance",
    "Distance",
    "FeatureDistance",
    "Kind",
    "Reading",
    "Seen",
    "StructureDistance",
    "cut",
    "features",
    "model_free",
    "register",
    "registered",
    "spectrum",
    "structure",
    "transport",
    "weisfeiler_leman",
]
