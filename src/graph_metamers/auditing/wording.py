"""What an audit may say in words: sentences by rule, none of which claims more than its interval allows.

Rules
-----
1. A model at chance is named first; what it matches says nothing about a trained model.
2. "Matched" is said of layers where a search met both the loss and the distance, with the number of starts
   from which it did. "Cannot see" is said only where an oracle or other networks bear it out
   (`evidence.judgement`), with what they say.
3. A search that found nothing says within which budget; never that nothing exists.
4. Every number is given as its interval over the starts (from the lowest to the highest end where layers are
   taken together) beside its chance level. Most, few, more than chance: only if the whole interval says so
   (`metrics.deciding`); otherwise that the starts do not decide it. One start has no interval and decides
   nothing.
5. Headline sentences speak of metamers that differ where the layer reads. Those that do not are counted
   apart, and said to follow from counting dimensions.
6. Where edges vary, chance is a random graph with the same degrees, and a front is what a search found: less
   overlap than its least is "not found".
7. Where searches went on for distance, it is said: such a distance is not that of a search which stops at
   the first match, and no proof that nothing is farther.
8. That something does not exist is said only where it is proved: below the lower bound of other edges.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graph_metamers.auditing.floors import rounded_down
from graph_metamers.auditing.mattering import mattering_sentences
from graph_metamers.auditing.phrasing import (
    RANDOM_GRAPHS,
    TERMS,
    joined,
    listed,
    plain,
    short,
    span,
    starts_of,
    where,
)
from graph_metamers.auditing.rules import kind_of
from graph_metamers.evidence.measures import FEWEST_FOR_BOOTSTRAP
from graph_metamers.metrics.deciding import compare, majority
from graph_metamers.metrics.intervals import MEASURED_COVERAGE
from graph_metamers.synthesis import Status
from graph_metamers.synthesis.metamer import proposed_swaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.auditing.layer_results import LayerAudit
    from graph_metamers.auditing.results import Audit
    from graph_metamers.evidence.measures import Measure


def verdict(audit: Audit) -> tuple[str, ...]:
    """A few plain sentences about one audit."""
    if audit.at_chance:
        return (
            f"{audit.model_name} is not shown to be better than chance on {audit.dataset.name} "
            f"({audit.scores.test.accuracy:.1%} right, chance {audit.scores.test.chance:.1%}): what it "
            "matches says nothing about a trained model.",
        )
    matched = [layer for layer in audit.layers if layer.num_metamers]
    visible = [layer for layer in matched if kind_of(layer) == "visible"]
    counted = [layer for layer in matched if kind_of(layer) == "null space"]
    sentences = []
    if visible:
        sentences.append(_matched_sentence(audit, visible))
        sentences += _gate_sentences(audit, visible)
    if counted:
        sentences.append(_counting_sentence(audit, counted))
    sentences += _prediction_sentences(matched)
    sentences += [_failed_sentence(layer) for layer in audit.layers if not layer.num_metamers]
    sentences += _front_sentences(audit)
    sentences += _floor_sentences(audit)
    sentences += mattering_sentences(audit)
    if matched or audit.varies != "features":
        sentences.append(_closing_sentence(audit))
    return tuple(sentences)


def _matched_sentence(audit: Audit, matched: Sequence[LayerAudit]) -> str:
    loss = max(start.activation_loss for layer in matched for start in layer.starts if start.is_metamer)
    same = [layer.measures["prediction_agreement"] for layer in matched]
    everything = "" if all(layer.is_matched for layer in matched) else _ALL_STARTS
    return (
        f"{audit.model_name} was matched at {where(audit, matched)}, from {starts_of(matched)}: with "
        f"{_difference(audit, matched)}, activations are "
        f"the same up to a loss of {short(loss)}, and {span([measure.interval for measure in same])} of "
        f"the predictions stay ({span([measure.chance_interval for measure in same])} with "
        f"{TERMS[audit.varies].unrelated}){everything}."
    )


def _difference(audit: Audit, layers: Sequence[LayerAudit]) -> str:
    """What is found instead of the reference, and how far from it that is."""
    edges = ""
    if audit.varies != "features":
        overlaps = [layer.measures["edge_overlap"] for layer in layers]
        edges = (
            f"an edge overlap of {span([measure.interval for measure in overlaps], plain)} with the "
            f"reference ({span([measure.chance_interval for measure in overlaps], short)} for "
            f"{RANDOM_GRAPHS}), every node keeping its number of neighbours"
        )
    if audit.varies == "structure":
        return edges
    distance = span([layer.measures["visible_distance"].interval for layer in layers], plain)
    features = f"features at a visible distance of {distance} (0 = the reference, 1 = unrelated features)"
    return f"{features} and {edges}" if edges else features


_ALL_STARTS = "; these are means over all starts, also those from which nothing was found"


def _gate_sentences(audit: Audit, layers: Sequence[LayerAudit]) -> list[str]:
    """What share of the nodes are metamers on their own, one sentence for each answer of the rules."""
    groups: dict[str, list[LayerAudit]] = {}
    terms = TERMS[audit.varies]
    for layer in layers:
        groups.setdefault(_gate_answer(layer.measures[terms.passing]), []).append(layer)
    return [
        _GATE_SENTENCES[answer].format(
            where=where(audit, group),
            found=span([layer.measures[terms.passing].interval for layer in group]),
            chance=span([layer.measures[terms.passing].chance_interval for layer in group]),
            starts=audit.num_starts,
            unrelated=terms.unrelated,
            differs=terms.differs,
        )
        for answer, group in groups.items()
    ]


def _gate_answer(share: Measure) -> str:
    above = compare(share.interval, share.chance_interval)
    if above == "above":
        most = majority(share.interval)
        return "open majority" if most == "undecided" else most
    return above


_GATES = "are closer to their reference than any real node, keep their prediction and {differs}"

_GATE_SENTENCES = {
    "most": "Node by node: at {where} {found} of the nodes " + _GATES + " ({unrelated}: {chance}).",
    "few": "Node by node: at {where} only {found} of the nodes " + _GATES + " ({unrelated}: {chance}), "
    "so most nodes are no metamers on their own.",
    "open majority": "Node by node: at {where} {found} of the nodes " + _GATES + " ({unrelated}: "
    "{chance}); whether that is most of them, {starts} starts do not decide.",
    "undecided": "Node by node: at {where} {found} of the nodes " + _GATES + " ({unrelated}: "
    "{chance}); {starts} starts do not show that this is more than by chance.",
    "below": "Node by node: at {where} {found} of the nodes "
    + _GATES
    + ", fewer than with {unrelated} ({chance}).",
    "no interval": "Node by node: at {where}, in this one search, {found} of the nodes " + _GATES + " "
    "({unrelated}: {chance}); one start has no interval, so how far this repeats is not known.",
}


def _counting_sentence(audit: Audit, layers: Sequence[LayerAudit]) -> str:
    hidden = [layer.measures["null_space_share"].interval for layer in layers]
    seen = [layer.measures["visible_share"].interval for layer in layers]
    return (
        f"{audit.model_name} was matched at {where(audit, layers)}, from {starts_of(layers)}; but "
        f"{span(hidden)} of the nodes are metamers only by differing where the layer does not read (kind "
        f"“null space”), which follows from counting dimensions, and {span(seen)} by differing where it "
        "does."
    )


def _prediction_sentences(layers: Sequence[LayerAudit]) -> list[str]:
    kept = [(layer, layer.measures["prediction_agreement"]) for layer in layers]
    unclear = [
        layer
        for layer, same in kept
        if compare(same.interval, same.chance_interval) in ("undecided", "below")
    ]
    if not unclear:
        return []
    return [
        f"At {listed(unclear)} it is not shown that more predictions stay than with "
        f"{TERMS[unclear[0].varies].unrelated}: the intervals do not lie above chance."
    ]


def _floor_sentences(audit: Audit) -> list[str]:
    """Below which loss there is certainly nothing."""
    sentences = []
    for layer in audit.layers:
        floor = layer.floor
        if floor is None or not 0 < floor.bound < math.inf:
            continue
        least = min(start.activation_loss for start in layer.starts)
        beyond = ""
        if floor.bound > layer.metamer.tolerance:
            beyond = f", so {layer.metamer.tolerance:g} cannot be met there without edges of the reference"
        sentences.append(
            f"Proved at {layer.name}: no graph with the same degrees and no edge of the reference has a loss "
            f"below {rounded_down(floor.bound):.2g}; the lowest that was found is {least:.2g}{beyond}."
        )
    return sentences


def _front_sentences(audit: Audit) -> list[str]:
    """How far the edges could be followed away from the reference within the tolerance."""
    layers = [(layer, layer.front) for layer in audit.layers if layer.front is not None]
    if not layers:
        return []
    tolerance = layers[0][0].metamer.tolerance
    reached = [
        f"{_overlap(front.least_overlap(tolerance))} at {layer.name} (random swaps: "
        f"{_overlap(front.least_overlap(tolerance, random=True))})"
        for layer, front in layers
    ]
    return [
        "Followed away from the reference, the cheapest edges first, the front stays within a loss of "
        f"{tolerance:g} down to an edge overlap of {joined(reached)}; less overlap was not found within it."
        f"{_FRONT_METAMERS if all(layer.front_holds_metamers for layer, _ in layers) else ''}"
    ]


_FRONT_METAMERS = " These graphs are metamers too: they meet the tolerance and the minimal distance."


def _overlap(value: float) -> str:
    """An overlap; rounded down to 1 only where nothing was changed."""
    return "1, which is the reference itself" if value == 1 else f"{min(value, 0.999):.3g}"


def _closing_sentence(audit: Audit) -> str:
    starts = audit.num_starts
    ranges = (
        f"Ranges are 95% intervals over {starts} starts of the search in this one trained model"
        f"{_caution(starts)}"
        if starts > 1
        else "All numbers are of one start of the search in this one trained model"
    )
    farther = _FARTHER if audit.went_farther else ""
    return (
        f"{ranges}. {farther}Matched means that the model computes the same; whether the changed "
        f"{TERMS[audit.varies].changed} still mean the same {_whom_asked(audit)}."
    )


def _whom_asked(audit: Audit) -> str:
    whom = ["other classifiers"] * (audit.observers is not None) + ["the Bayes oracle"] * bool(audit.oracle)
    return f"was asked of {' and '.join(whom)}" if whom else "is not measured here"


_FARTHER = (
    "Each search went on from its first match for the largest distance within the tolerance and the range of "
    "the features, so these distances are larger than those of a first match. "
)


def _caution(num_starts: int) -> str:
    """How often bootstrap intervals over so few starts really hold the truth, as measured."""
    if num_starts < FEWEST_FOR_BOOTSTRAP:
        return ""
    known = [share for least, share in MEASURED_COVERAGE.items() if least <= num_starts]
    return f" (with so few starts they hold the truth in about {known[-1]:.0%} of cases)"


def _failed_sentence(layer: LayerAudit) -> str:
    starts, budget = layer.starts, layer.metamer.config.get("steps")
    place = f"At {layer.name}, from {len(starts)} starts," if len(starts) > 1 else f"At {layer.name}"
    came_back = [start for start in starts if start.status is Status.RECOVERED_REFERENCE]
    others = [start for start in starts if start.status is not Status.RECOVERED_REFERENCE]
    if not others:
        return f"{place} the search came back to the reference itself: {not_found(layer)}."
    best = min((s.activation_loss for s in others if math.isfinite(s.activation_loss)), default=math.nan)
    stalled = sum(start.status is Status.STALLED for start in others)
    remarks = [f"{len(came_back)} came back to the reference itself"] if came_back else []
    remarks += [f"{stalled} stopped getting better before that"] if stalled else []
    return (
        f"{place} {not_found(layer)} within {_proposals(layer)}{budget} steps"
        f"{f' ({joined(remarks)})' if remarks else ''}: the best activation loss is {short(best)} "
        f"(asked for {layer.metamer.tolerance:g}; {TERMS[layer.varies].unrelated} have "
        f"{span([layer.measures['activation_loss'].chance_interval], short)})."
        f"{_near(layer) if layer.varies != 'features' else ''}"
    )


def _proposals(layer: LayerAudit) -> str:
    """Swaps of edges that a search proposed beside its steps; nothing where there were none."""
    proposals = proposed_swaps(layer.metamer.config)
    return "" if proposals is None else f"{proposals} proposals and "


def not_found(layer: LayerAudit) -> str:
    """What no search found: a metamer, or where it must not have edges of the reference, such a one."""
    varied = layer.metamer.config.get("vary")
    edges = varied.get("edges") if isinstance(varied, dict) else None
    if isinstance(edges, dict) and edges.get("reference_edges") == "forbid":
        return "no metamer without edges of the reference was found"
    return "no metamer was found"


def _near(layer: LayerAudit) -> str:
    """What of edges that did not match well enough is worth knowing."""
    overlap, same = layer.measures["edge_overlap"], layer.measures["prediction_agreement"]
    return (
        f" With an edge overlap of {span([overlap.interval], plain)}, {span([same.interval])} of the "
        f"predictions stay in these attempts ({span([same.chance_interval])} with "
        f"{TERMS[layer.varies].unrelated})."
    )
