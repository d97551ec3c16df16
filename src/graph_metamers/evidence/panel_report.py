"""What a panel of observers saw: whom the changed graphs fool, each figure between its ceiling and its floor.

The ceiling is the same figure on the reference, the floor the same on graphs that have nothing to do with it
(features shuffled over the nodes; where edges vary, random graphs with the same degrees). Only nodes whose
labels no observer was given are counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch

from graph_metamers.evidence.measures import FEWEST_FOR_BOOTSTRAP, interval_over_starts
from graph_metamers.evidence.panel_members import KINDS, ObserverKind
from graph_metamers.metrics.intervals import Interval, nested_bootstrap_interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from graph_metamers.metrics.intervals import Floats
    from graph_metamers.types import Json

Figure: TypeAlias = Literal["accuracy", "as_the_model", "as_before"]
"""Share of the judged nodes for which an observer's class is the label; the class that the audited model
predicts for the reference; the class that the observer itself predicts for the reference."""

FIGURES: tuple[Figure, ...] = ("accuracy", "as_the_model", "as_before")

Change: TypeAlias = Literal["untouched", "no interval", "not fewer", "fewer", "as by chance"]
"""What happens to recognition, by the intervals: see `PanelReport.change`."""

REFERENCE, CHANCE = "reference", "chance"


@dataclass(frozen=True, eq=False)
class Sight:
    """What one observer takes every node for.

    Attributes
    ----------
    name, kind, facts
        As in `PanelMember`.
    reference
        Its classes on the reference, int64 [n]; -1 for a node without an answer.
    chance
        On unrelated features (or random graphs), int64 [starts, n].
    found
        Layer -> on what the search from each start found, int64 [starts, n].
    """

    name: str
    kind: ObserverKind
    facts: Mapping[str, Json]
    reference: Tensor
    chance: Tensor
    found: Mapping[str, Tensor]

    def at(self, where: str) -> Tensor:
        """Its classes on the reference, on chance, or on what was found for a layer, int64 [graphs, n]."""
        if where == REFERENCE:
            return self.reference.unsqueeze(0)
        return self.chance if where == CHANCE else self.found[where]


@dataclass(frozen=True, eq=False, repr=False)
class PanelReport:
    """What all observers of an audit saw.

    Attributes
    ----------
    sights
        One an observer; the first is the audited model itself.
    labels
        Class of every node, int64 [n].
    judged
        Nodes on which everything is counted, int64 indices: the test nodes, whose labels nobody was given.
    layers
        The audited layers, in their order.
    """

    sights: tuple[Sight, ...]
    labels: Tensor
    judged: Tensor
    layers: tuple[str, ...]

    @property
    def kinds(self) -> tuple[ObserverKind, ...]:
        """The classes of observers that are there."""
        there = {sight.kind for sight in self.sights}
        return tuple(kind for kind in KINDS if kind in there)

    def of_kind(self, kind: ObserverKind) -> tuple[Sight, ...]:
        """The observers of a class."""
        return tuple(sight for sight in self.sights if sight.kind == kind)

    @cached_property
    def majority(self) -> float:
        """Share of the most frequent class among the judged nodes: what always answering it would get."""
        return float(torch.bincount(self.labels[self.judged]).max()) / len(self.judged)

    def table(self, figure: Figure, sights: tuple[Sight, ...], where: str) -> Floats:
        """A figure of some observers, [observers, graphs], each in [0, 1].

        Parameters
        ----------
        figure
            See `Figure`.
        sights
            The observers.
        where
            `"reference"`, `"chance"`, or an audited layer.
        """
        return np.array([self._shares(figure, sight, where) for sight in sights], dtype=np.float64)

    def interval(self, figure: Figure, who: str, where: str) -> Interval:
        """A figure of one observer, by its name, or of a class of observers, with its 95% interval.

        That of one observer is over the starts. That of a class with several observers is over observers
        and starts, which are drawn once for all observers; with fewer than five of either it is widened to
        Student's t interval over them.
        """
        known = self._intervals
        if (figure, who, where) not in known:
            known[figure, who, where] = _interval(self.table(figure, self._who(who), where))
        return known[figure, who, where]

    def lost(self, who: str, layer: str) -> Interval:
        """How much less an observer, or a class of them, recognises than on the reference, in [-1, 1].

        The difference of its accuracies, paired by observer, with its 95% interval over observers and starts;
        exactly 0 if every answer on every graph is that on the reference.
        """
        sights = self._who(who)
        if self._untouched(sights, layer):
            return Interval(0.0, 0.0, 0.0, 0.95, 0, "every answer is that on the reference")
        found, reference = (self.table("accuracy", sights, where) for where in (layer, REFERENCE))
        return _interval(reference - found, (-1.0, 1.0))

    def change(self, who: str, layer: str) -> Change:
        """What happens to what an observer, or a class of them, recognises.

        Returns
        -------
        str
            `"untouched"` if every answer on every graph is that on the reference; `"no interval"` if there is
            one observer and one start; `"not fewer"` if the interval of the paired difference to the
            reference holds 0 or lies above; else `"as by chance"` if that of the paired difference to the
            unrelated graphs holds 0 or lies below, and `"fewer"` if it lies above.
        """
        sights = self._who(who)
        if self._untouched(sights, layer):
            return "untouched"
        found, chance = (self.table("accuracy", sights, where) for where in (layer, CHANCE))
        if found.size == 1:
            return "no interval"
        if not self.lost(who, layer).low > 0:
            return "not fewer"
        return "fewer" if _interval(found - chance, (-1.0, 1.0)).low > 0 else "as by chance"

    def rows(self) -> list[dict[str, Any]]:
        """One row per observer and layer: every figure with its interval, on the reference, and by chance."""
        return [
            self._row({"observer": sight.name, "kind": sight.kind}, sight.name, layer)
            for sight in self.sights
            for layer in self.layers
        ]

    def kind_rows(self) -> list[dict[str, Any]]:
        """The same for every class of observers, taken together."""
        return [
            self._row({"kind": kind, "num_observers": len(self.of_kind(kind))}, kind, layer)
            for kind in self.kinds
            for layer in self.layers
        ]

    def __repr__(self) -> str:
        lines = [
            f"  {sight.name}: {self.interval('accuracy', sight.name, REFERENCE).estimate:.1%} right on the "
            "reference; "
            + ", ".join(
                f"{self.interval('accuracy', sight.name, layer).estimate:.1%} on what was found for {layer}"
                for layer in self.layers
            )
            + f"; {self.interval('accuracy', sight.name, CHANCE).estimate:.1%} by chance"
            for sight in self.sights
        ]
        head = f"PanelReport({len(self.judged)} nodes, most frequent class {self.majority:.1%}"
        return "\n".join([head, *lines, ")"])

    @cached_property
    def _intervals(self) -> dict[tuple[Figure, str, str], Interval]:
        """What was computed already: a page asks for the same interval several times."""
        return {}

    @staticmethod
    def _untouched(sights: tuple[Sight, ...], layer: str) -> bool:
        return all(bool((sight.found[layer] == sight.reference).all()) for sight in sights)

    def _who(self, who: str) -> tuple[Sight, ...]:
        named = tuple(sight for sight in self.sights if sight.name == who)
        return named or tuple(sight for sight in self.sights if sight.kind == who)

    def _shares(self, figure: Figure, sight: Sight, where: str) -> list[float]:
        right = {
            "accuracy": self.labels,
            "as_the_model": self.sights[0].reference,
            "as_before": sight.reference,
        }[figure]
        same = (sight.at(where) == right)[:, self.judged]
        return [float(share) for share in same.to(torch.float64).mean(dim=1)]

    def _row(self, head: Mapping[str, Any], who: str, layer: str) -> dict[str, Any]:
        row = {**head, "layer": layer, "num_judged": len(self.judged), "majority_class": self.majority}
        for figure in FIGURES:
            for where, suffix in ((layer, ""), (REFERENCE, "_reference"), (CHANCE, "_chance")):
                interval = self.interval(figure, who, where)
                row[f"{figure}{suffix}"] = interval.estimate
                row[f"{figure}{suffix}_low"] = interval.low
                row[f"{figure}{suffix}_high"] = interval.high
        return row | {"change": self.change(who, layer)}


def _interval(table: Floats, limits: tuple[float, float] = (0.0, 1.0)) -> Interval:
    """The mean of a table [observers, graphs] with its interval.

    The bootstrap of few rows or columns is far too narrow: the interval then also holds Student's t interval
    over these.
    """
    if len(table) == 1:
        return interval_over_starts([float(value) for value in table[0]], limits)
    found = nested_bootstrap_interval(table, shared_columns=True)
    for means in (table.mean(axis=0), table.mean(axis=1)):
        if 1 < len(means) < FEWEST_FOR_BOOTSTRAP:
            found = _holding(found, interval_over_starts(means.tolist(), limits))
    return found


def _holding(one: Interval, other: Interval) -> Interval:
    """The first interval, made wide enough to hold the second."""
    low, high = min(one.low, other.low), max(one.high, other.high)
    return replace(one, low=low, high=high, method=f"{one.method}, widened to Student's t")
