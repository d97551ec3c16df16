"""`layers` and `check`: look at a model before anything is searched for."""

from __future__ import annotations

from typing import Annotated

import typer

import graph_metamers as gm
from graph_metamers.cli.options import (  # noqa: TC001 (typer reads them)
    DataOptions,
    ModelOptions,
    PrintOptions,
    Seed,
)
from graph_metamers.cli.preparing import load_data, prepare_model
from graph_metamers.cli.printing import print_json, print_table

_Layers = Annotated[
    list[str] | None,
    typer.Option("--layer", help="Layer to look at; may be repeated. Default: those that an audit reads."),
]


def layers(data: DataOptions, model: ModelOptions, printing: PrintOptions, seed: Seed = 0) -> None:
    """List the layers of a model; nothing is trained."""
    dataset = load_data(data, seed=seed)
    listed = gm.layers(prepare_model(model, dataset, seed=seed).model, dataset.graph)
    if printing.json:
        print_json(listed)
        return
    headings, *rows = listed.table()
    print_table(headings, rows)


def check(
    data: DataOptions,
    model: ModelOptions,
    printing: PrintOptions,
    layer: _Layers = None,
    seed: Seed = 0,
) -> None:
    """Is this model, with this graph, fit for metamers? Exits with 1 if not; nothing is trained."""
    dataset = load_data(data, seed=seed)
    prepared = prepare_model(model, dataset, seed=seed)
    accuracy = gm.evaluate(prepared.model, dataset).test if prepared.is_loaded else None
    report = gm.check(prepared.model, dataset.graph, layer or None, accuracy=accuracy)
    if printing.json:
        print_json({"ok": report.ok, "findings": report.findings, "accuracy": accuracy})
    else:
        columns = ("severity", "code", "should be", "is", "mend")
        if report.findings:
            rows = [(f.severity, f.code, f.expected, f.got, f.mend) for f in report.findings]
            print_table(columns, rows)
        typer.echo(f"{len(report.errors)} errors, {len(report.warnings)} warnings")
        if accuracy is None:
            typer.echo("The model is not trained; how good it is was not asked.")
    if not report.ok:
        raise typer.Exit(1)
