"""Search the graphs of a batch apart, where the model keeps them apart."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
from torch_geometric.data import Batch

from graph_metamers.inputs.coordinates import Coordinates
from graph_metamers.inputs.slots import rows_of_items
from graph_metamers.reading.items import items_of
from graph_metamers.synthesis.blocks import Blocks

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.synthesis.problem import Problem

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
"""Largest change of a graph's activations, over their size, that is rounding."""


def separated(problem: Problem, start: Tensor) -> Problem:
    """The problem in blocks, one for each graph of a batch, if no graph's activations depend on another one.

    Parameters
    ----------
    problem
        Call inside `view.borrow()`.
    start
        A point, [p], at which that is verified.

    Returns
    -------
    Problem
        The same one where there is one graph, or where the model lets graphs of a batch see each other.

    Notes
    -----
    Ours. Some graphs' features are changed, and the others' activations must stay: so many times that every
    two graphs are told apart, 2 log2(graphs) runs of the (compressed) model.
    """
    graph = problem.variables.reference
    if not isinstance(graph, Batch) or graph.num_graphs < 2:
        return problem
    items = _graph_of_items(problem)
    if items is None:
        return problem
    owners = _graph_of_coordinates(problem)
    count = graph.num_graphs
    with torch.no_grad():
        before = _activations(problem, start, items)
        other = problem.project(start + 0.5 * (start.roll(1) - start))
        for bit in range((count - 1).bit_length()):
            for value in (0, 1):
                changed = (torch.arange(count, device=owners.device) >> bit) & 1 == value
                after = _activations(problem, torch.where(changed[owners], other, start), items)
                if not _are_same(before, after, ~changed[items]):
                    return problem
    return dataclasses.replace(problem, blocks=Blocks(count, owners, items))


def _graph_of_items(problem: Problem) -> Tensor | None:
    """Graph of every item that has to match, int64 [k]; `None` where an item has none."""
    graph = problem.variables.reference
    name, target = next(iter(problem.targets.items()))
    kind = items_of(name, len(target), graph)
    if kind == "graphs":
        owners = torch.arange(graph.num_graphs, device=target.device)
    else:
        found = rows_of_items("graphs", graph)
        _, _, node_type = kind.partition(":")
        slot = node_type or next(iter(found))
        if not kind.startswith("nodes") or slot not in found:
            return None
        owners = found[slot]
    return owners if problem.index is None else owners[problem.index]


def _graph_of_coordinates(problem: Problem) -> Tensor:
    """Graph of every coordinate of a point, int64 [p]."""
    found = rows_of_items("graphs", problem.variables.reference)
    if isinstance(problem.searched, Coordinates):
        owners = found[problem.searched.compression.slot]
        rows = problem.searched.rows
        return (owners if rows is None else owners[rows]).repeat_interleave(problem.searched.compression.rank)
    values = problem.variables.values
    return torch.cat([found[slot].repeat_interleave(values[slot].reference.shape[1]) for slot in values])


def _activations(problem: Problem, point: Tensor, items: Tensor) -> list[Tensor]:
    taps = problem.view.taps(problem.space.relaxed(point), list(problem.targets))
    return [problem.choose(tap.value).reshape(len(items), -1) for tap in taps.values()]


def _are_same(before: list[Tensor], after: list[Tensor], rows: Tensor) -> bool:
    return all(
        bool((new[rows] - old[rows]).norm() <= TOLERANCE.get(old.dtype, 1e-5) * old[rows].norm())
        for old, new in zip(before, after, strict=True)
    )
