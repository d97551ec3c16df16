"""The second half of word swaps: a descent on the true loss, a share of the nodes at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from graph_metamers.graphs.set_matching import Annealer, Schedule
from graph_metamers.synthesis.status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from graph_metamers.inputs.feature_values import FeatureValues
    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers.search import Search

LEAST_CURVATURE = 0.02  # of the mean: that of nodes that the probes happened not to see
LEAST_DIRECTION = 1e-5  # of the strongest direction's curvature: weaker ones are left out
PROPOSALS = 200  # per word of a node that takes part in a step
FIRST_SHARE, LEAST_SHARE, LARGEST_SHARE = 0.2, 0.005, 0.3  # of the nodes that take part in a step
STEEPEST, FLATTEST = 1000.0, 0.5  # of a node's curvature, over what the probes said
STALL_WINDOW, STALL_DECREASE = 50, 0.05  # it ends where the loss falls by less in so many steps


@dataclass(frozen=True, eq=False)
class WordMetric:
    """How a node's words change the activations: ||J_v d||^2 = curvature_v ||d vectors||^2, about.

    Attributes
    ----------
    vectors
        One per word, float32 [F, k], of mean squared length 1.
    to_vectors
        Turns a gradient with respect to X into one with respect to sums of vectors, float64 [F, k].
    curvature
        float64 [n].
    """

    vectors: NDArray[np.float32]
    to_vectors: Tensor
    curvature: NDArray[np.float64]

    @classmethod
    def of(cls, basis: Tensor, probes: list[Tensor]) -> WordMetric:
        """From the basis of the visible space, [F, r], and gradients of random combinations, [n, F] each."""
        rank = basis.shape[1]
        seen = (
            torch.stack([gradient @ basis for gradient in probes])
            if probes
            else torch.zeros(1, 1, rank).double()
        )
        moment = torch.einsum("pnk,pnl->kl", seen, seen)
        if not bool(moment.any()):
            moment = torch.eye(rank, dtype=torch.float64)
        values, directions = torch.linalg.eigh(moment / moment.trace())
        kept = values > LEAST_DIRECTION * values[-1]
        values, directions = values[kept], directions[:, kept]
        vectors = basis @ (directions * values.sqrt())
        length = float(vectors.square().sum(dim=1).mean().sqrt())
        strength = seen.square().sum(dim=2).mean(dim=0)
        strength = strength + LEAST_CURVATURE * strength.mean()
        return cls(
            (vectors / length).numpy().astype(np.float32),
            basis @ (directions / values.sqrt()) * length,
            (strength * length**2).clamp(min=1e-300).numpy(),
        )


@dataclass(frozen=True, eq=False)
class WordSlot:
    """The words of one slot of features, as sets that are being matched.

    Attributes
    ----------
    values
        What the features may be.
    metric
        In which sums of words are compared.
    annealer
        Holds the words; a group is a node.
    num_words
        Words that may be swapped.
    stiffness
        Curvature that a node met, over what the probes said, [n]; changes during the descent.
    """

    values: FeatureValues
    metric: WordMetric
    annealer: Annealer
    num_words: int
    stiffness: NDArray[np.float64]

    def features(self) -> Tensor:
        """X with the best words so far, [n, F]."""
        reference = self.values.reference
        members = torch.from_numpy(self.annealer.members()).to(reference)
        return torch.where(self.values.mutable, members, reference)

    def gradient(self, slope: Tensor) -> NDArray[np.float64]:
        """The loss's gradient with respect to every node's sum of vectors, [n, k]."""
        return np.asarray((slope.cpu() @ self.metric.to_vectors.to(slope.dtype)).double().numpy())


@dataclass(frozen=True, eq=False)
class _Point:
    """Words, their loss, and its gradients with respect to sums of vectors."""

    items: Mapping[str, NDArray[np.int64]]
    loss: float
    gradients: Mapping[str, NDArray[np.float64]]


class WordDescent:
    """Steps of a descent on the true loss.

    A step takes a random share of the nodes. For each, the loss is modelled by its gradient and the node's
    curvature, so that lowering it is set matching once more: towards the present sum less gradient over
    twice the curvature. All of them move at once. Half the sum of the gradients before and after, times a
    node's step, is what that node did to the loss (exact where the loss is quadratic): it tells which nodes
    to put back if the loss rose, and how stiff each node is among moving neighbours. *Ours.*

    Parameters
    ----------
    problem, slots, search
        The problem, its sets of words, and the record.
    reverts
        Whether single nodes can be put back; not where column sums are kept.
    """

    def __init__(
        self, problem: Problem, slots: Mapping[str, WordSlot], search: Search, *, reverts: bool
    ) -> None:
        self._problem, self._slots, self._search, self._reverts = problem, slots, search, reverts
        self._random = np.random.default_rng(0)
        self._share = FIRST_SHARE

    def run(self) -> Status:
        """Descend until the search or a stall says stop."""
        if self._search.steps_left <= 0:
            return Status.MAX_STEPS
        status, point = self._evaluate()
        milestone, since = point.loss, 0
        while status is None:
            status, point = self._step(point)
            since += 1
            if point.loss < milestone * (1 - STALL_DECREASE):
                milestone, since = point.loss, 0
            if status is None and since >= STALL_WINDOW:
                return Status.STALLED
        return status

    def _step(self, point: _Point) -> tuple[Status | None, _Point]:
        before = {name: slot.annealer.sums() for name, slot in self._slots.items()}
        for name, slot in self._slots.items():
            self._propose(slot, before[name], point.gradients[name])
        status, moved = self._evaluate()
        effects = {name: self._learn(name, before[name], point, moved) for name in self._slots}
        if moved.loss < point.loss:
            self._share = min(self._share * 1.1, LARGEST_SHARE)
            return status, moved
        self._share = max(self._share * (0.9 if self._reverts else 0.7), LEAST_SHARE)
        if status is None and self._reverts:
            for name, slot in self._slots.items():
                rose = effects[name][slot.annealer.owners] >= 0
                slot.annealer.restart(items=np.where(rose, point.items[name], moved.items[name]))
            status, moved = self._evaluate()
            if moved.loss < point.loss:
                return status, moved
            self._share = max(self._share * 0.8, LEAST_SHARE)
        for name, slot in self._slots.items():
            slot.annealer.restart(items=point.items[name])
        return status, point

    def _propose(self, slot: WordSlot, sums: NDArray[np.float64], gradient: NDArray[np.float64]) -> None:
        """Match a share of the nodes to the sums that the model of the loss asks for."""
        active = self._random.random(len(sums)) < self._share
        curvature = slot.metric.curvature * slot.stiffness
        slot.annealer.restart(targets=sums - gradient / (2 * curvature[:, None]))
        schedule = Schedule(int(PROPOSALS * slot.num_words * active.mean()))
        for _ in slot.annealer.anneal(schedule, groups=active):
            pass
        slot.annealer.restart()

    def _learn(
        self, name: str, before: NDArray[np.float64], point: _Point, moved: _Point
    ) -> NDArray[np.float64]:
        """What each node did to the loss, [n]; notes how stiff it was."""
        slot = self._slots[name]
        step = slot.annealer.sums() - before
        squared = np.square(step).sum(axis=1)
        old, new = point.gradients[name], moved.gradients[name]
        went = squared > 0
        met = ((new - old) * step).sum(axis=1)[went] / (2 * slot.metric.curvature * squared)[went]
        slot.stiffness[went] = np.clip((slot.stiffness[went] + met) / 2, FLATTEST, STEEPEST)
        effects: NDArray[np.float64] = ((new + old) * step).sum(axis=1) / 2
        return effects

    def _evaluate(self) -> tuple[Status | None, _Point]:
        features = {name: slot.features() for name, slot in self._slots.items()}
        loss, slopes = self._problem.slopes(features)
        self._search.steps += 1
        status = self._search.record(self._problem.variables.point_of(features), loss)
        gradients = {name: slot.gradient(slopes[name]) for name, slot in self._slots.items()}
        return status, _Point(
            {name: slot.annealer.items for name, slot in self._slots.items()}, loss, gradients
        )
