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
    "metamers\nfound",
    "activation\nloss",
    "visible\ndistance",
    "nodes that pass\nall gates",
    "same\nprediction",
)


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
    print_table(_COLUMNS, [_cells(row) for audit in audits for row in audit.rows()])
    starts = min(audit.num_starts for audit in audits)
    brackets = "[95% interval over the starts]" if starts > 1 else "(one start: no interval)"
    typer.echo(f"\nmean over the starts {brackets}, chance: the same for unrelated features\n")


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


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [
        row["model"],
        row["layer"],
        f"{row['num_metamers']} of {row['num_starts']}",
        _cell(row, "activation_loss", ".2e"),
        _cell(row, "visible_distance", ".2f"),
        _cell(row, "passing_share", ".1%"),
        _cell(row, "prediction_agreement", ".1%"),
    ]


def _cell(row: Mapping[str, Any], name: str, digits: str) -> str:
    """Three lines: the value, its interval, and its chance level with the interval of that."""
    lines = [f"{row[name]:{digits}}", _interval(row, name, digits)]
    lines.append(f"chance {row[f'{name}_chance']:{digits}} {_interval(row, f'{name}_chance', digits)}")
    return "\n".join(line.rstrip() for line in lines if line)


def _interval(row: Mapping[str, Any], name: str, digits: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "" if math.isnan(low) else f"[{low:{digits}}, {high:{digits}}]"
