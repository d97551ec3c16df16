"""What the self-test's cases about exact swaps do: it is known how many there are."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

import torch

from graph_metamers.evidence.outcome import Outcome
from graph_metamers.evidence.planted import planted
from graph_metamers.evidence.planted_structures import NUM_COPIES, disjoint_copies, distinct_nodes
from graph_metamers.evidence.structure_runs import planted_models, same_degrees
from graph_metamers.graphs.isomorphism import what_differs
from graph_metamers.inputs.structure import Structure
from graph_metamers.synthesis import ExactSwaps, Metamer, generate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn
    from torch_geometric.data import Data

EQUAL = 1e-20
"""Activation loss in float64 up to which nothing but rounding changed: a relative error of 1e-10."""


@dataclass(frozen=True, eq=False)
class Swapped:
    """What exact swaps of one model and graph gave.

    Attributes
    ----------
    metamer
        The result.
    loss
        Of its graph, by PyTorch Geometric alone in float64.
    admissible, made
        How many swaps the reference is said to admit, and how many were made.
    """

    metamer: Metamer
    loss: float
    admissible: object
    made: object


def exact_swaps(seed: int) -> Outcome:
    """Among copies of a graph, each pair of namesake edges can be swapped, and nothing else."""
    graph = disjoint_copies(seed)
    planted_swaps = graph.num_edges // 2 // NUM_COPIES * comb(NUM_COPIES, 2)
    runs = [_swapped(planted(build, seed), graph, seed) for build in planted_models()]
    right = [
        run.admissible == planted_swaps
        and run.metamer.is_metamer
        and run.loss <= EQUAL
        and same_degrees(run.metamer.graph, graph)
        and what_differs(run.metamer.graph, graph) is not None
        for run in runs
    ]
    return _outcome(runs, right, f"{planted_swaps} swaps planted")


def no_exact_swaps(seed: int) -> Outcome:
    """Where every node has features of its own, no two look alike."""
    graph = distinct_nodes(seed)
    runs = [_swapped(planted(build, seed), graph, seed) for build in planted_models()]
    right = [
        run.admissible == run.made == 0
        and not run.metamer.is_metamer
        and torch.equal(run.metamer.graph.edge_index, graph.edge_index)
        for run in runs
    ]
    return _outcome(runs, right, "no swap planted")


def _swapped(model: nn.Module, graph: Data, seed: int) -> Swapped:
    metamer = generate(model, graph, "output", vary=Structure(), solver=ExactSwaps(), seed=seed)
    found = metamer.config.get("findings")
    findings = found if isinstance(found, dict) else {}
    precise = copy.deepcopy(model).double()
    with torch.no_grad():
        ours, theirs = (precise(g.x.double(), g.edge_index) for g in (metamer.graph, graph))
    loss = float((ours - theirs).square().sum() / theirs.square().sum())
    return Swapped(metamer, loss, findings.get("admissible_swaps"), findings.get("swaps_made"))


def _outcome(runs: Sequence[Swapped], right: Sequence[bool], expected: str) -> Outcome:
    worst = max(zip(runs, right, strict=True), key=lambda one: (not one[1], one[0].loss))[0]
    admissible = sorted({str(run.admissible) for run in runs})
    made = sorted({str(run.made) for run in runs})
    return Outcome(
        f"{expected}, {' and '.join(admissible)} found by {len(runs)} models; {' or '.join(made)} made; "
        f"loss at most {max(run.loss for run in runs):.1e} in float64; right for {sum(right)}",
        right=all(right),
        accepted=None,
        metamer=worst.metamer,
        recomputed_loss=worst.loss,
    )
