"""Rewire: other edges, the same degrees, and sums over neighbours that stay nearly the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from graph_metamers.errors import ParameterError
from graph_metamers.graphs.loss_rewiring import LayerSums, LossRewirer
from graph_metamers.graphs.rewiring import Rewirer, RewiringProblem, shuffled
from graph_metamers.graphs.set_matching import CHUNK, Schedule
from graph_metamers.parameters import check_integer, check_real
from graph_metamers.randomness import generator_for
from graph_metamers.synthesis.edge_problem import EdgeProblem
from graph_metamers.synthesis.neighbour_sums import PROBES
from graph_metamers.synthesis.solvers.rewire_descent import RewireDescent
from graph_metamers.synthesis.status import Status
from graph_metamers.synthesis.summed_layers import layer_sums

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from graph_metamers.graphs.neighbour_lists import NeighbourLists
    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers.search import Search, Solution
    from graph_metamers.types import Json

HOTTEST, COLDEST = 1.0, 0.001  # of the guide, in units of what one neighbour more costs
WARM, COLD = 0.015, 0.0015  # of the loss itself, in units of a node's share of a random graph's
GUIDED = 6  # of so many proposals the guide gets one where the loss itself can be annealed
MOST_GUIDED = 500  # proposals for each edge by the guide there
IN_TIME = 0.97  # of a time limit is for annealing, the rest for evaluations
PROPOSALS_OF_ONE_STEP = 4  # times as many, since each takes a fraction of the time
LEAST_PROPOSALS = 1_000_000  # where only some items have to match
REPORTS = 10  # evaluations while annealing
FEWEST_STEPS = 2  # a probe, and the loss of what it leads to
BYTES_OF_A_SLOT = 64
MOST_MEMORY_OF_DESCENT = 2**30  # bytes of curvature; larger graphs are left as they were annealed


@dataclass(frozen=True)
class Rewire:
    """Swaps the ends of edges, so that every node's neighbours add up to what they did.

    Two edges a - b and c - d become a - d and c - b. What a node is sent at each hop, on the reference, is
    measured by what it changes at the matched layer (`neighbour_sums`), and swaps are annealed on the squared
    change of these sums: four nodes a swap, no evaluation. Where the layer is shown to be one sum over
    neighbours behind a ReLU or none, or a second such sum (`layer_sums`), a sixth of the proposals go this
    way, at most `MOST_GUIDED` for each edge, and swaps are then annealed on the loss itself, which can be
    computed swap by swap. Else a descent on the loss of the unmodified model follows, which makes swaps that
    its slope at the present graph and each node's curvature call for. The graph with the lowest loss,
    evaluated by the unmodified model, is the result.

    Where only some items have to match, every swap changes the neighbours of a node that reaches them. The
    other edges are `restored` after annealing as far as degrees allow; the descent begins there and changes
    some more.

    Where the loss itself could not be annealed, `config["findings"]["no_annealing_on_the_loss"]` says why.
    Of a batch `config["findings"]["graphs_not_told_apart"]` says how many of the graphs in which edges may
    vary may be the reference with its nodes in another order: refinement does not prove the contrary.

    Parameters
    ----------
    proposals
        Swaps that are proposed for every edge; they cost no evaluation. With `index=` for every edge that
        matters, and at least `LEAST_PROPOSALS` in all, unless that is more than all edges would get.
    penalty
        For each edge of the reference with `Structure(reference_edges="charge")`, in units of what one
        neighbour more in an average sum costs.

    Notes
    -----
    Ours. If the sums at every hop stay the same, so do all activations, for any message-passing model; where
    messages depend on sender and receiver together (attention), or are not added up (max), the sums are a
    guide. From 100 proposals an edge on, three in four are between edges whose ends send nearly the same
    (undirected graphs). Time: a million proposals a second for sums of 20 numbers, on the loss some millions
    behind one step of messages (there are four times as many) and one or two behind two; with a time limit
    there are no more than fit. Memory: `BYTES_OF_A_SLOT` for each edge and direction, the sums, and for
    the descent a matrix of each node and hop; where these took more than a GiB there is none.
    """

    proposals: int = 3000
    penalty: float = 1.0
    name: ClassVar[str] = "rewire"

    def __post_init__(self) -> None:
        check_integer("proposals", self.proposals, low=0)
        check_real("penalty", self.penalty, low=0)

    def scheduled(self, lists: NeighbourLists) -> int:
        """Swaps that are proposed in all while annealing."""
        return lists.proposals(self.proposals, LEAST_PROPOSALS)

    def memory(self, point: Tensor) -> int:
        """See `Solver.memory`."""
        return BYTES_OF_A_SLOT * point.numel()

    def solve(self, problem: Problem, start: Tensor, search: Search) -> Solution:
        """See `Solver.solve`."""
        if not isinstance(problem, EdgeProblem):
            raise ParameterError("solver", "'lbfgs', 'adam' or 'word_swaps' where features vary", self.name)
        solution = self._rewired(problem, start, search)
        lists = problem.structure.lists
        if not problem.structure.has_graphs:
            return solution
        apart = problem.structure.told_apart(solution.point)
        changed = np.unique(lists.graphs[lists.owners[lists.wanted]])
        told = {"graphs_not_told_apart": int((~apart[changed]).sum())}
        return replace(solution, findings={**solution.findings, **told})

    def _rewired(self, problem: EdgeProblem, start: Tensor, search: Search) -> Solution:
        variables = problem.structure
        status = self._record(problem, start, search)
        if status is None and search.steps_left < FEWEST_STEPS:
            status = Status.MAX_STEPS
        if status is not None:
            return search.finish(status, start)
        probes = min(PROBES, search.steps_left // 2)
        sums = problem.sums(generator_for("neighbour sums", 0), probes)
        search.steps += probes
        if not sums.sums:
            raise ParameterError(
                "vary", "'features' for a model whose layer receives no messages along edges", "structure"
            )
        charge = self.penalty if variables.structure.reference_edges == "charge" else 0.0
        matching = RewiringProblem(
            variables.lists,
            sums.vectors(),
            sums.weights(),
            variables.structure.reference_edges,
            charge,
        )
        neighbours, edges = variables.lists_at(start)
        rewirer = Rewirer(matching, seed=0, neighbours=neighbours, edges=edges)
        layer = layer_sums(problem)
        proposals = self.scheduled(variables.lists)
        if isinstance(layer, LayerSums):
            proposals = min(-(-proposals // GUIDED), variables.lists.proposals(MOST_GUIDED, LEAST_PROPOSALS))
        schedule = Schedule(proposals, HOTTEST, COLDEST)
        chunk, reported = min(CHUNK, max(1, -(-schedule.proposals // REPORTS))), 0
        for done in rewirer.anneal(schedule, chunk=chunk):
            if (done - reported) * REPORTS < schedule.proposals:
                continue
            reported = done
            point = variables.restored(rewirer.neighbours, rewirer.edges)
            status = self._record(problem, point, search)
            if status is not None:
                return search.finish(status, point)
        rewirer.restore()  # and not at every step of the descent, which it would disturb
        if isinstance(layer, LayerSums):
            return self._annealed_on_the_loss(problem, layer, rewirer, search, before=schedule.proposals)
        descent = RewireDescent(problem, rewirer, search, sums)
        if descent.memory > MOST_MEMORY_OF_DESCENT:
            return search.finish(Status.STALLED, start)
        findings: dict[str, Json] = {"no_annealing_on_the_loss": layer}
        return replace(search.finish(descent.run(), start), findings=findings)

    def _annealed_on_the_loss(
        self, problem: EdgeProblem, layer: LayerSums, guided: Rewirer, search: Search, *, before: int
    ) -> Solution:
        """Go on from where the guide led after so many proposals, on the layer's own error."""
        variables, lists = problem.structure, problem.structure.lists
        rule = variables.structure.reference_edges
        proposals = self.scheduled(lists) * (1 if layer.second else PROPOSALS_OF_ONE_STEP)
        chance = layer.error(lists, shuffled(lists, seed=0, reference_edges=rule)[0]) / lists.num_nodes
        rewirer = LossRewirer(
            layer,
            lists,
            seed=0,
            neighbours=guided.neighbours,
            edges=guided.edges,
            near=guided.near(proposals),
            reference_edges=rule,
            penalty=self.penalty * chance if rule == "charge" else 0.0,  # about one neighbour more, too
        )
        hot, cold = WARM * chance, COLD * chance
        point, status, reported, done = variables.point_of(guided.neighbours, guided.edges), None, 0, 0
        for done in _annealing(rewirer, Schedule(proposals, hot, cold), search.seconds_left):
            if (done - reported) * REPORTS < proposals and not search.is_late:
                continue
            reported, point = done, variables.point_of(rewirer.neighbours, rewirer.edges)
            status = self._record(problem, point, search)
            if status is not None:
                break
        if done > reported:
            point = variables.point_of(rewirer.neighbours, rewirer.edges)
            status = self._record(problem, point, search)
        findings: dict[str, Json] = {"proposals": before + done}
        # The proposals are the budget of this search; its steps are only looked at between them.
        return replace(search.finish(status or Status.MAX_STEPS, point), findings=findings)

    @staticmethod
    def _record(problem: EdgeProblem, point: Tensor, search: Search) -> Status | None:
        shares = problem.shares_at(problem.structure.edge_index(point))
        search.steps += 1
        return search.record(torch.clone(point), float(shares.sum()))


def _annealing(rewirer: LossRewirer, schedule: Schedule, seconds: float | None) -> Iterator[int]:
    """A schedule as counted, or as much of it as fits; yields the proposals done."""
    if seconds is not None:
        return rewirer.anneal_within(schedule, IN_TIME * seconds)
    return rewirer.anneal(schedule, chunk=min(CHUNK // 4, max(1, -(-schedule.proposals // REPORTS))))
