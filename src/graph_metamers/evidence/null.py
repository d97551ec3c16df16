"""What real items look like to the layer: the null that a metamer has to beat.

A metamer claims that two different items look the same to the model. Real items look alike too, so the claim
only means something if the metamer is closer to its reference than any other real item is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from sklearn.neighbors import KDTree
from torch import Tensor

from graph_metamers.errors import ParameterError
from graph_metamers.metrics.fidelity import item_loss, pearson, snr_db, spearman
from graph_metamers.parameters import MAX_SEED, check_integer
from graph_metamers.randomness import generator_for
from graph_metamers.reading import ModelView

if TYPE_CHECKING:
    from torch import nn

    from graph_metamers.types import Forward, Graph, Transform


EQUAL = 1e-5
"""Relative error up to which two activations are equal: nodes with the same neighbourhoods differ in the last
digits of float32, by the order in which their neighbours were summed."""

EQUAL_SNR = -20 * math.log10(EQUAL)  # the same in dB
QUANTILES = 1001  # of the pooled null, where it is kept for a figure


@dataclass(frozen=True, eq=False)
class NullDistribution:
    """How alike real items are at a layer.

    Attributes
    ----------
    layer
        The layer.
    reference
        The graph.
    view
        The model.
    activations
        Activations of the reference, float64 [items, d].
    snr, spearman, pearson
        Of random pairs of different items, float64 [pairs kept]: the pooled null of Feather et al. 2023,
        shown as a figure. Pairs with equal activations are left out: they would put an infinite SNR into it.
    num_equal
        Number of pairs that were left out because their activations are equal.
    nearest_item
        The real item with other activations (by more than `EQUAL`) that is nearest to each item, int64
        [items]; -1 if there is none.
    nearest_snr
        Its signal-to-noise ratio as a stand-in for the item, -10 log10(||h_u - h_v||^2 / ||h_v||^2) in dB,
        float64 [items]; -inf if there is none. What a metamer has to beat (method: per item, exact).
    """

    layer: str
    reference: Graph
    view: ModelView
    activations: Tensor
    snr: Tensor
    spearman: Tensor
    pearson: Tensor
    num_equal: int
    nearest_item: Tensor
    nearest_snr: Tensor

    def beaten_by(self, snr: Tensor) -> Tensor:
        """Gate 2: items that are closer to the reference than any real item with another activation is.

        What is within `EQUAL` of a real item's activation is that item: the last digits of float32 depend on
        where in the matrix a row stands, and without this margin a quarter of the copies of nearest real
        items would be closer than these.

        Parameters
        ----------
        snr
            Signal-to-noise ratio of every item's activation, dB, [items].

        Returns
        -------
        Tensor
            bool [items]; true also where the activation equals the reference's up to `EQUAL`.
        """
        error, rival = (10 ** (-decibel / 20) for decibel in (snr, self.nearest_snr))
        # Relative to ||h_v||, the rival's activation is at most 1 + rival long.
        return (error < rival * (1 - EQUAL) - EQUAL) | (snr >= EQUAL_SNR)

    def summary(self) -> NullSummary:
        """What a report keeps of it: the pooled null as quantiles, and each item's rival."""
        places = torch.linspace(0, max(0, len(self.snr) - 1), min(len(self.snr), QUANTILES)).round().long()
        return NullSummary(
            snr=self.snr.sort().values[places],
            num_pairs=len(self.snr),
            num_equal=self.num_equal,
            nearest_item=self.nearest_item,
            nearest_snr=self.nearest_snr,
        )

    def __repr__(self) -> str:
        median = float(self.nearest_snr[self.nearest_item >= 0].median()) if len(self.snr) else float("nan")
        return (
            f"NullDistribution(layer {self.layer}: {len(self.snr)} pairs, median SNR "
            f"{float(self.snr.median()):.1f} dB, {self.num_equal} equal pairs left out; nearest real items "
            f"have a median SNR of {median:.1f} dB)"
        )


@dataclass(frozen=True, eq=False)
class NullSummary:
    """What is kept of a `NullDistribution`, without model and activations.

    Attributes
    ----------
    snr
        Evenly spaced quantiles of the pooled null, ascending, dB, float64 [at most `QUANTILES`].
    num_pairs, num_equal
        Pairs behind it, and pairs that were left out because their activations are equal.
    nearest_item, nearest_snr
        As in `NullDistribution`, [items].
    """

    snr: Tensor
    num_pairs: int
    num_equal: int
    nearest_item: Tensor
    nearest_snr: Tensor


def null_distribution(
    model: nn.Module,
    graph: Graph,
    layer: str,
    *,
    pairs: int = 100_000,
    seed: int = 0,
    forward: Forward | None = None,
    transform: Transform | None = None,
) -> NullDistribution:
    """Measure how alike real items are at a layer.

    Parameters
    ----------
    model, graph, layer, forward, transform
        As in `generate`.
    pairs
        Number of random pairs of the pooled null.
    seed
        Of the pairs.

    Returns
    -------
    NullDistribution

    Raises
    ------
    ParameterError
        If there are fewer than two items, or a parameter is out of range.

    Notes
    -----
    The nearest neighbours are exact, from a tree over the distinct activations: O(items log items) where the
    activations have few effective dimensions, O(items^2 d) at worst.
    """
    check_integer("pairs", pairs, low=1)
    check_integer("seed", seed, low=0, high=MAX_SEED)
    return null_of_view(ModelView(model, forward, transform), graph, layer, pairs=pairs, seed=seed)


def null_of_view(view: ModelView, graph: Graph, layer: str, *, pairs: int, seed: int) -> NullDistribution:
    """The same as `null_distribution`, of a model that is already bound."""
    with view.borrow(), torch.no_grad():
        activations = view.taps(graph, [layer])[layer].value
    activations = activations.double().reshape(activations.shape[0], -1)
    if len(activations) < 2:
        raise ParameterError("layer", "one with at least two items to compare", len(activations))
    first, second = _random_pairs(len(activations), pairs, generator_for("pairs", seed))
    reference, other = activations[first], activations[second]
    different = (other - reference).norm(dim=1) > EQUAL * reference.norm(dim=1)
    reference, other = reference[different], other[different]
    nearest = _nearest_different(activations)
    return NullDistribution(
        layer,
        graph,
        view,
        activations,
        snr_db(item_loss(other, reference)),
        spearman(other, reference),
        pearson(other, reference),
        int((~different).sum()),
        nearest,
        _snr_of_nearest(activations, nearest),
    )


def _random_pairs(num_items: int, pairs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Ordered pairs of different items, uniformly with replacement, int64 [pairs] each."""
    first = torch.randint(num_items, (pairs,), generator=generator)
    step = torch.randint(1, num_items, (pairs,), generator=generator)
    return first, (first + step) % num_items


def _nearest_different(activations: Tensor) -> Tensor:
    """The nearest item with other activations, int64 [items]; -1 where all are equal."""
    distinct, group = torch.unique(activations, dim=0, return_inverse=True)
    representative = torch.empty(len(distinct), dtype=torch.long)
    representative[group] = torch.arange(len(activations))
    nearest = torch.full((len(distinct),), -1)
    # A tree, not scikit-learn's brute force: that expands the square and loses near neighbours to rounding.
    tree = KDTree(distinct.numpy())
    unknown, count = torch.arange(len(distinct)), 2
    while len(unknown):
        count = min(count, len(distinct))
        asked = distinct[unknown]
        distance, candidate = map(torch.from_numpy, tree.query(asked.numpy(), k=count))
        other = distance > EQUAL * asked.norm(dim=1, keepdim=True)
        found = other.any(dim=1)
        first = other.int().argmax(dim=1, keepdim=True)  # candidates come nearest first
        nearest[unknown[found]] = candidate.gather(1, first).flatten()[found]
        if count == len(distinct):
            break
        unknown, count = unknown[~found], 4 * count
    return torch.where(nearest[group] >= 0, representative[nearest[group]], -1)


def _snr_of_nearest(activations: Tensor, nearest: Tensor) -> Tensor:
    known = nearest >= 0
    snr = torch.full((len(activations),), -torch.inf, dtype=torch.float64)
    snr[known] = snr_db(item_loss(activations[nearest[known]], activations[known]))
    return snr
