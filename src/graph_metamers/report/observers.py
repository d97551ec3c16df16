"""Section 7: does it matter? What others than the model make of the graphs that it takes for the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graph_metamers.evidence.panel_members import KIND_TEXTS, KINDS
from graph_metamers.evidence.panel_report import CHANCE, FIGURES, REFERENCE
from graph_metamers.metrics.structure import label_homophily
from graph_metamers.report.labels import ModelLabel, headline_layer, model_labels
from graph_metamers.report.numbers import count, ends, fraction, percent
from graph_metamers.report.observer_figures import recognition_curves, recognition_figure
from graph_metamers.report.plots import LegendEntry, Plot, plot
from graph_metamers.report.varied import UNRELATED, unrelated
from graph_metamers.storage import to_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graph_metamers.auditing import Audit, LayerAudit
    from graph_metamers.evidence.panel_members import ObserverKind
    from graph_metamers.evidence.panel_report import Change, Figure, PanelReport, Sight
    from graph_metamers.metrics import Interval
    from graph_metamers.report.observer_figures import RecognitionCurves

MEANINGS: Mapping[ObserverKind, str] = {
    "itself": "the audited model",
    "twin": "its architecture and settings, other training seeds",
    "architecture": "other networks, trained on the same labels",
    "features": "a linear classifier of each node's own features; it was given the labels of all nodes but "
    "the test nodes",
    "edges": "label propagation from the training labels; it reads no feature",
}
"""What each class of observers of a trained panel is, in words."""

MEANINGS_OF_OTHERS: Mapping[ObserverKind, str] = {
    "itself": "the audited model",
    "twin": "its architecture, other trainings",
    "architecture": "other networks",
    "features": "who reads each node's own features alone",
    "edges": "who reads edges alone",
}
"""The same where some of them were brought by the user: how they were trained is not known here."""


@dataclass(frozen=True)
class Shown:
    """A share as shown, with its interval, which is empty where there is none."""

    value: str
    interval: str


@dataclass(frozen=True)
class ObserverCell:
    """What an observer makes of one kind of graph: the three figures of `FIGURES`."""

    accuracy: Shown
    as_the_model: Shown
    as_before: Shown


@dataclass(frozen=True)
class ObserverRow:
    """One observer, or all of a class taken together, on every kind of graph."""

    name: str
    is_class: bool
    cells: tuple[ObserverCell, ...]


@dataclass(frozen=True)
class ObserverTable:
    """The observers of one audit.

    Attributes
    ----------
    model
        Which model was audited.
    columns
        What was shown to them.
    groups
        The observers of each class; the first row of a class with several is of all of them.
    """

    model: ModelLabel
    columns: tuple[str, ...]
    groups: tuple[tuple[ObserverRow, ...], ...]


@dataclass(frozen=True)
class HomophilyRow:
    """Share of edges within a class, of one kind of graph."""

    what: str
    layer: str
    share: Shown


@dataclass(frozen=True)
class ObserversSection:
    """Section 7.

    Attributes
    ----------
    sentences
        What the intervals say of each class of observers, by model.
    figures, legend
        Recognition against the generating layer.
    kinds
        What each class of observers is.
    tables
        All figures.
    homophily
        Where edges vary, how many edges stay within a class, by model.
    num_judged
        How many nodes are counted.
    trained
        How long the observers took to train, and how many were read from the cache.
    unrelated
        What chance is.
    """

    sentences: tuple[tuple[ModelLabel, tuple[str, ...]], ...]
    figures: tuple[Plot, ...]
    legend: tuple[LegendEntry, ...]
    kinds: tuple[tuple[str, str], ...]
    tables: tuple[ObserverTable, ...]
    homophily: tuple[tuple[ModelLabel, tuple[HomophilyRow, ...]], ...]
    num_judged: str
    trained: tuple[tuple[ModelLabel, str], ...]
    unrelated: str


def observers_section(audits: Sequence[Audit]) -> ObserversSection | None:
    """Section 7 of some audits; `None` where nobody watched."""
    pairs = [
        (label, audit, audit.observers)
        for label, audit in zip(model_labels(audits), audits, strict=True)
        if audit.observers is not None and audit.layers
    ]
    if not pairs:
        return None
    curves = [recognition_curves(label, audit) for label, audit, _ in pairs]
    there = {kind for _, _, watched in pairs for kind in watched.kinds}
    kinds = [kind for kind in KINDS if kind in there]
    judged = dict.fromkeys(count(len(watched.judged)) for _, _, watched in pairs)
    return ObserversSection(
        tuple((label, observer_sentences(audit)) for label, audit, _ in pairs),
        tuple(_plot(place, curve) for place, curve in enumerate(curves)),
        _legend(kinds, [curve.majority for curve in curves]),
        tuple((KIND_TEXTS[kind], _meaning(kind, [watched for _, _, watched in pairs])) for kind in kinds),
        tuple(observer_table(label, watched) for label, _, watched in pairs),
        tuple(
            (label, homophily_rows(audit))
            for label, audit, _ in pairs
            if any("homophily" in layer.measures for layer in audit.layers)
        ),
        " or ".join(judged),
        tuple((label, trained) for label, _, watched in pairs if (trained := _trained(watched))),
        " or ".join(dict.fromkeys(unrelated(audit) for _, audit, _ in pairs)),
    )


def observer_sentences(audit: Audit) -> tuple[str, ...]:
    """What happens to the recognition of each class of observers at the layer that stands for an audit.

    No sentence says more than the intervals do: see `PanelReport.change`.
    """
    watched, layer = audit.observers, headline_layer(audit)
    if watched is None or layer is None:
        return ()
    return tuple(_sentence(watched, kind, layer) for kind in watched.kinds)


def _meaning(kind: ObserverKind, panels: Sequence[PanelReport]) -> str:
    """What a class of observers is; members that were brought have no facts."""
    there = [sight for watched in panels for sight in watched.sights if sight.kind == kind]
    known = kind == "itself" or all(sight.facts for sight in there)
    return MEANINGS[kind] if known else MEANINGS_OF_OTHERS[kind]


def observer_table(model: ModelLabel, watched: PanelReport) -> ObserverTable:
    """All figures of the observers of one audit."""
    columns = (REFERENCE, *watched.layers, CHANCE)
    return ObserverTable(
        model,
        ("the reference", *(f"found for {layer}" for layer in watched.layers), "chance"),
        tuple(tuple(_rows(watched, kind, watched.of_kind(kind), columns)) for kind in watched.kinds),
    )


def homophily_rows(audit: Audit) -> tuple[HomophilyRow, ...]:
    """How many edges of each kind of graph stay within a class, where edges vary."""
    own = fraction(label_homophily(audit.graph.edge_index, audit.labels))
    rows = [HomophilyRow("the reference", "", Shown(own, ""))]
    for layer in audit.layers:
        measure = layer.measures["homophily"]
        rows.append(HomophilyRow("found for", layer.name, _shown(measure.interval, fraction)))
    chance = audit.layers[0].measures["homophily"].chance_interval
    rows.append(HomophilyRow(UNRELATED["structure"], "", _shown(chance, fraction)))
    return tuple(rows)


def _sentence(watched: PanelReport, kind: ObserverKind, layer: LayerAudit) -> str:
    who, several = _WHO[kind], len(watched.of_kind(kind)) > 1
    parts = {
        "who": f"{who[0].upper()}{who[1:]}",
        "is": "are" if several or kind in ("twin", "architecture") else "is",
        "what": _what(layer),
        "found": _span(watched.interval("accuracy", kind, layer.name)),
        "reference": percent(watched.interval("accuracy", kind, REFERENCE).estimate),
        "chance": _span(watched.interval("accuracy", kind, CHANCE)),
        "majority": percent(watched.majority),
        "unrelated": UNRELATED[layer.varies],
    }
    return _SENTENCES[watched.change(kind, layer.name)].format(**parts)


def _what(layer: LayerAudit) -> str:
    """How what the searches of a layer found is called: metamers only where all are."""
    if layer.is_matched:
        return f"metamers of {layer.name}"
    return f"{'what was found for' if layer.num_metamers else 'the best attempts at'} {layer.name}"


_WHO: Mapping[ObserverKind, str] = {
    "itself": "the model itself",
    "twin": "its twins",
    "architecture": "other architectures",
    "features": "who sees features only",
    "edges": "who sees edges only",
}

_SENTENCES: Mapping[Change, str] = {
    "untouched": "{who} {is} right on {found} of the test nodes, and gives every answer that it gave on the "
    "reference: what it reads was not changed.",
    "no interval": "{who} {is} right on {found} of the test nodes when shown {what}, {reference} on the "
    "reference and {chance} on {unrelated}; one start has no interval, so how far this repeats is not known.",
    "not fewer": "{who} {is} right on {found} of the test nodes when shown {what}, which is not shown to be "
    "fewer than on the reference ({reference}; {unrelated}: {chance}).",
    "fewer": "{who} {is} right on {found} of the test nodes when shown {what}: fewer than on the reference "
    "({reference}), and more than on {unrelated} ({chance}).",
    "as by chance": "{who} {is} right on {found} of the test nodes when shown {what}: fewer than on the "
    "reference ({reference}), and not shown to be more than on {unrelated} ({chance}; always answering the "
    "most frequent class: {majority}).",
}


def _rows(
    watched: PanelReport, kind: ObserverKind, sights: Sequence[Sight], columns: Sequence[str]
) -> list[ObserverRow]:
    rows = [ObserverRow(sight.name, False, _cells(watched, sight.name, columns)) for sight in sights]
    if len(sights) == 1:
        return rows
    together = f"{KIND_TEXTS[kind]}, all {len(sights)}"
    return [ObserverRow(together, True, _cells(watched, kind, columns)), *rows]


def _cells(watched: PanelReport, who: str, columns: Sequence[str]) -> tuple[ObserverCell, ...]:
    def shown(figure: Figure, where: str) -> Shown:
        return _shown(watched.interval(figure, who, where), percent)

    return tuple(ObserverCell(*(shown(figure, where) for figure in FIGURES)) for where in columns)


def _shown(interval: Interval, show: Callable[[float], str]) -> Shown:
    return Shown(show(interval.estimate), ends(interval, show))


def _span(interval: Interval) -> str:
    """From end to end, or the estimate where there is no interval."""
    return ends(interval, percent) or percent(interval.estimate)


def _plot(place: int, curves: RecognitionCurves) -> Plot:
    alt = "; ".join(
        f"{line.text}: {percent(line.reference.estimate)} on the reference, "
        + ", ".join(
            f"{percent(found.estimate)} on what was found for {layer}"
            for layer, found in zip(curves.layers, line.found, strict=True)
        )
        + f", {percent(line.chance.estimate)} by chance"
        for line in curves.lines
    )
    figure, heading = recognition_figure(curves), f"What was found for {curves.model.flagged}"
    return plot(f"plot-observers-{place}", figure, heading=heading, alt=alt)


def _legend(kinds: Sequence[ObserverKind], majorities: Sequence[float]) -> tuple[LegendEntry, ...]:
    # Classes of observers have the colours and markers that models have elsewhere, in a legend of their own.
    lines = [
        LegendEntry(KIND_TEXTS[kind], ModelLabel(KIND_TEXTS[kind], KINDS.index(kind), False), "solid")
        for kind in kinds
    ]
    shown = " or ".join(dict.fromkeys(percent(share) for share in majorities))
    return (*lines, LegendEntry(f"always answering the most frequent class ({shown})", None, "dash"))


def _trained(watched: PanelReport) -> str:
    """How many observers were trained and in what time; empty where none has been."""
    facts = [sight.facts for sight in watched.sights if "origin" in sight.facts]
    if not facts:
        return ""
    cached = sum(one["origin"] == "cache" for one in facts)
    seconds = sum(to_number(one["training_seconds"]) for one in facts if one["origin"] != "cache")
    parts = [f"{len(facts) - cached} observers trained in {seconds:.1f} s"] if cached < len(facts) else []
    parts += [f"{cached} read from the cache"] if cached else []
    return ", ".join(parts)
