"""What can be said of a layer without a search: counted, measured or proved."""

from __future__ import annotations

from graph_metamers.theory.bounding import StructureLowerBound, structure_lower_bound

__all__ = ["StructureLowerBound", "structure_lower_bound"]
