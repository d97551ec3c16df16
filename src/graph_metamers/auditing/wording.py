"""What an audit may say in words: sentences by rule, none of which claims more than was measured.

Rules
-----
1. A model at chance is named first; what it matches says nothing about a trained model.
2. "Matched" is said of layers whose metamer met both the loss and the distance; never "cannot see", which
   would need someone who judges whether the change matters.
3. A search that found nothing says within which budget; never that nothing exists.
4. Shares and distances are given beside their chance level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph_metamers.synthesis import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.auditing.results import Audit, LayerAudit

MAX_ADVICE = 5
CLOSE_CONTROL = 0.03  # accuracy that a control may lack and still count as doing as well as the model


def verdict(audit: Audit) -> tuple[str, ...]:
    """Two or three plain sentences about one audit."""
    sentences = []
    if audit.at_chance:
        sentences.append(
            f"{audit.model_name} is not shown to be better than chance on {audit.dataset.name} "
            f"({audit.scores.test.accuracy:.1%} right, chance {audit.scores.test.chance:.1%}): what it "
            "matches says nothing about a trained model."
        )
    matched = [layer for layer in audit.layers if layer.metamer.is_metamer and not audit.at_chance]
    if matched:
        sentences.append(_matched_sentence(audit, matched))
    sentences += [_failed_sentence(layer) for layer in audit.layers if not layer.metamer.is_metamer]
    if matched:
        sentences.append(
            "Matched means that the model computes the same; whether the changed features still mean the "
            "same is not measured here."
        )
    return tuple(sentences)


def advice(audits: Sequence[Audit]) -> tuple[str, ...]:
    """At most five sentences about what to do now, by rule, the most urgent first."""
    sentences: list[str | None] = []
    for rule in (_advise_training, _advise_findings, _advise_control, _advise_budget, _advise_width):
        sentences += [rule(audit) for audit in audits]
    sentences.append(_advise_use(audits))
    return tuple(dict.fromkeys(sentence for sentence in sentences if sentence))[:MAX_ADVICE]


def _matched_sentence(audit: Audit, matched: Sequence[LayerAudit]) -> str:
    distances = [layer.metamer.input_distance.scaled for layer in matched]
    agreements = [layer.evidence["prediction_agreement"] for layer in matched]
    losses = max(layer.metamer.activation_loss for layer in matched)
    layers = "every audited layer" if len(matched) == len(audit.layers) else _listed(matched)
    return (
        f"{audit.model_name} was matched at {layers}: with features {_span(distances)} of the way from the "
        f"reference to unrelated features, activations stay the same to a loss of {losses:.1g} and "
        f"{_span([agreement.value for agreement in agreements], digits=1)} of the predictions stay "
        f"({_span([agreement.chance for agreement in agreements], digits=1)} with unrelated features)."
    )


def _failed_sentence(layer: LayerAudit) -> str:
    metamer = layer.metamer
    if metamer.status is Status.RECOVERED_REFERENCE:
        return f"At {layer.name} the search came back to the reference itself: no metamer was found."
    return (
        f"At {layer.name} no metamer was found within {metamer.steps} steps: the best activation loss is "
        f"{metamer.activation_loss:.2g} (asked for {metamer.tolerance:g}; unrelated features have "
        f"{layer.evidence['activation_loss'].chance:.2g})."
    )


def _advise_training(audit: Audit) -> str | None:
    if not audit.at_chance:
        return None
    return f"Train {audit.model_name} again before reading anything else here: it is at chance."


def _advise_findings(audit: Audit) -> str | None:
    warnings = [finding for finding in audit.checks.warnings if finding.code != "at-chance"]
    return f"{warnings[0].expected.capitalize()}; {warnings[0].got}. {warnings[0].mend}" if warnings else None


def _advise_control(audit: Audit) -> str | None:
    for name, accuracy in audit.controls.items():
        if accuracy.accuracy >= audit.scores.test.accuracy - CLOSE_CONTROL:
            return (
                f"{name.capitalize()}, which sees no features, is {accuracy.accuracy:.1%} right on "
                f"{audit.dataset.name}: the edges alone nearly give the classes away, so test the model on "
                "nodes whose neighbours mislead before trusting that it reads features."
            )
    return None


def _advise_budget(audit: Audit) -> str | None:
    failed = [
        layer.name for layer in audit.layers if layer.metamer.status in (Status.MAX_STEPS, Status.STALLED)
    ]
    if not failed:
        return None
    return (
        f"For {audit.model_name} at {', '.join(failed)}, search longer (--steps) or from other starts "
        "(--seed) before concluding anything from the search that found no metamer."
    )


def _advise_width(audit: Audit) -> str | None:
    hidden = [layer.width for layer in audit.layers if not layer.name.startswith("output")]
    narrowest = min(hidden, default=audit.dataset.num_features)
    if narrowest >= audit.dataset.num_features:
        return None
    return (
        f"Part of this is counting: {audit.dataset.num_features} features a node are squeezed into as few as "
        f"{narrowest} numbers, so some directions have to be lost. Compare a wider model (--hidden-channels) "
        "before blaming the architecture."
    )


def _advise_use(audits: Sequence[Audit]) -> str | None:
    names = [audit.model_name for audit in audits if any(layer.metamer.is_metamer for layer in audit.layers)]
    if not names:
        return None
    return (
        f"Changes like those pictured reach no alarm that watches the activations or predictions of "
        f"{' or '.join(dict.fromkeys(names))}: if they matter to you, watch the input features themselves."
    )


def _listed(layers: Sequence[LayerAudit]) -> str:
    return ", ".join(layer.name for layer in layers)


def _span(values: Sequence[float], *, digits: int = 0) -> str:
    """From the lowest to the highest, in percent; never rounded up to all where something is missing."""
    low, high = (_percent(value, digits) for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _percent(share: float, digits: int) -> str:
    rounded = f"{share:.{digits}%}"
    if share < 1 and float(rounded[:-1]) >= 100:
        return f"over {1 - 10 ** -(digits + 2):.{digits}%}"
    return rounded
