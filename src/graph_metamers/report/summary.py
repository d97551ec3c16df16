"""Section 1: what was matched, in sentences and in three numbers a model, each beside its chance level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graph_metamers.auditing import verdict
from graph_metamers.auditing.rules import kind_of
from graph_metamers.auditing.wording import not_found
from graph_metamers.report.labels import by_dataset, headline_layer, model_labels, title
from graph_metamers.report.numbers import MINUS, alike, alike_percent, count, ends, number, percent
from graph_metamers.report.varied import unrelated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graph_metamers.auditing import Audit, LayerAudit
    from graph_metamers.metrics import Accuracy, Interval
    from graph_metamers.report.labels import ModelLabel
    from graph_metamers.types import Varies


@dataclass(frozen=True)
class Headline:
    """One big number.

    Attributes
    ----------
    question
        What it answers.
    value, chance
        As shown.
    interval, chance_interval
        As shown; empty where there is none.
    fill, tick
        The same as shares of the gauge below it, 0 to 1; `None` where there is no number.
    low, high
        What the ends of the gauge mean.
    unit
        What the number is, in a few words.
    """

    question: str
    value: str
    chance: str
    interval: str
    chance_interval: str
    fill: float | None
    tick: float | None
    low: str
    high: str
    unit: str


@dataclass(frozen=True)
class Score:
    """An accuracy beside chance and the controls."""

    name: str
    value: str
    fill: float


@dataclass(frozen=True)
class ModelSummary:
    """What the top of the page says about one model.

    Attributes
    ----------
    model
        Its label.
    layer, found, is_found, is_matched, kind
        Which layer the numbers are of, from how many starts a metamer of it was found, whether from any and
        from all, and of which kind.
    scores
        Its test accuracy, chance, and the controls.
    num_test
        Over how many test nodes.
    sentences
        The verdict, without what is said for all models.
    headlines
        The three numbers; empty without an audited layer.
    unrelated, not_found
        What chance is, and what is said where no search found a metamer.
    """

    model: ModelLabel
    layer: str
    found: str
    is_found: bool
    is_matched: bool
    kind: str
    scores: tuple[Score, ...]
    num_test: str
    sentences: tuple[str, ...]
    headlines: tuple[Headline, ...]
    unrelated: str
    not_found: str


@dataclass(frozen=True)
class Summary:
    """Section 1.

    Attributes
    ----------
    title
        The title of the page.
    models
        One a model.
    common
        Sentences of the verdict that hold for all models.
    notes
        What a reader must know about the data, by data set.
    """

    title: str
    models: tuple[ModelSummary, ...]
    common: tuple[str, ...]
    notes: tuple[tuple[str, tuple[str, ...]], ...]


def summary(audits: Sequence[Audit]) -> Summary:
    """Section 1 of some audits."""
    verdicts = [verdict(audit) for audit in audits]
    common = tuple(s for s in verdicts[0] if len(audits) > 1 and all(s in other for other in verdicts))
    return Summary(
        title(audits),
        tuple(
            _of_model(label, audit, tuple(s for s in sentences if s not in common))
            for label, audit, sentences in zip(model_labels(audits), audits, verdicts, strict=True)
        ),
        common,
        tuple((card.name, card.notes) for card, _ in by_dataset(audits) if card.notes),
    )


def headlines(layer: LayerAudit) -> tuple[Headline, ...]:
    """The three numbers of a layer: how alike inside, how different outside, what the model says."""
    loss = layer.measures["activation_loss"]
    of_edges = layer.varies == "structure"
    distance = layer.measures["visible_distance" if layer.varies == "features" else "input_distance"]
    one = "1: random graph" if of_edges else "1: unrelated"
    same = layer.measures["prediction_agreement"]
    scale = max(1.0, distance.value, distance.chance)
    found = [
        Headline(
            "How alike are the activations?",
            alike_percent(loss.value),
            alike_percent(loss.chance),
            _alike_ends(loss.interval),
            _alike_ends(loss.chance_interval),
            _share(alike(loss.value)),
            _share(alike(loss.chance)),
            "nothing alike",
            "identical",
            f"reproduced (1 {MINUS} activation loss)",
        ),
        Headline(
            "How different are the edges?" if of_edges else "How different is the input?",
            number(distance.value),
            number(distance.chance),
            ends(distance.interval, number),
            ends(distance.chance_interval, number),
            _share(distance.value / scale),
            _share(distance.chance / scale),
            "0: the reference",
            one if scale < 1.05 else f"{number(scale)} ({one})",
            _DISTANCE_UNITS[layer.varies],
        ),
    ]
    # nan where the model has no output to compare.
    if not math.isnan(same.value):
        found.append(
            Headline(
                "How many predictions stay?",
                percent(same.value),
                percent(same.chance),
                ends(same.interval, percent),
                ends(same.chance_interval, percent),
                _share(same.value),
                _share(same.chance),
                "none",
                "all",
                "of nodes keep their predicted class",
            )
        )
    return tuple(found)


_DISTANCE_UNITS: Mapping[Varies, str] = {
    "features": "distance of the features in the directions that the layer reads",
    "structure": "share of edges that are others, over that of such a random graph",
    "both": "the smaller of two distances, that of the features and that of the edges",
}


def _of_model(model: ModelLabel, audit: Audit, sentences: tuple[str, ...]) -> ModelSummary:
    layer = headline_layer(audit)
    test = audit.scores.test
    return ModelSummary(
        model=model,
        layer=layer.name if layer else "",
        found=layer.found if layer else "",
        is_found=layer is not None and layer.num_metamers > 0,
        is_matched=layer is not None and layer.is_matched,
        kind=kind_of(layer) if layer else "",
        scores=(
            _score("this model", test),
            *(_score(f"{name}, no features", accuracy) for name, accuracy in audit.controls.items()),
            Score("chance: most frequent class", percent(test.chance), test.chance),
        ),
        num_test=count(test.num_items),
        sentences=sentences,
        headlines=headlines(layer) if layer else (),
        unrelated=unrelated(audit),
        not_found=not_found(layer) if layer else "",
    )


def _score(name: str, accuracy: Accuracy) -> Score:
    return Score(name, percent(accuracy.accuracy), accuracy.accuracy)


def _alike_ends(loss: Interval) -> str:
    """The ends of 1 - loss: the highest loss is the lowest likeness."""
    if math.isnan(loss.low):
        return ""
    low, high = alike_percent(loss.high), alike_percent(loss.low)
    return low if low == high else f"{low} to {high}"


def _share(value: float) -> float | None:
    return min(1.0, max(0.0, value)) if not math.isnan(value) else None
