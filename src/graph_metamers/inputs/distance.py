"""How far a changed input is from the reference: 0 = the reference, 1 = chance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graph_metamers.inputs.moments import mutable_moments


@dataclass(frozen=True, eq=False)
class InputDistance:
    """Distance between the features of a graph and those of its reference.

    Attributes
    ----------
    scaled
        ||X' - X||_F over its chance level, over all slots and mutable entries; 0 = the reference,
        1 = unrelated features of the same distribution (ours).
    raw
        ||X' - X||_F, in units of the features.
    chance
        Root mean square of ||X' - X||_F when every mutable entry is replaced by the same feature of a random
        node: sqrt(sum_ij [(x_ij - mu_j)^2 + var_j]), in closed form.
    items
        The same per item, scaled, [items]; nan where no mutable entry belongs to the item or all of them are
        constant over the graph.
    """

    scaled: float
    raw: float
    chance: float
    items: Tensor


def squared_chance(reference: Tensor, mutable: Tensor) -> Tensor:
    """Expected squared change of each entry under chance, [n, F]; 0 where the entry may not vary.

    Chance draws a feature's value from a random node where it may vary: E (x_ij - x_kj)^2 = (x_ij - mu_j)^2 +
    var_j, with mean and variance over these nodes.
    """
    reference = reference.double()
    mean, variance = mutable_moments(reference, mutable)
    return torch.where(mutable, (reference - mean) ** 2 + variance, 0.0)
