"""One screen about one or more audits, and the same as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias

import typer

import graph_metamers as gm
from graph_metamers.cli.printing import print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from graph_metamers.metrics import Interval

_COLUMNS = ("model", "layer", "found")
_UNRELATED = {
    "features": "unrelated features",
    "structure": "random graphs with the same degrees",
    "both": "unrelated features on random graphs with the same degrees",
}


def _loss(value: float) -> str:
    return f"{value:.2g}"


def _distance(value: float) -> str:
    return f"{value:.2f}"


def print_audits(audits: Sequence[gm.Audit]) -> None:
    """Print what was found: the verdicts, how good each model is, and one table of all layers."""
    verdicts = [gm.verdict(audit) for audit in audits]
    shared = [sentence for sentence in verdicts[0] if all(sentence in verdict for verdict in verdicts)]
    own = [sentence for verdict in verdicts for sentence in verdict if sentence not in shared]
    scores = [
        f"{audit.model_name} on {audit.dataset.name}: {describe_scores(audit.scores)}" for audit in audits
    ]
    controls = [
        f"{name} on {audit.dataset.name}, without the model: test accuracy {accuracy}"
        for audit in audits
        for name, accuracy in audit.controls.items()
    ]
    # Audits of one data set have their controls in common.
    for line in (*own, *shared, "", *scores, *dict.fromkeys(controls), ""):
        typer.echo(line)
    print_tables(audits)
    if len(audits) == 1:  # of several they are in the report: all of this has to fit on a screen
        print_observers(audits[0])
    starts = max(audit.num_starts for audit in audits)
    brackets = (
        "[95% interval over the starts, and over observers where there are several]"
        if starts > 1
        else "(one start: no interval)"
    )
    chance = " or ".join(_UNRELATED[varies] for varies in _varied(audits))
    typer.echo(f"Means over the starts {brackets}; chance is the same for {chance}.\n")


def print_tables(audits: Sequence[gm.Audit]) -> None:
    """Print a table of all layers for each thing that varies."""
    for varies in _varied(audits):
        shown = _SHOWN[varies]
        rows = [row for audit in audits if audit.varies == varies for row in audit.rows()]
        columns = (*_COLUMNS, *(heading for heading, _ in shown.values()))
        print_table(columns, [line for row in rows for line in _rows(row, shown)])


def print_observers(audit: gm.Audit) -> None:
    """Print what each class of observers recognises, where there are any."""
    from graph_metamers.evidence.panel_members import KIND_TEXTS  # noqa: PLC0415 (imports torch)

    watched = audit.observers
    if watched is None:
        return
    typer.echo(
        f"\nObservers shown what was found for {audit.model_name}, right on the {len(watched.judged)} test "
        f"nodes (most frequent class {_share(watched.majority)}):"
    )
    shown = ("reference", *watched.layers, "chance")
    rows = [
        [KIND_TEXTS[kind], *(_interval(watched.interval("accuracy", kind, where)) for where in shown)]
        for kind in watched.kinds
    ]
    print_table(("observers", "the reference", *watched.layers, "chance"), rows)


def _interval(interval: Interval) -> str:
    """A share with the ends of its interval."""
    row = {"it": interval.estimate, "it_low": interval.low, "it_high": interval.high}
    return _cell(row, "it", _share)


def _varied(audits: Sequence[gm.Audit]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(audit.varies for audit in audits))


def describe_scores(scores: gm.Scores) -> str:
    """Say how good a model is, and that it is at chance if it is."""
    flag = " - AT CHANCE: not shown to be better than always answering the most frequent class"
    return f"test accuracy {scores.test}{flag if scores.test.at_chance else ''}"


def audit_as_json(audit: gm.Audit, files: Mapping[str, Path]) -> dict[str, Any]:
    """Everything about an audit but its tensors."""
    fronts = [asdict(layer.front) for layer in audit.layers if layer.front is not None]
    floors = [
        {"layer": layer.name, **asdict(layer.floor)} for layer in audit.layers if layer.floor is not None
    ]
    watched = audit.observers
    return {
        "verdict": gm.verdict(audit),
        "rows": audit.rows(),
        "cross_layer_rows": audit.cross_layer_rows(),
        "baseline_rows": audit.baseline_rows(),
        **({"fronts": fronts} if fronts else {}),
        **({"floors": floors} if floors else {}),
        **({"observers": {"rows": watched.rows(), "kind_rows": watched.kind_rows()}} if watched else {}),
        **({"oracle": [found.rows()[0] for found in audit.oracle.values()]} if audit.oracle else {}),
        "scores": audit.scores,
        "controls": audit.controls,
        "findings": audit.checks.findings,
        "config": audit.config,
        "provenance": audit.provenance,
        "files": files,
    }


def _rows(row: Mapping[str, Any], shown: _Shown) -> list[list[str]]:
    """What was found, and below it the same numbers for chance."""
    found = f"{row['num_metamers']} of {row['num_starts']}"
    values = [_cell(row, name, show) for name, (_, show) in shown.items()]
    chances = [_cell(row, f"{name}_chance", show) for name, (_, show) in shown.items()]
    return [[row["model"], row["layer"], found, *values], ["", "chance", "", *chances]]


def _cell(row: Mapping[str, Any], name: str, show: Callable[[float], str]) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if math.isnan(low):
        return show(row[name])
    # The unit once: the line has to fit a terminal.
    ends = ", ".join(show(end).removesuffix("%") for end in (low, high))
    return f"{show(row[name])} [{ends}]"


def _share(value: float) -> str:
    """Never rounded up to 100% or down to 0%."""
    from graph_metamers.report.numbers import percent  # noqa: PLC0415 (the report imports plotly)

    return percent(value).replace(" ", "")


_Shown: TypeAlias = "Mapping[str, tuple[str, Callable[[float], str]]]"
_ACTIVATION: _Shown = {"activation_loss": ("activation loss", _loss)}
_NODES: _Shown = {
    "passing_share": ("nodes that pass\nall gates", _share),
    "prediction_agreement": ("same prediction", _share),
}
_SHOWN: Mapping[str, _Shown] = {
    "features": {**_ACTIVATION, "visible_distance": ("visible distance", _distance), **_NODES},
    "structure": {**_ACTIVATION, "edge_overlap": ("edge overlap", _loss), **_NODES},
    "both": {
        **_ACTIVATION,
        "visible_distance": ("visible distance", _distance),
        "edge_overlap": ("edge overlap", _loss),
        **_NODES,
    },
}
"""What varies -> measure -> heading, and how it is shown, in the order of the last columns."""
