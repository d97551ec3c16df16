"""Find features and edges whose graph has the target activations: two problems that are solved in turn."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from graph_metamers.errors import ParameterError
from graph_metamers.inputs.slots import write_features
from graph_metamers.metrics.fidelity import activation_loss
from graph_metamers.synthesis.compressing import CompressedSearch, compressed_search
from graph_metamers.synthesis.edge_problem import EdgeProblem, edge_problem
from graph_metamers.synthesis.problem import Problem

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.inputs.both import BothVariables


@dataclass(frozen=True, eq=False)
class BothProblem(Problem):
    """A problem whose points are edges and features.

    Attributes
    ----------
    both
        What may vary.
    edge_part
        The same problem with the features of the reference.
    """

    both: BothVariables | None = None
    edge_part: EdgeProblem | None = None

    @property
    def parts(self) -> tuple[BothVariables, EdgeProblem]:
        """What may vary, and the problem of the edges alone."""
        assert self.both is not None and self.edge_part is not None  # noqa: S101, PT018 (see `both_problem`)
        return self.both, self.edge_part

    def loss_at(self, point: Tensor) -> Tensor:
        """The activation loss of the real graph at a point, scalar; call inside `view.borrow()`."""
        graph = self.parts[0].discrete(point)
        with torch.no_grad():
            taps = self.view.taps(graph, list(self.targets))
        pairs = [(taps[name].value, target) for name, target in self.targets.items()]
        return torch.stack([activation_loss(ours, theirs) for ours, theirs in pairs]).mean()

    def features_with(self, edge_index: Tensor, start: Tensor) -> CompressedSearch:
        """The problem of the features alone, with other edges; call inside `view.borrow()`.

        What has to be matched stays: the activations of the reference with its own edges.
        """
        both, _ = self.parts
        reference = write_features(both.reference, {slot: v.reference for slot, v in both.values.items()})
        reference.edge_index = edge_index
        variables = dataclasses.replace(both.features, reference=reference)
        with torch.no_grad():
            taps = self.view.taps(reference, list(self.targets))
        own = {name: tap.value for name, tap in taps.items()}
        ready = compressed_search(Problem(self.view, variables, own, None), start)
        return dataclasses.replace(ready, problem=dataclasses.replace(ready.problem, targets=self.targets))


def both_problem(problem: Problem, objective: str) -> BothProblem:
    """The problem of finding features and edges; call inside `view.borrow()`.

    Parameters
    ----------
    problem
        Whose variables are `BothVariables`.
    objective
        Of the search.

    Raises
    ------
    ParameterError
        If the objective is another one than to match, or not all items have to match.
    """
    both: Any = problem.variables
    if problem.index is not None:
        must = "left out where features and edges vary: all items have to match"
        raise ParameterError("index", must, problem.index.tolist())
    edges = edge_problem(dataclasses.replace(problem, variables=both.edges), objective)
    return BothProblem(problem.view, problem.variables, problem.targets, None, both=both, edge_part=edges)
