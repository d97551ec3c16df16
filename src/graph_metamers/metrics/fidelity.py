"""How alike two activations are: the matched layer of a metamer beside that of its reference.

All functions take activations as [items, ...]; trailing dimensions are flattened. Statistics are computed
in float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from scipy import stats

if TYPE_CHECKING:
    from torch import Tensor


def activation_loss(activation: Tensor, reference: Tensor) -> Tensor:
    """||h' - h||_F^2 / ||h||_F^2, the relative squared error of a whole layer.

    0 = matched exactly; 1 = as far as the zero activation. It is dominated by items with large activations:
    read it beside the median and the 95th percentile of `item_loss`. Differentiable.

    Parameters
    ----------
    activation, reference
        h' and h, [items, ...].

    Returns
    -------
    Tensor
        Scalar, in the dtype of the activations. Source: arXiv 2510.17378.
    """
    return (activation - reference).square().sum() / reference.square().sum()


def item_loss(activation: Tensor, reference: Tensor) -> Tensor:
    """||h'_v - h_v||^2 / ||h_v||^2 for every item v, [items], float64.

    An item whose reference activation is zero has loss 0 if it is matched exactly, else infinity.
    """
    activation, reference = _rows(activation), _rows(reference)
    error = (activation - reference).square().sum(dim=1)
    energy = reference.square().sum(dim=1)
    return torch.where(error == 0, 0.0, error / energy)


def snr_db(loss: Tensor) -> Tensor:
    """Signal-to-noise ratio -10 log10(loss), in dB, elementwise.

    30 dB is a loss of 1e-3, 0 dB the zero activation, infinity an exact match. (Feather et al.'s public code
    takes 10 log10 of an amplitude ratio, which is half of this.)
    """
    return -10 * loss.log10()


def pearson(activation: Tensor, reference: Tensor) -> Tensor:
    """Pearson correlation over the units of every item, [items], in [-1, 1], float64.

    nan where the item has fewer than two units or either activation is constant over its units.
    """
    return _correlation(_rows(activation), _rows(reference))


def spearman(activation: Tensor, reference: Tensor) -> Tensor:
    """Spearman rank correlation over the units of every item, [items], in [-1, 1], float64.

    Ties have their mean rank; nan as for `pearson`. With few units (under about 30) it is coarse.
    """
    return _correlation(_ranks(_rows(activation)), _ranks(_rows(reference)))


def cosine(changed: Tensor, reference: Tensor) -> Tensor:
    """Cosine of the angle between corresponding rows, [rows], in [-1, 1], float64; nan for zero rows.

    Features that are never negative have a high cosine by chance: read it beside its chance level.
    """
    return _cosine(_rows(changed), _rows(reference))


def centred_cosine(changed: Tensor, reference: Tensor) -> Tensor:
    """Cosine after the reference's mean row is taken off both, [rows], in [-1, 1], float64.

    Unrelated features have about 0 whatever their sign; nan for zero rows.
    """
    changed, reference = _rows(changed), _rows(reference)
    mean = reference.mean(dim=0)
    return _cosine(changed - mean, reference - mean)


def word_overlap(changed: Tensor, reference: Tensor) -> float:
    """Jaccard index of the ones of two binary matrices: |both| / |either|, in [0, 1]; nan without ones."""
    ours, theirs = changed.bool(), reference.bool()
    either = int((ours | theirs).sum())
    return int((ours & theirs).sum()) / either if either else float("nan")


def _rows(values: Tensor) -> Tensor:
    values = values.detach().double()
    return values.unsqueeze(1) if values.ndim == 1 else values.flatten(start_dim=1)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    angle: Tensor = (a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1))
    return angle.clamp(-1, 1)


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    constant = (a == a[:, :1]).all(dim=1) | (b == b[:, :1]).all(dim=1)
    centred = _cosine(a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True))
    return centred.masked_fill(constant, torch.nan)


def _ranks(values: Tensor) -> Tensor:
    return torch.as_tensor(stats.rankdata(values.cpu().numpy(), axis=1), device=values.device)
