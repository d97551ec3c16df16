"""How words change the activations: on the whole, and node by node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

LEAST_CURVATURE = 0.02  # of the mean: that of nodes that the probes happened not to see
LEAST_DIRECTION = 1e-5  # of the strongest direction's curvature: weaker ones are left out
MOST_PROBES = 64  # that are remembered; the oldest make room
PRIOR = 50  # probes that what is true of all directions alike counts for


@dataclass(frozen=True, eq=False)
class WordMetric:
    """How words change the activations on the whole: ||J_v d||^2 = curvature_v ||d vectors||^2, about.

    Attributes
    ----------
    vectors
        One per word, float32 [F, k], of mean squared length 1.
    to_sums
        Turns what a model reads of a row, in an orthonormal basis, into a sum of vectors, float64 [r, k].
    to_gradients
        Turns a gradient with respect to what is read into one with respect to the sum, float64 [r, k].
    curvature
        float64 [n].
    """

    vectors: NDArray[np.float32]
    to_sums: NDArray[np.float64]
    to_gradients: NDArray[np.float64]
    curvature: NDArray[np.float64]

    @classmethod
    def of(cls, basis: Tensor, probes: list[Tensor]) -> WordMetric:
        """From the basis of the visible space, float64 [F, r], and probes (see `Slopes`), float64 [n, r]."""
        rank = basis.shape[1]
        seen = torch.stack(probes) if probes else torch.zeros(1, 1, rank).double()
        flat = seen.reshape(-1, rank)
        moment = flat.T @ flat
        if not bool(moment.any()):
            moment = torch.eye(rank, dtype=torch.float64)
        values, directions = torch.linalg.eigh(moment / moment.trace())
        kept = values > LEAST_DIRECTION * values[-1]
        scale, directions = values[kept].sqrt(), directions[:, kept]
        vectors = basis @ (directions * scale)
        length = float(vectors.square().sum(dim=1).mean().sqrt())
        strength = seen.square().sum(dim=2).mean(dim=0)
        strength = strength + LEAST_CURVATURE * strength.mean()
        return cls(
            (vectors / length).numpy().astype(np.float32),
            (directions * scale / length).numpy(),
            (directions / scale * length).numpy(),
            (strength * length**2).clamp(min=1e-300).numpy(),
        )


class NodeCurvature:
    """How each node's sum of words changes the activations, direction by direction, from the latest probes.

    ||J_v d||^2 is taken to be (sum over p probes of (g_v . d)^2 + PRIOR c_v ||d||^2) / (p + PRIOR), with c_v
    the mean curvature of the node's directions: a second moment, shrunk towards the same in all directions
    (ours). A direction that is read only by rectifiers which are off costs nothing: a node may leave it to
    chance.

    Parameters
    ----------
    probes
        Gradients with respect to sums of vectors, float [n, k] each.
    num_nodes, width
        n and k.

    Notes
    -----
    Memory: `MOST_PROBES` float32 [n, k].
    """

    def __init__(self, probes: list[NDArray[np.floating]], num_nodes: int, width: int) -> None:
        self._probes = np.zeros((num_nodes, MOST_PROBES, width), dtype=np.float32)
        self._squares = np.zeros((num_nodes, MOST_PROBES))
        self._seen = 0
        for probe in probes:
            self.add(probe)

    def add(self, probe: NDArray[np.floating]) -> None:
        """Remember one more probe, float [n, k]."""
        place = self._seen % MOST_PROBES
        self._probes[:, place] = probe
        self._squares[:, place] = np.square(self._probes[:, place]).sum(axis=1)
        self._seen += 1

    def mean(self, nodes: NDArray[np.int64]) -> NDArray[np.float64]:
        """c_v of some nodes, [a]: the curvature of a direction, on the average."""
        count = max(self._count * self._probes.shape[2], 1)
        squares = self._squares.sum(axis=1)
        c: NDArray[np.float64] = (squares[nodes] + LEAST_CURVATURE * squares.mean()) / count
        return c

    def parts(self, nodes: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """P [a, p, k] and ridge [a] of some nodes: the model of a node is ||P d||^2 + ridge ||d||^2."""
        total = self._count + PRIOR
        return self._probes[nodes, : self._count] / np.float32(total**0.5), self.mean(nodes) * PRIOR / total

    def of_steps(self, nodes: NDArray[np.int64], steps: NDArray[np.float64]) -> NDArray[np.float64]:
        """The model of some nodes at the step of each, [a, k]; [a]."""
        probes, ridges = self.parts(nodes)
        seen = np.matmul(probes, steps[:, :, None].astype(np.float32))
        found: NDArray[np.float64] = np.square(seen).sum(axis=(1, 2)) + ridges * np.square(steps).sum(axis=1)
        return found

    @property
    def _count(self) -> int:
        return min(self._seen, MOST_PROBES)
