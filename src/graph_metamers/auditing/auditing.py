"""audit(): put all questions to one trained model on one data set."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from graph_metamers.auditing.defaults import with_defaults
from graph_metamers.auditing.floors import structure_floor
from graph_metamers.auditing.layer_auditing import LayerAuditor
from graph_metamers.auditing.results import Audit, DatasetCard
from graph_metamers.auditing.theory import theory_of
from graph_metamers.auditing.watching import Observers, Watch, panel_of
from graph_metamers.checks import check
from graph_metamers.datasets import Dataset
from graph_metamers.errors import ParameterError
from graph_metamers.evidence import label_propagation, oracle_figures
from graph_metamers.evidence.control_runs import ControlRuns
from graph_metamers.evidence.unconditioned import can_be_read
from graph_metamers.inputs import Init, Vary, what_varies
from graph_metamers.metrics.classification import predicted_classes
from graph_metamers.models import GNN
from graph_metamers.reading import ModelView, default_layers
from graph_metamers.reading.items import NODES
from graph_metamers.storage import environment, fingerprint, resolve_cache
from graph_metamers.synthesis import (
    Budget,
    SearchProgress,
    check_search,
    generate_many,
    structure_front,
)
from graph_metamers.training import FitResult, evaluate

if TYPE_CHECKING:
    import os

    from torch import nn

    from graph_metamers.auditing.layer_results import LayerAudit
    from graph_metamers.evidence.excess import ScaledExcess
    from graph_metamers.evidence.panel import OnObserver
    from graph_metamers.synthesis import Objective
    from graph_metamers.synthesis.repeating import SearchOptions
    from graph_metamers.synthesis.solvers import Solver
    from graph_metamers.types import Forward, Graph, Json, Transform


SearchCallback = Callable[[str, int, int], None]


def audit(
    model: nn.Module | FitResult[nn.Module],
    dataset: Dataset,
    *,
    layers: Sequence[str] | None = None,
    num_starts: int | None = None,
    vary: Vary = "features",
    objective: Objective = "match",
    transform: Transform | None = None,
    forward: Forward | None = None,
    solver: str | Solver = "auto",
    init: Init = "noise",
    budget: Budget | None = None,
    tolerance: float = 1e-3,
    min_distance: float = 0.1,
    num_untrained: int | None = None,
    observers: Observers = "none",
    cache: str | os.PathLike[str] | None = None,
    name: str | None = None,
    seed: int = 0,
    callbacks: Sequence[Callable[[SearchProgress], None]] = (),
    on_search: SearchCallback | None = None,
    on_observer: OnObserver | None = None,
) -> Audit:
    """Search for metamers of every layer from several starts, and measure them beside chance and controls.

    Every number gets an interval over the starts, and stands beside the same number for as many shuffles of
    the features, or where edges vary for as many random graphs with the same degrees; where both vary, for
    as many shuffles on such graphs. The intervals are about other starts in this one trained model, not
    about other trainings.

    Parameters
    ----------
    model
        A trained model, or what `fit` returned (its settings are then recorded too). Left as it was.
    dataset
        A node-level data set.
    layers
        Names of layers; default: every post-activation output and the output.
    num_starts
        Searches per layer, from seeds `seed`, `seed + 1`, ...; one is quicker and gives no interval.
        Default: 5, or 3 where features and edges vary together, since these searches are long.
    vary
        What may vary: `"features"`, of the data set's kind; `"structure"`, the edges; a pair
        `("features", "structure")`, both together; or objects, as in `generate`.
    objective, transform, forward, solver, init, budget, tolerance, min_distance, callbacks
        As in `generate`; the budget is that of each search.
    num_untrained
        Copies of the model with random weights that are searched too, from the first starts, as a control of
        each layer: 0 leaves it out. Default: 2, or 1 where features and edges vary together.
    observers
        Who else is shown what the searches find: `"none"`; `"panel"`, which `train_panel` trains, or reads
        from the cache; or a `Panel`, or a list of `PanelMember`, of your own.
    cache
        Where trained observers are kept; see `train_panel`.
    name
        How to call the model; default: its architecture, or its class.
    seed
        Of the first start.
    on_search
        Called with (layer, number of the search from 1, number of searches) before each search.
    on_observer
        As in `train_panel`.

    Returns
    -------
    Audit

    Raises
    ------
    ParameterError, DatasetError, LayerNotFoundError, BindingError, CheckError
        As `generate`, before the first search.

    Notes
    -----
    Takes `num_starts + num_untrained` searches per layer, one pass of the model per search and audited
    layer, and some for the controls (see `Baseline`). What was found from the first start is kept as a graph,
    from the others as numbers for each node; while a layer is searched, the features of all its starts are in
    memory.

    Where edges alone vary, each layer also gets a `structure_front` and a `structure_lower_bound`,
    `solver="auto"` is `Rewire(proposals=1000)` and the default budget `Budget(steps=200)`:
    less than in `generate`, since there are many searches. Where both vary, `solver="auto"` is `InTurn` with
    the same `Rewire`, and the default budget `Budget(steps=400)`.
    """
    started = time.monotonic()
    if not isinstance(dataset, Dataset):
        raise ParameterError("dataset", "a Dataset, from load_dataset", dataset)
    if isinstance(layers, str):
        raise ParameterError("layers", "a list of names of layers", layers, f"Write layers=[{layers!r}]")
    check_search(
        solver=solver,
        init=init,
        tolerance=tolerance,
        min_distance=min_distance,
        seed=seed,
        objective=objective,
        vary=vary,
    )
    asked = with_defaults(
        dataset,
        vary=vary,
        solver=solver,
        budget=budget,
        seed=seed,
        num_starts=num_starts,
        num_untrained=num_untrained,
    )
    structure, seeds = asked.structure, asked.seeds
    fit = model if isinstance(model, FitResult) else None
    module = model.model if isinstance(model, FitResult) else model
    if dataset.task_level != "node":
        must, got = "one whose nodes have classes", f"{dataset.name} ({dataset.task_level})"
        raise ParameterError("dataset", must, got)
    graph = dataset.graph
    view = ModelView(module, forward, transform)
    names = list(layers) if layers is not None else default_layers(view.layers(graph))
    if not names or len(set(names)) != len(names):
        raise ParameterError("layers", "one layer or several different ones", names)
    scores = fit.scores if fit else evaluate(module, dataset, transform=transform, forward=forward)
    checks = check(
        module, graph, names, vary=asked.features, forward=forward, transform=transform, accuracy=scores.test
    )
    checks.raise_for_errors()
    predictions = _predict(view, graph)
    variables = what_varies(asked.vary, graph)
    panel = panel_of(
        observers,
        dataset,
        model,
        seed=seed,
        forward=forward,
        transform=transform,
        cache=cache,
        on_observer=on_observer,
    )
    watch = Watch.of(panel, lambda seen: _predict(view, seen), variables, seeds=seeds)
    auditor = LayerAuditor.of(
        view,
        variables,
        names,
        seeds=seeds,
        tolerance=tolerance,
        min_distance=min_distance,
    )
    options: SearchOptions = {
        "vary": asked.vary,
        "objective": objective,
        "transform": transform,
        "forward": forward,
        "solver": asked.solver,
        "init": init,
        "budget": asked.budget,
        "tolerance": tolerance,
        "min_distance": min_distance,
    }
    told: SearchOptions = {**options, "callbacks": callbacks}
    controls = ControlRuns(
        view,
        dataset,
        variables,
        predictions,
        options,
        seeds,
        asked.num_untrained,
        resolve_cache(cache) if observers == "panel" else None,  # kept beside its observers
    )
    audited = []
    has_oracle = can_be_read(dataset, asked.vary)
    looked: dict[str, dict[str, Tensor]] = {}
    excess: dict[str, ScaledExcess] = {}
    for depth, layer in enumerate(names, start=1):
        metamers = generate_many(
            module,
            graph,
            layer,
            seeds=seeds,
            on_seed=_announce(on_search, layer, depth, len(names)),
            **told,
        )
        front = floor = None
        if structure is not None:
            front = structure_front(
                module, graph, layer, vary=structure, transform=transform, forward=forward, seed=seed
            )
            floor = structure_floor(module, graph, layer, structure, transform=transform, forward=forward)
        audited.append(auditor.audit(layer, depth, metamers, front, floor, controls))
        looked[layer] = watch.look([metamer.graph for metamer in metamers])
        if has_oracle:
            excess[layer] = oracle_figures(dataset, [metamers], vary=asked.vary)
    control = label_propagation(dataset)
    theory = None
    if asked.varies == "features":
        moved = {
            layer.name: [start.gates.distance.visible_items for start in layer.starts if start.gates.distance]
            for layer in audited
        }
        theory = theory_of(
            module,
            dataset,
            names,
            forward=forward,
            transform=transform,
            seed=seed,
            moved=moved,
            tolerance=tolerance,
        )
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
        theory=theory,
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
        observers=watch.report(looked, graph.y, dataset.split.test),
        oracle=excess,
    )


def _announce(
    on_search: SearchCallback | None, layer: str, depth: int, num_layers: int
) -> Callable[[int, int, int], None]:
    """Number the searches through all layers."""

    def on_seed(_seed: int, number: int, num_starts: int) -> None:
        if on_search is not None:
            on_search(layer, (depth - 1) * num_starts + number, num_layers * num_starts)

    return on_seed


def _predict(view: ModelView, graph: Graph) -> Tensor:
    with view.borrow(), torch.no_grad():
        chosen = view.prediction(graph, NODES)
    if chosen is None:
        raise ParameterError("model", "one that returns a class for every node", "an output of another shape")
    return predicted_classes(chosen[1])


def _name_of(model: nn.Module) -> str:
    return model.config.title if isinstance(model, GNN) else type(model).__name__


def _config(
    model: nn.Module, fit: FitResult[nn.Module] | None, audited: Sequence[LayerAudit]
) -> Mapping[str, Json]:
    search = dict(audited[0].metamer.config)
    search.pop("layer", None)
    search["num_starts"] = len(audited[0].starts)
    return {
        "model": asdict(model.config) if isinstance(model, GNN) else {"class": type(model).__name__},
        "training": asdict(fit.config) if fit else None,
        "search": cast("Json", search),
    }
