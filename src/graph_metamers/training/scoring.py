"""How good a model is on each part of a split."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from graph_metamers.errors import ModelError, ParameterError
from graph_metamers.metrics import Accuracy, accuracy_of, predicted_classes
from graph_metamers.reading.binding import call_model
from graph_metamers.reading.guarding import borrowed

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch_geometric.data import Data

    from graph_metamers.datasets import Dataset
    from graph_metamers.types import Forward, Transform


@dataclass(frozen=True)
class Scores:
    """Accuracy on the three parts of a split, each beside its chance level.

    Parameters
    ----------
    train, validation, test
        Accuracy on the nodes of each part. Only `test` took no part in the training.
    """

    train: Accuracy
    validation: Accuracy
    test: Accuracy


def evaluate(
    model: nn.Module, dataset: Dataset, *, transform: Transform | None = None, forward: Forward | None = None
) -> Scores:
    """Measure the accuracy of a model on each part of the split.

    Parameters
    ----------
    model
        Any module that returns logits [num_nodes, num_classes]. It is put into eval mode for the one call
        and comes back as it was, also after an exception.
    dataset
        A node-level data set with labels.
    transform
        A PyTorch Geometric transform that the model's input goes through.
    forward
        How to call the model, as `forward(model, graph)`; default: by the names of its parameters.

    Raises
    ------
    ParameterError
        If the data set is not node-level.
    ModelError
        If the model returns anything but finite logits [num_nodes, num_classes].
    """
    require_node_level(dataset)
    graph = on_device_of(model, dataset.graph)
    with borrowed(model), torch.no_grad():
        logits = call_model(model, graph, forward=forward, transform=transform)
    require_logits(logits, dataset)
    if not bool(torch.isfinite(logits).all()):
        raise ModelError(
            f"the output of {type(model).__name__} must be finite, got NaN or infinity; train it first"
        )
    return score(logits, dataset)


def score(logits: Tensor, dataset: Dataset) -> Scores:
    """Compare logits [num_nodes, num_classes] with the labels on each part of the split."""
    predictions = predicted_classes(logits.detach().cpu(), task="multiclass")
    labels = dataset.graph.y.cpu()

    def on(part: Tensor) -> Accuracy:
        return accuracy_of(predictions[part], labels[part])

    return Scores(on(dataset.split.train), on(dataset.split.validation), on(dataset.split.test))


def require_node_level(dataset: Dataset) -> None:
    """Refuse what cannot be scored per node.

    Raises
    ------
    ParameterError
        If the data set is not node-level, is heterogeneous or without labels, or has an empty part.
    """
    if dataset.task_level != "node":
        raise ParameterError(
            "dataset",
            "node-level (one label per node)",
            f"{dataset.name}, which is {dataset.task_level}-level",
            mend="Train the model with a loop of your own; everything else accepts it",
        )
    # A heterogeneous graph has labels per node type, and no 'y' of its own.
    if not isinstance(getattr(dataset.graph, "y", None), torch.Tensor):
        raise ParameterError("dataset", "one homogeneous graph with labels 'y'", dataset.name)
    for part in ("train", "validation", "test"):
        if len(getattr(dataset.split, part)) == 0:
            raise ParameterError("dataset", f"split with at least one {part} node", dataset.name)


def require_logits(output: object, dataset: Dataset) -> None:
    """Refuse an output that is not one row of class logits per node.

    Raises
    ------
    ModelError
        If it is not.
    """
    expected = [dataset.num_nodes, dataset.num_classes]
    if (
        not isinstance(output, torch.Tensor)
        or list(output.shape) != expected
        or not output.is_floating_point()
    ):
        got = (
            f"{str(output.dtype).removeprefix('torch.')} {list(output.shape)}"
            if isinstance(output, torch.Tensor)
            else type(output).__name__
        )
        raise ModelError(
            f"the model must return float logits [num_nodes, num_classes] = {expected}, got {got}; "
            "pass forward=lambda model, graph: ... to pick or reshape them"
        )


def on_device_of(model: nn.Module, graph: Data) -> Data:
    """Return the graph on the model's device, leaving the given one where it is."""
    parameter = next(model.parameters(), None)
    # `Data.to` moves the graph itself, not a copy of it.
    own = copy.copy(graph)
    return own if parameter is None else own.to(parameter.device)
