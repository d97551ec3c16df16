"""Measure what a search found: the unmodified model on the real, discrete graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graph_metamers.metrics.classification import Agreement, Task, prediction_agreement
from graph_metamers.metrics.fidelity import activation_loss, item_loss
from graph_metamers.synthesis.metamer import Metamer, final_status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from graph_metamers.reading.recording import Tap
    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers import Solution
    from graph_metamers.types import Graph, Json


def measure(
    problem: Problem,
    solution: Solution,
    start: Tensor,
    *,
    items: str,
    config: Mapping[str, Any],
    provenance: Mapping[str, Json],
    agree: Callable[[Mapping[str, Tensor]], Agreement | None],
) -> Metamer:
    """Make the metamer of a solution.

    Parameters
    ----------
    problem
        In the coordinates of the features.
    solution, start
        Points of the features.
    items
        What the items are, as `Layer.items` says.
    config, provenance
        What goes into the record; `config` has `tolerance` and `min_distance`.
    agree
        From the outputs of the model to their agreement with the predictions for the reference.
    """
    variables, reference, names = problem.variables, problem.variables.reference, list(problem.targets)
    graph = variables.discrete(solution.point)
    losses, per_item, outputs = losses_of(problem, graph)
    if losses > config["tolerance"] and solution.matched_point is not None:
        graph = variables.discrete(solution.matched_point)
        losses, per_item, outputs = losses_of(problem, graph)
    distance = variables.distance(graph, items)
    status = final_status(
        solution.status,
        losses,
        distance.scaled,
        tolerance=config["tolerance"],
        minimum=config["min_distance"],
    )
    return Metamer(
        graph=graph,
        reference=reference,
        layer=tuple(names),
        status=status,
        activation_loss=losses,
        relaxed_loss=solution.loss,
        start_loss=float(_losses(problem, problem.view.taps(variables.discrete(start), names))[0]),
        tolerance=config["tolerance"],
        min_distance=config["min_distance"],
        item_loss=per_item,
        items=items,
        index=problem.index,
        input_distance=distance,
        prediction_agreement=agree(outputs),
        trace=solution.trace,
        distance_trace=solution.distance_trace,
        steps=solution.steps,
        config=config,
        provenance=provenance,
    )


def losses_of(problem: Problem, graph: Graph) -> tuple[float, Tensor, dict[str, Tensor]]:
    """Activation loss and item losses, [items], in float64, of a real graph, means over layers; outputs."""
    taps, outputs = problem.view.read(graph, list(problem.targets))
    loss, pairs = _losses(problem, taps)
    per_item = torch.stack([item_loss(ours, theirs) for ours, theirs in pairs]).mean(dim=0)
    return float(loss), per_item, outputs


def _losses(problem: Problem, taps: Mapping[str, Tap]) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """The activation loss, mean over layers, and what it is of: layers read and wanted, in float64."""
    pairs = [
        (problem.choose(taps[name].value.double()), problem.choose(target.double()))
        for name, target in problem.targets.items()
    ]
    return torch.stack([activation_loss(ours, theirs) for ours, theirs in pairs]).mean(), pairs


def agreement(
    outputs: Mapping[str, Tensor], expected: tuple[str, Tensor] | None, task: Task, tolerance: float | None
) -> Agreement | None:
    """Agreement of a model's outputs with the predictions expected of it; `None` where there are none."""
    if expected is None:
        return None
    name, predictions = expected
    output = outputs[name]
    if not bool(output.isfinite().all() and predictions.isfinite().all()):
        return None
    return prediction_agreement(output, predictions, task=task, tolerance=tolerance)
