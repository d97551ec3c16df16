"""A data set as the rest of the package sees it: graphs, what their values mean, a split, and its origin."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import homophily

from graph_metamers.errors import DatasetError, ParameterError
from graph_metamers.storage import fingerprint

if TYPE_CHECKING:
    from graph_metamers.datasets.block_model import ContextualBlockModel
    from graph_metamers.datasets.splits import Split
    from graph_metamers.types import FeatureKind, Graph, TaskLevel

__all__ = ["Dataset"]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Graphs with all that is needed to train on them and to speak about them in a report.

    Attributes
    ----------
    name
        Short name, such as "digits".
    graphs
        One graph for a task on nodes; one or more for a task on graphs.
    task_level
        Whether nodes or graphs have classes.
    feature_kind
        What values a feature may take.
    feature_names
        One for each column of `x`, or None if nobody knows them.
    image_shape
        (height, width) in pixels if a row of `x` is an image, row by row; else None.
    class_names
        One for each class; their number is the number of outputs of a model.
    split
        Items for training, validation and test, and where this split comes from.
    source
        Who made the data, and where they come from.
    notes
        Whole sentences that a reader of a report must know.
    block_model
        What the graph was drawn from, where that is known: a Bayes oracle can be built from it.
    """

    name: str
    graphs: tuple[Graph, ...]
    task_level: TaskLevel
    feature_kind: FeatureKind
    feature_names: tuple[str, ...] | None
    image_shape: tuple[int, int] | None
    class_names: tuple[str, ...]
    split: Split
    source: str
    notes: tuple[str, ...] = field(default=())
    block_model: ContextualBlockModel | None = None

    def __post_init__(self) -> None:
        if not self.graphs:
            raise ParameterError("graphs", "at least one graph", self.graphs)
        if self.task_level not in {"node", "graph"}:
            raise ParameterError("task_level", "'node' or 'graph'", self.task_level)
        if self.feature_kind not in {"continuous", "bounded", "binary"}:
            raise ParameterError("feature_kind", "'continuous', 'bounded' or 'binary'", self.feature_kind)

    @property
    def graph(self) -> Graph:
        """The only graph.

        Raises
        ------
        DatasetError
            If there are several.
        """
        if len(self.graphs) != 1:
            raise DatasetError(f"{self.name} has {len(self.graphs)} graphs, not one. Use dataset.graphs[i]")
        return self.graphs[0]

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def num_features(self) -> int:
        """How many columns `x` has.

        Raises
        ------
        DatasetError
            If the graph is heterogeneous: each type of node has its own number.
        """
        if not isinstance(self.graphs[0], Data):
            raise DatasetError(f"{self.name} is heterogeneous: use graph[node_type].num_features")
        return int(self.graphs[0].num_features)

    @property
    def num_nodes(self) -> int:
        """How many nodes there are, in all graphs together."""
        return sum(int(graph.num_nodes) for graph in self.graphs)

    @property
    def num_edges(self) -> int:
        """How many columns `edge_index` has, in all graphs together: an undirected edge counts twice."""
        return sum(int(graph.num_edges) for graph in self.graphs)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the tensors of all graphs and of the split: 64 hexadecimal digits."""
        tensors = {f"split/{part}": getattr(self.split, part) for part in ("train", "validation", "test")}
        for index, graph in enumerate(self.graphs):
            for store in graph.stores:
                attributes = {name: value for name, value in store.items() if isinstance(value, Tensor)}
                tensors |= {f"{index}/{store._key}/{name}": value for name, value in attributes.items()}
        return fingerprint(tensors)

    @property
    def homophily(self) -> float:
        """Share of edges that join two nodes of one class, in [0, 1]; NaN without edges.

        Source: Zhu et al. 2020, "Beyond Homophily in Graph Neural Networks" (edge homophily).

        Raises
        ------
        DatasetError
            If there are several graphs, the classes are not those of nodes, or the graph is heterogeneous.
        """
        if self.task_level != "node" or not isinstance(self.graph, Data):
            raise DatasetError(
                f"{self.name} has no homophily: that needs one graph with a class for each node"
            )
        return float(homophily(self.graph.edge_index, self.graph.y, method="edge"))

    def _summary(self) -> dict[str, str]:
        count = "1 graph" if len(self.graphs) == 1 else f"{len(self.graphs)} graphs"
        features = self.num_features if isinstance(self.graphs[0], Data) else "several kinds of"
        return {
            "graphs": f"{count}, {self.num_nodes} nodes, {self.num_edges} edges",
            "features": f"{features} features, {self.feature_kind}",
            "classes": f"{self.num_classes} classes of {self.task_level}s",
            "split": repr(self.split),
            "source": self.source,
        }

    def __repr__(self) -> str:
        lines = [f"  {name:<8}  {value}" for name, value in self._summary().items()]
        return "\n".join([f"Dataset {self.name!r}", *lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th scope='row'>{escape(name)}</th><td>{escape(value)}</td></tr>"
            for name, value in self._summary().items()
        )
        return f"<table><caption>Dataset {escape(self.name)}</caption>{rows}</table>"
