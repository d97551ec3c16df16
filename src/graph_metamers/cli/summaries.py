"""One screen about one or more audits, and the same as JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import typer

import graph_metamers as gm
from graph_metamers.cli.printing import print_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_COLUMNS = (
    "model",
    "layer",
    "found",
    "activation loss",
    "visible distance",
    "nodes that pass\nall gates",
    "same prediction",
)

_SHOWN = {
    "activation_loss": ".2g",
    "visible_distance": ".2f",
    "passing_share": ".1%",
    "prediction_agreement": ".1%",
}
"""Measure -> its digits, in the order of the last columns."""


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
    print_table(_COLUMNS, [line for audit in audits for row in audit.rows() for line in _rows(row)])
    starts = min(audit.num_starts for audit in audits)
    brackets = "[95% interval over the starts]" if starts > 1 else "(one start: no interval)"
    typer.echo(f"Means over the starts {brackets}; chance is the same for unrelated features.\n")


def describe_scores(scores: gm.Scores) -> str:
    """Say how good a model is, and that it is at chance if it is."""
    flag = " - AT CHANCE: not shown to be better than always answering the most frequent class"
    return f"test accuracy {scores.test}{flag if scores.test.at_chance else ''}"


def audit_as_json(audit: gm.Audit, files: Mapping[str, Path]) -> dict[str, Any]:
    """Everything about an audit but its tensors."""
    return {
        "verdict": gm.verdict(audit),
        "rows": audit.rows(),
        "cross_layer_rows": audit.cross_layer_rows(),
        "scores": audit.scores,
        "controls": audit.controls,
        "findings": audit.checks.findings,
        "config": audit.config,
        "provenance": audit.provenance,
        "files": files,
    }


def _rows(row: Mapping[str, Any]) -> list[list[str]]:
    """What was found, and below it the same numbers for unrelated features."""
    found = f"{row['num_metamers']} of {row['num_starts']}"
    values = [_cell(row, name, digits) for name, digits in _SHOWN.items()]
    chances = [_cell(row, f"{name}_chance", digits) for name, digits in _SHOWN.items()]
    return [[row["model"], row["layer"], found, *values], ["", "chance", "", *chances]]


def _cell(row: Mapping[str, Any], name: str, digits: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    value = f"{row[name]:{digits}}"
    if math.isnan(low):
        return value
    # The unit once: the line has to fit a terminal.
    ends = ", ".join(f"{end:{digits}}".removesuffix("%") for end in (low, high))
    return f"{value} [{ends}]"
