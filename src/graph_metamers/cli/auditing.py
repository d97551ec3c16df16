"""`audit`: search for a metamer of every layer of one model, and measure it beside chance."""

from __future__ import annotations

import time
from pathlib import Path  # noqa: TC003 (typer reads it)
from typing import Annotated, Any, cast

import typer

import graph_metamers as gm
from graph_metamers.cli.destinations import AUDIT_MARKER, require_cache, require_folder
from graph_metamers.cli.options import (  # noqa: TC001 (typer reads them)
    DataOptions,
    ModelOptions,
    PrintOptions,
    SearchOptions,
    Seed,
    TrainingOptions,
)
from graph_metamers.cli.preparing import (
    budget_of,
    load_data,
    prepare_model,
    require_layers,
    train_model,
    vary_of,
)
from graph_metamers.cli.printing import print_json
from graph_metamers.cli.progress import show_audit
from graph_metamers.cli.summaries import audit_as_json, print_audits
from graph_metamers.parameters import check_choice


def audit(
    data: DataOptions,
    model: ModelOptions,
    training: TrainingOptions,
    search: SearchOptions,
    printing: PrintOptions,
    layer: Annotated[
        list[str] | None,
        typer.Option(help="Layer to audit; may be repeated. Default: each after its activation function."),
    ] = None,
    num_starts: Annotated[
        int | None,
        typer.Option(
            help="Searches of each layer, from different starts; one is quicker, and gives no intervals. "
            "Default: 5; 3 with --vary both.",
            show_default=False,
        ),
    ] = None,
    num_untrained: Annotated[
        int | None,
        typer.Option(
            help="Copies with random weights that are searched too, as a control of each layer; 0: none. "
            "Default: 2; 1 with --vary both.",
            show_default=False,
        ),
    ] = None,
    observers: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Who else is shown what is found: panel, other classifiers, trained once and kept in the "
            "cache; or none.",
        ),
    ] = "panel",
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder in which trained observers are kept; default: $GRAPH_METAMERS_CACHE, else the "
            "user's cache folder.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="How tables and the report call the model.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder for the audit, report.html and nodes.csv.", show_default=False
        ),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Audit every layer of one model on one graph."""
    started = time.monotonic()
    require_folder(output, AUDIT_MARKER)
    if check_choice("observers", observers, ("panel", "none")) == "panel":
        require_cache(cache)
    budget = budget_of(search, seed=seed)
    dataset = load_data(data, seed=seed)
    prepared = prepare_model(model, dataset, seed=seed)
    require_layers(prepared, dataset, layer)
    fit = train_model(prepared, dataset, training, seed=seed, quiet=printing.quiet)
    with show_audit(prepared.label, quiet=printing.quiet) as (callbacks, on_search, on_observer):
        audited = gm.audit(
            fit or prepared.model,
            dataset,
            layers=layer or None,
            num_starts=num_starts,
            num_untrained=num_untrained,
            vary=vary_of(search),
            objective=cast("Any", search.objective),
            solver=search.solver,
            init=cast("Any", search.init),
            budget=budget,
            tolerance=search.tolerance,
            min_distance=search.min_distance,
            observers=cast("Any", observers),
            cache=cache,
            name=name,
            seed=seed,
            callbacks=callbacks,
            on_search=on_search,
            on_observer=on_observer,
        )
    files = {} if output is None else _save(audited, output)
    if printing.json:
        print_json(audit_as_json(audited, files))
        return
    print_audits([audited])
    typer.echo(f"computing time: {time.monotonic() - started:.1f} s")
    if files:
        typer.echo(str(files["report"]))


def _save(audited: gm.Audit, output: Path) -> dict[str, Path]:
    # The audit first and whole: an hour of search is not lost if the report cannot be drawn.
    audited.save(output)
    report, nodes = output / "report.html", output / "nodes.csv"
    audited.save_nodes(nodes)
    gm.write_report([audited], report, files=["nodes.csv"])
    return {"audit": output, "nodes": nodes, "report": report}
