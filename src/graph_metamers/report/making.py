"""Section 10: everything that is needed to judge and to repeat what the page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graph_metamers.report.curves import traces
from graph_metamers.report.figures import trace_figure
from graph_metamers.report.glossary import glossary
from graph_metamers.report.labels import by_dataset, depth_name, depths, model_labels
from graph_metamers.report.numbers import count, number, percent, seconds
from graph_metamers.report.plots import LegendEntry, Plot, model_legend, plot
from graph_metamers.report.varied import all_unrelated

if TYPE_CHECKING:
    from graph_metamers.auditing import Audit, DatasetCard
    from graph_metamers.report.curves import Trace
    from graph_metamers.report.labels import ModelLabel

NOT_SETTINGS = frozenset({"seconds", "training_seconds"})


@dataclass(frozen=True)
class DataFacts:
    """What is known about a data set, as (name, value) pairs, and its notes."""

    name: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class SearchRow:
    """How the searches of a layer ended: from how many starts with a metamer, and the first one in detail."""

    model: ModelLabel
    layer: str
    objective: str
    found: str
    status: str
    steps: str
    all_steps: str
    seconds: str
    start_loss: str
    relaxed_loss: str
    real_loss: str


@dataclass(frozen=True)
class Setting:
    """One setting of all models.

    Attributes
    ----------
    name
        What it is called in the code.
    values
        One a model; a single one where all agree.
    """

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class SettingGroup:
    """Settings that belong together."""

    heading: str
    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class ModelFinding:
    """What the checks found about a model."""

    model: ModelLabel
    severity: str
    code: str
    expected: str
    got: str
    mend: str


@dataclass(frozen=True)
class MakingSection:
    """Section 10."""

    data: tuple[DataFacts, ...]
    models: tuple[ModelLabel, ...]
    searches: tuple[SearchRow, ...]
    figures: tuple[Plot, ...]
    legend: tuple[LegendEntry, ...]
    settings: tuple[SettingGroup, ...]
    findings: tuple[ModelFinding, ...]
    glossary: tuple[tuple[str, str], ...]
    farthest: bool
    unrelated: str


def making_section(audits: Sequence[Audit]) -> MakingSection:
    """Section 10 of some audits."""
    labels = model_labels(audits)
    pairs = list(zip(labels, audits, strict=True))
    return MakingSection(
        data=tuple(_facts(card) for card, _ in by_dataset(audits)),
        models=labels,
        searches=tuple(row for label, audit in pairs for row in _search_rows(label, audit)),
        figures=tuple(_trace_plot(audits, traces(pairs, depth), depth) for depth in depths(audits)),
        legend=model_legend(
            [label for label, audit in pairs if audit.layers],
            chance=f"dashed, same colour: {all_unrelated(audits)} (chance)",
            threshold="loss that was asked for",
        ),
        settings=_setting_groups(audits),
        findings=tuple(
            ModelFinding(label, found.severity, found.code, found.expected, found.got, found.mend)
            for label, audit in pairs
            for found in audit.checks.findings
        ),
        glossary=glossary(audits),
        farthest=any(audit.went_farther for audit in audits),
        unrelated=all_unrelated(audits),
    )


def flattened(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as one level of dotted names, with values as people read them."""
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = _shown(value)
    return flat


def _facts(card: DatasetCard) -> DataFacts:
    facts = [
        ("source", card.source),
        ("nodes", count(card.num_nodes)),
        ("edges", f"{count(card.num_edges)} (an undirected edge counts twice, once each way)"),
        ("features a node", f"{count(card.num_features)}, {card.feature_kind}"),
        ("classes", f"{card.num_classes}: {', '.join(card.class_names)}"),
        ("edges within a class", percent(card.homophily)),
        ("split", card.split),
        ("fingerprint", card.fingerprint),
    ]
    return DataFacts(card.name, tuple(facts), card.notes)


def _search_rows(model: ModelLabel, audit: Audit) -> list[SearchRow]:
    return [
        SearchRow(
            model=model,
            layer=layer.name,
            objective=audit.objective,
            found=layer.found,
            status=layer.metamer.message,
            steps=_of_budget(layer.metamer.steps, layer.metamer.config.get("steps")),
            all_steps=", ".join(count(start.steps) for start in layer.starts),
            seconds=_seconds(sum(start.seconds for start in layer.starts)),
            start_loss=number(layer.metamer.start_loss),
            relaxed_loss=number(layer.metamer.relaxed_loss),
            real_loss=number(layer.metamer.activation_loss),
        )
        for layer in audit.layers
    ]


def _trace_plot(audits: Sequence[Audit], found: Sequence[Trace], depth: int) -> Plot:
    alt = "; ".join(
        f"{trace.model.flagged}: loss {number(trace.real_loss)} after {trace.last_step} steps, "
        f"{trace.unrelated} {number(trace.chance_loss)}"
        for trace in found
    )
    return plot(
        f"plot-trace-{depth}", trace_figure(found), heading=f"Layer {depth_name(audits, depth)}", alt=alt
    )


def _setting_groups(audits: Sequence[Audit]) -> tuple[SettingGroup, ...]:
    times = [
        {
            "audit": _seconds(audit.provenance.get("seconds")),
            "training": _seconds(audit.provenance.get("training_seconds")),
        }
        for audit in audits
    ]
    versions = [
        flattened({name: value for name, value in audit.provenance.items() if name not in NOT_SETTINGS})
        for audit in audits
    ]
    groups = (
        *(
            (heading, [_part(audit, name) for audit in audits])
            for heading, name in (("Model", "model"), ("Training", "training"), ("Search", "search"))
        ),
        ("Time", times),
        ("Versions and fingerprints", versions),
    )
    return tuple(
        SettingGroup(heading, settings) for heading, parts in groups if (settings := _compared(parts))
    )


def _part(audit: Audit, name: str) -> dict[str, str]:
    part = audit.config.get(name)
    return flattened(part) if isinstance(part, Mapping) else {}


def _compared(parts: Sequence[Mapping[str, str]]) -> tuple[Setting, ...]:
    """The same settings of all models side by side; what all agree on is said once."""
    names = dict.fromkeys(name for part in parts for name in part)
    rows = []
    for name in names:
        values = tuple(part.get(name, "not recorded") for part in parts)
        rows.append(Setting(name, values[:1] if len(set(values)) == 1 else values))
    return tuple(rows)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_shown(part) for part in value) or "none"
    return str(value)


def _of_budget(steps: int, budget: Any) -> str:
    return f"{count(steps)} of {count(budget)}" if isinstance(budget, int) else count(steps)


def _seconds(value: Any) -> str:
    return seconds(float(value)) if isinstance(value, (int, float)) else "not recorded"
