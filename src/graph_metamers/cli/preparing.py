"""From options to a data set and a model that is ready: loaded, or built and trained."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

import graph_metamers as gm
from graph_metamers.cli.model_file import load_own_model
from graph_metamers.cli.progress import show_training
from graph_metamers.errors import FileFormatError, ModelError, ParameterError
from graph_metamers.parameters import check_choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from graph_metamers.cli.options import DataOptions, ModelOptions, SearchOptions, TrainingOptions
    from graph_metamers.datasets import Dataset
    from graph_metamers.training import FitResult
    from graph_metamers.types import FeatureKind


BOTH = "both"
VARIES = ("features", "structure", BOTH)


@dataclass(frozen=True)
class Prepared:
    """A model before training.

    Attributes
    ----------
    model
        In eval mode.
    label
        What progress calls it.
    is_loaded
        Whether its weights were loaded, so that it is not trained.
    """

    model: nn.Module
    label: str
    is_loaded: bool


def load_data(options: DataOptions, *, seed: int) -> Dataset:
    """Load the data set that was asked for."""
    return gm.load_dataset(
        options.dataset,
        split=options.split,
        seed=seed,
        data_root=options.data_root,
        feature_kind=cast("FeatureKind | None", options.feature_kind),
    )


def vary_of(options: SearchOptions) -> Any:
    """What may vary, as `generate` and `audit` call it."""
    return ("features", "structure") if options.vary == BOTH else options.vary


def budget_of(options: SearchOptions, *, seed: int) -> gm.Budget | None:
    """Make the budget of a search, and refuse what is out of range; call it before anything long.

    `None` where nothing is said about it: the verb's default.
    """
    from graph_metamers.synthesis import check_search  # noqa: PLC0415 (imports torch)

    check_choice("vary", options.vary, VARIES)
    check_search(
        solver=options.solver,
        init=options.init,
        tolerance=options.tolerance,
        min_distance=options.min_distance,
        seed=seed,
        objective=options.objective,
        vary=vary_of(options),
    )
    if options.steps is None:
        return None if options.seconds is None else gm.Budget(seconds=options.seconds)
    return gm.Budget(steps=options.steps, seconds=options.seconds)


def prepare_model(options: ModelOptions, dataset: Dataset, *, seed: int) -> Prepared:
    """Build or load the model that was asked for; nothing is trained.

    Raises
    ------
    UserError
        If there is no such model, its file cannot be used, or an option would have no effect.
    """
    name = options.model
    if name.endswith(".safetensors"):
        return Prepared(_load_checkpoint(options, dataset), name, is_loaded=True)
    is_own = ".py:" in name or name.endswith(".py")
    if not is_own and (Path(name).suffix or len(Path(name).parts) > 1):
        raise FileFormatError(
            f"a model file must be a .safetensors file or path/to/file.py:factory, got {name}; other formats "
            "can run code when they are opened"
        )
    model = _load_own(options, dataset, seed) if is_own else _build(options, dataset, seed)
    if options.weights is not None:
        gm.load_weights(model, options.weights)
    if is_own:
        typer.echo(f"graph-metamers: ran the code in {name.rpartition(':')[0]}", err=True)
    return Prepared(model.eval(), name, is_loaded=options.weights is not None)


def train_model(
    prepared: Prepared, dataset: Dataset, options: TrainingOptions, *, seed: int, quiet: bool
) -> FitResult[nn.Module] | None:
    """Train a prepared model; `None` if its weights were loaded.

    Raises
    ------
    ParameterError
        If it is not trained, but an option says how.
    """
    if prepared.is_loaded:
        _refuse_changed(options, "a model whose weights are loaded: it is not trained")
        return None
    with show_training(prepared.label, options.epochs, quiet=quiet) as callbacks:
        return gm.fit(
            prepared.model,
            dataset,
            epochs=options.epochs,
            learning_rate=options.learning_rate,
            weight_decay=options.weight_decay,
            patience=options.patience,
            seed=seed,
            callbacks=callbacks,
        )


def require_layers(prepared: Prepared, dataset: Dataset, layers: Sequence[str] | None) -> None:
    """Read the layers once, so that a slip in a name shows before the training and not after it.

    Raises
    ------
    LayerNotFoundError
        If the model has no layer of that name.
    """
    if layers:
        gm.activations(prepared.model, dataset.graph, layers)


def _build(options: ModelOptions, dataset: Dataset, seed: int) -> nn.Module:
    return gm.build_model(
        options.model,
        dataset,
        hidden_channels=options.hidden_channels,
        num_layers=options.num_layers,
        activation=options.activation,
        residual=options.residual,
        norm=options.norm,
        dropout=options.dropout,
        seed=seed,
    )


def _load_own(options: ModelOptions, dataset: Dataset, seed: int) -> nn.Module:
    _refuse_changed(options, "a model of your own: its file decides")
    return load_own_model(options.model, dataset, seed=seed)


def _load_checkpoint(options: ModelOptions, dataset: Dataset) -> nn.Module:
    _refuse_changed(options, "a saved model: its file decides")
    if options.weights is not None:
        raise ParameterError(
            "weights", "left out with a saved model, which has its own", str(options.weights)
        )
    model = gm.load_model(options.model)
    made_for = [model.config.in_channels, model.config.out_channels]
    given = [dataset.num_features, dataset.num_classes]
    if made_for != given:
        raise ModelError(
            f"the model in {options.model} must fit the data set's [features, classes] = {given}, got one "
            f"for {made_for}; was it trained on another data set?"
        )
    return model


def _refuse_changed(options: Any, why: str) -> None:
    """Refuse options that were set although they would have no effect."""
    for field in fields(options):
        value = getattr(options, field.name)
        if field.default is not MISSING and field.name != "weights" and value != field.default:
            raise ParameterError(field.name, f"left out with {why}", value)
