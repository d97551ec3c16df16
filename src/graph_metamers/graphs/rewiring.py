"""Rewiring: other edges with the same degrees, whose neighbours' vectors add up to nearly the same.

Two edges change ends: a - b and c - d become a - d and c - b (Maslov and Sneppen 2002). Degrees stay, no edge
is doubled, and no self-loop appears. *Ours*: annealed on the squared change of every node's sum of its
neighbours' vectors, four residuals a swap; the acceptance rule is that of Metropolis et al. 1953.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from scipy.sparse import coo_array
from scipy.spatial import cKDTree

from graph_metamers.errors import ParameterError
from graph_metamers.graphs.restoring import restored
from graph_metamers.graphs.set_matching import CHUNK, Schedule
from graph_metamers.parameters import check_real

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from graph_metamers.graphs.neighbour_lists import NeighbourLists

ReferenceEdges = Literal["forbid", "charge", "free"]
NEAREST = 30  # nodes that are offered for an exchange
NEAR_PAYS = 100  # proposals a slot, from which on it pays to look for them
ALL_DIRECTIONS, LEADING = 20_000, 4  # nodes up to which vectors are compared in full, and directions beyond
ALIGNED = 128  # bytes, two lines
IN_TURN_FROM = 2**18  # slots that are wanted, from which on it pays to take them in their order
FEWEST_TURNS = 8  # of each of them; fewer would leave neighbours in the lists with the same few partners
SUMMED_AFTER = 10  # proposals a slot, after which sums in float32 are made anew
RULES: dict[str, int] = {"free": 0, "charge": 1, "forbid": 2}  # as in the kernel


@dataclass(frozen=True, eq=False)
class RewiringProblem:
    """A graph, and what is summed over neighbours.

    Attributes
    ----------
    lists
        The reference.
    vectors
        For each hop what a node sends to each neighbour, float [n, k_l].
    weights
        Of the nodes' squared residuals at each hop, float [n, hops], not negative.
    reference_edges
        `forbid`: an edge of the reference that has gone does not come back; `charge`: each costs `penalty`;
        `free`: nothing is said about them.
    penalty
        For each edge of the reference, in units of `unit`.

    Notes
    -----
    cost = sum_l sum_v w_vl ||sum_{u in N'(v)} vectors_lu - sum_{u in N(v)} vectors_lu||^2.
    """

    lists: NeighbourLists
    vectors: Sequence[NDArray[np.floating]]
    weights: NDArray[np.floating]
    reference_edges: ReferenceEdges = "forbid"
    penalty: float = 0.0

    def __post_init__(self) -> None:
        n = self.lists.num_nodes
        for vectors in self.vectors:
            if vectors.ndim != 2 or len(vectors) != n:
                raise ParameterError("vectors", f"of shape [{n}, k] each", list(vectors.shape))
        shape = (n, len(self.vectors))
        if self.weights.shape != shape or not bool((self.weights >= 0).all()):
            raise ParameterError("weights", f"not negative, of shape {list(shape)}", list(self.weights.shape))
        if self.reference_edges not in get_args(ReferenceEdges):
            raise ParameterError("reference_edges", "'forbid', 'charge' or 'free'", self.reference_edges)
        check_real("penalty", self.penalty, low=0)

    @property
    def unit(self) -> float:
        """Cost of one neighbour more in an average sum, of those that are wanted: a temperature of 1."""
        lengths = [np.square(vectors.astype(np.float64)).sum(axis=1).mean() for vectors in self.vectors]
        lists, weights = self.lists, self.weights
        if lists.is_restricted:
            weights = weights[np.unique(lists.owners[lists.wanted])]
        return float(weights.mean(axis=0) @ np.array(lengths))

    def residuals(self, neighbours: NDArray[np.int64]) -> NDArray[np.float64]:
        """Sums over other neighbours minus those of the reference, float64 [n, sum of k_l]."""
        vectors = np.concatenate([part.astype(np.float64) for part in self.vectors], axis=1)
        owners, before = self.lists.owners, self.lists.neighbours
        moved = np.flatnonzero(neighbours != before)
        shape = (self.lists.num_nodes, self.lists.num_nodes)
        ones = np.ones(len(moved))
        gained = coo_array((ones, (owners[moved], neighbours[moved])), shape=shape).tocsr()
        lost = coo_array((ones, (owners[moved], before[moved])), shape=shape).tocsr()
        change: NDArray[np.float64] = np.asarray(gained @ vectors - lost @ vectors)
        return change

    def cost(self, neighbours: NDArray[np.int64]) -> float:
        """The cost of other neighbours, in float64, without penalties."""
        squares = np.square(self.residuals(neighbours))
        ends = np.cumsum([0, *(part.shape[1] for part in self.vectors)])
        # A hop may have no directions, of which `np.add.reduceat` makes no sum.
        per_hop = [part.sum(axis=1) for part in np.split(squares, ends[1:-1], axis=1)]
        return float((self.weights * np.stack(per_hop, axis=1)).sum())


class Rewirer:
    """The state of a rewiring, which a caller runs in chunks, so that it can report and be interrupted.

    Parameters
    ----------
    problem
        The graph and its vectors.
    seed
        Of the proposals; one seed gives one result on one machine.
    neighbours, edges
        Lists to begin with, as `NeighbourLists` has them; default: the reference's.

    Notes
    -----
    Memory: five numbers for each slot and the residuals in float32, which are summed anew in float64 before
    a chunk where `SUMMED_AFTER` proposals a slot, and `CHUNK` in all, have gone by. A proposal costs
    O(k + degree).
    """

    def __init__(
        self,
        problem: RewiringProblem,
        *,
        seed: int,
        neighbours: NDArray[np.int64] | None = None,
        edges: NDArray[np.int64] | None = None,
    ) -> None:
        self._problem, lists = problem, problem.lists
        self.neighbours = (lists.neighbours if neighbours is None else neighbours).copy()
        self.edges = (lists.edges if edges is None else edges).copy()
        self._owners = lists.owners
        self._twins = lists.twins.copy() if neighbours is None else lists.twins_of(self.neighbours)
        self._rows = aligned((lists.num_nodes, 2, sum(part.shape[1] for part in problem.vectors)))
        np.concatenate(problem.vectors, axis=1, out=self._rows[:, 1], casting="same_kind")
        self._since: int | None = None  # proposals since the residuals were summed anew; None: they are not
        self._hops = np.cumsum([0, *(part.shape[1] for part in problem.vectors)]).astype(np.int64)
        self._weights = np.ascontiguousarray(problem.weights, dtype=np.float64)
        self._random = np.array([seed % 2**64], dtype=np.uint64)
        self._phase = float(np.random.default_rng(seed % 2**64).random())
        self._may_move = np.zeros(len(lists.edges), dtype=np.bool_)
        self._may_move[lists.active] = True
        self._drawing = (lists.wanted, *lists.pools, lists.graphs)
        self._reference = lists.measured_neighbours
        self._nearest: NDArray[np.int32] | None = None
        self.accepted = 0

    @property
    def cost(self) -> float:
        """The cost now, in float64, without penalties."""
        return self._problem.cost(self.neighbours)

    def anneal(self, schedule: Schedule, *, chunk: int = CHUNK) -> Iterator[int]:
        """Run a schedule; yields the number of proposals done after every chunk.

        Temperatures are in units of `RewiringProblem.unit`.
        """
        from graph_metamers.graphs import rewiring_kernel as kernel  # noqa: PLC0415 (numba loads slowly)

        lists, problem, unit = self._problem.lists, self._problem, self._problem.unit
        if not len(lists.wanted):
            return
        partners = (self._may_move, self.near(schedule.proposals), self._in_turn(schedule), self._phase)
        for first in range(0, schedule.proposals, chunk):
            count = min(chunk, schedule.proposals - first)
            if self._since is None or self._since >= max(CHUNK, SUMMED_AFTER * len(lists.wanted)):
                kernel.fill_residuals(self._rows, lists.starts, self.neighbours, lists.neighbours)
                self._since = 0
            self._since += count
            weighing = (self._rows, self._weights, self._hops, lists.starts, self.neighbours)
            rules = (self._reference, RULES[problem.reference_edges], problem.penalty * unit, self._random)
            timing = (first, count, schedule.proposals, schedule.hottest * unit, schedule.coldest * unit)
            slots = (self._owners, self.edges, *self._drawing)
            if lists.directed:
                made = kernel.rewire_directed(*weighing, *slots, *rules, *timing)
            else:
                made = kernel.rewire_undirected(
                    *weighing, self._twins, *slots, *rules[:3], *partners, *rules[3:], *timing
                )
            self.accepted += made
            yield first + count

    def improve(self, model: SumModel, *, proposals: int, most: int) -> int:
        """Make swaps that lower a model of the loss; how many.

        Parameters
        ----------
        model
            From where the lists are now; its slopes are brought up to date.
        proposals
            How many swaps are looked at.
        most
            How many are made at the most.
        """
        from graph_metamers.graphs import rewiring_kernel as kernel  # noqa: PLC0415 (numba loads slowly)

        lists, problem = self._problem.lists, self._problem
        modelling = (model.vectors, model.slopes, model.curvatures, model.hops, model.blocks)
        rules = (self._reference, RULES[problem.reference_edges], problem.penalty * problem.unit)
        slots = (self._owners, self.edges, *self._drawing)
        if lists.directed:
            made = kernel.improve_directed(
                *modelling, lists.starts, self.neighbours, *slots, *rules, self._random, proposals, most
            )
        else:
            near = self.near(len(lists.wanted) * NEAR_PAYS)
            made = kernel.improve_undirected(
                *modelling, lists.starts, self.neighbours, self._twins, *slots, *rules, self._may_move, near,
                self._random, proposals, most,
            )  # fmt: skip
        self.accepted += int(made)
        self._since = None
        return int(made)

    def _in_turn(self, schedule: Schedule) -> bool:
        """Whether edges are taken in the order of the lists: not where a random graph is drawn."""
        lists = self._problem.lists
        return bool(
            IN_TURN_FROM <= len(lists.wanted) <= schedule.proposals / FEWEST_TURNS
            and schedule.hottest > 0
            and not lists.graphs.any()
        )

    def near(self, proposals: int) -> NDArray[np.int32]:
        """Nodes that send nearly what each one does, int32 [n, m]; none for few proposals, or directions."""
        lists = self._problem.lists
        if lists.directed or proposals < NEAR_PAYS * len(lists.wanted) or lists.num_nodes < 2:
            return np.empty((lists.num_nodes, 0), dtype=np.int32)
        if self._nearest is None:
            self._nearest = nearest_senders(self._rows[:, 1], lists.graphs)
        return self._nearest

    def restore(self) -> None:
        """Where only some lists are wanted, bring edges elsewhere back; see `restored`."""
        if self._problem.lists.is_restricted:
            self.go_back(*restored(self._problem.lists, self.neighbours, self.edges))

    def go_back(self, neighbours: NDArray[np.int64], edges: NDArray[np.int64]) -> None:
        """Go on from other lists, as `neighbours` and `edges` were once."""
        self.neighbours, self.edges = neighbours.copy(), edges.copy()
        self._twins = self._problem.lists.twins_of(self.neighbours)
        self._since = None


def aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Zeros in float32 that begin where two cache lines do, so that a row crosses as few as can be."""
    floats = int(np.prod(shape))
    whole = np.zeros(floats + ALIGNED // 4, dtype=np.float32)
    first = -whole.ctypes.data % ALIGNED // 4
    return whole[first : first + floats].reshape(shape)


@dataclass(frozen=True, eq=False)
class SumModel:
    """What a change of every node's sums does to the loss, as far as two terms tell.

    For a change d of a node's sums, hop after hop: slope . d + sum_l d_l . C_l d_l.

    Attributes
    ----------
    vectors
        What a node sends to each neighbour, hop after hop, float32 [n, k].
    slopes
        Float32 [n, k]; changed in place as swaps are made.
    curvatures
        The matrices C_l of a node, one after the other, float32 [n, sum of k_l^2].
    hops
        Where the columns of each hop begin, and where the last ones end, int64 [hops + 1].
    """

    vectors: NDArray[np.float32]
    slopes: NDArray[np.float32]
    curvatures: NDArray[np.float32]
    hops: NDArray[np.int64]

    @property
    def blocks(self) -> NDArray[np.int64]:
        """Where in a row of `curvatures` the matrix of each hop begins, int64 [hops]."""
        return np.concatenate([[0], np.cumsum(np.diff(self.hops) ** 2)[:-1]]).astype(np.int64)


def nearest_senders(
    vectors: NDArray[np.floating], graphs: NDArray[np.int64] | None = None
) -> NDArray[np.int32]:
    """The `NEAREST` nodes whose vectors are nearest to each node's, int32 [n, m]; itself may be among them.

    In large graphs by the `LEADING` principal directions alone. Of several graphs, int64 [n], in the node's
    own; where one has fewer nodes they are named again.
    """
    if graphs is None or not graphs.any():
        return _nearest(vectors)
    order = np.argsort(graphs, kind="stable")
    parts = np.split(order, np.bincount(graphs).cumsum()[:-1])
    count = min(NEAREST, max(map(len, parts)) - 1)
    nearest = np.empty((len(vectors), count), dtype=np.int32)
    for nodes in parts:
        found = _nearest(vectors[nodes]) if len(nodes) > 1 else np.zeros((len(nodes), 1), dtype=np.int32)
        nearest[nodes] = nodes[found[:, np.arange(count) % found.shape[1]]]
    return nearest


def _nearest(vectors: NDArray[np.floating]) -> NDArray[np.int32]:
    num_nodes = len(vectors)
    seen = vectors
    if num_nodes > ALL_DIRECTIONS and vectors.shape[1] > LEADING:
        centred = vectors - vectors.mean(axis=0)
        directions = np.linalg.eigh(centred.T @ centred)[1][:, -LEADING:]
        seen = centred @ directions
    count = min(NEAREST + 1, num_nodes)
    found = cKDTree(seen).query(seen, k=count)[1].reshape(num_nodes, -1)
    nearest: NDArray[np.int32] = np.ascontiguousarray(found[:, 1:].astype(np.int32))
    return nearest


def shuffled(
    lists: NeighbourLists, *, seed: int, reference_edges: ReferenceEdges = "free", rounds: int = 20
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Neighbours and edges of a random graph with the same degrees: `rounds` proposed swaps for each slot.

    Where only some are wanted, for each of these; other edges are then `restored`.
    With `forbid`, edges of the reference that have gone do not come back; where degrees leave no other choice
    some stay.
    """
    nothing = np.zeros((lists.num_nodes, 1), dtype=np.float32)
    weights = np.zeros((lists.num_nodes, 1))
    problem = RewiringProblem(lists, [nothing], weights, reference_edges)
    rewirer = Rewirer(problem, seed=seed)
    for _ in rewirer.anneal(Schedule(rounds * len(lists.wanted))):
        pass
    rewirer.restore()
    return rewirer.neighbours, rewirer.edges
