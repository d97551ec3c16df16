"""Exact marginals of an Ising model on a graph, with one more coupling through the sum of all signs.

Messages carry, beside the receiver's sign, how many nodes behind it are +1; see `belief_propagation`. All are
logarithms, with one row for every assignment of the conditioned nodes: arrays [assignments, 2, counts], the
middle axis the sign (-1, +1) of the node at the message's root.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["cutset_of", "exact_marginals", "work_of"]

_SIGNS = np.array([-1.0, 1.0])


def cutset_of(num_nodes: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Nodes whose removal leaves a forest, int64 [c]: greedily, the one with most neighbours first.

    Not always the fewest, but at most num_nodes - 2.
    """
    neighbours: list[set[int]] = [set() for _ in range(num_nodes)]
    for one, other in pairs.tolist():
        neighbours[one].add(other)
        neighbours[other].add(one)
    chosen: list[int] = []
    leaves = [node for node in range(num_nodes) if len(neighbours[node]) <= 1]
    while True:
        while leaves:  # nodes that are in no cycle are taken off from the outside
            node = leaves.pop()
            for other in neighbours[node]:
                neighbours[other].discard(node)
                if len(neighbours[other]) == 1:
                    leaves.append(other)
            neighbours[node].clear()
        widest = max(range(num_nodes), key=lambda node: len(neighbours[node]), default=0)
        if not num_nodes or not neighbours[widest]:
            return np.array(sorted(chosen), dtype=np.int64)
        chosen.append(widest)
        for other in neighbours[widest]:
            neighbours[other].discard(widest)
            if len(neighbours[other]) <= 1:
                leaves.append(other)
        neighbours[widest].clear()


MOST_CUT = 500  # nodes: more assignments than a float holds, or anybody could wait for


def work_of(num_nodes: int, cutset: NDArray[np.int64]) -> float:
    """What `exact_marginals` costs: assignments of the cutset times squared number of nodes."""
    if len(cutset) > MOST_CUT:
        return math.inf
    return 2.0 ** len(cutset) * max(num_nodes, 1) ** 2


def exact_marginals(
    fields: NDArray[np.float64],
    pairs: NDArray[np.int64],
    along: float,
    gap: float,
    outside: float,
    cutset: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Half of the log-odds of every node under sum h s + along sum_pairs s s' + gap/2 (outside + sum s)^2.

    Parameters
    ----------
    fields
        h, [n].
    pairs
        Joined nodes, int64 [m, 2].
    along, gap, outside
        Couplings of joined pairs and of all pairs, and a sum of signs that is fixed.
    cutset
        Nodes whose removal leaves a forest.

    Returns
    -------
    ndarray
        (log P(+1) - log P(-1)) / 2, [n], exact up to rounding.
    """
    if not len(fields):
        return np.zeros(0)
    forest = _Forest.of(fields, pairs, along, cutset)
    total = forest.inwards()
    sizes = total.shape[-1] - 1
    signs_sum = outside + forest.cut_signs.sum(axis=1)[:, None] + 2 * np.arange(sizes + 1) - sizes
    closing = forest.base[:, None] + gap / 2 * signs_sum**2  # [assignments, counts]
    weights = _log_sum(total + closing, axis=1)
    half = np.empty(len(fields))
    for place, node in enumerate(cutset.tolist()):
        up, down = (_log_sum(weights[forest.cut_signs[:, place] == sign], axis=0) for sign in (1, -1))
        half[node] = (up - down) / 2
    for node, belief in forest.outwards():
        each = _log_sum(belief + closing[:, None, :], axis=2)  # [assignments, 2]
        down, up = _log_sum(each, axis=0)
        half[node] = (up - down) / 2
    return half


@dataclass(frozen=True, eq=False)
class _Forest:
    """The nodes outside of the cutset, with a root in each tree, and what assignments of the cutset add.

    Attributes
    ----------
    order
        Nodes, each before its children.
    parents
        Parent of every node, -1 for a root; by node.
    children
        By node.
    fields
        [assignments, n], with what the conditioned neighbours add.
    cut_signs
        Every assignment of the cutset, [assignments, c].
    base
        What an assignment adds on its own, [assignments].
    along
        Coupling of a child with its parent.
    """

    order: list[int]
    parents: list[int]
    children: list[list[int]]
    fields: NDArray[np.float64]
    cut_signs: NDArray[np.float64]
    base: NDArray[np.float64]
    along: float
    upward: dict[int, NDArray[np.float64]]

    @classmethod
    def of(
        cls, fields: NDArray[np.float64], pairs: NDArray[np.int64], along: float, cutset: NDArray[np.int64]
    ) -> _Forest:
        count, size = len(fields), len(cutset)
        numbers = np.arange(2**size)[:, None] >> np.arange(size) & 1
        cut_signs: NDArray[np.float64] = np.where(numbers == 1, 1.0, -1.0)
        place = {node: number for number, node in enumerate(cutset.tolist())}
        shifted = np.repeat(fields[None], len(cut_signs), axis=0)
        base = cut_signs @ fields[cutset]
        neighbours: list[list[int]] = [[] for _ in range(count)]
        for one, other in pairs.tolist():
            if one in place and other in place:
                base = base + along * cut_signs[:, place[one]] * cut_signs[:, place[other]]
            elif one in place or other in place:
                cut, free = (one, other) if one in place else (other, one)
                shifted[:, free] += along * cut_signs[:, place[cut]]
            else:
                neighbours[one].append(other)
                neighbours[other].append(one)
        order, parents = _rooted(neighbours, place)
        children: list[list[int]] = [[] for _ in range(count)]
        for node in order:
            if parents[node] >= 0:
                children[parents[node]].append(node)
        return cls(order, parents, children, shifted, cut_signs, base, along, {})

    def own(self, node: int) -> NDArray[np.float64]:
        """A node alone: its field, and a count of 1 if it is +1; [assignments, 2, 2]."""
        alone = np.full((len(self.fields), 2, 2), -np.inf)
        alone[:, 0, 0] = -self.fields[:, node]
        alone[:, 1, 1] = self.fields[:, node]
        return alone

    def sent(self, belief: NDArray[np.float64]) -> NDArray[np.float64]:
        """What a node with this belief tells its neighbour, by the neighbour's sign."""
        coupling = self.along * np.outer(_SIGNS, _SIGNS)  # [receiver, sender]
        return _log_sum(belief[:, None] + coupling[None, :, :, None], axis=2)

    def inwards(self) -> NDArray[np.float64]:
        """Collect all trees: their counts together, [assignments, counts]."""
        self.upward.clear()
        for node in reversed(self.order):
            belief = self.own(node)
            for child in self.children[node]:
                belief = _convolved(belief, self.sent(self.upward[child]))
            self.upward[node] = belief
        total = self.no_nodes()
        for tree in self.trees():
            total = _convolved(total, tree)
        return total

    def no_nodes(self) -> NDArray[np.float64]:
        """The counts of no nodes at all, [assignments, 1]."""
        return np.zeros((len(self.fields), 1))

    def roots(self) -> list[int]:
        """The root of every tree."""
        return [node for node in self.order if self.parents[node] < 0]

    def trees(self) -> list[NDArray[np.float64]]:
        """The counts of every tree, [assignments, counts] each; behind `inwards`."""
        return [_log_sum(self.upward[root], axis=1) for root in self.roots()]

    def outwards(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Every node's belief about its own sign and the count of all, [assignments, 2, counts]."""
        roots = self.roots()
        outside = dict(zip(roots, _all_but_one(self.trees(), self.no_nodes()), strict=True))
        arriving: dict[int, NDArray[np.float64]] = {
            root: np.repeat(outside[root][:, None], 2, axis=1) for root in roots
        }
        for node in self.order:
            from_above = arriving.pop(node)
            yield node, _convolved(self.upward[node], from_above)
            messages = [self.sent(self.upward[child]) for child in self.children[node]]
            start = _convolved(self.own(node), from_above)
            for child, others in zip(self.children[node], _all_but_one(messages, start), strict=True):
                arriving[child] = self.sent(others)


def _rooted(neighbours: list[list[int]], cut: dict[int, int]) -> tuple[list[int], list[int]]:
    """Nodes of every tree from its root outwards, and their parents."""
    parents = [-1] * len(neighbours)
    seen = [node in cut for node in range(len(neighbours))]
    order: list[int] = []
    for root in range(len(neighbours)):
        if seen[root]:
            continue
        seen[root] = True
        place = len(order)
        order.append(root)
        while place < len(order):
            node = order[place]
            place += 1
            for other in neighbours[node]:
                if not seen[other]:
                    seen[other], parents[other] = True, node
                    order.append(other)
    return order, parents


def _all_but_one(
    parts: Sequence[NDArray[np.float64]], start: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """For each part, `start` with all the others convolved into it."""
    before = [start]
    for part in parts[:-1]:
        before.append(_convolved(before[-1], part))
    found: list[NDArray[np.float64]] = []
    after: NDArray[np.float64] | None = None
    for part, earlier in zip(reversed(parts), reversed(before), strict=False):
        found.append(earlier if after is None else _convolved(earlier, after))
        after = part if after is None else _convolved(after, part)
    return found[::-1]


def _convolved(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of the convolution along the last axis of two arrays of logarithms."""
    short, long = (one, other) if one.shape[-1] <= other.shape[-1] else (other, one)
    width = long.shape[-1]
    shape = np.broadcast_shapes(one.shape[:-1], other.shape[:-1])
    result = np.full((*shape, short.shape[-1] + width - 1), -np.inf)
    for shift in range(short.shape[-1]):
        part = result[..., shift : shift + width]
        np.logaddexp(part, short[..., shift : shift + 1] + long, out=part)
    return result


def _log_sum(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Logarithm of a sum of exponentials; -inf where all are."""
    summed: NDArray[np.float64] = np.logaddexp.reduce(values, axis=axis)
    return summed
