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
FEW = 10  # nodes, if these are a larger share: small graphs need no more steps than large ones
LARGER, SMALLER, SMALLER_OF_EXCHANGES = 1.1, 0.97, 0.7  # the share, where the loss fell, and where it rose
SMALLER_IN_VAIN = 0.9  # and once more where it rose although nodes were put back
SLOW = 0.03  # the loss falls by less while every node moves once: time to reheat, if that gained as much
HOTTEST, COOLEST = 2.0, 0.3  # in units of the loss for each word, at which a descent gets slow
TOO_HOT = 2.5  # times the loss where it was heated: heat alone makes it 1.8 (Cora; GCN, GraphSAGE)
SHARE_WHILE_HOT = 0.15
VISITS_WHILE_HOT, FEWEST_VISITS = 22, 5  # of every node; with fewer, words are cold before they are mixed
PART_WHILE_HOT = 0.75  # of evaluations and seconds that are left, at the most
STALL_SWEEPS, STALL_DECREASE = 10, 0.05  # it ends where the loss falls by less while nodes move so often


@dataclass(frozen=True, eq=False)
class Point:
    """Words, what the model reads of them, the loss, its gradients in sums, and how stiff nodes were."""

    items: Mapping[str, NDArray[np.int64]]
    read: Mapping[str, NDArray[np.floating]]
    loss: float
    gradients: Mapping[str, NDArray[np.float64]]
    stiffness: Mapping[str, NDArray[np.float64]]


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
    was. That is done again as long as it lowers the loss by `SLOW`. Where many nodes that move together raise
    the loss more than heat does, it is given up: a smaller share would not mix them in time.

    Parameters
    ----------
    problem, slots, search
        The problem, its sets of words, and the record.
    exchanges
        Whether nodes exchange words, so that column sums are kept; single nodes cannot be put back then.
    most_heats
        How often words may be exchanged at random where the descent gets slow; not with `exchanges`.

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
        most_heats: float,
    ) -> None:
        self._problem, self._slots, self._search, self._exchanges = problem, slots, search, exchanges
        num_words = sum(slot.num_words for slot in slots.values())
        self._num_words = max(1, num_words)
        self._heats_left = 0 if exchanges or not num_words else most_heats
        self._seconds_a_visit = 0.0  # while hot; 0 before it was measured
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
        if status is None and self._heats_left:
            status, point = self._descend(point)
        while status is None and self._may_heat():
            status, heated = self._reheat(point)
            if heated is point:  # given up
                break
            if status is None:
                status, heated = self._descend(heated)
            if not heated.loss < point.loss * (1 - SLOW):
                self._heats_left = 0
            point = heated if heated.loss <= point.loss else self._put_back(point, stiffness=True)
        if status is None:
            status, _ = self._descend(point, patiently=True)
        return Status.STALLED if status is None else status

    def _may_heat(self) -> bool:
        """Whether heat may still pay, and what is left is enough for it."""
        visits = self._share_while_hot * PART_WHILE_HOT * self._search.steps_left
        seconds = self._search.seconds_left
        if seconds is not None and self._seconds_a_visit:
            visits = min(visits, PART_WHILE_HOT * seconds / self._seconds_a_visit)
        return self._heats_left > 0 and visits >= FEWEST_VISITS

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

    def _reheat(self, cold: Point) -> tuple[Status | None, Point]:
        """Steps at a falling temperature, whatever they do to the loss; the search remembers its best point.

        What a word has of the loss where a descent gets slow says how hot is hot. A time limit that comes
        before the last visit cools sooner. The same point comes back where heat was given up.
        """
        self._begin_stage()
        self._heats_left -= 1
        self._share = self._share_while_hot
        steps = int(min(VISITS_WHILE_HOT / self._share, PART_WHILE_HOT * self._search.steps_left))
        seconds, unit, point = self._search.seconds_left, cold.loss / self._num_words, cold
        status, done, number = None, 0.0, 0
        while status is None and done < 1 and number < steps:
            temperature = unit * HOTTEST * (COOLEST / HOTTEST) ** done
            for name, slot in self._slots.items():
                slot.improve(self._next(name), point.gradients[name], temperature=temperature)
            status, moved = self._evaluate()
            self._learn(point, moved)
            point, number = moved, number + 1
            if status is None and point.loss > TOO_HOT * cold.loss:
                return None, self._put_back(cold, stiffness=True)
            done = number / steps
            if seconds is not None:
                spent = seconds - (self._search.seconds_left or 0.0)
                done = max(done, spent / (PART_WHILE_HOT * seconds))
                self._seconds_a_visit = spent / (number * self._share)
        return status, point

    @property
    def _share_while_hot(self) -> float:
        return min(max(SHARE_WHILE_HOT, self._fewest_share), LARGEST_SHARE_OF_EXCHANGES)

    def _begin_stage(self) -> None:
        """From here on, a stall is told from the steps of this stage alone."""
        self._stage = PartOfSearch(self._search, self._search.steps_left)

    def _put_back(self, point: Point, *, stiffness: bool = False) -> Point:
        """The words of a point; with its stiffness, where what was learned since is of no use there."""
        for name, slot in self._slots.items():
            slot.annealer.restart(items=point.items[name])
            if stiffness:
                slot.stiffness[:] = point.stiffness[name]
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
        self._share = max(self._share * (SMALLER_OF_EXCHANGES if self._exchanges else SMALLER), LEAST_SHARE)
        if status is None and not self._exchanges:
            for name, slot in self._slots.items():
                rose = effects[name][slot.annealer.owners] >= 0
                slot.annealer.restart(items=np.where(rose, point.items[name], moved.items[name]))
            status, moved = self._evaluate()
            if moved.loss < point.loss:
                return status, moved
            self._share = max(self._share * SMALLER_IN_VAIN, LEAST_SHARE)
        return status, self._put_back(point)

    def _next(self, name: str) -> NDArray[np.int64]:
        """The nodes whose turn it is: everyone's comes before anyone's second."""
        num_nodes = len(self._slots[name].stiffness)
        count = max(1, round(self._share * num_nodes))
        queue = self._queues.get(name, np.empty(0, dtype=np.int64))
        if len(queue) < count:  # those that are left come first; a node twice in a step would count once
            others = self._random.permutation(num_nodes)
            queue = np.concatenate([queue, others[~np.isin(others, queue[:count])]])
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
        stiffness = {name: slot.stiffness.copy() for name, slot in slots.items()}
        return status, Point(items, read, found.loss, gradients, stiffness)
