"""What a distance between two versions of a graph is, and the list of all there are."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from graph_metamers.graphs.feature_kind import infer_feature_kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

Kind = Literal["features", "structure", "both"]
"""What of a graph a distance looks at."""

Chance = Literal["shuffled", "resampled", "rewired", "random_edges", "shuffled_and_rewired"]
"""Which unrelated graph stands at 1 on the scale of a distance; see `CHANCES`."""

CHANCES: Mapping[Chance, str] = {
    "shuffled": "every feature shuffled over the nodes, each on its own: same values, nothing else in common",
    "resampled": "every feature drawn anew, with replacement, from the reference's values: another sample",
    "rewired": "a random graph in which every node keeps its degree (configuration model)",
    "random_edges": "a random graph with as many edges",
    "shuffled_and_rewired": "features shuffled over the nodes, and a random graph with the same degrees",
}
"""What a chance level is, in words."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What distances read of a graph; of two that are compared, nodes have the same numbers.

    Attributes
    ----------
    features
        Of every kind of node, [n_t, F_t] each; none for a graph without features.
    edge_index
        int64 [2, E], of an undirected graph in both directions; `None` with several kinds of nodes.
    num_nodes
        n.
    labels
        Class of every node, int64 [n]; `None` where there is none.
    graphs
        Of a batch the graph of every node, int64 [n]; `None` for one graph.
    """

    features: tuple[Tensor, ...]
    edge_index: Tensor | None
    num_nodes: int
    labels: Tensor | None = None
    graphs: Tensor | None = None

    @cached_property
    def is_binary(self) -> bool:
        """Whether there are features, and all of them are 0 or 1."""
        kinds = [infer_feature_kind(x) for x in self.features if x.numel()]
        return bool(kinds) and all(kind == "binary" for kind in kinds)

    @property
    def edges(self) -> Tensor:
        """`edge_index` where it is known to be there."""
        assert self.edge_index is not None  # noqa: S101 (`Distance.why_not` comes first)
        return self.edge_index


@dataclass(frozen=True)
class Reading:
    """What a distance measured.

    Attributes
    ----------
    value
        The distance; where there are only bounds, the lower one.
    method
        How it was computed: `exact`, or which sample or bounds.
    error
        Standard error of a sampled value; 0 where none is drawn at random.
    bounds
        What the true value lies between, where it is not computed; else the value twice.
    """

    value: float
    method: str = "exact"
    error: float = 0.0
    bounds: tuple[float, float] = (math.nan, math.nan)

    @property
    def ends(self) -> tuple[float, float]:
        """Bounds where there are some, else the value plus and minus 1.96 standard errors, at least 0."""
        if not math.isnan(self.bounds[0]):
            return self.bounds
        reach = 1.96 * self.error
        return max(0.0, self.value - reach), self.value + reach


class Distance(ABC):
    """How far a changed graph is from the reference; 0 = the reference.

    Attributes
    ----------
    name
        Stable name.
    text
        One sentence: what it measures.
    kind
        What of a graph it looks at.
    unit
        Of its values.
    limits
        The smallest and the largest value.
    chance
        Which unrelated graph stands at 1 on the scale.
    is_symmetric
        Whether it is the same with the two graphs in each other's place. Where the reference gives a scale
        (standard deviations, word frequencies), it is not.
    is_aligned
        Whether it compares node by node, so that it changes when the nodes of one graph alone are put in
        another order. No distance changes when those of both are.
    needs_model
        Whether it is about one layer of a model.
    """

    name: ClassVar[str]
    text: ClassVar[str]
    kind: ClassVar[Kind]
    unit: ClassVar[str]
    limits: ClassVar[tuple[float, float]]
    chance: ClassVar[Chance]
    is_symmetric: ClassVar[bool]
    is_aligned: ClassVar[bool]
    needs_model: ClassVar[bool] = False

    @abstractmethod
    def why_not(self, changed: Seen, reference: Seen) -> str:
        """Why it does not apply to these graphs, as an end of "it does not apply: ..."; empty if it does."""

    @abstractmethod
    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:
        """The distance, for graphs to which it applies.

        Parameters
        ----------
        changed, reference
            Two graphs with the same nodes.
        seed
            Of a sample, where one is drawn.
        """

    def expected(self, reference: Seen) -> float | None:  # noqa: ARG002 (of most there is no closed form)
        """The chance level where there is a closed form for it."""
        return None


class FeatureDistance(Distance):
    """A distance that looks at the features alone."""

    kind: ClassVar[Kind] = "features"
    chance: ClassVar[Chance] = "shuffled"
    is_aligned = True

    def why_not(self, changed: Seen, reference: Seen) -> str:
        """See `Distance.why_not`."""
        if not any(x.numel() for x in reference.features):
            return "the graph has no node features"
        return self._why_not_here(changed, reference)

    def _why_not_here(self, changed: Seen, reference: Seen) -> str:  # noqa: ARG002
        return ""


class StructureDistance(Distance):
    """A distance that looks at the edges alone, and where it says so at the classes of nodes."""

    kind: ClassVar[Kind] = "structure"
    chance: ClassVar[Chance] = "rewired"

    def why_not(self, changed: Seen, reference: Seen) -> str:
        """See `Distance.why_not`."""
        if reference.edge_index is None or changed.edge_index is None:
            return "the graph has no edge_index, or several kinds of nodes"
        if not reference.edge_index.shape[1]:
            return "the reference has no edges"
        return self._why_not_here(changed, reference)

    def _why_not_here(self, changed: Seen, reference: Seen) -> str:  # noqa: ARG002
        return ""


_REGISTERED: dict[str, type[Distance]] = {}

_D = TypeVar("_D", bound=type[Distance])


def register(distance: _D) -> _D:
    """Put a distance on the list; a class decorator."""
    assert distance.name not in _REGISTERED, distance.name  # noqa: S101 (two files with one name)
    _REGISTERED[distance.name] = distance
    return distance


def registered() -> Mapping[str, type[Distance]]:
    """Name -> class of every distance, in the order in which they are shown."""
    return dict(_REGISTERED)


def model_free() -> dict[str, Distance]:
    """Name -> every distance that needs no model, ready for use."""
    return {name: kind() for name, kind in _REGISTERED.items() if not kind.needs_model}
