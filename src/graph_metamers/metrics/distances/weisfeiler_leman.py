"""Distance of the Weisfeiler-Leman kernel: which neighbourhoods occur how often, whoever has them.

Neighbourhoods are told apart by colours that start from a label of every node. Raw features are no labels:
where hardly two nodes have equal ones, every colour is unique from the start. So nodes are labelled by
class, by degree or by cluster, and the name of the distance says which.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from graph_metamers.arrays import array_of
from graph_metamers.graphs.colours import refine_colours
from graph_metamers.metrics.distances.registry import (
    Chance,
    Kind,
    Reading,
    Seen,
    StructureDistance,
    register,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def weisfeiler_leman_counts(
    edge_index: NDArray[np.int64],
    other: NDArray[np.int64],
    labels: NDArray[np.int64],
    other_labels: NDArray[np.int64],
    *,
    rounds: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often each colour of 0 to `rounds` rounds of refinement occurs in two graphs, int64 [colours] each.

    Parameters
    ----------
    edge_index, other
        Of the graphs, int64 [2, E] each; a node looks at the sources of the edges into it.
    labels, other_labels
        Of their nodes, int64 [n] and [m]; a number means the same in both.
    rounds
        At least 0.

    Notes
    -----
    Their scalar product is the Weisfeiler-Leman subtree kernel (Shervashidze et al. 2011). O(rounds E log E).
    """
    n, m = len(labels), len(other_labels)
    both = np.concatenate([edge_index, other + n], axis=1)
    colours = refine_colours(both, n + m, rounds=rounds, colours=np.concatenate([labels, other_labels]))
    counts: list[list[NDArray[np.int64]]] = [[], []]
    for row in colours:
        size = int(row.max(initial=-1)) + 1
        counts[0].append(np.bincount(row[:n], minlength=size))
        counts[1].append(np.bincount(row[n:], minlength=size))
    return np.concatenate(counts[0]), np.concatenate(counts[1])


@dataclass(frozen=True)
class WeisfeilerLeman(StructureDistance):
    """sqrt(1 - k(G', G) / sqrt(k(G', G') k(G, G))), k the Weisfeiler-Leman subtree kernel.

    Parameters
    ----------
    rounds
        Rounds of refinement, that is how many hops a neighbourhood reaches.
    """

    unit = "0 to 1"
    limits = (0.0, 1.0)
    is_symmetric = True
    is_aligned = False

    rounds: int = 3

    @abstractmethod
    def labels(self, changed: Seen, reference: Seen) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Label of every node before the first round, int64 [n] each."""

    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:  # noqa: ARG002
        """See `Distance.raw`."""
        ours, theirs = weisfeiler_leman_counts(
            array_of(changed.edges),
            array_of(reference.edges),
            *self.labels(changed, reference),
            rounds=self.rounds,
        )
        # Half the squared distance of unit vectors is 1 - cosine, without its loss of digits near 1.
        a, b = (part / np.sqrt(np.square(part.astype(np.float64)).sum()) for part in (ours, theirs))
        return Reading(float(np.sqrt(0.5 * np.square(a - b).sum())))


@register
class WeisfeilerLemanClass(WeisfeilerLeman):
    """Nodes are labelled by class."""

    name = "weisfeiler_leman_class"
    text = (
        "How differently often neighbourhoods of three hops occur, nodes labelled by their class "
        "(Weisfeiler-Leman kernel distance)."
    )

    def _why_not_here(self, changed: Seen, reference: Seen) -> str:  # noqa: ARG002
        return "the graph has no class for every node (y)" if reference.labels is None else ""

    def labels(self, changed: Seen, reference: Seen) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """See `WeisfeilerLeman.labels`."""
        assert changed.labels is not None  # noqa: S101 (`why_not`)
        assert reference.labels is not None  # noqa: S101
        return array_of(changed.labels), array_of(reference.labels)


@register
class WeisfeilerLemanDegree(WeisfeilerLeman):
    """Nodes are labelled by degree."""

    name = "weisfeiler_leman_degree"
    text = (
        "How differently often neighbourhoods of three hops occur, nodes labelled by their degree "
        "(Weisfeiler-Leman kernel distance)."
    )

    def labels(self, changed: Seen, reference: Seen) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """See `WeisfeilerLeman.labels`; with directions the in-degree."""
        ours, theirs = (
            np.bincount(array_of(seen.edges)[1], minlength=seen.num_nodes) for seen in (changed, reference)
        )
        return ours, theirs


@register
@dataclass(frozen=True)
class WeisfeilerLemanCluster(WeisfeilerLeman):
    """Nodes are labelled by the cluster of their features.

    Parameters
    ----------
    clusters
        Of k-means on the reference's features; a changed node gets the label of the nearest centre.
    """

    name = "weisfeiler_leman_cluster"
    text = (
        "How differently often neighbourhoods of three hops occur, nodes labelled by the nearest of eight "
        "centres of the reference's features (Weisfeiler-Leman kernel distance)."
    )
    kind: ClassVar[Kind] = "both"
    chance: ClassVar[Chance] = "shuffled_and_rewired"
    is_symmetric = False  # the reference gives the centres

    clusters: int = 8

    def _why_not_here(self, changed: Seen, reference: Seen) -> str:  # noqa: ARG002
        return "" if any(x.numel() for x in reference.features) else "the graph has no node features"

    def labels(self, changed: Seen, reference: Seen) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """See `WeisfeilerLeman.labels`."""
        from sklearn.cluster import KMeans  # noqa: PLC0415 (it loads slowly)

        ours, theirs = (array_of(seen.features[0].double()) for seen in (changed, reference))
        # Distinct rows in their own order: what is found does not depend on the order of the nodes.
        distinct, counts = np.unique(theirs, axis=0, return_counts=True)
        centres = KMeans(min(self.clusters, len(distinct)), n_init=1, random_state=0)
        centres.fit(distinct, sample_weight=counts)
        return centres.predict(ours).astype(np.int64), centres.predict(theirs).astype(np.int64)
