"""What goes to stdout: one JSON document, or lines and tables."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WIDTH_WITHOUT_TERMINAL = 120
_COMFORTABLE_WIDTH = 100


def print_json(value: object) -> None:
    """Print one strict JSON document; see `graph_metamers.storage.to_jsonable`."""
    from graph_metamers.storage import to_jsonable  # noqa: PLC0415 (imports torch)

    typer.echo(json.dumps(to_jsonable(value), indent=2, allow_nan=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of text; names with square brackets are no markup."""
    from rich import box  # noqa: PLC0415 (only where a table is printed)
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    fixed = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDTH_WITHOUT_TERMINAL
    console = Console(width=fixed, markup=False, emoji=False, highlight=False)
    padding = 1 if console.width >= _COMFORTABLE_WIDTH else 0
    table = Table(*columns, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, padding))
    for row in rows:
        table.add_row(*row)
    console.print(table)
