"""Find edges whose graph has the target activations: what a solver that rewires sees."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from graph_metamers.errors import ModelError, ParameterError
from graph_metamers.inputs import resolve_variables
from graph_metamers.inputs.compression import Compression, Refusal, compress
from graph_metamers.randomness import generator_for
from graph_metamers.synthesis.neighbour_sums import neighbour_sums
from graph_metamers.synthesis.problem import Problem

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.inputs.structure import StructureVariables
    from graph_metamers.synthesis.neighbour_sums import NeighbourSums
    from graph_metamers.types import Graph


NOT_TRIED = Refusal("not tried")


@dataclass(frozen=True, eq=False)
class EdgeProblem(Problem):
    """A problem whose points are edges (see `StructureVariables`).

    Attributes
    ----------
    edges
        What may vary.
    outcome
        A model that computes the same from fewer features, or why there is none. Features do not change
        here, so it only makes a run cheaper.
    """

    edges: StructureVariables | None = None
    outcome: Compression | Refusal = NOT_TRIED

    @property
    def structure(self) -> StructureVariables:
        """What may vary."""
        assert self.edges is not None  # noqa: S101 (a default only because the base class has some)
        return self.edges

    @property
    def compression(self) -> Compression | None:
        """The smaller model, if there is one."""
        return self.outcome if isinstance(self.outcome, Compression) else None

    @property
    def items_are_nodes(self) -> bool:
        """Whether a row of the layers stands for a node, in the order of nodes."""
        return all(len(target) == self.structure.lists.num_nodes for target in self.targets.values())

    @property
    def seen(self) -> Graph:
        """The reference as the (compressed) model sees it."""
        reference = self.structure.reference
        if self.compression is None:
            return reference
        return self.compression.graph(reference, self.compression.coordinates(reference.x))

    def shares_at(self, edge_index: Tensor) -> Tensor:
        """Each item's share of the activation loss of other edges, [items]; their sum is the loss."""
        graph = copy.copy(self.seen)
        graph.edge_index = edge_index
        view = self.view if self.compression is None else self.compression.view
        with torch.no_grad():
            taps = view.taps(graph, list(self.targets))
        pairs = [(self.choose(taps[name].value), self.choose(self.targets[name])) for name in self.targets]
        errors = [
            (ours - theirs).flatten(1).square().sum(dim=1) / theirs.square().sum() for ours, theirs in pairs
        ]
        return torch.stack(errors).mean(dim=0)

    def sums(self, generator: torch.Generator, probes: int) -> list[NeighbourSums]:
        """What neighbours add up to, hop by hop; see `neighbour_sums`.

        Raises
        ------
        ModelError
            If no gradient of the layers reaches a hop's messages, so that nothing can be weighed.
        """
        view = self.view if self.compression is None else self.compression.view
        found = neighbour_sums(view, self.seen, list(self.targets), generator, probes=probes)
        if not all(bool(one.weights.isfinite().all()) for one in found):
            raise ModelError(
                f"the activations at {', '.join(self.targets)} must change with what nodes send along edges, "
                "got gradients of zero: units are dead or saturated on the way. Choose another layer, or "
                "scale the features"
            )
        return found


def edge_problem(problem: Problem, objective: str) -> EdgeProblem:
    """The problem of finding edges; call inside `view.borrow()`.

    Parameters
    ----------
    problem
        Whose variables are a `StructureVariables`.
    objective
        Of the search.

    Raises
    ------
    ParameterError
        If the objective or the items are those of a search for features.
    """
    if objective != "match":
        raise ParameterError("objective", "'match' where edges vary", objective)
    if problem.index is not None:
        raise ParameterError(
            "index", "left out where edges vary: all items have to match", problem.index.tolist()
        )
    variables: Any = problem.variables
    features = resolve_variables("features", variables.reference)
    start = features.start("noise", generator_for("start", 0))
    with torch.no_grad():
        noise = features.discrete(start)
        read = {name: tap.value for name, tap in problem.view.taps(noise, list(problem.targets)).items()}
        outcome = compress(problem.view, features, problem.targets, [(noise, read)])
    return EdgeProblem(
        problem.view, problem.variables, problem.targets, None, edges=variables, outcome=outcome
    )
