"""After annealing: swaps judged by the true loss, many of them with one run of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from graph_metamers.synthesis.status import Status

if TYPE_CHECKING:
    from graph_metamers.graphs.rewiring import Rewirer
    from graph_metamers.synthesis.edge_problem import EdgeProblem
    from graph_metamers.synthesis.solvers.search import Search

MOST_SWAPS = 400  # tried with one run of the model
TEMPERATURE = 0.01  # of the guide, in units of what one neighbour more costs
REFRESH = 50  # runs between two recomputations of the guide's sums, and of the loss of the whole graph
RECORDS_APART = 5  # runs


@dataclass(frozen=True, eq=False)
class RewirePolish:
    """A descent on the loss of the unmodified model.

    Swaps are drawn whose changes do not meet: no node's activation depends on two of them. One run of the
    model then tells what each of them does to the loss, and those that lower it are kept.

    Attributes
    ----------
    problem
        What is to be lowered.
    rewirer
        Where the search is; swaps are drawn by its guide.
    search
        The record.
    hops
        Steps of message passing up to the layer.
    """

    problem: EdgeProblem
    rewirer: Rewirer
    search: Search
    hops: int

    def run(self) -> Status:
        """Go on until the search is over."""
        search = self.search
        shares = self._shares()
        status = self._record(shares)
        for number in range(search.budget.steps):
            if status is not None:
                break
            if number % REFRESH == REFRESH - 1 and search.steps_left > 1:
                self.rewirer.forget_sums()
                shares = self._shares()  # what was added up swap by swap, told anew by the model
            swaps = self.rewirer.propose_apart(MOST_SWAPS, radius=self.hops - 1, temperature=TEMPERATURE)
            if not len(swaps.slots):
                return Status.STALLED
            tried = self._shares()
            gained = np.bincount(
                swaps.owners, weights=(tried - shares)[swaps.nodes], minlength=len(swaps.slots)
            )
            kept = gained < 0
            self.rewirer.keep(swaps, kept)
            nodes = swaps.nodes[kept[swaps.owners]]
            shares[nodes] = tried[nodes]
            if number % RECORDS_APART == RECORDS_APART - 1 or search.steps_left <= 0:
                status = self._record(shares)
        return status or Status.MAX_STEPS

    def _shares(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Each node's share of the activation loss now, float64 [n]; a run of the model."""
        variables = self.problem.structure
        point = variables.point_of(self.rewirer.neighbours, self.rewirer.edges)
        self.search.steps += 1
        shares: np.ndarray[tuple[int], np.dtype[np.float64]] = (
            self.problem.shares_at(variables.edge_index(point)).double().cpu().numpy()
        )
        return shares

    def _record(self, shares: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Status | None:
        variables, rewirer = self.problem.structure, self.rewirer
        point = variables.point_of(rewirer.neighbours, rewirer.edges)
        return self.search.record(torch.clone(point), float(shares.sum()))
