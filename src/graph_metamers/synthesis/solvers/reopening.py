"""A second attempt with rectifiers that close little by little, for searches that closed too many of them.

Where a rectifier inside the model is closed that has to be open, no gradient says so. (At the matched layer
itself the objective has a slope for that, see `Problem`.) A search that runs into this is slow from the first
steps on. It begins anew with rectifiers that have a slope where they are closed, makes that smaller, and ends
with the model as it is.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from graph_metamers.synthesis.budget import Budget
from graph_metamers.synthesis.replaying import replayed
from graph_metamers.synthesis.solvers.search import Search, SearchProgress

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.synthesis.problem import Problem

PATIENCE = 12  # evaluations
SLOW_LOSS = 1e-2
"""Measured on four data sets with 2 and 4 layers: of 48 searches with GCN, GraphSAGE and GAT, the 44 that
need fewer than 30 evaluations to 1e-3 were below 6e-3 after 12; of 16 with GIN, 15 were above 1e-2."""
SLOPES = (0.3, 0.1)
EVALUATIONS_PER_SLOPE = 15
DETOUR = len(SLOPES) * EVALUATIONS_PER_SLOPE
SAME = 1e-6  # relative difference of gradients


def opened(problem: Problem, point: Tensor) -> list[Problem]:
    """The same problem with rectifiers that are open, one for each slope; none if there are none to open.

    Parameters
    ----------
    problem
        Call inside `view.borrow()`.
    point
        Where that is told, [p]: gradients there are the same with open rectifiers if there are none.
    """
    first = dataclasses.replace(problem, open_slope=SLOPES[0], tape=None)
    there, here = first.evaluate(point).gradient, problem.evaluate(point).gradient
    difference = float((there - here).norm())
    # Not finite where a model takes roots or logarithms of what a rectifier lets pass.
    if not math.isfinite(difference) or difference <= SAME * float(here.norm()):
        return []
    slopes = [dataclasses.replace(first, open_slope=slope) for slope in SLOPES]
    return [one if problem.tape is None else replayed(one, point)[0] for one in slopes]


class Leg(Search):
    """The record of a few evaluations of a problem whose loss is not the one that counts.

    Parameters
    ----------
    search
        The record of the search that it is a part of: its time runs on, and it tells of the progress.
    """

    def __init__(self, search: Search) -> None:
        super().__init__(Budget(steps=EVALUATIONS_PER_SLOPE), 0.0, self._tell)
        self._whole = search

    def _tell(self, _progress: SearchProgress) -> None:
        whole = self._whole
        done = whole.steps + self.steps
        whole.notify(SearchProgress(done, whole.budget.steps, whole.best_loss, whole.best_loss))

    @property
    def is_late(self) -> bool:
        """Whether the time limit of the search is over."""
        return self._whole.is_late

    def is_slow(self, losses: Tensor, limit: float) -> bool:  # noqa: ARG002 (as in `Search`)
        """False: it is the second attempt."""
        return False
