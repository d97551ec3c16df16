"""After annealing: a descent on the true loss, some swaps at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from graph_metamers.graphs.set_matching import Schedule
from graph_metamers.randomness import generator_for
from graph_metamers.synthesis.local_sums import MEMORY, SumCurvature, local_sums
from graph_metamers.synthesis.status import Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_metamers.graphs.rewiring import Rewirer
    from graph_metamers.synthesis.edge_problem import EdgeProblem
    from graph_metamers.synthesis.local_sums import LocalSums
    from graph_metamers.synthesis.places import Spaces
    from graph_metamers.synthesis.solvers.search import Search

PROBES_SHARE = 8  # at most one evaluation in so many tells about curvature before the first step
FIRST_SWAPS, MOST_SWAPS = 64.0, 2000.0  # of a step
MORE, FEWER = 1.3, 0.7  # after a step that lowered the loss, and after one that did not
PROPOSALS = 20  # for each slot, in search of swaps that lower the model of the loss
LEAST_PROPOSALS = 20_000  # in all, where only some items have to match
FEWEST_LOOKS = 10  # in vain, one after the other, before some swaps are made that do not
SHAKES = (1e-4, 1.0)  # least and largest temperature of the guide to begin anew with
SHAKEN, COOLING = 100, 1e-3  # proposals for each slot then, and how far it cools


Place = tuple[float, "NDArray[np.int64]", "NDArray[np.int64]"]  # a loss, and the lists that have it


class RewireDescent:
    """Steps of a descent on the loss of the unmodified model.

    A step models the loss by its slope with respect to every node's sums of neighbours and by each node's
    curvature, makes random swaps that lower this model, and is kept if the loss falls. How many swaps the
    next step makes depends on that. *Ours.*

    Parameters
    ----------
    problem, rewirer, search
        What is to be lowered, where the search is, and the record.
    spaces
        The hops, as the guide at the reference measures them.

    Notes
    -----
    Where nothing lowers the loss any more, some swaps are made that raise the guide's cost a little, from the
    lowest place so far, and the descent goes on from there. A step is one evaluation: a forward and two
    backward passes. Memory: the curvature of every node, float32 [n, k, k] for each hop of k directions, and
    twice as much again while it is brought up to date.
    """

    def __init__(self, problem: EdgeProblem, rewirer: Rewirer, search: Search, spaces: Spaces) -> None:
        self._problem, self._rewirer, self._search, self._spaces = problem, rewirer, search, spaces
        self._probes, self._random = generator_for("rewire descent", 0), np.random.default_rng(0)
        self._hops, self._num_nodes = spaces.hops, problem.structure.lists.num_nodes
        self._swaps = FIRST_SWAPS

    @property
    def memory(self) -> int:
        """Bytes of the curvature of every node, at the peak."""
        return int(3 * 4 * self._num_nodes * np.square(np.diff(self._hops)).sum())

    def run(self) -> Status:
        """Go on until the search is over."""
        if self._search.steps_left <= 0:
            return Status.MAX_STEPS
        reach = [one.numpy() for one in self._problem.placed_reach]
        self._curvature = SumCurvature(self._num_nodes, self._hops, reach)
        status, local = self._evaluate()
        for _ in range(min(MEMORY, self._search.steps_left // PROBES_SHARE)):
            if status is None:
                status, local = self._evaluate()
        in_vain, best = 0, self._here(local)
        patience = max(FEWEST_LOOKS, math.isqrt(len(self._problem.structure.lists.active)))
        while status is None:
            before, moved = local, self._step(local)
            if moved is not None:
                status, local = moved
            in_vain = 0 if local.loss < before.loss else in_vain + 1
            if status is None and self._search.is_late:
                status = Status.TIME_LIMIT
            elif status is None and in_vain == patience:
                best = min(best, self._here(local), key=lambda place: place[0])
                status, local = self._shake(best)
                in_vain = 0
        return status

    def _here(self, local: LocalSums) -> Place:
        return local.loss, self._rewirer.neighbours.copy(), self._rewirer.edges.copy()

    def _shake(self, best: Place) -> tuple[Status | None, LocalSums]:
        """From the lowest place so far some way uphill, as far as the guide at some temperature goes."""
        self._rewirer.go_back(*best[1:])
        self._swaps = FIRST_SWAPS
        low, high = SHAKES
        temperature = low * (high / low) ** self._random.random()
        proposals = self._problem.structure.lists.proposals(SHAKEN, LEAST_PROPOSALS)
        for _ in self._rewirer.anneal(Schedule(proposals, temperature, COOLING * temperature)):
            pass
        self._rewirer.restore()
        return self._evaluate()

    def _step(self, local: LocalSums) -> tuple[Status | None, LocalSums] | None:
        """Where the search is after a step; `None` if no swap was found that lowers the model."""
        rewirer, lists = self._rewirer, self._problem.structure.lists
        before = rewirer.neighbours.copy(), rewirer.edges.copy()
        made = rewirer.improve(
            self._curvature.model(local),
            proposals=lists.proposals(PROPOSALS, LEAST_PROPOSALS),
            most=round(self._swaps),
        )
        if not made:
            return None
        status, moved = self._evaluate()
        if moved.loss < local.loss:
            self._swaps = min(self._swaps * MORE, MOST_SWAPS)
            return status, moved
        self._swaps = max(min(self._swaps, made) * FEWER, 1.0)
        rewirer.go_back(*before)
        return status, local

    def _evaluate(self) -> tuple[Status | None, LocalSums]:
        variables, rewirer, search = self._problem.structure, self._rewirer, self._search
        point = variables.point_of(rewirer.neighbours, rewirer.edges)
        local = local_sums(
            self._problem, variables.edge_index(point), self._spaces, self._probes, number=search.steps
        )
        self._curvature.add(local.probe)
        search.steps += 1
        return search.record(torch.clone(point), local.loss), local
