"""Distances of features as one layer of a model reads them: inside its visible space, and outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from graph_metamers.metrics.distances import FeatureDistance, Reading, Seen, register

if TYPE_CHECKING:
    from graph_metamers.inputs import Variables
    from graph_metamers.inputs.visible import VisibleSpace


@dataclass(frozen=True, eq=False)
class _PartDistance(FeatureDistance):
    """One part of the change of the features.

    Parameters
    ----------
    space
        What the layer reads.
    variables
        The reference, all features of which may vary.
    """

    unit = "units of the features"
    limits = (0.0, float("inf"))
    is_symmetric = True
    needs_model = True
    part: ClassVar[int]

    space: VisibleSpace
    variables: Variables

    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:  # noqa: ARG002
        """See `Distance.raw`."""
        return Reading(self._lengths(changed)[0])

    def expected(self, reference: Seen) -> float | None:
        """Root mean square when every feature is drawn from a random node, in closed form."""
        return self._lengths(reference)[1]

    def _lengths(self, seen: Seen) -> tuple[float, float]:
        features = dict(zip(self.variables.values, seen.features, strict=True))
        return self.space.lengths(self.variables.graph_with(features), self.variables)[self.part]


@register
class VisibleDistance(_PartDistance):
    """Length of the change inside the directions that the layer reads."""

    name = "visible"
    text = "Length of the features' change inside the directions that the layer reads."
    part = 0


@register
class NullSpaceDistance(_PartDistance):
    """Length of the change in the directions that the layer does not read."""

    name = "null_space"
    text = "Length of the features' change in the directions that the layer does not read."
    part = 1

    def _why_not_here(self, changed: Seen, reference: Seen) -> str:  # noqa: ARG002
        whole = all(basis.shape[0] == basis.shape[1] for basis in self.space.bases.values())
        return "the layer reads every direction of the features" if whole else ""
