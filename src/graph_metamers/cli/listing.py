"""`datasets` and `models`: what there is."""

from __future__ import annotations

import graph_metamers as gm
from graph_metamers.cli.options import PrintOptions  # noqa: TC001 (typer reads it)
from graph_metamers.cli.printing import print_json, print_table


def datasets(printing: PrintOptions) -> None:
    """List the built-in data sets."""
    listed = gm.list_datasets()
    if printing.json:
        print_json(listed)
        return
    rows = [
        (d.name, d.summary, str(d.num_splits), d.source, "raw files" if d.needs_files else "built in")
        for d in listed
    ]
    print_table(("name", "what", "splits", "source", "comes from"), rows)


def models(printing: PrintOptions) -> None:
    """List the architectures that can be built by name."""
    listed = gm.list_models()
    if printing.json:
        print_json(listed)
        return
    print_table(("name", "what a node gets", "paper"), [(m.name, m.summary, m.paper) for m in listed])
