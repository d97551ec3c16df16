"""`demo`: three models on handwritten digits, audited, and a report."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

import graph_metamers as gm
from graph_metamers.cli.destinations import DEMO_MARKER, require_folder
from graph_metamers.cli.options import (
    PrintOptions,
    Seed,
    TrainingOptions,
)
from graph_metamers.cli.preparing import Prepared, train_model
from graph_metamers.cli.printing import print_json
from graph_metamers.cli.progress import show_search
from graph_metamers.cli.summaries import audit_as_json, print_audits

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODELS = ("gcn", "graphsage", "gin")
_HIDDEN_CHANNELS = 16  # as many numbers as a quarter of the pixels
_STARTS = 3  # as many as there is time for
_STEPS = 600
_OBJECTIVE: Final = "farthest"  # the pictures of "match" are half-way back to the digits: they show less


def demo(
    printing: PrintOptions,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for audits and report.")] = Path(
        "graph-metamers-demo"
    ),
    seed: Seed = 0,
) -> None:
    """Train GCN, GraphSAGE and GIN on handwritten digits, audit each, and write a report."""
    started = time.monotonic()
    require_folder(output, DEMO_MARKER)
    dataset = gm.load_dataset("digits", seed=seed)
    with _one_thread():
        fits = {name: _fit(name, dataset, seed=seed, quiet=printing.quiet) for name in _MODELS}
        audits = {name: _audit(name, dataset, fits, seed=seed, quiet=printing.quiet) for name in _MODELS}
    _save(audits, output)
    seconds = time.monotonic() - started
    report = output / "report.html"
    if printing.json:
        listed = [audit_as_json(audit, {"audit": output / name}) for name, audit in audits.items()]
        print_json({"audits": listed, "seconds": seconds, "files": {"folder": output, "report": report}})
        return
    print_audits(list(audits.values()))
    typer.echo(f"computing time: {seconds:.1f} s")
    typer.echo(str(report))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Two threads are a tenth faster here on a quiet machine, and twice as slow where a core is busy."""
    import torch  # noqa: PLC0415 (loads slowly)

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fit(name: str, dataset: gm.Dataset, *, seed: int, quiet: bool) -> gm.FitResult[gm.GNN]:
    model = gm.build_model(name, dataset, hidden_channels=_HIDDEN_CHANNELS, seed=seed)
    prepared = Prepared(model, name, is_loaded=False)
    fit = train_model(prepared, dataset, TrainingOptions(), seed=seed, quiet=quiet)
    return cast("gm.FitResult[gm.GNN]", fit)  # it is not loaded, so it is trained


def _audit(
    name: str, dataset: gm.Dataset, fits: dict[str, gm.FitResult[gm.GNN]], *, seed: int, quiet: bool
) -> gm.Audit:
    """Audit one model; the other two, which are trained anyway, are its observers."""
    others = [fit.model for other, fit in fits.items() if other != name]
    with show_search(name, quiet=quiet) as (callbacks, on_search):
        return gm.audit(
            cast("Any", fits[name]),
            dataset,
            objective=_OBJECTIVE,
            budget=gm.Budget(steps=_STEPS),
            num_starts=_STARTS,
            num_untrained=0,  # searches more, for which there is no time here
            observers=gm.untrained_panel(dataset, others),
            seed=seed,
            callbacks=callbacks,
            on_search=on_search,
        )


def _save(audits: dict[str, gm.Audit], output: Path) -> None:
    """Write the folder whole: an audit each, the report, and the file by which the next demo knows it."""
    from graph_metamers.storage import atomic_directory, write_json  # noqa: PLC0415 (imports torch)

    with atomic_directory(output, marker=DEMO_MARKER) as folder:
        for name, audit in audits.items():
            audit.save(folder / name)
            audit.save_nodes(folder / name / "nodes.csv")
        tables = [f"{name}/nodes.csv" for name in audits]
        gm.write_report(list(audits.values()), folder / "report.html", files=tables)
        write_json({"schema_version": 1, "audits": list(audits)}, folder / DEMO_MARKER)
