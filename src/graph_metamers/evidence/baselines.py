"""Controls: how far one gets with less than the model has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch_geometric.nn.models import LabelPropagation

from graph_metamers.metrics import Accuracy, accuracy_of
from graph_metamers.parameters import check_integer, check_real
from graph_metamers.training.scoring import require_node_level

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.datasets import Dataset


@dataclass(frozen=True)
class ControlScores:
    """How good a control is on the nodes whose labels it was not given.

    Parameters
    ----------
    name
        Which control.
    validation, test
        Accuracy on the nodes of each part of the split. There is no score on the training nodes: their
        labels are what the control was told.
    """

    name: str
    validation: Accuracy
    test: Accuracy

    def __repr__(self) -> str:
        return f"ControlScores({self.name}: test {self.test}, validation {self.validation})"


def label_propagation(dataset: Dataset, *, num_layers: int = 50, alpha: float = 0.9) -> ControlScores:
    """Classify by the edges and the training labels alone, without any feature.

    Where it does as well as a model, the edges give the classes away, and a model that ignores most of the
    features loses nothing: its metamers then tell of the task as much as of the model. It is Zhu and
    Ghahramani's label propagation (CMU-CALD-02-107) as in PyTorch Geometric: the label mass of the training
    nodes is spread over the normalised edges, Y <- alpha D^-1/2 A D^-1/2 Y + (1 - alpha) Y_train.

    Parameters
    ----------
    dataset
        A node-level data set with labels.
    num_layers
        Number of times that the labels are passed on, >= 1.
    alpha
        Weight in [0, 1] of what the neighbours say against the given labels.

    Raises
    ------
    ParameterError
        If a value is out of range, or the data set is not node-level.

    Notes
    -----
    Takes O(num_layers * num_edges * num_classes) time. A node that no label reaches gets class 0.
    """
    num_layers = check_integer("num_layers", num_layers, low=1)
    alpha = check_real("alpha", alpha, low=0.0, high=1.0, high_included=True)
    require_node_level(dataset)
    graph, split = dataset.graph, dataset.split
    predictions = propagated(graph.y, graph.edge_index, split.train, num_layers=num_layers, alpha=alpha)
    return ControlScores(
        "label propagation",
        validation=accuracy_of(predictions[split.validation], graph.y[split.validation]),
        test=accuracy_of(predictions[split.test], graph.y[split.test]),
    )


def propagated(
    labels: Tensor, edge_index: Tensor, given: Tensor, *, num_layers: int = 50, alpha: float = 0.9
) -> Tensor:
    """The classes that label propagation finds, int64 [n].

    Parameters
    ----------
    labels
        Class of every node, int64 [n]; only those of `given` are used.
    edge_index
        int64 [2, E].
    given
        Nodes whose labels are told, int64 indices.
    num_layers, alpha
        As in `label_propagation`.
    """
    propagate = LabelPropagation(num_layers=num_layers, alpha=alpha)
    classes: Tensor = propagate(labels, edge_index, mask=given).argmax(dim=1)
    return classes
