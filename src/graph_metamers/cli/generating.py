"""`generate`: search for one metamer."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads it)
from typing import Annotated, Any, cast

import typer

import graph_metamers as gm
from graph_metamers.cli.destinations import METAMER_MARKER, require_folder
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
from graph_metamers.cli.progress import show_search
from graph_metamers.cli.summaries import describe_scores


def generate(
    data: DataOptions,
    model: ModelOptions,
    training: TrainingOptions,
    search: SearchOptions,
    printing: PrintOptions,
    layer: Annotated[
        list[str], typer.Option(help="Layer to match; several are matched together (repeat the option).")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to save the result in.", show_default=False)
    ] = None,
    seed: Seed = 0,
) -> None:
    """Search for one metamer; exits with 1 if none was found."""
    require_folder(output, METAMER_MARKER)
    budget = budget_of(search, seed=seed)
    dataset = load_data(data, seed=seed)
    prepared = prepare_model(model, dataset, seed=seed)
    require_layers(prepared, dataset, layer)
    fit = train_model(prepared, dataset, training, seed=seed, quiet=printing.quiet)
    trained = fit.model if fit else prepared.model
    scores = fit.scores if fit else gm.evaluate(trained, dataset)
    with show_search(f"{prepared.label}, {', '.join(layer)}", quiet=printing.quiet) as (callbacks, _):
        metamer = gm.generate(
            trained,
            dataset.graph,
            layer,
            vary=_vary(search, dataset),
            objective=cast("Any", search.objective),
            solver=search.solver,
            init=cast("Any", search.init),
            budget=budget,
            tolerance=search.tolerance,
            min_distance=search.min_distance,
            seed=seed,
            callbacks=callbacks,
        )
    if output is not None:
        metamer.save(output)
    if printing.json:
        print_json(_as_json(metamer, scores, output))
    else:
        typer.echo(repr(metamer))
        typer.echo(f"{prepared.label} on {dataset.name}: {describe_scores(scores)}")
        if output is not None:
            typer.echo(str(output))
    if not metamer.is_metamer:
        raise typer.Exit(1)


def _vary(search: SearchOptions, dataset: gm.Dataset) -> Any:
    """What may vary, with features of the data set's kind."""
    features, vary = gm.Features(kind=dataset.feature_kind), vary_of(search)
    if isinstance(vary, tuple):
        return features, vary[1]
    return features if vary == "features" else vary


def _as_json(metamer: gm.Metamer, scores: gm.Scores, output: Path | None) -> dict[str, Any]:
    distance = metamer.input_distance
    return {
        "is_metamer": metamer.is_metamer,
        "status": metamer.status,
        "message": metamer.message,
        "layer": metamer.layer,
        "activation_loss": metamer.activation_loss,
        "relaxed_loss": metamer.relaxed_loss,
        "start_loss": metamer.start_loss,
        "matched_items": float(metamer.matched_items.double().mean()),
        "input_distance": {"scaled": distance.scaled, "raw": distance.raw, "chance": distance.chance},
        "prediction_agreement": metamer.prediction_agreement,
        "steps": metamer.steps,
        "scores": scores,
        "config": metamer.config,
        "provenance": metamer.provenance,
        "files": {} if output is None else {"metamer": output},
    }
