"""Noise of which nothing is asked, beside what a search finds; and whether an oracle can read such graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph_metamers.errors import ParameterError
from graph_metamers.evidence.belief_propagation import undirected_pairs
from graph_metamers.inputs import what_varies
from graph_metamers.randomness import generator_for

if TYPE_CHECKING:
    from graph_metamers.datasets import Dataset
    from graph_metamers.inputs import Vary
    from graph_metamers.types import Graph


def can_be_read(dataset: Dataset, vary: Vary) -> bool:
    """Whether there is an oracle for a data set that reads what a search may make of its graph.

    The block model draws no directed edges, so it says nothing of graphs with them.
    """
    if dataset.block_model is None:
        return False
    try:
        undirected_pairs(unconditioned_noise(vary, dataset.graph, 0))
    except ParameterError:
        return False
    return True


def unconditioned_noise(vary: Vary, graph: Graph, seed: int, draw: int = 0) -> Graph:
    """A graph such as a search starts from, and which nothing is asked of: what chance alone makes.

    Features of every column's mean and deviation, a random graph with the same degrees, or both. The numbers
    are not those of a search with the same seed.

    Raises
    ------
    ParameterError
        If `vary` is about something else.
    """
    variables = what_varies(vary, graph)
    return variables.discrete(variables.start("noise", generator_for(f"unconditioned noise {draw}", seed)))
