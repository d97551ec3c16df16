"""audit(): put all questions to one trained model on one data set."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from graph_metamers.auditing.results import Audit, DatasetCard, LayerAudit
from graph_metamers.checks import check
from graph_metamers.errors import ParameterError
from graph_metamers.evidence import label_propagation
from graph_metamers.evidence.measures import measure_layer
from graph_metamers.inputs import Features, Init, Vary, resolve_variables
from graph_metamers.metrics.classification import predicted_classes
from graph_metamers.models import GNN
from graph_metamers.reading import ModelView, default_layers
from graph_metamers.reading.items import NODES
from graph_metamers.storage import environment, fingerprint
from graph_metamers.synthesis import Budget, SearchProgress, check_search, generate
from graph_metamers.training import FitResult, evaluate

if TYPE_CHECKING:
    from torch import nn

    from graph_metamers.datasets import Dataset
    from graph_metamers.synthesis.solvers import Solver
    from graph_metamers.types import Forward, Graph, Json, Transform

LayerCallback = Callable[[str, int, int], None]


def audit(
    model: nn.Module | FitResult[nn.Module],
    dataset: Dataset,
    *,
    layers: Sequence[str] | None = None,
    vary: Vary | None = None,
    transform: Transform | None = None,
    forward: Forward | None = None,
    solver: str | Solver = "auto",
    init: Init = "noise",
    budget: Budget | None = None,
    tolerance: float = 1e-3,
    min_distance: float = 0.1,
    name: str | None = None,
    seed: int = 0,
    callbacks: Sequence[Callable[[SearchProgress], None]] = (),
    on_layer: LayerCallback | None = None,
) -> Audit:
    """Search for a metamer of every layer, and measure it beside its chance level and the controls.

    Parameters
    ----------
    model
        A trained model, or what `fit` returned (its settings are then recorded too). Left as it was.
    dataset
        A node-level data set.
    layers
        Names of layers; default: every post-activation output and the output.
    vary
        What may vary; default: the features, of the data set's kind.
    transform, forward, solver, init, budget, tolerance, min_distance, seed, callbacks
        As in `generate`.
    name
        How to call the model; default: its architecture, or its class.
    on_layer
        Called with (layer, its number from 1, number of layers) before each search.

    Returns
    -------
    Audit

    Raises
    ------
    ParameterError, DatasetError, LayerNotFoundError, BindingError, CheckError
        As `generate`.
    """
    started = time.monotonic()
    check_search(solver=solver, init=init, tolerance=tolerance, min_distance=min_distance, seed=seed)
    fit = model if isinstance(model, FitResult) else None
    module = model.model if isinstance(model, FitResult) else model
    if dataset.task_level != "node":
        raise ParameterError(
            "dataset", "one whose nodes have classes", f"{dataset.name} ({dataset.task_level})"
        )
    graph = dataset.graph
    vary = vary if vary is not None else Features(kind=dataset.feature_kind)
    view = ModelView(module, forward, transform)
    names = list(layers) if layers is not None else default_layers(view.layers(graph))
    if not names or len(set(names)) != len(names):
        raise ParameterError("layers", "one layer or several different ones", names)
    scores = fit.scores if fit else evaluate(module, dataset, transform=transform, forward=forward)
    checks = check(
        module, graph, names, vary=vary, forward=forward, transform=transform, accuracy=scores.test
    )
    checks.raise_for_errors()
    audited = []
    for number, layer in enumerate(names, start=1):
        if on_layer is not None:
            on_layer(layer, number, len(names))
        metamer = generate(
            module,
            graph,
            layer,
            vary=vary,
            transform=transform,
            forward=forward,
            solver=solver,
            init=init,
            budget=budget,
            tolerance=tolerance,
            min_distance=min_distance,
            seed=seed,
            callbacks=callbacks,
        )
        with view.borrow():
            evidence = measure_layer(view, resolve_variables(vary, graph), layer, metamer.graph, seed=seed)
            width = _width(view, graph, layer)
            predictions = _predict(view, metamer.graph)
        audited.append(LayerAudit(layer, number, width, metamer, evidence, predictions))
    control = label_propagation(dataset)
    with view.borrow():
        predictions = _predict(view, graph)
    return Audit(
        model_name=name or _name_of(module),
        dataset=DatasetCard.of(dataset),
        graph=graph,
        labels=graph.y,
        predictions=predictions,
        scores=scores,
        controls={control.name: control.test},
        checks=checks,
        layers=tuple(audited),
        model=module,
        config=_config(module, fit, audited),
        provenance={
            "model_fingerprint": fingerprint(
                {n: w for n, w in module.state_dict().items() if isinstance(w, Tensor)}
            ),
            "dataset_fingerprint": dataset.fingerprint,
            "seconds": time.monotonic() - started,
            "training_seconds": fit.seconds if fit else None,
            **environment(),
        },
    )


def _predict(view: ModelView, graph: Graph) -> Tensor:
    with torch.no_grad():
        chosen = view.prediction(graph, NODES)
    if chosen is None:
        raise ParameterError("model", "one that returns a class for every node", "an output of another shape")
    return predicted_classes(chosen[1])


def _width(view: ModelView, graph: Graph, layer: str) -> int:
    with torch.no_grad():
        value = view.taps(graph, [layer])[layer].value
    return int(value[0].numel())


def _name_of(model: nn.Module) -> str:
    return model.config.title if isinstance(model, GNN) else type(model).__name__


def _config(
    model: nn.Module, fit: FitResult[nn.Module] | None, audited: Sequence[LayerAudit]
) -> Mapping[str, Json]:
    search = dict(audited[0].metamer.config) if audited else {}
    search.pop("layer", None)
    return {
        "model": asdict(model.config) if isinstance(model, GNN) else {"class": type(model).__name__},
        "training": asdict(fit.config) if fit else None,
        "search": cast("Json", search),
    }
