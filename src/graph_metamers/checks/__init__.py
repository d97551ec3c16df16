"""Is a model, with a graph, fit for metamers? Every defect with its mend."""

from graph_metamers.checks.checking import check
from graph_metamers.checks.findings import CheckReport, Finding

__all__ = ["CheckReport", "Finding", "check"]
