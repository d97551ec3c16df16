"""`selftest`: does the instrument find what is there, and nothing where nothing is?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

import graph_metamers as gm
from graph_metamers.cli.options import PrintOptions  # noqa: TC001 (typer reads it)
from graph_metamers.cli.printing import print_json, print_table
from graph_metamers.cli.progress import show_selftest
from graph_metamers.parameters import MAX_SEED, check_integer


def selftest(
    printing: PrintOptions,
    seeds: Annotated[int, typer.Option(help="How many seeds, counted from --seed.")] = 3,
    seed: Annotated[int, typer.Option(help="The first seed, of graphs, weights and searches.")] = 0,
) -> None:
    """Put models to the instrument of which it is known what they see; exits with 1 on any miss."""
    count = check_integer("seeds", seeds, low=1)
    first = check_integer("seed", seed, low=0, high=MAX_SEED)
    with show_selftest(quiet=printing.quiet) as on_case:
        report = gm.selftest(seeds=range(first, first + count), on_case=on_case)
    if printing.json:
        print_json(_as_json(report))
    else:
        rows = [
            (
                row["case"],
                f"{row['planted']}: {row['what']}",
                row["expected"],
                f"seed {row['seed']}: {row['got']}",
                f"{row['right']} of {row['seeds']}{'' if row['right'] == row['seeds'] else ' MISSED'}",
            )
            for row in report.summary()
        ]
        print_table(("case", "planted", "expected", "got", "right"), rows)
        for case, reason in report.skipped.items():
            typer.echo(f"{case}: skipped, {reason}")
        typer.echo(report.message)
    if not report.ok:
        raise typer.Exit(1)


def _as_json(report: gm.SelftestReport) -> dict[str, Any]:
    return {
        "ok": report.ok,
        "message": report.message,
        "cases": report.summary(),
        "results": report.rows(),
        "skipped": report.skipped,
        "provenance": report.provenance,
    }
