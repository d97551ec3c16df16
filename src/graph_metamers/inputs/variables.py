"""What may change about a graph, as one flat vector for a solver, whatever the graph is made of."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from graph_metamers.errors import ParameterError
from graph_metamers.inputs.distance import InputDistance, squared_chance
from graph_metamers.inputs.feature_values import BinaryFeatures
from graph_metamers.inputs.features import Features
from graph_metamers.inputs.slots import count_items, read_features, rows_of_items, write_features

if TYPE_CHECKING:
    from graph_metamers.inputs.edge_weights import EdgeWeights
    from graph_metamers.inputs.feature_values import FeatureValues, Init
    from graph_metamers.inputs.structure import Structure
    from graph_metamers.types import Graph

Vary: TypeAlias = "str | Features | Structure | EdgeWeights | Mapping[Any, Any] | tuple[Any, ...]"


@dataclass(frozen=True, eq=False)
class Variables:
    """The reference graph and what may vary about it.

    A *point* is the vector in which a solver moves, float [p]: the entries of every slot's point, one slot
    after the other.

    Attributes
    ----------
    reference
        The graph that is being matched; never changed.
    values
        Slot -> what its features may be.
    """

    reference: Graph
    values: Mapping[str, FeatureValues]

    @property
    def is_smooth(self) -> bool:
        """Whether the loss is a continuous function of the point."""
        return all(values.is_smooth for values in self.values.values())

    @property
    def is_binary(self) -> bool:
        """Whether everything that varies is 0 or 1."""
        return all(isinstance(values, BinaryFeatures) for values in self.values.values())

    @property
    def bounds(self) -> tuple[Tensor, Tensor] | None:
        """Smallest and largest value of each coordinate, [p] each; `None` where nothing is bounded."""
        limits = [values.bounds for values in self.values.values()]
        if all(limit is None for limit in limits):
            return None
        example = next(iter(self.values.values())).reference
        low, high = (
            torch.cat(
                [
                    torch.as_tensor(limit[side] if limit else infinity)
                    .to(example)
                    .expand(values.reference.shape)
                    .flatten()
                    for values, limit in zip(self.values.values(), limits, strict=True)
                ]
            )
            for side, infinity in ((0, -torch.inf), (1, torch.inf))
        )
        return low, high

    def within_range(self) -> Variables:
        """The same, in which every continuous feature stays between its least and greatest mutable value."""
        return replace(self, values={slot: values.within_range() for slot, values in self.values.items()})

    def restricted(self, reached: Tensor) -> Variables:
        """The same, in which only rows with a reached coordinate, bool [p], may vary."""
        parts = self._split(reached)
        return replace(
            self,
            values={
                slot: replace(values, mutable=values.mutable & parts[slot].any(dim=1, keepdim=True))
                for slot, values in self.values.items()
            },
        )

    def start(self, init: Init, generator: torch.Generator) -> Tensor:
        """Draw the point at which a search starts, [p]."""
        points = [values.start(init, generator).flatten() for values in self.values.values()]
        widest = functools.reduce(torch.promote_types, (point.dtype for point in points))
        return torch.cat([point.to(widest) for point in points])

    def relaxed(self, point: Tensor) -> Graph:
        """The graph that the model sees during the search; differentiable in the point."""
        return self._with(self.relaxed_features(point))

    def discrete(self, point: Tensor) -> Graph:
        """The real graph at a point."""
        parts = self._split(point.detach())
        return self._with({slot: self.values[slot].discretise(part) for slot, part in parts.items()})

    def point_of(self, features: Mapping[str, Tensor]) -> Tensor:
        """The point, [p], whose real graph has these features, [n, F] per slot; for binary features alone."""
        return torch.cat([(2 * features[slot] - 1).flatten() for slot in self.values])

    def split(self, point: Tensor) -> dict[str, Tensor]:
        """A point slot by slot, [n, F] each."""
        return self._split(point)

    def graph_with(self, features: Mapping[str, Tensor]) -> Graph:
        """The reference with other features, [n, F] per slot."""
        return self._with(features)

    def project(self, point: Tensor) -> Tensor:
        """Bring a point back to where it may be, [p]."""
        parts = self._split(point)
        return torch.cat([self.values[slot].project(part).flatten() for slot, part in parts.items()])

    def shuffled(self, generator: torch.Generator) -> Graph:
        """The chance level: every feature's mutable values shuffled over the nodes, each feature on its own.

        Every feature keeps its distribution exactly; everything else about it is lost.
        """
        return self._with({slot: _shuffle(values, generator) for slot, values in self.values.items()})

    def relaxed_features(self, point: Tensor) -> dict[str, Tensor]:
        """What the model sees of the features during the search, [n, F] per slot; differentiable."""
        return {slot: self.values[slot].relax(part) for slot, part in self._split(point).items()}

    def squared_distance(self, point: Tensor) -> Tensor:
        """||X' - X||_F^2 at a point over all slots, scalar; differentiable in the point."""
        features = self.relaxed_features(point)
        parts = [(features[slot] - v.reference).square().sum() for slot, v in self.values.items()]
        return torch.stack(parts).sum()

    def largest_squared_distance(self) -> float:
        """The largest ||X' - X||_F^2 that the bounds allow; infinite without bounds."""
        bounds = self.bounds
        if bounds is None:
            return float("inf")
        reference = torch.cat([values.reference.flatten() for values in self.values.values()])
        mutable = torch.cat([values.mutable.flatten() for values in self.values.values()])
        farther = torch.maximum(reference - bounds[0], bounds[1] - reference)
        return float(torch.where(mutable, farther, 0.0).double().square().sum())

    def chance_distance(self) -> float:
        """Root mean square of ||X' - X||_F under chance, as in `InputDistance.chance`."""
        parts = [squared_chance(values.reference, values.mutable).sum() for values in self.values.values()]
        return float(torch.stack(parts).sum().sqrt())

    def distance(self, graph: Graph, items: str) -> InputDistance:
        """How far a graph is from the reference; see `InputDistance`.

        Parameters
        ----------
        items
            What the items are, as `Layer.items` says.
        """
        changed = read_features(graph)
        squared = {s: (changed[s].double() - v.reference.double()) ** 2 for s, v in self.values.items()}
        owners = rows_of_items(items, self.reference)
        num_items = count_items(items, self.reference)
        if items not in self._chances:
            chance = {s: squared_chance(v.reference, v.mutable) for s, v in self.values.items()}
            total = float(sum(t.sum() for t in chance.values())) ** 0.5
            self._chances[items] = total, sum_per_item(chance, owners, num_items)
        expected, chance_of_items = self._chances[items]
        raw = float(sum(t.sum() for t in squared.values())) ** 0.5
        per_item = sum_per_item(squared, owners, num_items) / chance_of_items
        return InputDistance(raw / expected if expected > 0 else 0.0, raw, expected, per_item.sqrt().float())

    @cached_property
    def _chances(self) -> dict[str, tuple[float, Tensor]]:
        """What the items are -> chance of the whole and of each: the same for every graph."""
        return {}

    def _with(self, features: Mapping[str, Tensor]) -> Graph:
        return write_features(self.reference, features)

    def _split(self, point: Tensor) -> dict[str, Tensor]:
        sizes = [values.reference.numel() for values in self.values.values()]
        parts = torch.split(point, sizes)
        return {
            slot: part.view(values.reference.shape).to(
                part.dtype if part.dtype == torch.bool else values.reference.dtype
            )
            for (slot, values), part in zip(self.values.items(), parts, strict=True)
        }


def resolve_variables(vary: Vary, graph: Graph) -> Variables:
    """Work out what may vary about a graph.

    Parameters
    ----------
    vary
        `"features"`, a `Features`, or for a `HeteroData` a dict from node type to one of these: the types
        that it does not name keep their features.

    Raises
    ------
    ParameterError
        If `vary` is none of these, or names a node type without features.
    """
    features = read_features(graph)
    chosen = _by_slot(vary, features)
    return Variables(graph, {slot: _features(spec).values(features[slot]) for slot, spec in chosen.items()})


def slots_of(vary: Vary, graph: Graph) -> tuple[str, ...]:
    """Where features vary: `("x",)`, or node types; raises as `resolve_variables`."""
    return tuple(_by_slot(vary, read_features(graph)))


def _by_slot(
    vary: Vary, features: Mapping[str, Tensor]
) -> Mapping[str, str | Features | Structure | EdgeWeights]:
    if not isinstance(vary, Mapping):
        if isinstance(vary, tuple):
            raise ParameterError("vary", "about features alone here", vary)
        return dict.fromkeys(features, vary)
    unknown = sorted(set(vary) - set(features))
    if unknown or not vary:
        raise ParameterError("vary", f"by node types that have features ({', '.join(features)})", list(vary))
    return vary


def _features(vary: str | Features | Structure | EdgeWeights) -> Features:
    if isinstance(vary, Features):
        return vary
    if vary == "features":
        return Features()
    raise ParameterError(
        "vary", "'features', 'structure', 'edge_weights' or an object such as Features()", vary
    )


def _shuffle(values: FeatureValues, generator: torch.Generator) -> Tensor:
    x, mutable = values.reference, values.mutable
    keys = torch.rand(x.shape, generator=generator).to(x.device)
    # Mutable entries of a column change places among themselves: sort the places, and sort the random keys.
    places = torch.where(mutable, 0.0, 2.0).argsort(dim=0, stable=True)
    drawn = torch.where(mutable, keys, 2.0).argsort(dim=0, stable=True)
    return torch.empty_like(x).scatter_(0, places, x.gather(0, drawn))


def sum_per_item(rows: Mapping[str, Tensor], owners: Mapping[str, Tensor], num_items: int) -> Tensor:
    """Sum the entries of the rows, [n, F] per slot, over the rows of each item; [items]."""
    owned = {slot: owner for slot, owner in owners.items() if slot in rows}
    sums = torch.zeros(num_items if owned else 0, dtype=torch.float64)
    for slot, owner in owned.items():
        sums = sums.to(owner.device).index_add(0, owner, rows[slot].sum(dim=1))
    return sums
