"""Rewiring on the error of a layer itself, where that can be computed swap by swap.

As `rewiring`, but what is annealed is no guide: it is the squared error of the layer, for layers that are one
sum over neighbours behind a ReLU or none, or a second such sum of the first. *Ours*.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graph_metamers.graphs.rewiring import RULES
from graph_metamers.graphs.set_matching import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from graph_metamers.graphs.neighbour_lists import NeighbourLists
    from graph_metamers.graphs.rewiring import ReferenceEdges
    from graph_metamers.graphs.set_matching import Schedule

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


ROUNDING = 1e-12
TIMED = 20_000  # proposals that compile the kernel, before the clock counts
PARTS = 100  # of a time limit, between two looks at the clock


@dataclass(frozen=True, eq=False)
class SecondSums:
    """A second step: out_w = b_w + g_w h_w R + f_w sum_{u in N(w)} s_u h_u M.

    Attributes
    ----------
    base, keep, own
        b [n, k], g [n] and R [d, k].
    receive, send, sent
        f [n], s [n] and M [d, k].
    target
        out of the reference, [n, k].
    """

    base: Floats
    keep: Floats
    own: Floats
    receive: Floats
    send: Floats
    sent: Floats
    target: Floats


@dataclass(frozen=True, eq=False)
class LayerSums:
    """A layer h_v = s(z_v), z_v = r_v + a_v sum_{u in N(v)} y_u, or a second sum of that.

    Attributes
    ----------
    rest, vectors, factors
        r [n, d], y [n, d] and a [n], float64; sums are over the edges that may vary.
    slope
        Of s below zero: 0 for a ReLU, 1 without.
    target
        The layer at the reference, float64 [n, k].
    second
        The second step; `None` where the layer is h.
    """

    rest: Floats
    vectors: Floats
    factors: Floats
    slope: float
    target: Floats
    second: SecondSums | None

    def sums_at(self, lists: NeighbourLists, neighbours: Ints) -> Floats:
        """Z with other neighbours, [n, d]."""
        added = np.zeros_like(self.vectors)
        np.add.at(added, lists.owners[lists.active], self.vectors[neighbours[lists.active]])
        return self.rest + self.factors[:, None] * added

    def hidden(self, sums: Floats) -> Floats:
        """h, [n, d]."""
        return np.where(sums < 0, self.slope * sums, sums)

    def at(self, lists: NeighbourLists, neighbours: Ints) -> Floats:
        """The layer with other neighbours, [n, k]."""
        h, second = self.hidden(self.sums_at(lists, neighbours)), self.second
        if second is None:
            return h
        added = np.zeros_like(second.target)
        np.add.at(added, lists.owners, second.send[neighbours, None] * (h[neighbours] @ second.sent))
        found: Floats = (
            second.base + second.keep[:, None] * (h @ second.own) + second.receive[:, None] * added
        )
        return found

    def error(self, lists: NeighbourLists, neighbours: Ints) -> float:
        """Squared error of the layer with other neighbours, in float64."""
        return float(np.square(self.at(lists, neighbours) - self.target).sum())


class LossRewirer:
    """The state of such a rewiring, which a caller runs in chunks.

    Parameters
    ----------
    layer
        What is to be matched.
    lists
        The reference, undirected and not `restricted`.
    seed
        Of the proposals.
    neighbours, edges
        Lists to begin with.
    near
        Nodes of the same graph that send nearly what each one does, int32 [n, m], m >= 0; see `Rewirer.near`.
    reference_edges, penalty
        As in `RewiringProblem`; the penalty is in units of the squared error.

    Notes
    -----
    A proposal costs O(d) behind one step and O(d k) behind two, a swap that is made as many O(k) there as
    the neighbours of its nodes have neighbours. Sums are kept in float64 and computed anew at the start of
    every chunk. Memory: some [n, d] and [n, k].
    """

    def __init__(
        self,
        layer: LayerSums,
        lists: NeighbourLists,
        *,
        seed: int,
        neighbours: Ints,
        edges: Ints,
        near: NDArray[np.int32],
        reference_edges: ReferenceEdges = "forbid",
        penalty: float = 0.0,
    ) -> None:
        self._layer, self._lists = layer, lists
        self.neighbours, self.edges = neighbours.copy(), edges.copy()
        self._twins = lists.twins_of(self.neighbours)
        self._random = np.array([seed % 2**64], dtype=np.uint64)
        may_move = np.zeros(len(lists.edges), dtype=np.bool_)
        may_move[lists.active] = True
        self._slots = (lists.owners, self.edges, lists.wanted, *lists.pools, lists.graphs)
        self._rules = (lists.measured_neighbours, RULES[reference_edges], penalty, may_move, near)
        self._places = np.full(lists.num_nodes, -1, dtype=np.int64)
        self._touched = np.empty(lists.num_nodes, dtype=np.int64)
        self.accepted = 0

    @property
    def error(self) -> float:
        """Squared error of the layer now, in float64."""
        return self._layer.error(self._lists, self.neighbours)

    def anneal(self, schedule: Schedule, *, chunk: int = CHUNK) -> Iterator[int]:
        """Run a schedule, temperatures in squared errors; yields the proposals done after every chunk."""
        if not len(self._lists.wanted):
            return
        for first in range(0, schedule.proposals, chunk):
            count = min(chunk, schedule.proposals - first)
            timing = (first, count, schedule.proposals, schedule.hottest, schedule.coldest)
            self.accepted += self._run(timing)
            yield first + count

    def anneal_within(self, schedule: Schedule, seconds: float) -> Iterator[int]:
        """Run a schedule in so many seconds, as much of it as fits; yields the proposals done by then.

        The temperature falls with the clock or with the proposals, whichever is further: where the schedule
        fits easily it is run as it is, but for a few proposals at its hottest, and else it ends cold all the
        same. Where it does not fit, results depend on the speed of the machine.
        """
        if not len(self._lists.wanted):
            return
        began, hot, cold = time.monotonic(), schedule.hottest, schedule.coldest
        done = min(TIMED, schedule.proposals)
        self.accepted += self._run((0, done, done, hot, hot))
        yield done
        clock = time.monotonic()
        seconds, share, each, count = max(seconds - (clock - began), 0.0), 0.0, 0.0, done
        while share < 1 and done < schedule.proposals:
            started = time.monotonic()
            left = schedule.proposals - done
            count = max(1, min(left, TIMED if each == 0 else round(seconds / PARTS / each)))
            in_time = (started - clock + count * each) / seconds if seconds else 1.0
            ahead = 1.0 if count == left else min(1.0, max(in_time, (done + count) / schedule.proposals))
            whole = count / max(ahead - share, 1e-9)  # proposals of a schedule that falls at this speed
            self.accepted += self._run((round(share * whole), count, max(round(whole), 1), hot, cold))
            done += count
            yield done
            now = time.monotonic()
            each = (now - started) / count
            share = max(ahead, (now - clock) / seconds if seconds else 1.0)

    def _run(self, timing: tuple[int, int, int, float, float]) -> int:
        from graph_metamers.graphs import loss_rewiring_kernel as kernel  # noqa: PLC0415 (numba loads slowly)

        layer, lists = self._layer, self._lists
        sums = layer.sums_at(lists, self.neighbours)
        rewiring = (lists.starts, self.neighbours, self._twins, *self._slots, *self._rules, self._random)
        second = layer.second
        if second is None:
            known = (sums, layer.target, layer.vectors, layer.factors, layer.slope)
            return int(kernel.rewire_one_step(*known, *rewiring, *timing))
        residuals = layer.at(lists, self.neighbours) - second.target
        messages = layer.hidden(sums) @ second.sent
        scale = _multiple(second.own, second.sent)
        maps = np.concatenate([second.sent, second.own], axis=1) if scale is None else second.sent
        maps = np.ascontiguousarray(maps.T)
        keep = second.keep * (1.0 if scale is None else scale)
        reading = (sums, layer.vectors, layer.factors, layer.slope, residuals, messages, maps)
        factors = (keep, second.receive, second.send)
        steps, gathered, squares = (
            np.empty_like(residuals),
            np.empty_like(residuals),
            np.empty(len(residuals)),
        )
        room = (self._places, self._touched, steps, gathered, squares)
        return int(kernel.rewire_two_steps(*reading, *factors, *room, *rewiring, *timing))


def _multiple(own: Floats, sent: Floats) -> float | None:
    """X if R = x M up to rounding, as where a node is its own neighbour; else `None`."""
    scale = float((own * sent).sum() / np.square(sent).sum())
    return scale if np.abs(own - scale * sent).max() <= ROUNDING * np.abs(sent).max() else None
