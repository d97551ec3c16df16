"""Which items train a model, which choose it, and which judge it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from graph_metamers.errors import DatasetError, ParameterError

__all__ = ["Split", "seeded_split", "split_that_fits"]


@dataclass(frozen=True, eq=False)
class Split:
    """Three disjoint sets of items (nodes, or graphs).

    Attributes
    ----------
    train, validation, test
        Indices of items, int64, [num_train], [num_validation] and [num_test].
    description
        Where the split comes from, such as "public split" or "seeded: 20 per class, seed 0".
    """

    train: Tensor
    validation: Tensor
    test: Tensor
    description: str

    def __post_init__(self) -> None:
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        for name, index in parts.items():
            if index.dtype != torch.int64 or index.dim() != 1:
                raise ParameterError(name, "int64 indices [n]", f"{index.dtype} {list(index.shape)}")
        for (a, first), (b, second) in combinations(parts.items(), 2):
            common = int(torch.isin(first, second).sum())
            if common:
                raise ParameterError(b, f"disjoint from '{a}'", f"{common} items in both")

    def __repr__(self) -> str:
        sizes = f"{len(self.train)} train, {len(self.validation)} validation, {len(self.test)} test"
        return f"{sizes} ({self.description})"


def seeded_split(
    y: Tensor, *, train_per_class: int, num_validation: int, generator: torch.Generator, description: str
) -> Split:
    """Draw the same number of training items from every class, then a validation set; the rest is the test.

    Parameters
    ----------
    y
        Class of every item, int64 [num_items], not negative. Classes without any item are left out.
    train_per_class
        Training items of each class, at least 1; a smaller class is an error.
    num_validation
        Validation items, of any class, at least 1; at least one item must be left for the test.
    generator
        Where chance comes from; the global state is not touched.
    description
        For `Split.description`.

    Returns
    -------
    Split
        With sorted indices.

    Raises
    ------
    ParameterError
        If a class or the rest is too small.

    Examples
    --------
    >>> y = torch.arange(30) % 3
    >>> seeded_split(y, train_per_class=2, num_validation=4, description="seeded: seed 0",
    ...              generator=torch.Generator().manual_seed(0))
    6 train, 4 validation, 20 test (seeded: seed 0)
    """
    sizes = torch.bincount(y)
    smallest = int(sizes[sizes > 0].min())
    if not 1 <= train_per_class <= smallest:
        raise ParameterError("train_per_class", f"in 1..{smallest}, the smallest class", train_per_class)
    return _draw(y, sizes.clamp(max=train_per_class), num_validation, generator, description)


def split_that_fits(y: Tensor, *, seed: int) -> Split:
    """Split a data set that brings no split: 20 a class and 500 for validation, or fewer if it is small.

    At most half of each class trains (but one item at least), and at most half of what is left validates.
    The description says what was done.

    Parameters
    ----------
    y
        Class of every item, int64 [num_items], not negative.
    seed
        One seed gives one split.

    Raises
    ------
    DatasetError
        If there are too few items for three sets.
    """
    sizes = torch.bincount(y)
    train_sizes = (sizes // 2).clamp(min=1, max=20).minimum(sizes)
    num_validation = min(500, (len(y) - int(train_sizes.sum())) // 2)
    if num_validation < 1:
        raise DatasetError(
            f"{len(y)} items of {int((sizes > 0).sum())} classes are too few to split into training, "
            "validation and test. Give train_mask, val_mask and test_mask, or more items"
        )
    per_class = "20 per class" if bool((train_sizes[sizes > 0] == 20).all()) else "up to 20 per class"
    return _draw(
        y,
        train_sizes,
        num_validation,
        torch.Generator().manual_seed(seed),
        f"seeded: {per_class}, {num_validation} validation, rest test, seed {seed}",
    )


def _draw(
    y: Tensor, train_sizes: Tensor, num_validation: int, generator: torch.Generator, description: str
) -> Split:
    """Draw `train_sizes[c]` items of class c, then `num_validation` of any class; the rest is the test."""
    order = torch.randperm(len(y), generator=generator)
    chosen = [order[y[order] == label][:size] for label, size in enumerate(train_sizes.tolist())]
    train = torch.cat(chosen)
    rest = order[~torch.isin(order, train)]
    if not 1 <= num_validation < len(rest):
        raise ParameterError("num_validation", f"in 1..{len(rest) - 1}, to leave a test set", num_validation)
    return Split(
        train=train.sort().values,
        validation=rest[:num_validation].sort().values,
        test=rest[num_validation:].sort().values,
        description=description,
    )
