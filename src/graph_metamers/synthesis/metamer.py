"""The result of a search: a graph, and how well and by how much it matches and differs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import torch

from graph_metamers.synthesis.status import Status

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from torch import Tensor

    from graph_metamers.inputs import InputDistance
    from graph_metamers.metrics.classification import Agreement
    from graph_metamers.types import Graph, Json

ITEM_TOLERANCE_FACTOR = 10
"""An item counts as matched up to this many times the tolerance of the whole (ours)."""


@dataclass(frozen=True, eq=False, repr=False)
class Metamer:
    """What a search for a metamer found, whether or not it is one.

    Attributes
    ----------
    graph
        The real graph that was found.
    reference
        The graph that was to be matched.
    layer
        Names of the matched layers.
    status
        How the search ended; `status.message` says it in a sentence.
    activation_loss
        ||h' - h||_F^2 / ||h||_F^2 of the unmodified model on `graph`, over the matched items, in float64; the
        mean over the layers if there are several.
    relaxed_loss
        The same as the search saw it; differs from `activation_loss` when making the graph real cost
        something.
    start_loss
        The activation loss of the real graph at which the search started.
    tolerance, min_distance
        What `activation_loss` must not exceed and `input_distance.scaled` must reach.
    item_loss
        Activation loss of every matched item, float64 [items].
    items
        What the items are: `nodes`, `graphs`, `nodes:movie`, ...
    index
        Which items were to match, int64 [items]; `None` for all.
    input_distance
        How far the input is from the reference, 0 = the reference, 1 = chance.
    prediction_agreement
        Share of the model's predictions, over all items, that stay, beside chance; `None` if the model has no
        output to compare.
    trace
        (step, loss) pairs of the search.
    steps
        Evaluations spent.
    config
        Everything that was asked for.
    provenance
        Versions, fingerprints of model and reference, seconds.
    distance_trace
        (step, scaled distance) pairs of a search with `objective="farthest"` that met the loss: how far the
        farthest point within the tolerance was; else empty.
    """

    graph: Graph
    reference: Graph
    layer: tuple[str, ...]
    status: Status
    activation_loss: float
    relaxed_loss: float
    start_loss: float
    tolerance: float
    min_distance: float
    item_loss: Tensor
    items: str
    index: Tensor | None
    input_distance: InputDistance
    prediction_agreement: Agreement | None
    trace: tuple[tuple[int, float], ...]
    steps: int
    config: Mapping[str, Json]
    provenance: Mapping[str, Json]
    distance_trace: tuple[tuple[int, float], ...] = ()

    @property
    def is_metamer(self) -> bool:
        """Whether the activations match within the tolerance *and* the input differs by `min_distance`."""
        return self.status is Status.CONVERGED

    @property
    def item_tolerance(self) -> float:
        """Item loss up to which an item counts as matched: ten times the tolerance of the whole (ours)."""
        return ITEM_TOLERANCE_FACTOR * self.tolerance

    @property
    def matched_items(self) -> Tensor:
        """Which items match within `item_tolerance`, bool [items]."""
        return self.item_loss <= self.item_tolerance

    @property
    def item_status(self) -> tuple[Status, ...]:
        """Status of every item, [items].

        CONVERGED: matched and different; RECOVERED_REFERENCE: matched, but the item's own features are
        within `min_distance` of the reference's; otherwise how the search as a whole ended, NOT_MATCHED
        if that met the loss.
        """
        failed = Status.NOT_MATCHED if self.status in _LOSS_MET else self.status
        distance = self.item_distance
        close = (distance < self.min_distance).tolist() if len(distance) else [False] * len(self.item_loss)
        return tuple(
            (Status.RECOVERED_REFERENCE if near else Status.CONVERGED) if matched else failed
            for matched, near in zip(self.matched_items.tolist(), close, strict=True)
        )

    @property
    def item_distance(self) -> Tensor:
        """Scaled distance of every matched item's own features, [items]; empty if they have none."""
        distance = self.input_distance.items
        return distance if self.index is None or not len(distance) else distance[self.index]

    @property
    def message(self) -> str:
        """How the search ended, in a sentence.

        Of a search for edges that found nothing: within which budget, how near it came, and how near a random
        graph with the same degrees is, if the search began at one.
        """
        edges = self._edges
        if edges is None or self.status in _LOSS_MET:
            return self.status.message
        proposals = proposed_swaps(self.config)
        budget = "" if proposals is None else f"{proposals} proposals and "
        began = "start" if self.config.get("init") != "noise" else "random graph"
        if began == "random graph" and self._features_vary:
            began += " with random features"
        found = (
            f"Not found within a budget of {budget}{self.config.get('steps')} steps: "
            f"best loss {self.activation_loss:.3g}, {began} {self.start_loss:.3g}."
        )
        return found if self.status is Status.MAX_STEPS else f"{found} {self.status.message}"

    @property
    def _features_vary(self) -> bool:
        vary = self.config.get("vary")
        return isinstance(vary, dict) and set(vary) != {"edges"}

    @property
    def _edges(self) -> dict[str, Json] | None:
        """What was asked for about edges; `None` if features varied."""
        vary = self.config.get("vary")
        edges = vary.get("edges") if isinstance(vary, dict) else None
        return edges if isinstance(edges, dict) and edges.get("kind") == "structure" else None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save to a folder; see `save_metamer`."""
        from graph_metamers.synthesis.metamer_files import save_metamer  # noqa: PLC0415 (it imports this file)

        save_metamer(self, path)

    def __repr__(self) -> str:
        name = "Metamer" if self.is_metamer else "NotAMetamer"
        lines = [f"{label}: {value}" for label, value in self._summary()]
        return f"{name}({self.message}\n  " + "\n  ".join(lines) + "\n)"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(label)}</th><td>{escape(value)}</td></tr>"
            for label, value in self._summary()
        )
        return f"<p>{escape(self.message)}</p><table>{rows}</table>"

    def _summary(self) -> list[tuple[str, str]]:
        shares = torch.tensor([0.5, 0.95], dtype=torch.float64)
        # The nearest observed value: between a finite loss and an infinite one nothing can be interpolated.
        median, high = self.item_loss.quantile(shares, interpolation="higher").tolist()
        matched = float(self.matched_items.double().mean())
        return [
            ("layer", ", ".join(self.layer)),
            ("activation loss", f"{self.activation_loss:.3g} (tolerance {self.tolerance:g})"),
            ("item loss", f"median {median:.3g}, 95% {high:.3g}; {matched:.1%} of {self.items} matched"),
            ("input distance", f"{self.input_distance.scaled:.3g} (0 = the reference, 1 = chance)"),
            ("same prediction", str(self.prediction_agreement or "no output to compare")),
            (
                "search",
                f"{self.config.get('solver')}, {_counted(self.steps)}, seed {self.config.get('seed')}",
            ),
        ]


def _counted(steps: int) -> str:
    return "1 step" if steps == 1 else f"{steps} steps"


_LOSS_MET = (Status.CONVERGED, Status.RECOVERED_REFERENCE)


def final_status(search: Status, loss: float, distance: float, *, tolerance: float, minimum: float) -> Status:
    """The status of a metamer, from how its search stopped and what the real graph measures.

    Parameters
    ----------
    search
        Why the solver stopped.
    loss, distance
        Activation loss and scaled input distance of the real graph.
    tolerance, minimum
        What they have to meet.
    """
    if loss <= tolerance:
        return Status.CONVERGED if distance >= minimum else Status.RECOVERED_REFERENCE
    return Status.DISCRETISATION_LOST if search is Status.CONVERGED else search


def count_statuses(statuses: tuple[Status, ...]) -> dict[str, int]:
    """How many items ended how, by the status's value."""
    return {status.value: count for status, count in Counter(statuses).items()}


def proposed_swaps(config: Mapping[str, Json]) -> Json:
    """Swaps of edges that a search proposed, by its record; `None` of a search that proposes none.

    What the solver says it did; else what was scheduled.
    """
    findings, varied = config.get("findings"), config.get("vary")
    if isinstance(findings, dict) and "proposals" in findings:
        return findings["proposals"]
    edges = varied.get("edges") if isinstance(varied, dict) else None
    return edges.get("proposals") if isinstance(edges, dict) else None
