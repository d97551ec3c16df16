"""The ten published splits of a set, one of them chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from graph_metamers.datasets.splits import Split

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["NUM_PUBLISHED_SPLITS", "split_of_masks"]

NUM_PUBLISHED_SPLITS = 10


def split_of_masks(train: Any, validation: Any, test: Any, *, num_nodes: int, description: str) -> Split:
    """Make a split of three masks that came from a file.

    Parameters
    ----------
    train, validation, test
        Arrays [num_nodes] of 0 and 1 or bool; disjoint, none empty.
    num_nodes
        How many there must be.
    description
        For `Split.description`.

    Raises
    ------
    ValueError
        If they are anything else.
    """
    named = {"train": train, "validation": validation, "test": test}
    parts = {name: _indices(mask, name, num_nodes) for name, mask in named.items()}
    return Split(**parts, description=description)


def _indices(mask: Any, name: str, num_nodes: int) -> Tensor:
    if mask.shape != (num_nodes,) or mask.dtype.kind not in "biu" or not ((mask == 0) | (mask == 1)).all():
        raise ValueError(f"the {name} mask must be {num_nodes} of 0 and 1, got {mask.dtype} {mask.shape}")
    index = torch.from_numpy(mask.astype(bool)).nonzero().view(-1)
    if not len(index):
        raise ValueError(f"the {name} mask is empty")
    return index
