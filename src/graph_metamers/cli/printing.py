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


def print_json(value: object) -> None:
    """Print one strict JSON document; see `graph_metamers.storage.to_jsonable`."""
    from graph_metamers.storage import to_jsonable  # noqa: PLC0415 (imports torch)

    typer.echo(json.dumps(to_jsonable(value), indent=2, allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of text; names with square brackets are no markup."""
    from rich import box  # noqa: PLC0415 (only where a table is printed)
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(*columns, title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    fixed = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDTH_WITHOUT_TERMINAL
    Console(width=fixed, markup=False, emoji=False, highlight=False).print(table)
