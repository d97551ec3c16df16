"""Does it matter? What an audit's observers and oracle say of what it found, by the rule of `judgement`."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from graph_metamers.auditing.phrasing import TERMS, joined, percent, plain, span, where
from graph_metamers.auditing.rules import kind_of
from graph_metamers.evidence.judgement import Hearing, Judgement, judgement
from graph_metamers.evidence.measures import FEWEST_FOR_BOOTSTRAP
from graph_metamers.evidence.panel_members import KIND_TEXTS
from graph_metamers.evidence.panel_report import CHANCE, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graph_metamers.auditing.layer_results import LayerAudit
    from graph_metamers.auditing.results import Audit
    from graph_metamers.evidence.excess import ScaledExcess
    from graph_metamers.evidence.panel_members import ObserverKind
    from graph_metamers.metrics import Interval


def was_asked(audit: Audit) -> bool:
    """Whether anybody but the model was asked about what changed."""
    return audit.observers is not None or bool(audit.oracle)


def hearing(audit: Audit, layer: LayerAudit) -> Hearing:
    """What is known of the metamers of a layer."""
    watched, excess = audit.observers, audit.oracle.get(layer.name)
    passing = layer.measures["passing_share"]
    return Hearing(
        at_chance=audit.at_chance,
        is_matched=layer.is_matched,
        passing=passing.interval,
        passing_by_chance=passing.chance_interval,
        lost={} if watched is None else {kind: watched.lost(kind, layer.name) for kind in watched.kinds},
        oracle_excess=None if excess is None else _excess(excess),
    )


def _excess(found: ScaledExcess) -> Interval:
    """The oracle's figure; without an interval where there are too few starts for that of a bootstrap."""
    if found.matched.shape[1] >= FEWEST_FOR_BOOTSTRAP:
        return found.excess
    return replace(found.excess, low=math.nan, high=math.nan, method="too few starts for an interval")


def judgements(audit: Audit) -> Mapping[str, Judgement]:
    """Layer -> what the rule makes of it."""
    return {layer.name: judgement(hearing(audit, layer)) for layer in audit.layers}


def is_blind(audit: Audit) -> bool:
    """Whether "cannot see" is borne out at any layer, of changes where the layer reads."""
    found = judgements(audit)
    return any(
        found[layer.name].word == "cannot see" and kind_of(layer) == "visible" for layer in audit.layers
    )


def mattering_sentences(audit: Audit) -> list[str]:
    """One sentence for each answer of the rule, about all layers that have it."""
    if not was_asked(audit):
        return []
    groups: dict[tuple[object, ...], list[LayerAudit]] = {}
    found = judgements(audit)
    for layer in audit.layers:
        one = found[layer.name]
        key = (one.word, one.why, one.by_oracle, *sorted(one.notices.items()))
        groups.setdefault(key, []).append(layer)
    return [
        sentence
        for layers in groups.values()
        if (sentence := _sentence(audit, found[layers[0].name], layers))
    ]


def _sentence(audit: Audit, found: Judgement, layers: Sequence[LayerAudit]) -> str:
    """What is said of some layers with the same answer; empty where other sentences have said it."""
    place = where(audit, layers)
    if found.word == "cannot see":
        return _by_oracle(audit, layers) if found.by_oracle else _by_networks(audit, found, layers)
    if found.word == "shared":
        noticing = [kind for kind, answer in found.notices.items() if answer == "notices"]
        who = joined([_falls(audit, kind, layers) for kind in noticing])
        return (
            f"At {place} no other network that was asked notices the change ({_stays(audit, layers)}), but "
            f"{who}: that a network should see it is not shown."
        )
    if found.word == "nobody notices":
        return (
            f"At {place} nobody who was asked notices the change ({_stays(audit, layers)}): that it matters "
            "is not shown."
        )
    if found.word == "open":
        return f"Whether the change at {place} matters is open: {found.why}."
    return ""


def _by_networks(audit: Audit, found: Judgement, layers: Sequence[LayerAudit]) -> str:
    twins = _TWINS.get(found.notices.get("twin", ""), "")
    counted = _COUNTED if any(kind_of(layer) == "null space" for layer in layers) else ""
    return (
        f"{audit.model_name} cannot see the changed {TERMS[audit.varies].changed} at {where(audit, layers)}: "
        f"it is right on {_right(audit, 'itself', layers)} of the test nodes there "
        f"({_on_reference(audit, 'itself')} on the reference), while {_falls(audit, 'architecture', layers)}"
        f"{twins}.{counted}"
    )


_COUNTED = (
    " Most of these nodes differ where the layer does not read, which follows from counting dimensions."
)

_TWINS: Mapping[str, str] = {
    "notices": "; trained with other seeds it sees them too, so this comes of this one training",
    "does not notice": "; trained with other seeds it does not see them either, so this comes of the "
    "architecture and how it is trained",
    "undecided": "; whether it sees them when trained with other seeds is not decided",
}


def _by_oracle(audit: Audit, layers: Sequence[LayerAudit]) -> str:
    excess = [audit.oracle[layer.name] for layer in layers]
    return (
        f"{audit.model_name} cannot see at {where(audit, layers)} that the truth has changed: of the nodes "
        f"that match, {span([one.numerator for one in excess])} have another class by the Bayes oracle "
        f"({span([one.denominator for one in excess])} of the same nodes by noise), a scaled excess of "
        f"{span([one.excess for one in excess], plain)} (0 = the oracle, 1 = a model that sees nothing)."
    )


def _falls(audit: Audit, kind: ObserverKind, layers: Sequence[LayerAudit]) -> str:
    """Who loses how much, as a clause."""
    assert audit.observers is not None  # noqa: S101 (somebody noticed)
    by_chance = span([audit.observers.interval("accuracy", kind, CHANCE)])
    verb = "fall" if kind in ("architecture", "twin") else "falls"
    return (
        f"{_WHO[kind]} {verb} from {_on_reference(audit, kind)} ({_right(audit, kind, layers)}; "
        f"{TERMS[audit.varies].unrelated}: {by_chance})"
    )


def _stays(audit: Audit, layers: Sequence[LayerAudit]) -> str:
    return (
        f"{KIND_TEXTS['architecture']}: {_right(audit, 'architecture', layers)} right, "
        f"{_on_reference(audit, 'architecture')} on the reference"
    )


_WHO: Mapping[ObserverKind, str] = {
    "itself": "the model itself",
    "twin": "its twins",
    "architecture": "other architectures",
    "features": "a classifier that reads features alone",
    "edges": "one that reads edges alone",
}


def _right(audit: Audit, kind: ObserverKind, layers: Sequence[LayerAudit]) -> str:
    """Accuracy of a class of observers on what was found for some layers."""
    assert audit.observers is not None  # noqa: S101 (somebody was asked)
    return span([audit.observers.interval("accuracy", kind, layer.name) for layer in layers])


def _on_reference(audit: Audit, kind: ObserverKind) -> str:
    assert audit.observers is not None  # noqa: S101 (somebody was asked)
    return percent(audit.observers.interval("accuracy", kind, REFERENCE).estimate)
