"""The words of the nodes of one kind, as sets, and what a model reads of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import csr_array

from graph_metamers.arrays import array_of
from graph_metamers.graphs.set_matching import LocalCosts, Schedule

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from graph_metamers.graphs.set_matching import Annealer
    from graph_metamers.inputs.feature_values import FeatureValues
    from graph_metamers.synthesis.solvers.word_metric import NodeCurvature, WordMetric

PROPOSALS = 200  # per word of a node that takes part in a step in which nodes exchange words
STEEPEST, FLATTEST = 1000.0, 0.5  # of a node's curvature, over what the probes said


@dataclass(frozen=True, eq=False)
class WordSlot:
    """The words of one slot of features, as sets that are being matched.

    Attributes
    ----------
    values
        What the features may be.
    basis
        Of what the model reads of a row, in the dtype of the features, [F, r].
    is_compressed
        Whether the model of the problem takes rows in that basis instead of features.
    fixed
        What the model reads of the entries that may not vary, [n, r].
    metric, curvature
        How sums of words change the activations.
    annealer
        Holds the words; a group is a node.
    num_words
        Words that may be swapped.
    penalty
        Of a charged word, in units of a word's mean squared length.
    stiffness
        Curvature that a node met, over what the probes said, [n]; changes during the descent.
    """

    values: FeatureValues
    basis: NDArray[np.floating]
    is_compressed: bool
    fixed: NDArray[np.floating]
    metric: WordMetric
    curvature: NodeCurvature
    annealer: Annealer
    num_words: int
    penalty: float
    stiffness: NDArray[np.float64]

    def features(self, items: NDArray[np.int64]) -> Tensor:
        """X with these words, [n, F]."""
        reference = self.values.reference
        x = torch.where(self.values.mutable, 0.0, reference).to(reference)
        owners = torch.from_numpy(self.annealer.owners).to(x.device)
        x[owners, torch.from_numpy(items).to(x.device)] = 1
        return x

    def read(self, items: NDArray[np.int64]) -> NDArray[np.floating]:
        """What the model reads of these words, [n, r]; without the entries that may not vary."""
        shape = (len(self.values.reference), len(self.basis))
        ones = np.ones(len(items), dtype=self.basis.dtype)
        return np.asarray(csr_array((ones, items, self.annealer.starts), shape=shape) @ self.basis)

    def inputs(self, items: NDArray[np.int64], read: NDArray[np.floating]) -> Tensor:
        """What the model of the problem takes for these words, of which it reads `read`; [n, r] or [n, F]."""
        if self.is_compressed:
            return torch.from_numpy(read + self.fixed).to(self.values.reference)
        return self.features(items)

    def gradient(self, slope: Tensor) -> NDArray[np.float64]:
        """A gradient with respect to the inputs, as one with respect to sums of vectors, [n, k]."""
        seen = array_of(slope)
        return np.asarray((seen if self.is_compressed else seen @ self.basis) @ self.metric.to_gradients)

    def improve(
        self, nodes: NDArray[np.int64], gradient: NDArray[np.float64], *, temperature: float = 0.0
    ) -> None:
        """Swap words of some nodes so that the model of the loss, of gradient [n, k], falls.

        Above temperature 0, in units of the loss, at random instead, such that a low loss is likelier.
        """
        stiffness = self.stiffness[nodes]
        probes, ridges = self.curvature.parts(nodes)
        probes *= np.sqrt(stiffness)[:, None, None].astype(np.float32)
        penalties = self.penalty * stiffness * self.curvature.mean(nodes)
        costs = LocalCosts(probes, gradient[nodes], ridges * stiffness, penalties)
        self.annealer.improve(nodes, costs, temperature=temperature)

    def exchange(self, nodes: NDArray[np.int64], gradient: NDArray[np.float64]) -> None:
        """The same by exchanges between the nodes, so that every word stays in as many.

        Each node's sum is matched to where a model with its mean curvature has its minimum.
        """
        sums = self.read(self.annealer.items) @ self.metric.to_sums
        curvature = self.metric.curvature * self.stiffness
        self.annealer.restart(targets=sums - gradient / (2 * curvature[:, None]))
        active = np.zeros(len(sums), dtype=np.bool_)
        active[nodes] = True
        for _ in self.annealer.anneal(
            Schedule(int(PROPOSALS * self.num_words * active.mean())), groups=active
        ):
            pass
        self.annealer.restart()

    def learn(
        self, steps: NDArray[np.floating], old: NDArray[np.float64], new: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """What each node did to the loss, [n], from its step of what is read, [n, r]; notes how stiff it was.

        Half the sum of the gradients before and after, [n, k], times the step: exact where the loss is
        quadratic.
        """
        effects = np.zeros(len(steps))
        moved = np.flatnonzero(steps.any(axis=1))
        step = steps[moved] @ self.metric.to_sums
        effects[moved] = ((new + old)[moved] * step).sum(axis=1) / 2
        expected = 2 * self.curvature.of_steps(moved, step)
        met = ((new - old)[moved] * step).sum(axis=1) / np.maximum(expected, 1e-300)
        self.stiffness[moved] = np.clip((self.stiffness[moved] + met) / 2, FLATTEST, STEEPEST)
        return effects
