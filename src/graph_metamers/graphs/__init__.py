"""What can be said of a graph before any model sees it."""

from __future__ import annotations

from graph_metamers.graphs.feature_kind import infer_feature_kind

__all__ = ["infer_feature_kind"]
