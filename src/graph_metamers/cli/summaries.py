"""One screen about one or more audits, and the same as JSON."""

from __future__ import annotations

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
    "activation\nloss",
    "item loss\nmedian, 95%",
    "input\ndistance\n(chance)",
    "same\nprediction\n(chance)",
    "status",
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
    typer.echo()


def describe_scores(scores: gm.Scores) -> str:
    """Say how good a model is, and that it is at chance if it is."""
    flag = " - AT CHANCE: not shown to be better than always answering the most frequent class"
    return f"test accuracy {scores.test}{flag if scores.test.at_chance else ''}"


def audit_as_json(audit: gm.Audit, files: Mapping[str, Path]) -> dict[str, Any]:
    """Everything about an audit but its tensors."""
    return {
        "verdict": gm.verdict(audit),
        "rows": audit.rows(),
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
        f"{row['activation_loss']:.2e}",
        f"{row['item_loss_median']:.1e}, {row['item_loss_95']:.1e}",
        f"{row['input_distance']:.2f} ({row['input_distance_chance']:.2f})",
        f"{row['prediction_agreement']:.1%} ({row['prediction_agreement_chance']:.0%})",
        row["status"],
    ]
