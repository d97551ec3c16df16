"""What to do after an audit: at most five sentences by rule, the most urgent first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph_metamers.auditing.mattering import judgements
from graph_metamers.evidence.judgement import MATERIAL
from graph_metamers.synthesis import Status

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from graph_metamers.auditing.results import Audit
    from graph_metamers.types import Varies

MAX_ADVICE = 5
CLOSE_CONTROL = 0.03  # accuracy that a control may lack and still count as doing as well as the model


def advice(audits: Sequence[Audit]) -> tuple[str, ...]:
    """At most five sentences about what to do now, by rule, the most urgent first."""
    sentences: list[str | None] = []
    for rule in _RULES:
        sentences += [rule(audit) for audit in audits]
    sentences.append(_advise_use(audits))
    return tuple(dict.fromkeys(sentence for sentence in sentences if sentence))[:MAX_ADVICE]


def _advise_training(audit: Audit) -> str | None:
    if not audit.at_chance:
        return None
    return (
        f"Train {audit.model_name} again before reading anything else here: it is not shown to be better "
        "than chance."
    )


def _advise_findings(audit: Audit) -> str | None:
    warnings = [finding for finding in audit.checks.warnings if finding.code != "at-chance"]
    return f"{warnings[0].expected.capitalize()}; {warnings[0].got}. {warnings[0].mend}" if warnings else None


def _advise_second_opinion(audit: Audit) -> str | None:
    """Where others see what the model does not: who sees it best."""
    blind = [name for name, found in judgements(audit).items() if found.word == "cannot see"]
    watched = audit.observers
    others = () if watched is None else watched.of_kind("architecture")
    if not blind or watched is None or not others:
        return None
    lost = {sight.name: max(watched.lost(sight.name, layer).estimate for layer in blind) for sight in others}
    best = max(lost, key=lambda name: lost[name])
    if lost[best] <= MATERIAL:
        return None
    return (
        f"Run {best} beside {audit.model_name}: shown what was found for {', '.join(blind)}, its accuracy "
        f"falls by up to {100 * lost[best]:.0f} points, that of {audit.model_name} hardly at all. Where the "
        "two disagree, look at the input before trusting either."
    )


def _advise_control(audit: Audit) -> str | None:
    own = audit.scores.test.accuracy
    for name, accuracy in audit.controls.items():
        close = accuracy.accuracy >= own - CLOSE_CONTROL
        if close and not accuracy.at_chance and not audit.at_chance:
            return (
                f"{name.capitalize()}, which sees no features, is {accuracy.accuracy:.1%} right on the test "
                f"nodes of {audit.dataset.name}, {audit.model_name} {own:.1%}: the edges alone nearly give "
                "the classes away, so test the model on nodes whose neighbours mislead before trusting that "
                "it reads features."
            )
    return None


def _advise_budget(audit: Audit) -> str | None:
    too_short = _layers_with(audit, (Status.MAX_STEPS, Status.TIME_LIMIT))
    stalled = _layers_with(audit, (Status.STALLED,))
    if not too_short and not stalled:
        return None
    where = ", ".join(dict.fromkeys(too_short + stalled))
    ways = ["search longer (--steps)"] if too_short else []
    if audit.varies == "structure":
        return _advise_edges(audit, where)
    if stalled:
        ways += [_MORE[audit.varies]]
    return (
        f"For {audit.model_name} at {where}, {' or '.join(ways)} or from other starts (--seed) before "
        "concluding anything from searches that found no metamer."
    )


_MORE: Mapping[Varies, str] = {
    "features": "search with another solver (--solver)",
    "both": "let more edges be proposed (solver=InTurn(rewire=Rewire(proposals=...)) in Python)",
}
"""What else there is where a search got no better."""


def _advise_edges(audit: Audit, where: str) -> str:
    return (
        f"For {audit.model_name} at {where}, look at the front before concluding anything from searches that "
        "found no metamer: it says which loss each share of changed edges cost, so name the loss that you "
        "would call the same (--tolerance), or search longer (--steps)."
    )


def _layers_with(audit: Audit, statuses: Collection[Status]) -> list[str]:
    return [layer.name for layer in audit.layers if any(start.status in statuses for start in layer.starts)]


def _advise_width(audit: Audit) -> str | None:
    if audit.varies == "structure":
        return None
    hidden = [layer.width for layer in audit.layers if layer.name != "output"]
    narrowest = min(hidden, default=audit.dataset.num_features)
    if narrowest >= audit.dataset.num_features:
        return None
    return (
        f"Part of this is counting: {audit.dataset.num_features} features a node are squeezed into as few as "
        f"{narrowest} numbers, so some directions have to be lost. Compare a wider model (--hidden-channels) "
        "before blaming the architecture."
    )


def _advise_use(audits: Sequence[Audit]) -> str | None:
    places = [
        f"{layer.name} of {audit.model_name}"
        for audit in audits
        if not audit.at_chance
        for layer in audit.layers
        if layer.metamer.is_metamer
    ]
    if not places:
        return None
    kinds = {audit.varies for audit in audits}
    read = "edges" if kinds == {"structure"} else "input features"
    read += " and the edges" if len(kinds) > 1 or kinds == {"both"} else ""
    return (
        "Changes like those pictured reach no alarm that watches the matched layer alone "
        f"({', '.join(dict.fromkeys(places))}): if they matter to you, watch the {read}, or the "
        "earlier layers, too."
    )


_RULES = (
    _advise_training,
    _advise_findings,
    _advise_second_opinion,
    _advise_control,
    _advise_budget,
    _advise_width,
)
