"""Random changes of exactly the size that another change has: the control of everything a search finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from graph_metamers.inputs import StructureVariables
from graph_metamers.inputs.both import BothVariables
from graph_metamers.inputs.slots import read_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_metamers.graphs.neighbour_lists import NeighbourLists
    from graph_metamers.inputs import Variables
    from graph_metamers.inputs.asking import Varying
    from graph_metamers.inputs.feature_values import FeatureValues
    from graph_metamers.types import Graph

FAILURES = 10_000  # swaps in a row that cannot be made, after which the edges that are left stay


def equal_size(variables: Varying, graph: Graph, generator: torch.Generator) -> Graph:
    """A random change of the reference, as large as that of another graph.

    Parameters
    ----------
    variables
        The reference and what may vary.
    graph
        A changed version of it, whose size of change counts.
    generator
        Of the random direction.

    Returns
    -------
    Graph
        Continuous features: every row is moved as far, see `equally_far`; binary ones: every row loses and
        gains as many, see `equally_many`; edges: as many are replaced, see `swapped_at_random`.
    """
    if isinstance(variables, StructureVariables):
        return variables.with_edges(variables.reference, _edges(variables, graph, generator))
    if isinstance(variables, BothVariables):
        changed = _features(variables.features, graph, generator)
        changed.edge_index = _edges(variables.edges, graph, generator)
        return changed
    return _features(variables, graph, generator)


def _features(variables: Variables, graph: Graph, generator: torch.Generator) -> Graph:
    found = read_features(graph)
    return variables.graph_with(
        {slot: _values(values, found[slot], generator) for slot, values in variables.values.items()}
    )


def _values(values: FeatureValues, changed: Tensor, generator: torch.Generator) -> Tensor:
    x, mutable = values.reference.cpu(), values.mutable.cpu()
    if values.kind == "binary":
        return equally_many(x, changed.cpu(), mutable, generator).to(values.reference)
    sizes = torch.where(mutable, changed.cpu().double() - x.double(), 0.0).norm(dim=1)
    low, high = (torch.as_tensor(end).cpu() for end in values.bounds or (-torch.inf, torch.inf))
    return equally_far(x.double(), sizes, mutable, low, high, generator).to(values.reference)


def equally_far(
    x: Tensor,
    sizes: Tensor,
    mutable: Tensor,
    low: float | Tensor,
    high: float | Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Move every row by exactly a given distance in a random direction, inside a box.

    Parameters
    ----------
    x
        Rows inside the box, float64 [n, F].
    sizes
        How far each is moved, float64 [n], at most as far as the farthest corner of the box.
    mutable
        Which entries may change, bool [n, F].
    low, high
        The box: numbers, or [F] each; infinite where there is none.
    generator
        Of the directions.

    Returns
    -------
    Tensor
        float64 [n, F]. The direction is that of a normal vector; coordinates that reach the box stay there,
        and the others go on. Where even the corner in that direction is too near, coordinates are turned to
        their farther side in random order, until it is not.

    Notes
    -----
    Ours. The distance is exact but for rounding: the length at which coordinates reach the box is piecewise
    known in closed form.
    """
    direction = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    keys = torch.rand(x.shape, generator=generator, dtype=torch.float64)
    size = sizes.unsqueeze(1)
    ahead, behind = ((torch.as_tensor(high) - x), (x - torch.as_tensor(low)))
    ahead, behind = torch.where(direction > 0, ahead, behind), torch.where(direction > 0, behind, ahead)
    # No coordinate goes farther than the whole row, so that nothing infinite has to be summed.
    ahead, behind = (torch.where(mutable, room.clamp(min=0), 0.0).minimum(size) for room in (ahead, behind))
    turned = _turned(ahead, behind, sizes, keys)
    direction = torch.where(turned, -direction, direction)
    room = torch.where(turned, behind, ahead)
    step = direction.sign() * _lengths(direction.abs(), room, sizes).minimum(room)
    moved = x + step
    return torch.where(mutable & (step != 0), moved.clamp(torch.as_tensor(low), torch.as_tensor(high)), x)


def _turned(ahead: Tensor, behind: Tensor, sizes: Tensor, keys: Tensor) -> Tensor:
    """Coordinates that are turned round so that each row's corner is far enough away, bool [n, F]."""
    gains = (behind.square() - ahead.square()).clamp(min=0)
    missing = sizes.square() - ahead.square().sum(dim=1)
    order = keys.argsort(dim=1)
    before = gains.gather(1, order).cumsum(dim=1) - gains.gather(1, order)
    needed = (before < missing.unsqueeze(1)) & (missing.unsqueeze(1) > 0)
    return torch.zeros_like(needed).scatter_(1, order, needed) & (gains > 0)


def _lengths(speed: Tensor, room: Tensor, sizes: Tensor) -> Tensor:
    """How far each coordinate would go if nothing stopped it, [n, F], for rows to be `sizes` long."""
    speed = speed.clamp(min=1e-300)
    order = (room / speed).argsort(dim=1)
    stops = (room / speed).gather(1, order)
    squared_room, squared_speed = (part.gather(1, order).square() for part in (room, speed))
    stopped = squared_room.cumsum(dim=1) - squared_room  # of those that stop earlier
    moving = squared_speed.flip(1).cumsum(dim=1).flip(1)  # of those that stop here or later
    wanted = sizes.square().unsqueeze(1)
    # The first stop at which the row is long enough; the last one if it is only so but for rounding.
    enough = stopped + stops.square() * moving >= wanted
    enough[:, -1] = True
    place = enough.int().argmax(dim=1, keepdim=True)
    left = (wanted - stopped.gather(1, place)).clamp(min=0)
    return speed * (left / moving.gather(1, place).clamp(min=1e-300)).sqrt()


def equally_many(x: Tensor, changed: Tensor, mutable: Tensor, generator: torch.Generator) -> Tensor:
    """Let every row lose as many random ones, and gain as many others, as another matrix did, [n, F].

    Parameters
    ----------
    x, changed
        0 and 1, [n, F] each; where `changed` differs, it is counted.
    mutable
        Which entries may change, bool [n, F].
    generator
        Of the choice.
    """
    before, after = x.bool(), changed.bool()
    keys = torch.rand(x.shape, generator=generator)
    lost = chosen_of_rows(keys, before & mutable, (before & ~after & mutable).sum(dim=1))
    gained = chosen_of_rows(keys, ~before & mutable, (after & ~before & mutable).sum(dim=1))
    return ((before & ~lost) | gained).to(x.dtype)


def chosen_of_rows(scores: Tensor, allowed: Tensor, counts: Tensor) -> Tensor:
    """The `counts[v]` allowed entries of the highest score in every row, bool [n, F]; scores are finite."""
    most = int(counts.max()) if counts.numel() else 0
    _, columns = scores.masked_fill(~allowed, -torch.inf).topk(most, dim=1)
    taken = torch.arange(most) < counts.unsqueeze(1)
    return torch.zeros_like(allowed).scatter_(1, columns, taken) & allowed


def _edges(variables: StructureVariables, graph: Graph, generator: torch.Generator) -> Tensor:
    lists = variables.lists
    gone = num_replaced(lists, graph.edge_index.cpu().numpy())
    seed = int(torch.randint(2**62, (), generator=generator))
    found = swapped_at_random(lists, gone, np.random.default_rng(seed))
    return torch.from_numpy(found).to(graph.edge_index.device)


def num_replaced(lists: NeighbourLists, edge_index: NDArray[np.int64]) -> int:
    """How many edges of the reference that may vary are gone, both directions of an undirected one as one."""
    edges = Swapper(lists, np.random.default_rng(0))
    keys = set((edge_index[0] * lists.num_nodes + edge_index[1]).tolist())
    return sum(edges.key(a, b) not in keys for a, b in zip(edges.source, edges.target, strict=True))


def swapped_at_random(lists: NeighbourLists, gone: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Swap the ends of random edges, until so many edges of the reference are gone.

    Parameters
    ----------
    lists
        The reference, and what may be rewired.
    gone
        How many edges are replaced, those of an undirected graph counted once.
    random
        Of the choice.

    Returns
    -------
    ndarray
        Sources and targets, int64 [2, E]. Every node keeps its degrees, no edge is doubled, no self-loop
        appears, and no edge of the reference comes back. Fewer are gone where no swap is left that could be
        made, as in a graph whose nodes have most others as neighbours.

    Notes
    -----
    Maslov and Sneppen 2002: a - b and c - d become a - d and c - b; a is drawn among the edges of the
    reference that are left. About two proposals for every edge that goes.
    """
    swapper = Swapper(lists, random)
    swapper.run(gone)
    return swapper.edge_index()


class Swapper:
    """The edges of a graph while they are swapped at random; see `swapped_at_random`."""

    def __init__(self, lists: NeighbourLists, random: np.random.Generator) -> None:
        slots = lists.active if lists.directed else lists.active[lists.active < lists.twins[lists.active]]
        self._lists, self._random = lists, random
        self._columns = lists.edges[slots]
        self._back = self._columns if lists.directed else lists.edges[lists.twins[slots]]
        self.source: list[int] = lists.neighbours[slots].tolist()
        self.target: list[int] = lists.owners[slots].tolist()
        self._first = lists.edge_index(lists.neighbours, lists.edges)
        everything = zip(*self._first.tolist(), strict=True)
        self._present = {self.key(a, b) for a, b in everything}
        self._reference = set(self._present)

    def key(self, a: int, b: int) -> int:
        """One number for an edge, the same in both directions where there are none."""
        n = self._lists.num_nodes
        if self._lists.directed:
            return a * n + b
        return max(a * n + b, b * n + a)

    def run(self, gone: int) -> None:
        """Swap until so many edges are gone, or nothing can be swapped."""
        left = list(range(len(self.source)))  # edges of the reference
        place = {edge: at for at, edge in enumerate(left)}
        failures, missing = 0, min(gone, len(left))
        while missing > 0 and failures < FAILURES:
            edge = left[int(self._random.integers(len(left)))]
            other = int(self._random.integers(len(self.source)))
            goes = 1 + (other in place)
            if goes > missing or not self._swap(edge, other):
                failures += 1
                continue
            failures, missing = 0, missing - goes
            for one in (edge, other):
                if one in place:
                    last = left.pop()
                    if last != one:
                        left[place[one]], place[last] = last, place[one]
                    del place[one]

    def _swap(self, edge: int, other: int) -> bool:
        """Make one swap if it leads to a graph, with no edge of the reference."""
        a, b, c, d = self.source[edge], self.target[edge], self.source[other], self.target[other]
        if not self._lists.directed and self._random.integers(2):
            c, d = d, c
        graphs = self._lists.graphs
        new = self.key(a, d), self.key(c, b)
        if a == d or c == b or new[0] == new[1] or edge == other or graphs[a] != graphs[c]:
            return False
        if any(key in self._present or key in self._reference for key in new):
            return False
        self._present -= {self.key(a, b), self.key(c, d)}
        self._present |= set(new)
        self.source[edge], self.target[edge] = a, d
        self.source[other], self.target[other] = c, b
        return True

    def edge_index(self) -> NDArray[np.int64]:
        """Sources and targets now, int64 [2, E], each edge in a column of one that is gone."""
        found = self._first.copy()
        source, target = np.array(self.source, dtype=np.int64), np.array(self.target, dtype=np.int64)
        found[:, self._columns] = source, target
        if not self._lists.directed:
            found[:, self._back] = target, source
        return found
