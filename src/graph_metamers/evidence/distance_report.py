"""Distances between two graphs, each with its chance level, its error and what was left out."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING

from graph_metamers.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graph_metamers.metrics.consistency_score import Consistency
    from graph_metamers.types import Json

_SHOWN = 90  # columns of a line of the repr


@dataclass(frozen=True)
class MeasuredDistance:
    """One distance, measured.

    Attributes
    ----------
    name, kind, text, unit
        As in `list_distances`.
    raw
        The distance in its unit; where there are only bounds, the lower one.
    low, high
        What the true value lies between: bounds, or for a sample 1.96 standard errors each way; else `raw`.
    error
        Standard error of a sampled value; 0 where nothing was sampled.
    method
        `exact`, or which sample or which bounds.
    chance
        The same distance between the reference and unrelated graphs, mean; nan where there are none.
    chance_error
        Standard error of that mean over the graphs; 0 for a closed form, nan for one graph.
    chance_is
        What the unrelated graphs are, or why there are none.
    scaled
        raw / chance: 0 = the reference, 1 = unrelated. nan where the chance level is 0 or missing and the
        distance is not 0.
    """

    name: str
    kind: str
    text: str
    unit: str
    raw: float
    low: float
    high: float
    error: float
    method: str
    chance: float
    chance_error: float
    chance_is: str

    @property
    def scaled(self) -> float:
        """Raw over chance: 0 = the reference, 1 = unrelated."""
        if self.raw == 0:
            return 0.0
        return self.raw / self.chance if self.chance > 0 else math.nan

    def row(self) -> dict[str, Json]:
        """All of it, with `None` for what is not defined."""
        values: dict[str, Json] = {**asdict(self), "scaled": self.scaled}
        return {
            key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in values.items()
        }

    def __str__(self) -> str:
        return f"{self.name} {_number(self.scaled)}"


@dataclass(frozen=True, repr=False)
class DistanceReport:
    """How far a changed graph is from its reference, in every sense that applies.

    Attributes
    ----------
    distances
        In a fixed order: of features, of edges, of both.
    left_out
        Name -> why a distance was not measured.
    consistency
        Of a `Metamer`: whether activations and input agree, with both parts; else `None`.
    """

    distances: tuple[MeasuredDistance, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    consistency: Consistency | None = None

    def __getitem__(self, name: str) -> MeasuredDistance:
        """The distance of that name.

        Raises
        ------
        ParameterError
            If it was not measured; the error says why.
        """
        for distance in self.distances:
            if distance.name == name:
                return distance
        measured = ", ".join(repr(distance.name) for distance in self.distances)
        raise ParameterError("name", f"one of {measured}", name, self.left_out.get(name, ""))

    def rows(self) -> list[dict[str, Json]]:
        """One row a distance; `None` for what is not defined."""
        return [distance.row() for distance in self.distances]

    def __repr__(self) -> str:
        lines = ["DistanceReport(raw over chance: 0 = the reference, 1 = unrelated"]
        for kind in ("features", "structure", "both"):
            found = [str(distance) for distance in self.distances if distance.kind == kind]
            lines += _wrapped(kind, found) if found else []
        if self.consistency is not None:
            lines.append(f"  consistency: {self.consistency}")
        if self.left_out:
            lines.append(f"  left out: {len(self.left_out)}; left_out says why")
        return "\n".join(lines) + "\n)"

    def _repr_html_(self) -> str:
        heads = ("distance", "scaled", "raw", "unit", "chance", "how")
        head = "".join(f"<th style='text-align:left'>{name}</th>" for name in heads)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(distance)) + "</tr>"
            for distance in self.distances
        )
        below = "" if self.consistency is None else f"<p>Consistency: {escape(str(self.consistency))}</p>"
        return f"<p>0 = the reference, 1 = unrelated</p><table><tr>{head}</tr>{rows}</table>{below}"


def _cells(distance: MeasuredDistance) -> tuple[str, ...]:
    raw = _number(distance.raw)
    if distance.low != distance.high:
        raw += f" ({_number(distance.low)} to {_number(distance.high)})"
    return (
        distance.name,
        _number(distance.scaled),
        raw,
        distance.unit,
        f"{_number(distance.chance)}: {distance.chance_is}",
        distance.method,
    )


def _number(value: float) -> str:
    return "not defined" if math.isnan(value) else f"{value:.3g}"


def _wrapped(kind: str, found: list[str]) -> list[str]:
    lines = [f"  {kind}:"]
    for text in found:
        if len(lines[-1]) + len(text) > _SHOWN:
            lines.append("   ")
        lines[-1] += f" {text},"
    lines[-1] = lines[-1].rstrip(",")
    return lines
