"""What a change of each node's sums of neighbours does to the loss, from where a search is now.

The guide of `neighbour_sums` looks from the reference, where the loss is flat. A descent looks from its own
graph: the slope of the loss with respect to every sum, what neighbours send there, and a curvature of every
node (Gauss-Newton, from gradients of random combinations of activations). *Ours.*
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from graph_metamers.graphs.rewiring import SumModel
from graph_metamers.reading.messages import MessageRecorder
from graph_metamers.synthesis.probing import random_signs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from graph_metamers.synthesis.edge_problem import EdgeProblem
    from graph_metamers.synthesis.places import Spaces

MEMORY = 64  # probes that a curvature remembers
PRIOR = 25  # probes that the mean curvature of a node's directions counts for
LEAST_CURVATURE = 0.02  # of the mean over nodes: of those that the probes happened not to see


@dataclass(frozen=True, eq=False)
class LocalSums:
    """The loss at a graph, and how it changes with the sums there.

    Attributes
    ----------
    loss
        The activation loss.
    vectors, slopes, probe
        What is sent, the gradient of the loss, and that of a random combination of activations, with respect
        to sums of `vectors`; float32 [n, k], hop after hop.
    """

    loss: float
    vectors: NDArray[np.float32]
    slopes: NDArray[np.float32]
    probe: NDArray[np.float32]


def local_sums(
    problem: EdgeProblem,
    edge_index: Tensor,
    spaces: Spaces,
    generator: torch.Generator,
    *,
    number: int,
) -> LocalSums:
    """Look at the loss from a graph.

    Parameters
    ----------
    problem
        What is to be matched; call inside `view.borrow()`.
    edge_index
        Of the graph, int64 [2, E].
    spaces
        The hops at the reference; they fix the coordinates.
    generator, number
        Of the probe: `MEMORY` in succession ask every unit once, see `random_signs`.

    Notes
    -----
    One forward and two backward passes.
    """
    with torch.enable_grad(), MessageRecorder(problem.seen_view.model) as recorder:
        errors = problem.errors_at(edge_index)
    every = [hop for hop in recorder.hops if hop.leaf is not None and hop.messages is not None]
    hops = [hop for hop, place in zip(every, spaces.places, strict=True) if place is not None]
    leaves = [hop.leaf for hop in hops if hop.leaf is not None]
    weights = [
        [2 * error.detach() for error in errors],
        [random_signs(error, number, MEMORY, generator) for error in errors],
    ]
    slopes, probes = (
        torch.autograd.grad(
            errors, leaves, chosen, retain_graph=not last, allow_unused=True, materialize_grads=True
        )
        for last, chosen in enumerate(weights)
    )
    return LocalSums(
        sum(float(error.detach().square().sum()) for error in errors),
        spaces.sent(hops).astype(np.float32),
        spaces.pulls(slopes).astype(np.float32),
        spaces.pulls(probes).astype(np.float32),
    )


class SumCurvature:
    """Each node's curvature, hop by hop: a running second moment of probes, shrunk towards a multiple of 1.

    Parameters
    ----------
    num_nodes, hops
        n, and where the columns of each hop begin, int64 [hops + 1].
    reach
        For each hop the nodes that may matter, bool [n]; default: all.
    """

    def __init__(
        self, num_nodes: int, hops: NDArray[np.int64], reach: Sequence[NDArray[np.bool_]] = ()
    ) -> None:
        self.hops = hops
        self._reach = reach or [np.ones(num_nodes, dtype=np.bool_)] * (len(hops) - 1)
        widths = np.diff(hops)
        self._moments = [np.zeros((num_nodes, k, k), dtype=np.float32) for k in widths]
        self._seen = 0

    def add(self, probe: NDArray[np.float32]) -> None:
        """Remember one more probe, float32 [n, k]."""
        self._seen += 1
        share = np.float32(1 / min(self._seen, MEMORY))
        for hop, (first, last) in enumerate(zip(self.hops[:-1], self.hops[1:], strict=True)):
            part = probe[:, first:last]
            self._moments[hop] *= 1 - share
            self._moments[hop] += share * (part[:, :, None] * part[:, None, :])

    def matrices(self) -> NDArray[np.float32]:
        """C of every node, float32 [n, sum of k_l^2]."""
        count = min(self._seen, MEMORY)
        found = []
        for moment, reached in zip(self._moments, self._reach, strict=True):
            k = moment.shape[1]
            mean = np.trace(moment, axis1=1, axis2=2) / max(k, 1)  # 0 directions behind dead units
            least = LEAST_CURVATURE * mean[reached].mean() if reached.any() else 0.0
            mean = mean + np.where(reached, np.float32(least), np.float32(0))
            shrunk = moment * np.float32(count / (count + PRIOR))
            shrunk[:, range(k), range(k)] += (mean * np.float32(PRIOR / (count + PRIOR)))[:, None]
            found.append(shrunk.reshape(len(shrunk), -1))
        return np.ascontiguousarray(np.concatenate(found, axis=1))

    def model(self, local: LocalSums) -> SumModel:
        """The model of the loss at a graph."""
        return SumModel(local.vectors, local.slopes.copy(), self.matrices(), self.hops)
