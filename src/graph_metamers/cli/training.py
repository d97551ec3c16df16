"""`train`: train a model and save it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path  # noqa: TC003 (typer reads it)
from typing import TYPE_CHECKING, Annotated

import typer

import graph_metamers as gm
from graph_metamers.cli.destinations import require_file
from graph_metamers.cli.options import (  # noqa: TC001 (typer reads them)
    DataOptions,
    ModelOptions,
    PrintOptions,
    Seed,
    TrainingOptions,
)
from graph_metamers.cli.preparing import load_data, prepare_model, train_model
from graph_metamers.cli.printing import print_json
from graph_metamers.cli.summaries import describe_scores
from graph_metamers.errors import ParameterError

if TYPE_CHECKING:
    from torch import nn


def train(
    data: DataOptions,
    model: ModelOptions,
    training: TrainingOptions,
    printing: PrintOptions,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .safetensors file to write.")],
    seed: Seed = 0,
) -> None:
    """Train a model and save its weights."""
    _require_safetensors(output)
    require_file(output)
    dataset = load_data(data, seed=seed)
    fit = train_model(
        prepare_model(model, dataset, seed=seed), dataset, training, seed=seed, quiet=printing.quiet
    )
    if fit is None:
        raise ParameterError("model", "one without weights, to be trained", model.model)
    _save(fit.model, output)
    if printing.json:
        print_json(
            {
                "scores": fit.scores,
                "at_chance": fit.at_chance,
                "best_epoch": fit.best_epoch,
                "stopped_early": fit.stopped_early,
                "seconds": fit.seconds,
                "model": asdict(fit.model.config) if isinstance(fit.model, gm.GNN) else None,
                "training": asdict(fit.config),
                "files": {"model": output},
            }
        )
        return
    typer.echo(f"{model.model} on {dataset.name}: {describe_scores(fit.scores)}")
    typer.echo(
        f"train {fit.scores.train.accuracy:.1%}, validation {fit.scores.validation.accuracy:.1%}; "
        f"best epoch {fit.best_epoch} of {len(fit.history)}, {fit.seconds:.1f} s"
    )
    typer.echo(str(output))


def _require_safetensors(output: Path) -> None:
    # `--model` knows a saved model by this ending.
    if output.suffix != ".safetensors":
        raise ParameterError("output", "a file name that ends in .safetensors", str(output))


def _save(model: nn.Module, output: Path) -> None:
    if isinstance(model, gm.GNN):
        gm.save_model(model, output)
        return
    from safetensors.torch import save  # noqa: PLC0415 (imports torch)

    from graph_metamers.storage import atomic_file  # noqa: PLC0415

    weights = {name: value.contiguous().clone() for name, value in model.state_dict().items()}
    with atomic_file(output) as temporary:
        temporary.write_bytes(save(weights))
