"""Controls of an audit: how far one gets with less than a search, one row each, beside the metamers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from graph_metamers.errors import ParameterError
from graph_metamers.evidence.measures import interval_over_starts, limits_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graph_metamers.metrics import Interval
    from graph_metamers.types import Varies

BaselineName = Literal[
    "random_perturbation",
    "nearest_item",
    "flat_step",
    "null_space",
    "random_weights",
    "recomputed_edges",
    "label_propagation",
]
BASELINE_NAMES: tuple[str, ...] = get_args(BaselineName)
"""The controls in the order in which they are shown."""

BASELINE_MEASURES = (
    "activation_loss",
    "input_distance",
    "visible_distance",
    "prediction_agreement",
    "passing_share",
)
"""What is measured of each of them, under the names of the metamers' measures."""


@dataclass(frozen=True)
class Baseline:
    """One control of one layer: the numbers that the metamers have too.

    Attributes
    ----------
    name
        Which control, out of `BASELINE_NAMES`.
    label
        What a reader sees.
    meaning
        What it is, in a sentence or two.
    activation_loss, input_distance, visible_distance, prediction_agreement, passing_share
        One value for each seed, as in the measures of the same name; nan where it does not apply. Empty if
        the control could not be made.
    why_not
        Why it could not be made; else empty.
    """

    name: BaselineName
    label: str
    meaning: str
    activation_loss: tuple[float, ...] = ()
    input_distance: tuple[float, ...] = ()
    visible_distance: tuple[float, ...] = ()
    prediction_agreement: tuple[float, ...] = ()
    passing_share: tuple[float, ...] = ()
    why_not: str = ""

    @classmethod
    def of(cls, name: BaselineName, varies: Varies, numbers: Sequence[Mapping[str, float]]) -> Baseline:
        """The control of that name, from what was measured for each seed; what is not there is nan."""
        label, meaning = baseline_text(name, varies)
        values = {
            measure: tuple(float(row.get(measure, math.nan)) for row in numbers)
            for measure in BASELINE_MEASURES
        }
        return cls(
            name,
            label,
            meaning,
            activation_loss=values["activation_loss"],
            input_distance=values["input_distance"],
            visible_distance=values["visible_distance"],
            prediction_agreement=values["prediction_agreement"],
            passing_share=values["passing_share"],
        )

    @classmethod
    def left_out(cls, name: BaselineName, varies: Varies, why_not: str) -> Baseline:
        """The control of that name without numbers, and the reason."""
        return cls(name, *baseline_text(name, varies), why_not=why_not)

    @property
    def num_seeds(self) -> int:
        """How many values each measure has."""
        return len(self.activation_loss)

    def values(self, measure: str) -> tuple[float, ...]:
        """The values of a measure, one a seed.

        Raises
        ------
        ParameterError
            If it is none of `BASELINE_MEASURES`.
        """
        if measure not in BASELINE_MEASURES:
            raise ParameterError("measure", f"one of {', '.join(BASELINE_MEASURES)}", measure)
        found: tuple[float, ...] = getattr(self, measure)
        return found

    def interval(self, measure: str) -> Interval | None:
        """The mean of a measure with its 95% interval over the seeds; `None` where it does not apply.

        Of one seed, or of a control in which nothing is random, there is no interval, as of one start.
        """
        values = self.values(measure)
        if not values or any(math.isnan(value) for value in values):
            return None
        return interval_over_starts(values, limits_of(measure))


def baseline_text(name: str, varies: Varies) -> tuple[str, str]:
    """Label and meaning of a control, by what varies in the audit."""
    label, meaning = _TEXTS[name]
    return label, _OWN_MEANINGS.get((name, varies), meaning)


_TEXTS: Mapping[str, tuple[str, str]] = {
    "random_perturbation": (
        "random change of the same size",
        "Every node's features are moved as far as the search moved them (features that are 0 or 1: as many "
        "lost and gained), in a random direction. One for each start.",
    ),
    "nearest_item": (
        "nearest other real node",
        "Every node is replaced by the real node with the most similar activation at this layer. No node can "
        "pass gate 2 this way, since it asks to be closer than that. Nothing is random in it.",
    ),
    "flat_step": (
        "step along flat directions",
        "A step as long as that of the search where the layer reads, into a random direction out of those in "
        "which its derivatives at the reference hardly move it; brought back to the range of the features.",
    ),
    "null_space": (
        "null space alone",
        "What the layer reads of the features stays exactly, and noise takes the place of the rest: no "
        "search is needed. Where features have a range, as near to that as the range allows. One for each "
        "start.",
    ),
    "random_weights": (
        "the same search, random weights",
        "The same architecture, reset and not trained, searched in the same way and for as many steps as the "
        "longest search of the trained model took. Losses, predictions and gates are of this untrained "
        "model, against its own.",
    ),
    "recomputed_edges": (
        "edges computed anew",
        "The edges of this data set were computed from the features of the reference and stay in a search. "
        "Here they are computed anew from the features that the searches found.",
    ),
    "label_propagation": (
        "label propagation, no features",
        "The training labels, spread over the edges of the reference. Given is the share of the other nodes "
        "for which it says what the model says. It has no activations.",
    ),
}
"""Name -> label, and what it is where features vary."""

_CLOSER = "No node can pass gate 2 this way, since it asks to be closer than that. Nothing is random in it."
_STANDS_IN = (
    "Every node is replaced by the real node with the most similar activation at this layer; the distance"
)
_SWAPPED = "by swaps that keep every node's number of neighbours. One for each start."

_OWN_MEANINGS: Mapping[tuple[str, str], str] = {
    ("random_perturbation", "structure"): "As many edges as the search replaced are replaced at random, "
    + _SWAPPED,
    ("random_perturbation", "both"): "Features are changed at random, every node's by as much as the search "
    "changed them, and as many edges are replaced at random, " + _SWAPPED,
    ("nearest_item", "structure"): f"{_STANDS_IN} is that of the two nodes' neighbours. {_CLOSER}",
    ("nearest_item", "both"): f"{_STANDS_IN} is that of the two nodes' features or neighbours, whichever is "
    f"smaller. {_CLOSER}",
}
