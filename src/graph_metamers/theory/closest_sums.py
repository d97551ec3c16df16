"""The nearest that a sum of d vectors out of many comes to a target: exactly, by branch and bound. *Ours*."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from graph_metamers.theory import closest_sums_kernel as kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAF, LEAF_OF_PAIRS = 8, 16  # sums in a box at most
BOX_COORDINATES = (
    16  # of a box at most, those that vary most; leaving others out makes floors lower, not wrong
)
MOST_DEGREE = 4  # two pairs


class Floor(NamedTuple):
    """What is known of one target: no sum costs less than `bound`; one that costs `found` exists (or inf)."""

    bound: float
    found: float
    work: int


class Target(NamedTuple):
    """What a sum is compared with: cost = ||s(rest + factor sum) - value||^2, s(x) = slope x below 0.

    Attributes
    ----------
    rest, value
        float64 [k].
    factor, slope
        Numbers.
    """

    rest: NDArray[np.float64]
    value: NDArray[np.float64]
    factor: float
    slope: float


class _Tree(NamedTuple):
    first: NDArray[np.int32]
    second: NDArray[np.int32]
    bounds: NDArray[np.int64]
    boxes: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClosestSums:
    """Vectors, prepared for sums of up to `MOST_DEGREE` of them.

    Attributes
    ----------
    vectors
        float64 [m, k], those coordinates first that vary most.

    Notes
    -----
    Memory: for one and two members O(m k), beyond that about 32 + 32 k / `LEAF_OF_PAIRS` bytes for each of
    the m (m - 1) / 2 pairs.
    """

    vectors: NDArray[np.float64]

    @cached_property
    def _padded(self) -> NDArray[np.float64]:
        """With a row of zeros at the end, which stands for no vector."""
        return np.ascontiguousarray(np.concatenate([self.vectors, np.zeros((1, self.vectors.shape[1]))]))

    @cached_property
    def _none(self) -> _Tree:
        return self._tree(np.full(1, len(self.vectors)), np.full(1, len(self.vectors)), LEAF)

    @cached_property
    def _single(self) -> _Tree:
        count = len(self.vectors)
        return self._tree(np.arange(count), np.full(count, count), LEAF)

    @cached_property
    def _pairs(self) -> _Tree:
        first, second = kernel.pairs_of(len(self.vectors))
        return self._tree(first, second, LEAF_OF_PAIRS)

    def prepare(self, degree: int) -> None:
        """Build what searches for so many vectors need: before several of them run at once."""
        self._trees(degree)

    def _trees(self, degree: int) -> tuple[_Tree, _Tree]:
        one = self._single if degree <= 2 else self._pairs
        return one, self._none if degree == 1 else self._single if degree <= 3 else self._pairs

    def _tree(self, first: NDArray[np.integer], second: NDArray[np.integer], leaf: int) -> _Tree:
        depth = max(int(np.ceil(np.log2(max(len(first) / leaf, 1)))), 0)
        nodes = 2 ** (depth + 1) - 1
        width = min(self.vectors.shape[1], BOX_COORDINATES)
        tree = _Tree(
            first.astype(np.int32, copy=False), second.astype(np.int32, copy=False),
            np.empty((nodes, 2), dtype=np.int64), np.empty((nodes, 2, width)),
        )  # fmt: skip
        kernel.build_tree(self._padded, *tree)
        return tree

    def floor(
        self, degree: int, target: Target, excluded: NDArray[np.int64], *, enough: float, work: int
    ) -> Floor:
        """How near a sum of `degree` different vectors comes, from 1 to `MOST_DEGREE`.

        Parameters
        ----------
        degree
            How many are added.
        target
            What the sum is compared with.
        excluded
            Places of vectors that may not be used.
        enough
            The search may end where something at most as costly is found.
        work
            Boxes and sums that may be looked at; the bound is lower if they do not suffice.

        Returns
        -------
        Floor
            Its bound equals what was found if the work sufficed, and is infinite if there is no such sum.
        """
        if len(self.vectors) - len(excluded) < degree:
            return Floor(np.inf, np.inf, 0)
        forbidden = np.zeros(len(self.vectors) + 1, dtype=np.bool_)
        forbidden[excluded] = True
        one, other = self._trees(degree)
        return Floor(
            *kernel.closest_sum(
                self._padded,
                *one,
                *other,
                one is other,
                forbidden,
                target.rest,
                target.factor,
                target.value,
                target.slope,
                np.inf,
                enough,
                work,
            )
        )
