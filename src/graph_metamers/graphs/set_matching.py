"""Set matching: sets of vectors whose sums come as close as possible to given targets.

Given items with vectors, and groups that each hold a fixed number of different items, exchange items until
every group's sum is near its target. Words of a node are such a set (its row of C = X Q is a sum of rows of
Q), and so are the neighbours of a node. Annealed by single exchanges: *ours*; the acceptance rule is that of
Metropolis et al. 1953, the falling temperature that of Kirkpatrick et al. 1983.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.sparse import csr_array

from graph_metamers.errors import ParameterError
from graph_metamers.parameters import check_integer, check_real

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Columns = Literal["free", "kept"]

MEMBER, FORBIDDEN, CHARGED = 1, 2, 4  # bits of an entry's status, as in the kernel
CHUNK = 2_000_000  # proposals between two reports; under a second
SHARE_THAT_COUNTS = 0.95  # of squared lengths: columns that matter where costs need only be about right
MOST_EXCHANGES = 100  # of one group at a time, where the best exchange is made again and again


@dataclass(frozen=True, eq=False)
class SetMatching:
    """Groups of items, and what their sums should be.

    Attributes
    ----------
    vectors
        One per item, float [num_items, k].
    targets
        The sum that each group should have, float [groups, k].
    members
        Whether a group starts with an item, bool [groups, num_items]. Group sizes never change.
    forbidden
        Items that a group must not take, bool [groups, num_items]; `None` for none. A member that is
        forbidden is refused.
    charged
        Items that cost a group `penalty` while it holds them, bool [groups, num_items]; `None` for none.
    weights
        Of the groups' squared residuals, float [groups], positive; `None` for 1.
    penalty
        Cost of a charged item in a group, in units of a squared residual, >= 0.

    Notes
    -----
    cost = sum_g w_g ||sum_{i in g} vectors_i - targets_g||^2 + penalty * (charged items that are held).
    """

    vectors: NDArray[np.floating]
    targets: NDArray[np.floating]
    members: NDArray[np.bool_]
    forbidden: NDArray[np.bool_] | None = None
    charged: NDArray[np.bool_] | None = None
    weights: NDArray[np.floating] | None = None
    penalty: float = 0.0

    def __post_init__(self) -> None:
        groups, num_items = self.members.shape
        _check_shape("vectors", self.vectors, (num_items, self.targets.shape[1]))
        _check_shape("targets", self.targets, (groups, self.vectors.shape[1]))
        for name in ("members", "forbidden", "charged"):
            mask = getattr(self, name)
            if mask is not None:
                _check_shape(name, mask, (groups, num_items))
                if mask.dtype != np.bool_:
                    raise ParameterError(name, "bool", mask.dtype)
        if self.forbidden is not None and bool((self.members & self.forbidden).any()):
            raise ParameterError("members", "without items that are forbidden to their group", "some")
        if self.weights is not None:
            _check_shape("weights", self.weights, (groups,))
            if not bool((self.weights > 0).all()):
                raise ParameterError("weights", "positive", float(self.weights.min()))
        check_real("penalty", self.penalty, low=0)

    def cost(self) -> float:
        """The cost of the members, in float64."""
        return float(self.group_costs().sum())

    def group_costs(self) -> NDArray[np.float64]:
        """Each group's share of the cost, float64 [groups]."""
        residuals = self.residuals()
        weights = 1.0 if self.weights is None else self.weights.astype(np.float64)
        held = 0 if self.charged is None else (self.members & self.charged).sum(axis=1)
        costs: NDArray[np.float64] = weights * np.square(residuals).sum(axis=1) + self.penalty * held
        return costs

    def residuals(self) -> NDArray[np.float64]:
        """Sum minus target of every group, float64 [groups, k]."""
        groups, items = self.members.nonzero()
        sums = np.zeros(self.targets.shape)
        np.add.at(sums, groups, self.vectors.astype(np.float64)[items])
        return sums - self.targets.astype(np.float64)


def _longest(lengths: NDArray[np.floating], share: float) -> NDArray[np.int64]:
    """The fewest columns that make up a share of the squared length, in order."""
    order = np.argsort(-lengths)
    count = int(np.searchsorted(lengths[order].cumsum(), share * lengths.sum())) + 1
    return np.sort(order[:count])


def _check_shape(name: str, array: NDArray[np.generic], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ParameterError(name, f"of shape {list(shape)}", list(array.shape))


@dataclass(frozen=True)
class Schedule:
    """How many exchanges are proposed, and at which temperatures.

    Parameters
    ----------
    proposals
        Exchanges that are proposed in all, >= 0. The temperature depends on their count alone, never on time.
    hottest, coldest
        First and last temperature, geometric in between, in units of the cost; both 0 for a pure descent.
    """

    proposals: int
    hottest: float = 0.0
    coldest: float = 0.0

    def __post_init__(self) -> None:
        check_integer("proposals", self.proposals, low=0)
        check_real("hottest", self.hottest, low=0)
        check_real("coldest", self.coldest, low=0)
        if (self.hottest == 0) != (self.coldest == 0) or self.coldest > self.hottest:
            raise ParameterError(
                "coldest", "positive and at most hottest, or both 0", (self.hottest, self.coldest)
            )

    def temperature(self, proposed: int) -> float:
        """Temperature after so many proposals."""
        if self.hottest == 0 or self.proposals == 0:
            return self.hottest
        return float(self.hottest * (self.coldest / self.hottest) ** (proposed / self.proposals))


@dataclass(frozen=True, eq=False)
class LocalCosts:
    """What a change of some groups' sums costs, each group in a metric of its own.

    For a change d of a group's sum: pull . d + ||probes d||^2 + ridge ||d||^2, and the penalty for each
    charged item more. A quadratic model of whatever is to be lowered, from where the group is now.

    Attributes
    ----------
    probes, pulls, ridges, penalties
        Float [a, p, k], [a, k], [a] and [a].
    """

    probes: NDArray[np.floating]
    pulls: NDArray[np.floating]
    ridges: NDArray[np.floating]
    penalties: NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class SetMatch:
    """Sets that were found.

    Attributes
    ----------
    members
        bool [groups, num_items].
    cost
        Recomputed from the members in float64.
    accepted
        Exchanges that were made.
    """

    members: NDArray[np.bool_]
    cost: float
    accepted: int


def match_sets(problem: SetMatching, schedule: Schedule, *, seed: int, columns: Columns = "free") -> SetMatch:
    """Anneal the members of a problem from where they are; the best sets that were seen.

    Parameters
    ----------
    problem
        The groups.
    schedule
        How many proposals, and how hot.
    seed
        Of the proposals; one seed gives one result on one machine.
    columns
        `free`, or `kept`: every item stays in as many groups as it started in. Proposals are then double
        exchanges (g drops i and takes j, h drops j and takes i).

    Returns
    -------
    SetMatch
        Never worse than the start.
    """
    annealer = Annealer(problem, seed=seed, columns=columns)
    for _ in annealer.anneal(schedule):
        pass
    return annealer.best()


class Annealer:
    """The state of an annealing, which a caller runs in chunks, so that it can report and be interrupted.

    Parameters
    ----------
    problem, seed, columns
        See `match_sets`.

    Notes
    -----
    Memory: one byte for every pair of group and item, and the residuals in the dtype of `problem.vectors`,
    which are recomputed in float64 before every chunk. A proposal costs O(k). Groups without column sums do
    not depend on each other, and each keeps its own best set; with column sums the best of all sets together
    is kept, as it was after some chunk.
    """

    def __init__(self, problem: SetMatching, *, seed: int, columns: Columns = "free") -> None:
        if columns not in ("free", "kept"):
            raise ParameterError("columns", "'free' or 'kept'", columns)
        self._problem, self._columns = problem, columns
        self._vectors = np.ascontiguousarray(problem.vectors)
        self._squares = np.square(self._vectors).sum(axis=1)
        self._columns_that_count = _longest(np.square(self._vectors).mean(axis=0), SHARE_THAT_COUNTS)
        groups = len(problem.targets)
        self._weights = np.ones(groups) if problem.weights is None else problem.weights.astype(np.float64)
        owners, items = problem.members.nonzero()
        self._owners, self._items = owners.astype(np.int64), items.astype(np.int64)
        self._starts = np.concatenate([[0], problem.members.sum(axis=1).cumsum()]).astype(np.int64)
        self._status = problem.members.astype(np.uint8) * MEMBER
        for mask, bit in ((problem.forbidden, FORBIDDEN), (problem.charged, CHARGED)):
            if mask is not None:
                self._status |= mask.astype(np.uint8) * np.uint8(bit)
        self._targets = problem.targets.astype(np.float64)
        self._random = np.array([seed % 2**64], dtype=np.uint64)
        self._accepted = 0
        self._forget()

    def anneal(
        self, schedule: Schedule, *, groups: NDArray[np.bool_] | None = None, chunk: int = CHUNK
    ) -> Iterator[int]:
        """Run a schedule; yields the number of proposals done after every chunk.

        Parameters
        ----------
        schedule
            How many proposals, and how hot.
        groups
            Which groups take part, bool [groups]; default: all.
        chunk
            Proposals between two yields.
        """
        from graph_metamers.graphs import set_matching_kernel as kernel  # noqa: PLC0415 (numba loads slowly)

        active = np.arange(len(self._items)) if groups is None else groups[self._owners].nonzero()[0]
        if not len(active) or len(self._vectors) < 2:
            return
        self._prepare()
        for first in range(0, schedule.proposals, chunk):
            count = min(chunk, schedule.proposals - first)
            timing = (first, count, schedule.proposals, schedule.hottest, schedule.coldest)
            weighing = (self._vectors, self._weights, self._problem.penalty, active, self._owners)
            if self._columns == "free":
                self._accepted += kernel.exchange_items(
                    *weighing, self._starts, self._items, self._status, self._residuals,
                    self._costs, self._best_costs, self._best_items, self._random, *timing,
                )  # fmt: skip
            else:
                self._accepted += kernel.exchange_between_groups(
                    *weighing, self._items, self._status, self._residuals, self._costs, self._random, *timing
                )
            self._refresh()
            self._note_best()
            yield first + count

    def improve(self, groups: NDArray[np.int64], costs: LocalCosts, *, temperature: float = 0.0) -> None:
        """Lower the local cost of each of some groups by exchanges, the best one first (tabu search).

        Above temperature 0 items are exchanged at random instead, such that low costs are likelier (a heat
        bath). Targets and weights play no part. What was best so far is forgotten.

        Parameters
        ----------
        groups
            Which, int64 [a], each once.
        costs
            Theirs.
        temperature
            In units of the costs, >= 0.

        Notes
        -----
        *Ours*, but for tabu search (Glover 1989) and the heat bath (Creutz 1980). Only the most promising
        items are looked at closely; tabu search leaves a group where no exchange with one of these lowers
        its cost. Time for a group of s items: O(num_items s k), and O(s) for each such item and exchange.
        """
        from graph_metamers.graphs import set_matching_kernel as kernel  # noqa: PLC0415 (numba loads slowly)

        probes, pulls, ridges, penalties = (
            np.ascontiguousarray(part, dtype=self._vectors.dtype)
            for part in (costs.probes, costs.pulls, costs.ridges, costs.penalties)
        )
        self._accepted += kernel.improve_groups(
            self._vectors, self._columns_that_count, self._squares, probes, pulls, ridges, penalties, groups,
            self._starts, self._items, self._status, MOST_EXCHANGES, temperature, self._random,
        )  # fmt: skip
        self._forget()

    @property
    def items(self) -> NDArray[np.int64]:
        """The item in every slot now, int64 [slots], group after group; to come back to with `restart`."""
        return self._items.copy()

    @property
    def owners(self) -> NDArray[np.int64]:
        """The group of every slot, int64 [slots]."""
        return self._owners

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each group's slots begin, and where the last one's end, int64 [groups + 1]."""
        return self._starts

    def restart(
        self, *, items: NDArray[np.int64] | None = None, targets: NDArray[np.floating] | None = None
    ) -> None:
        """Go on from other items or towards other targets; what was best so far is forgotten.

        Parameters
        ----------
        items
            As `items` gave them; default: the best so far.
        targets
            float [groups, k]; default: as they are.
        """
        items = self._best_items if items is None else items
        moved = (items != self._items).nonzero()[0]
        self._status[self._owners[moved], self._items[moved]] &= np.uint8(255 - MEMBER)
        self._status[self._owners[moved], items[moved]] |= np.uint8(MEMBER)
        self._items = items.copy()
        if targets is not None:
            self._targets = targets.astype(np.float64)
        self._forget()

    @property
    def best_items(self) -> NDArray[np.int64]:
        """The item in every slot of the best sets so far, int64 [slots]."""
        return self._best_items.copy()

    def members(self) -> NDArray[np.bool_]:
        """The best sets so far, bool [groups, num_items]."""
        members = np.zeros(self._status.shape, dtype=np.bool_)
        members[self._owners, self._best_items] = True
        return members

    def best(self) -> SetMatch:
        """The best sets so far."""
        members = self.members()
        cost = dataclasses.replace(self._problem, members=members, targets=self._targets).cost()
        return SetMatch(members, cost, self._accepted)

    def _forget(self) -> None:
        """Nothing was seen but the items now; residuals and costs are computed when they are needed."""
        self._best_items, self._is_stale = self._items.copy(), True

    def _prepare(self) -> None:
        if self._is_stale:
            self._refresh()
            self._best_costs, self._is_stale = self._costs.copy(), False

    def _sum(self, items: NDArray[np.int64]) -> NDArray[np.float64]:
        shape = (len(self._targets), len(self._vectors))
        pick = csr_array((np.ones(len(items)), items, self._starts), shape=shape)
        return np.asarray(pick @ self._vectors.astype(np.float64))

    def _refresh(self) -> None:
        """Recompute residuals and costs from the items, so that rounding does not add up."""
        residuals = self._sum(self._items) - self._targets
        charged = (self._status[self._owners, self._items] & CHARGED) > 0
        held = np.bincount(self._owners, weights=charged, minlength=len(residuals))
        self._residuals = residuals.astype(self._vectors.dtype)
        self._costs = self._weights * np.square(residuals).sum(axis=1) + self._problem.penalty * held

    def _note_best(self) -> None:
        if self._columns == "kept" and self._costs.sum() < self._best_costs.sum():
            self._best_items, self._best_costs = self._items.copy(), self._costs.copy()
