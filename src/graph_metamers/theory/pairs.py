"""Pairs of an item and a row that it reads: what is left of a computation when only one item is wanted.

A layer's item, a node or a graph, reads a few rows of every tensor that the model computes on the way. The
pairs (item, row) are kept as sorted numbers item * rows + row, so that many items are one disjoint problem.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Rows of one tensor that items read.

    Attributes
    ----------
    keys
        item * num_rows + row, ascending, each once, int64 [pairs].
    num_rows
        Rows of the tensor.
    """

    keys: Ints
    num_rows: int

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def rows(self) -> Ints:
        """The row of each pair, int64 [pairs]."""
        return self.keys % self.num_rows

    @property
    def items(self) -> Ints:
        """The item of each pair, int64 [pairs]; ascending."""
        return self.keys // self.num_rows

    def moved(self, rows: Ints, num_rows: int) -> Ints:
        """Keys of the same items with other rows, of a tensor with `num_rows` rows; not sorted."""
        return np.asarray(self.items * num_rows + rows)

    def places(self, keys: Ints) -> Ints:
        """Where keys, which are all among these, stand; int64 [keys]."""
        return np.searchsorted(self.keys, keys)

    def holds_the_same(self, other: Pairs) -> bool:
        """Whether these are the same pairs."""
        return self.keys is other.keys or np.array_equal(self.keys, other.keys)


@dataclass(frozen=True, eq=False)
class Lists:
    """For each row of one tensor a list of rows of another: a sparse pattern by rows.

    Attributes
    ----------
    starts
        Where the list of each row begins, int64 [rows + 1].
    entries
        All lists, int64 [entries].
    """

    starts: Ints
    entries: Ints

    @classmethod
    def of_groups(cls, index: Ints, num_groups: int) -> Lists:
        """Places of each number in an index: row e of what is summed goes to group `index[e]`."""
        counts = np.bincount(index, minlength=num_groups)
        starts = np.concatenate([[0], np.cumsum(counts)])
        return cls(starts, np.argsort(index, kind="stable"))

    def expanded(self, rows: Ints) -> tuple[Ints, Ints, Ints]:
        """The lists of some rows, one after the other.

        Returns
        -------
        tuple of array
            Length of each list, int64 [rows]; places in `entries` and the number of the row among `rows`,
            int64 [sum of lengths] each.
        """
        lengths = self.starts[rows + 1] - self.starts[rows]
        owners = np.repeat(np.arange(len(rows)), lengths)
        begins = np.cumsum(lengths) - lengths
        places = np.arange(len(owners)) - begins[owners] + self.starts[rows][owners]
        return lengths, places, owners


def union(parts: list[Ints], num_rows: int) -> Pairs:
    """All pairs of several arrays of keys."""
    keys = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if len(keys) > 1 and not bool((keys[1:] > keys[:-1]).all()):
        keys = np.unique(keys)
    return Pairs(keys, num_rows)
