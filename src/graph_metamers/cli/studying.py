"""`study run`, `study status`, `study report`: grids of runs that resume where they ended."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from graph_metamers.cli.grouping import verb
from graph_metamers.cli.options import PrintOptions  # noqa: TC001 (typer reads it)
from graph_metamers.cli.printing import print_json, print_table
from graph_metamers.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from graph_metamers.study import Estimate, Tally

study_app = typer.Typer(no_args_is_help=True)

_DEFAULT_STORE = Path("study-runs")

Study = Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="What is to be run.")]
Store = Annotated[Path, typer.Option("--store", help="Folder of results; several studies may share it.")]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        help="Folder of raw files; default: $GRAPH_METAMERS_DATA, else the user's cache folder.",
        show_default=False,
    ),
]


@study_app.callback()
def study() -> None:
    """Grids of trained models and searches in them; what is finished is never computed again."""


def run(
    study: Study,
    printing: PrintOptions,
    store: Store = _DEFAULT_STORE,
    executor: Annotated[
        str, typer.Option(metavar="NAME", help="in-process, local (processes of this machine) or ray.")
    ] = "in-process",
    workers: Annotated[
        int | None,
        typer.Option(help="Runs computed at once; default: one a processor.", show_default=False),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster; default: one on this machine.", show_default=False)
    ] = None,
    keep: Annotated[
        str, typer.Option(metavar="NAME", help="Which found graphs are kept: none, best or all.")
    ] = "none",
    lease_seconds: Annotated[
        float, typer.Option(help="After so long without a sign of life, a driver counts as dead.")
    ] = 60.0,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Compute runs again whose result is a failure.")
    ] = False,
    data_root: DataRoot = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many runs there are, and how long they may take.")
    ] = False,
) -> None:
    """Compute every run of a study that has no result yet; exits with 1 if one has failed."""
    from graph_metamers.study import run_study  # noqa: PLC0415 (imports torch)
    from graph_metamers.study.table import TABLE  # noqa: PLC0415

    if dry_run:
        _print_estimate(study, store, executor, workers, keep, data_root, as_json=printing.json)
        return
    with _progress(quiet=printing.quiet) as on_change:
        tally = run_study(
            study,
            store,
            executor=executor,
            workers=workers,
            address=address,
            keep=cast("Any", keep),
            lease_seconds=lease_seconds,
            retry_failed=retry_failed,
            data_root=data_root,
            on_change=on_change,
        )
    if printing.json:
        print_json({**_counts(tally), "lost": tally.lost, "files": {"table": store / TABLE}})
    else:
        counts = _counts(tally)
        typer.echo(", ".join(f"{count} {name}" for name, count in counts.items()))
        for problem in tally.lost.values():
            typer.echo(problem.strip(), err=True)
        typer.echo(str(store / TABLE))
    if not tally.is_whole:
        raise typer.Exit(1)


def status(
    printing: PrintOptions,
    study: Annotated[
        Path | None,
        typer.Argument(metavar="[STUDY.yaml]", help="Of which study; default: all of the store."),
    ] = None,
    store: Store = _DEFAULT_STORE,
    data_root: DataRoot = None,
) -> None:
    """Say how many runs are done, under way, failed and waiting."""
    from graph_metamers.study import FolderStore, plan, study_config, study_status  # noqa: PLC0415 (torch)

    _require_store(store)
    planned = None if study is None else plan(study_config(study), data_root=_text(data_root))
    found = study_status(FolderStore(store), planned)
    told = {
        "total": found.total,
        "done": found.done,
        "running": found.running,
        "waiting": found.waiting,
        "failed": found.failed,
        "drivers": found.drivers,
        "seconds": found.seconds,
        "disk_bytes": found.disk_bytes,
    }
    if printing.json:
        print_json(told | {"errors": found.errors})
        return
    shown: dict[str, object] = {name: value for name, value in told.items() if value is not None}
    shown |= {"seconds": f"{found.seconds:.1f}", "disk_bytes": f"{found.disk_bytes:,}"}
    print_table(("what", "how many"), [(name.replace("_", " "), str(value)) for name, value in shown.items()])
    for error, count in found.errors.items():
        typer.echo(f"{count} x {error}")


def report(
    study: Study,
    printing: PrintOptions,
    store: Store = _DEFAULT_STORE,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the page and the tables.")
    ] = Path("study-report"),
    audit: Annotated[
        list[Path] | None,
        typer.Option("--audit", help="Folder of an audit to enter into the leaderboard; may be repeated."),
    ] = None,
    data_root: DataRoot = None,
) -> None:
    """Write a page and tables about the finished runs of a study."""
    import graph_metamers as gm  # noqa: PLC0415 (only its names are cheap)
    from graph_metamers.study import FolderStore, plan, rows_of, study_config  # noqa: PLC0415 (imports torch)

    _require_store(store)
    config = study_config(study)
    planned = plan(config, data_root=_text(data_root))
    rows = rows_of(FolderStore(store), [run.run_id for run in planned.runs])
    audits = [gm.load_audit(folder) for folder in audit or []]
    files = gm.write_study_report(
        rows,
        output,
        name=config.name,
        description=config.description,
        audits=audits,
        num_planned=len(planned.runs),
    )
    left = len(planned.runs) - len(rows)
    if printing.json:
        print_json({"runs": len(planned.runs), "left": left, "files": files})
        return
    if left:
        typer.echo(f"{left} of {len(planned.runs)} runs have no result yet, and are left out", err=True)
    typer.echo(str(files[0]))


def _counts(tally: Tally) -> dict[str, int]:
    return {
        "runs": tally.total,
        "found": tally.found,
        "computed": tally.computed,
        "failed": len(tally.failed),
        "lost_runs": len(tally.lost),
        "blocked": len(tally.blocked),
    }


def _print_estimate(
    study: Path,
    store: Path,
    executor: str,
    workers: int | None,
    keep: str,
    data_root: Path | None,
    *,
    as_json: bool,
) -> None:
    import os  # noqa: PLC0415 (not for --help)

    from graph_metamers.parameters import check_choice  # noqa: PLC0415
    from graph_metamers.study import FolderStore, estimate, plan, study_config  # noqa: PLC0415 (imports torch)
    from graph_metamers.study.running import check_executor  # noqa: PLC0415

    check_executor(executor, workers, None)
    check_choice("keep", keep, ("none", "best", "all"))
    at_once = 1 if executor == "in-process" else workers or os.cpu_count() or 1
    planned = plan(study_config(study), data_root=_text(data_root))
    # A dry run leaves nothing behind, a folder for results neither.
    known = FolderStore(store) if store.is_dir() else None
    found = estimate(planned, known, workers=at_once, keep=cast("Any", keep))
    if as_json:
        print_json(found)
        return
    for line in _estimate_lines(found, at_once):
        typer.echo(line)


def _estimate_lines(found: Estimate, workers: int) -> list[str]:
    left = found.num_runs - found.num_finished
    lines = [
        f"{found.num_runs} runs: {found.num_models} models, {found.num_metamers} searches; "
        f"{found.num_finished} have a result, {left} are left"
    ]
    if left:
        lines += [
            f"computing time about {_duration(found.seconds)}, with {workers} at once "
            f"{_duration(found.wall_seconds)}; disk about {found.disk_bytes / 1e6:.1f} MB",
            *found.sources,
        ]
    return lines


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _require_store(store: Path) -> None:
    if not store.is_dir():
        raise FileFormatError(
            f"there is no store of runs in {store}. Name one with --store, or run the study"
        )


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[Tally, str], None] | None]:
    """Yield an `on_change`: a bar, or none where nobody would see it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 (not needed without a terminal)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def on_change(tally: Tally, words: str) -> None:
            bar.update(task, total=tally.total, completed=tally.num_done, description=words)

        yield on_change


for function in (run, status, report):
    study_app.command()(verb(function))
