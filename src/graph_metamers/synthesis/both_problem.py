"""Find features and edges whose graph has the target activations: two problems that are solved in turn."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from graph_metamers.errors import ParameterError
from graph_metamers.inputs.both import BothVariables
from graph_metamers.synthesis.compressing import CompressedSearch, compressed_search
from graph_metamers.synthesis.edge_problem import EdgeProblem, edge_problem
from graph_metamers.synthesis.problem import Problem

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class BothProblem(Problem):
    """A problem whose points are edges and features (see `BothVariables`).

    Attributes
    ----------
    edge_part
        The same problem with the features of the reference.
    """

    edge_part: EdgeProblem | None = None

    @property
    def both(self) -> BothVariables:
        """What may vary."""
        assert isinstance(self.variables, BothVariables)  # noqa: S101 (see `both_problem`)
        return self.variables

    @property
    def edges(self) -> EdgeProblem:
        """The problem of the edges alone."""
        assert self.edge_part is not None  # noqa: S101 (a default only because the base class has some)
        return self.edge_part

    def features_with(self, edge_index: Tensor, start: Tensor) -> CompressedSearch:
        """The problem of the features alone, with other edges; call inside `view.borrow()`.

        What has to be matched stays: the activations of the reference with its own edges.
        """
        reference = self.both.features.discrete(start)
        for slot, values in self.both.values.items():
            _write(reference, slot, values.reference)
        reference.edge_index = edge_index
        variables = dataclasses.replace(self.both.features, reference=reference)
        with torch.no_grad():
            taps = self.view.taps(reference, list(self.targets))
        own = {name: tap.value for name, tap in taps.items()}
        ready = compressed_search(Problem(self.view, variables, own, None), start)
        return dataclasses.replace(ready, problem=dataclasses.replace(ready.problem, targets=self.targets))
