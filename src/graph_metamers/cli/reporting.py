"""`report`: one page about one or more saved audits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import graph_metamers as gm
from graph_metamers.cli.destinations import require_file
from graph_metamers.cli.options import PrintOptions  # noqa: TC001 (typer reads it)
from graph_metamers.cli.printing import print_json


def report(
    audits: Annotated[list[Path], typer.Argument(metavar="AUDIT_DIR...", help="Folders saved by `audit`.")],
    printing: PrintOptions,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .html file to write.")] = Path(
        "report.html"
    ),
) -> None:
    """Write one report about saved audits."""
    require_file(output)
    gm.write_report([gm.load_audit(folder) for folder in audits], output)
    if printing.json:
        print_json({"files": {"report": output}})
    else:
        typer.echo(str(output))
