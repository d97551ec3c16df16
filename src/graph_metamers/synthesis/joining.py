"""Search from several starts at once: copies of a small graph as one batch, each a block of its own.

A run of the model on a small graph costs its Python and not its numbers. Copies of the graph in one batch
need one run for each evaluation; L-BFGS takes inner products, step lengths and decisions block by block, so
each copy goes its own way.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch_geometric.data import Batch, Data

from graph_metamers.inputs.coordinates import Coordinates, FeaturesThrough
from graph_metamers.inputs.variables import Variables
from graph_metamers.synthesis.blocks import Blocks
from graph_metamers.synthesis.replaying import replayed
from graph_metamers.synthesis.solvers import LBFGS, Search, SearchProgress, Solution
from graph_metamers.synthesis.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from graph_metamers.synthesis.compressing import CompressedSearch
    from graph_metamers.synthesis.problem import Problem

LARGEST_POINT = 1 << 14
"""Numbers of one start above which copies are not faster; see the notes of `joined`."""
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
"""Largest difference between a copy's activations and those of the graph alone, over their size."""


@dataclass(frozen=True, eq=False)
class JointSearch:
    """Several starts of one problem as one problem in blocks.

    Attributes
    ----------
    problem
        Of the batch of copies; every block is a search of its own.
    start
        The starts, one after the other, [starts * p].
    searches
        The compressed search of every start.
    solver
        What it is solved with.
    """

    problem: Problem
    start: Tensor
    searches: Sequence[CompressedSearch]
    solver: LBFGS

    def solve(self, record: JointRecord) -> list[Solution] | None:
        """Solutions as points of the features, one for each start; `None` if one has to begin anew."""
        try:
            self.solver.solve(self.problem, self.start, record)
        except SlowStartError:
            return None
        return [one.lifted(solution) for one, solution in zip(self.searches, record.solutions(), strict=True)]


def may_be_joined(search: CompressedSearch, starts: int) -> bool:
    """Whether it is worth a try, told from the search of the first start."""
    graph = search.problem.variables.reference
    return starts > 1 and type(graph) is Data and search.start.numel() <= LARGEST_POINT


def joined(searches: Sequence[CompressedSearch], solver: LBFGS) -> JointSearch | None:
    """Join searches that differ in their start alone; `None` where that is not faster or not the same.

    Parameters
    ----------
    searches
        Of one model, graph and layer; call inside `view.borrow()`.
    solver
        What they are solved with.

    Notes
    -----
    Ours. Verified at every start: the batch's activations are those of the graph alone. Measured with a GCN
    on random graphs, eight starts, 60 evaluations each: 2.2 times as fast with 800 numbers a start, 2.0 with
    3,200, 1.3 with 12,800 and 0.9 with 25,600; points of more than `LARGEST_POINT` numbers are not joined.
    """
    if not may_be_joined(searches[0], len(searches)):
        return None
    first = searches[0].problem
    graph = first.variables.reference
    count = len(searches)
    try:
        batch = Batch.from_data_list([graph] * count)
    except Exception:  # attributes of the user's that cannot be collated
        return None
    items = [len(target) for target in first.targets.values()]
    targets = {name: torch.cat([target] * count) for name, target in first.targets.items()}
    index = first.index
    if index is not None:
        index = torch.cat([index + items[0] * copy for copy in range(count)])
    num_items = items[0] if first.index is None else len(first.index)
    size = searches[0].start.numel()
    copies = torch.arange(count, device=searches[0].start.device)
    variables = _copied(first.variables, batch, count)
    problem = dataclasses.replace(
        first,
        variables=variables,
        targets=targets,
        index=index,
        searched=_space(searches, variables),
        tape=None,
        blocks=Blocks(count, copies.repeat_interleave(size), copies.repeat_interleave(num_items)),
        blocks_are_searches=True,
    )
    if not _is_same(problem, searches):
        return None
    start = torch.cat([one.start for one in searches])
    problem, replay = replayed(problem, start)
    return JointSearch(problem, start, [dataclasses.replace(one, replay=replay) for one in searches], solver)


def _copied(variables: Variables, batch: Batch, count: int) -> Variables:
    values = {
        slot: dataclasses.replace(
            one, reference=one.reference.repeat(count, 1), mutable=one.mutable.repeat(count, 1)
        )
        for slot, one in variables.values.items()
    }
    return Variables(batch, values)


def _space(
    searches: Sequence[CompressedSearch], variables: Variables
) -> Coordinates | FeaturesThrough | None:
    spaces = [one.problem.searched for one in searches]
    first = spaces[0]
    if isinstance(first, FeaturesThrough):
        return FeaturesThrough(variables, first.compression)
    if not isinstance(first, Coordinates):
        return None
    starts = torch.cat([space.start for space in spaces if isinstance(space, Coordinates)])
    rows = first.rows
    if rows is not None:
        num_nodes = len(first.start)
        rows = torch.cat([rows + num_nodes * copy for copy in range(len(spaces))])
    return Coordinates(variables.reference, first.compression, starts, rows)


def _is_same(problem: Problem, searches: Sequence[CompressedSearch]) -> bool:
    with torch.no_grad():
        names = list(problem.targets)
        try:
            together = problem.view.taps(problem.space.relaxed(torch.cat([s.start for s in searches])), names)
        except Exception:  # a model that takes no batch
            return False
        alone = [one.problem.view.taps(one.problem.space.relaxed(one.start), names) for one in searches]
    for name in names:
        expected = torch.cat([taps[name].value for taps in alone])
        found = together[name].value
        limit = TOLERANCE.get(expected.dtype, 1e-5)
        if found.shape != expected.shape or not (found - expected).norm() <= limit * expected.norm():
            return False
    return True


class SlowStartError(Exception):
    """One of several starts is so slow that its search would begin anew: each is better searched alone."""


class JointRecord(Search):
    """The records of several searches that share their evaluations.

    Parameters
    ----------
    records
        One for each start; all with one budget and tolerance.
    notify
        Called with the progress of the one that has farthest to go.
    """

    def __init__(self, records: Sequence[Search], notify: Callable[[SearchProgress], None]) -> None:
        super().__init__(records[0].budget, records[0].tolerance, notify)
        self._records = records
        self._statuses: list[Status | None] = [None] * len(records)
        self._last: list[Tensor | None] = [None] * len(records)
        self._told = [-1.0] * len(records)  # the last loss of each; none is negative

    def record_blocks(self, point: Callable[[], Tensor], losses: Tensor) -> Status | None:
        """Note every start's point and loss; the search is over when all of them are."""
        points = point().view(len(self._records), -1)
        told = losses.tolist()
        for number, (record, loss) in enumerate(zip(self._records, told, strict=True)):
            if self._statuses[number] is None and loss != self._told[number]:  # else its step was rejected
                record.steps, self._last[number], self._told[number] = self.steps, points[number], loss
                self._statuses[number] = record.record(points[number], loss)
        going = [number for number, status in enumerate(self._statuses) if status is None]
        worst = max(told[number] for number in going or range(len(told)))
        best = max(self._records[number].best_loss for number in going or range(len(told)))
        self.notify(SearchProgress(self.steps, self.budget.steps, worst, best))
        return None if going else Status.CONVERGED

    def unmet(self, losses: Tensor) -> Tensor:
        """Starts that have to go on, bool [B]."""
        going = [status is None for status in self._statuses]
        return (losses > self.tolerance) & torch.tensor(going, device=losses.device)

    def is_slow(self, losses: Tensor, limit: float) -> bool:
        """Whether one that is not done is slow."""
        done = (Status.CONVERGED, Status.NON_FINITE)
        pairs = zip(losses.tolist(), self._statuses, strict=True)
        return any(loss > limit and status not in done for loss, status in pairs)

    def begin_anew(self) -> None:
        """End with `SlowStartError`."""
        raise SlowStartError

    def note_ends(self, stuck: Tensor, lost: Tensor) -> None:
        """End the searches that cannot go on, as they would end alone."""
        for number, ends in enumerate(zip(stuck.tolist(), lost.tolist(), strict=True)):
            if any(ends) and self._statuses[number] is None:
                self._records[number].steps = self.steps
                self._statuses[number] = Status.NON_FINITE if ends[1] else Status.STALLED

    def finish(self, status: Status, last_point: Tensor) -> Solution:
        """End the searches that are not over yet; see `solutions`."""
        for number, one in enumerate(self._statuses):
            if one is None:
                self._records[number].steps, self._statuses[number] = self.steps, status
        return Solution(last_point, self._best_loss, status, self.steps, ())

    def solutions(self) -> list[Solution]:
        """The solution of every search, in the order of the starts."""
        found = []
        for record, status, last in zip(self._records, self._statuses, self._last, strict=True):
            assert status is not None and last is not None  # noqa: S101, PT018 (after `finish`)
            found.append(record.finish(status, last))
        return found
