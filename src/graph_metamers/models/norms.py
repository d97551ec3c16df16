"""The normalisations of the zoo, by name."""

from __future__ import annotations

from torch import nn

NORMS = ("none", "batch", "layer")
"""The normalisations between a linear map and its activation function."""


def build_norm(name: str, width: int) -> nn.Module:
    """Return a new normalisation module, [*, width] -> [*, width]; `name` is "batch" or "layer"."""
    return nn.BatchNorm1d(width) if name == "batch" else nn.LayerNorm(width)
