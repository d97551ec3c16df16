"""Fused Gromov-Wasserstein distance: how well the nodes of one graph can be laid on those of the other.

Needs POT, which the extra `transport` brings.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from scipy.sparse.csgraph import shortest_path

from graph_metamers.arrays import array_of
from graph_metamers.metrics.distances.registry import (
    Chance,
    Kind,
    Reading,
    Seen,
    StructureDistance,
    register,
)
from graph_metamers.metrics.structure import joined_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXTRA = "it needs POT: pip install 'graph-metamers[transport]'"


@dataclass(frozen=True, eq=False)
class Laid:
    """What two graphs cost when they are laid on each other.

    Attributes
    ----------
    features
        Cost of laying node i on node j, float64 [n, n]: half the mean squared difference of their features,
        each in units of its standard deviation.
    hops, reference_hops
        Hops between the nodes of each, over the root mean square in the reference, float64 [n, n].
    """

    features: NDArray[np.float64]
    hops: NDArray[np.float64]
    reference_hops: NDArray[np.float64]


def laid(changed: Seen, reference: Seen) -> Laid:
    """Costs of two graphs; nodes that no path joins are one hop farther apart than any that one joins."""
    hops = [_hops(seen) for seen in (changed, reference)]
    scale = math.sqrt(float(np.square(hops[1]).mean())) or 1.0
    ours, theirs = (seen.features[0].double() for seen in (changed, reference))
    deviation = theirs.std(dim=0, correction=0)
    varies = theirs.amin(dim=0) < theirs.amax(dim=0)
    costs = torch.cdist((ours / deviation)[:, varies], (theirs / deviation)[:, varies]) ** 2
    return Laid(array_of(costs) / max(2 * int(varies.sum()), 1), hops[0] / scale, hops[1] / scale)


@register
@dataclass(frozen=True)
class FusedGromovWasserstein(StructureDistance):
    """Square root of the fused Gromov-Wasserstein loss, by POT.

    Parameters
    ----------
    weight
        Of the structure, in (0, 1); the rest is the features'.
    most_nodes
        Of a graph for which it is computed; O(n^3) a step.
    """

    name = "fused_gromov_wasserstein"
    text = (
        "How badly nodes of one graph can be laid on those of the other so that features and hops between "
        "nodes fit, in equal parts (fused Gromov-Wasserstein): the best of two searches, an upper bound."
    )
    kind: ClassVar[Kind] = "both"
    unit = "standard deviations of features, and hops over their root mean square"
    limits = (0.0, math.inf)
    chance: ClassVar[Chance] = "shuffled_and_rewired"
    is_symmetric = False
    is_aligned = True  # one search starts with every node laid on itself

    weight: float = 0.5
    most_nodes: int = 200

    def _why_not_here(self, changed: Seen, reference: Seen) -> str:  # noqa: ARG002
        if not any(x.numel() for x in reference.features):
            return "the graph has no node features"
        if reference.num_nodes > self.most_nodes:
            return f"the graph has {reference.num_nodes} nodes, more than {self.most_nodes}"
        return "" if importlib.util.find_spec("ot") else EXTRA

    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:  # noqa: ARG002
        """See `Distance.raw`."""
        costs = laid(changed, reference)
        count = reference.num_nodes
        starts = (np.eye(count) / count, np.full((count, count), count**-2.0))
        found = min(self._searched(costs, start) for start in starts)
        return Reading(math.sqrt(max(found, 0.0)), "upper bound: the best of two local searches")

    def _searched(self, costs: Laid, start: NDArray[np.float64]) -> float:
        import ot  # noqa: PLC0415 (an extra, and it loads slowly)

        count = len(start)
        even = np.full(count, 1 / count)
        loss = ot.gromov.fused_gromov_wasserstein2(
            costs.features,
            costs.hops,
            costs.reference_hops,
            even,
            even,
            loss_fun="square_loss",
            alpha=self.weight,
            G0=start,
        )
        return float(loss)


def _hops(seen: Seen) -> NDArray[np.float64]:
    joined = joined_pairs(seen.edges, seen.num_nodes)
    hops: NDArray[np.float64] = shortest_path(joined, unweighted=True, directed=False)
    reached = np.isfinite(hops)
    return np.where(reached, hops, hops[reached].max() + 1)
