"""The second half of word swaps: a descent on the true loss, a share of the nodes at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graph_metamers.randomness import generator_for
from graph_metamers.synthesis.replayed_slopes import ReplayedSlopes
from graph_metamers.synthesis.solvers.search import PartOfSearch
from graph_metamers.synthesis.solvers.word_metric import MOST_PROBES
from graph_metamers.synthesis.status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers.search import Search
    from graph_metamers.synthesis.solvers.word_slot import WordSlot

LEAST_SHARE = 0.005  # of the nodes that take part in a step
LARGEST_SHARE, LARGEST_SHARE_OF_EXCHANGES = 0.03, 0.3
LARGER, SMALLER, SMALLER_IF_IN_VAIN = 1.1, 0.97, 0.9  # the share, where the loss fell, rose, rose again
FEW = 10  # nodes, if these are a larger share: small graphs need no more steps than large ones
SLOW = 0.03  # the loss falls by less while every node moves once: time to reheat, if that gained as much
HOTTEST, COOLEST = 2.0, 0.3  # in units of the loss for each word, at which a descent gets slow
TOO_HOT = 2.5  # times the loss where it was heated: heat alone makes it 1.8
SHARE_WHILE_HOT = 0.15
VISITS_WHILE_HOT = 22  # of every node
PART_WHILE_HOT = 0.75  # of evaluations and seconds that are left, at the most
STALL_SWEEPS, STALL_DECREASE = 10, 0.05  # it ends where the loss falls by less while nodes move so often


@dataclass(frozen=True, eq=False)
class Point:
    """Words, what the model reads of them, the loss, and its gradients with respect to sums of vectors."""

    items: Mapping[str, NDArray[np.int64]]
    read: Mapping[str, NDArray[np.floating]]
    loss: float
    gradients: Mapping[str, NDArray[np.float64]]


class WordDescent:
    """Steps of a descent on the true loss.

    A step takes a share of the nodes, each in its turn. For each, the loss is modelled by its gradient and
    the node's curvature in every direction, and words are swapped as long as that model falls. The gradient
    at the next step, which is exact, tells all others what these nodes did to the sums that they share: so
    errors of neighbours, which add up in a hub, are made to cancel. What a node did to the loss is told from
    the gradients before and after: it says which nodes to put back if the loss rose, and how stiff each one
    is among moving neighbours. *Ours.*

    Where this gets slow it is at a local minimum of many nodes together, out of which no node leads on its
    own. Words are then exchanged at random, at a temperature that falls (a heat bath on the same model of the
    loss, whose gradient stays exact), and the descent goes on from there; where it ends higher, from where it
    was. That is done again as long as it pays.

    Parameters
    ----------
    problem, slots, search
        The problem, its sets of words, and the record.
    exchanges
        Whether nodes exchange words, so that column sums are kept; single nodes cannot be put back then.
    reheats
        Whether words are exchanged at random where the descent gets slow.

    Notes
    -----
    A step is one evaluation, or two if nodes are put back: a forward pass, and two backward passes, for the
    gradient and for a probe of curvature.
    """

    def __init__(
        self,
        problem: Problem,
        slots: Mapping[str, WordSlot],
        search: Search,
        *,
        exchanges: bool,
        reheats: bool,
    ) -> None:
        self._problem, self._slots, self._search, self._exchanges = problem, slots, search, exchanges
        self._reheats = reheats
        self._num_words = max(1, sum(slot.num_words for slot in slots.values()))
        self._random, self._probes = np.random.default_rng(0), generator_for("word descent", 0)
        fewest = max(1, min(len(slot.stiffness) for slot in slots.values()))
        usual = LARGEST_SHARE_OF_EXCHANGES if exchanges else LARGEST_SHARE
        self._fewest_share = FEW / fewest
        self._largest = min(max(usual, self._fewest_share), LARGEST_SHARE_OF_EXCHANGES)
        self._share = self._largest
        self._stage = search
        self._slopes: ReplayedSlopes | None = None
        self._queues: dict[str, NDArray[np.int64]] = {}

    def run(self) -> Status:
        """Descend until the search or a stall says stop."""
        if self._search.steps_left <= 0:
            return Status.MAX_STEPS
        status, point = self._evaluate()
        may_reheat = self._reheats
        while status is None and may_reheat:
            status, cold = self._descend(point)
            if status is not None:
                break
            status, point = self._reheat(cold)
            if point is cold:  # it was given up
                break
            if status is None:
                status, point = self._descend(point)
            may_reheat = point.loss < cold.loss * (1 - SLOW)
            if point.loss > cold.loss:
                point = self._put_back(cold)
        if status is None:
            status, point = self._descend(point, patiently=True)
        return Status.STALLED if status is None else status

    def _descend(self, point: Point, *, patiently: bool = False) -> tuple[Status | None, Point]:
        """Steps until the descent gets slow; or, patiently, until it stalls."""
        self._begin_stage()
        self._share = self._largest
        milestone, sweeps = point.loss, 0.0
        most, decrease = (STALL_SWEEPS, STALL_DECREASE) if patiently else (1, SLOW)
        status = None
        while status is None and sweeps < most:
            sweeps += self._share
            status, point = self._step(point)
            if point.loss < milestone * (1 - decrease):
                milestone, sweeps = point.loss, 0.0
        return (None if status is Status.STALLED else status), point

    def _reheat(self, point: Point) -> tuple[Status | None, Point]:
        """Steps at a falling temperature, whatever they do to the loss; the search remembers its best point.

        What a word has of the loss where a descent gets slow says how hot is hot. A time limit that comes
        before the last visit cools sooner. Where the loss rises by more than heat makes it, the model of the
        loss is not good enough to move so many nodes together, and the words are put back.
        """
        self._begin_stage()
        self._share = min(max(SHARE_WHILE_HOT, self._fewest_share), LARGEST_SHARE_OF_EXCHANGES)
        steps = int(min(VISITS_WHILE_HOT / self._share, PART_WHILE_HOT * self._search.steps_left))
        seconds, unit, cold = self._search.seconds_left, point.loss / self._num_words, point
        status, done, number = None, 0.0, 0
        while status is None and done < 1 and number < steps:
            temperature = unit * HOTTEST * (COOLEST / HOTTEST) ** done
            for name, slot in self._slots.items():
                slot.improve(self._next(name), point.gradients[name], temperature=temperature)
            status, moved = self._evaluate()
            self._learn(point, moved)
            point, number = moved, number + 1
            if status is None and point.loss > TOO_HOT * cold.loss:
                return None, self._put_back(cold)
            done = number / steps
            if seconds is not None:
                left = self._search.seconds_left or 0.0
                done = max(done, (seconds - left) / (PART_WHILE_HOT * seconds))
        return (None if status is Status.STALLED else status), point

    def _begin_stage(self) -> None:
        """From here on, a stall is told from the steps of this stage alone."""
        self._stage = PartOfSearch(self._search, self._search.steps_left)

    def _put_back(self, point: Point) -> Point:
        for name, slot in self._slots.items():
            slot.annealer.restart(items=point.items[name])
        return point

    def _learn(self, point: Point, moved: Point) -> dict[str, NDArray[np.float64]]:
        """What the nodes of each slot did to the loss, [n]; see `WordSlot.learn`."""
        return {
            name: slot.learn(
                moved.read[name] - point.read[name], point.gradients[name], moved.gradients[name]
            )
            for name, slot in self._slots.items()
        }

    def _step(self, point: Point) -> tuple[Status | None, Point]:
        for name, slot in self._slots.items():
            move = slot.exchange if self._exchanges else slot.improve
            move(self._next(name), point.gradients[name])
        status, moved = self._evaluate()
        effects = self._learn(point, moved)
        if moved.loss < point.loss:
            self._share = min(self._share * LARGER, self._largest)
            return status, moved
        self._share = max(self._share * (0.7 if self._exchanges else SMALLER), LEAST_SHARE)
        if status is None and not self._exchanges:
            for name, slot in self._slots.items():
                rose = effects[name][slot.annealer.owners] >= 0
                slot.annealer.restart(items=np.where(rose, point.items[name], moved.items[name]))
            status, moved = self._evaluate()
            if moved.loss < point.loss:
                return status, moved
            self._share = max(self._share * SMALLER_IF_IN_VAIN, LEAST_SHARE)
        return status, self._put_back(point)

    def _next(self, name: str) -> NDArray[np.int64]:
        """The nodes whose turn it is: everyone's comes before anyone's second."""
        num_nodes = len(self._slots[name].stiffness)
        count = max(1, round(self._share * num_nodes))
        queue = self._queues.get(name, np.empty(0, dtype=np.int64))
        if len(queue) < count:
            queue = self._random.permutation(num_nodes)
        self._queues[name] = queue[count:]
        return queue[:count]

    def _evaluate(self) -> tuple[Status | None, Point]:
        problem, slots = self._problem, self._slots
        items = {name: slot.annealer.items for name, slot in slots.items()}
        read = {name: slot.read(items[name]) for name, slot in slots.items()}
        inputs = {name: slot.inputs(items[name], read[name]) for name, slot in slots.items()}
        if self._slopes is None:
            self._slopes = ReplayedSlopes(problem, inputs)
        found = self._slopes(
            inputs,
            0 if self._exchanges else 1,
            self._probes,
            first=self._search.steps,
            parts=MOST_PROBES,
        )
        for probe in found.probes:
            for name, slot in slots.items():
                slot.curvature.add(slot.gradient(probe[name]))
        gradients = {name: slot.gradient(found.gradient[name]) for name, slot in slots.items()}
        self._stage.steps += 1
        status = self._stage.record(
            lambda: problem.variables.point_of({n: slot.features(items[n]) for n, slot in slots.items()}),
            found.loss,
        )
        return status, Point(items, read, found.loss, gradients)
