"""Distances between edges: which ones they are, and what they make of degrees, triangles and classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from graph_metamers.arrays import array_of
from graph_metamers.graphs.edit_distance import edit_distance
from graph_metamers.metrics.distances.registry import Chance, Reading, Seen, StructureDistance, register
from graph_metamers.metrics.structure import edge_overlap, joined_pairs, label_homophily, local_clustering
from graph_metamers.metrics.wasserstein import wasserstein_by_column

RESAMPLES = 200
FEWEST_NODES = 100


@register
class EdgeJaccard(StructureDistance):
    """1 - Jaccard index of the sets of edges."""

    name = "edge_jaccard"
    text = "Share of the edges in either graph that are not in both."
    unit = "share of edges"
    limits = (0.0, 1.0)
    is_symmetric = True
    is_aligned = True

    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:  # noqa: ARG002
        """See `Distance.raw`."""
        return Reading(1 - edge_overlap(changed.edges, reference.edges, reference.num_nodes))


@register
class Degrees(StructureDistance):
    """How far the distribution of degrees has moved."""

    name = "degrees"
    text = (
        "How far the distribution of degrees has moved (Wasserstein-1); with directions the mean of in- and "
        "out-degrees. 0 for rewiring that keeps degrees."
    )
    unit = "edges of a node"
    limits = (0.0, math.inf)
    chance: ClassVar[Chance] = "random_edges"
    is_symmetric = True
    is_aligned = False

    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:  # noqa: ARG002
        """See `Distance.raw`."""
        ours, theirs = (
            array_of(torch.stack([torch.bincount(ends, minlength=seen.num_nodes) for ends in seen.edges], 1))
            for seen in (changed, reference)
        )
        return Reading(float(wasserstein_by_column(ours, theirs).mean()))


@register
@dataclass(frozen=True)
class Clustering(StructureDistance):
    """How far the distribution of local clustering coefficients has moved.

    Parameters
    ----------
    most_work
        Up to so many pairs of neighbours it is exact; above that a sample of nodes is looked at, the same
        ones in both graphs.
    """

    name = "clustering"
    text = (
        "How far the distribution over the nodes of the clustering coefficient, the share of pairs of "
        "neighbours that are joined, has moved (Wasserstein-1)."
    )
    unit = "share of pairs"
    limits = (0.0, 1.0)
    is_symmetric = True
    is_aligned = False

    most_work: int = 200_000_000

    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:
        """See `Distance.raw`."""
        both = [joined_pairs(seen.edges, seen.num_nodes) for seen in (changed, reference)]
        work = max(int((np.diff(joined.indptr).astype(np.float64) ** 2).sum()) for joined in both)
        count = reference.num_nodes
        if work <= self.most_work:
            ours, theirs = (local_clustering(joined, np.arange(count)) for joined in both)
            return Reading(float(wasserstein_by_column(ours, theirs)[0]))
        generator = np.random.default_rng(seed)
        size = min(count, max(FEWEST_NODES, count * self.most_work // work))
        nodes = np.sort(generator.choice(count, size=size, replace=False))
        ours, theirs = (local_clustering(joined, nodes) for joined in both)
        drawn = generator.integers(size, size=(size, RESAMPLES))
        error = float(wasserstein_by_column(ours[drawn], theirs[drawn]).std(ddof=1))
        value = float(wasserstein_by_column(ours, theirs)[0])
        return Reading(value, f"sampled: {size} of {count} nodes; error by bootstrap over them", error)


@register
class Homophily(StructureDistance):
    """How much the share of edges within a class has changed."""

    name = "homophily"
    text = "Absolute change of the share of edges that join two nodes of one class."
    unit = "share of edges"
    limits = (0.0, 1.0)
    is_symmetric = True
    is_aligned = False

    def _why_not_here(self, changed: Seen, reference: Seen) -> str:
        if reference.labels is None:
            return "the graph has no class for every node (y)"
        return "" if changed.edges.shape[1] else "the changed graph has no edges"

    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:  # noqa: ARG002
        """See `Distance.raw`."""
        assert changed.labels is not None  # noqa: S101 (`why_not`)
        assert reference.labels is not None  # noqa: S101
        ours = label_homophily(changed.edges, changed.labels)
        return Reading(abs(ours - label_homophily(reference.edges, reference.labels)))


@register
@dataclass(frozen=True)
class Edit(StructureDistance):
    """Graph edit distance.

    Parameters
    ----------
    most_nodes
        Of a graph for which it is computed: the time grows faster than exponentially.
    """

    name = "edit"
    text = (
        "Fewest edges that must be added or taken away to turn one graph into the other, whatever its nodes "
        "are called (graph edit distance); for the smallest graphs alone."
    )
    unit = "edges"
    limits = (0.0, math.inf)
    is_symmetric = True
    is_aligned = False

    most_nodes: int = 12

    def _why_not_here(self, changed: Seen, reference: Seen) -> str:  # noqa: ARG002
        if reference.num_nodes > self.most_nodes:
            return f"the graph has {reference.num_nodes} nodes, more than {self.most_nodes}"
        return ""

    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:  # noqa: ARG002
        """See `Distance.raw`."""
        ours, theirs = (array_of(seen.edges) for seen in (changed, reference))
        return Reading(float(edit_distance(ours, theirs, reference.num_nodes)))
