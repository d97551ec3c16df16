"""Names for the few types that every part of the package speaks of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn
    from torch_geometric.data import Data, HeteroData

FeatureKind: TypeAlias = Literal["continuous", "bounded", "binary"]
"""What values a feature may take: any number, a number in a range, or 0 and 1."""

Varies: TypeAlias = Literal["features", "structure", "both"]
"""What the searches of an audit may change: features, edges, or both at once."""

TaskLevel: TypeAlias = Literal["node", "graph"]
"""What the model predicts for: every node, or every graph of a batch."""

Graph: TypeAlias = "Data | HeteroData"
"""A PyTorch Geometric graph object; a `Batch` is a `Data` (or `HeteroData`) too."""

Forward: TypeAlias = "Callable[[nn.Module, Graph], Any]"
"""How a graph is handed to a model; returns what the model returns."""

Transform: TypeAlias = "Callable[[Any], Any]"
"""A PyTorch Geometric transform that is applied to the raw graph before the model sees it."""

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""What JSON can hold."""
