"""Compute one run: train a model, or search in one and measure what was found beside chance."""

from __future__ import annotations

import functools
import resource
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from threadpoolctl import threadpool_limits
from torch_geometric.transforms import NormalizeFeatures

from graph_metamers.errors import GraphMetamersError, RunFailedError
from graph_metamers.evidence import WithLabelPropagation, oracle_figures
from graph_metamers.evidence.observing import observer
from graph_metamers.evidence.unconditioned import can_be_read
from graph_metamers.inputs import Features, what_varies
from graph_metamers.inputs.both import BothVariables
from graph_metamers.models import GNN, ModelConfig, load_model, save_model
from graph_metamers.randomness import generator_for
from graph_metamers.reading import ModelView
from graph_metamers.storage import environment, fingerprint
from graph_metamers.study.graph_codec import encode_graph
from graph_metamers.study.planning import OUTPUT, load_source
from graph_metamers.study.tasks import GRAPH, WEIGHTS, Outcome
from graph_metamers.synthesis import Budget, Rewire, generate
from graph_metamers.synthesis.metamer import ITEM_TOLERANCE_FACTOR
from graph_metamers.training import Perturbation, evaluate, fit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from graph_metamers.datasets import Dataset
    from graph_metamers.evidence import ScaledExcess
    from graph_metamers.evidence.observing import Observer
    from graph_metamers.study.runs import DataSource, Run
    from graph_metamers.study.tasks import Task
    from graph_metamers.synthesis import Metamer
    from graph_metamers.training import Scores
    from graph_metamers.types import Json, Transform


def compute(task: Task, dataset: Dataset | None = None) -> Outcome:
    """Compute a run; a failure of its training or search that this package raises on purpose is an outcome.

    Parameters
    ----------
    task
        What to compute.
    dataset
        Its data set, where the caller has it; else it is loaded, and kept for the next task.

    Returns
    -------
    Outcome
        One task gives one outcome, bit for bit but for the manifest, with one number of threads on one
        kind of machine.

    Raises
    ------
    GraphMetamersError
        If the data set cannot be loaded here, or is another one here: that says nothing of the run.
    """
    started = time.perf_counter()
    run = task.run
    values: dict[str, Json] = {}
    files: dict[str, bytes] = {}
    error = None
    with _threads(task.threads):
        data = _verified(run, dataset if dataset is not None else _loaded(run.source))
        try:
            values, files = _model(run, data) if run.parent is None else _metamer(task, data)
        except GraphMetamersError as failure:
            error = f"{type(failure).__name__}: {failure}"
        manifest: dict[str, Json] = {
            "seconds": time.perf_counter() - started,
            "peak_memory_bytes": _peak_memory(),
            **environment(),
        }
    if WEIGHTS in files:
        manifest["weights_fingerprint"] = fingerprint(_read_model(files[WEIGHTS]).state_dict())
    return Outcome(values, error, manifest, files)


def _model(run: Run, dataset: Dataset) -> tuple[dict[str, Json], dict[str, bytes]]:
    config: Any = run.config
    built, transform = _built(run), _transform(run)
    values: dict[str, Json] = {"num_parameters": sum(p.numel() for p in built.parameters())}
    subject = _subject(run, built, dataset) if _is_trained_with(run) else built
    if config["training"] is not None:
        change = config["perturbation"]
        result = fit(
            subject,
            dataset,
            **config["training"],
            perturbation=None if change is None else Perturbation(**change),
            drop_edge=config["drop_edge"],
            transform=transform,
            seed=run.seed,
        )
        subject = result.model
        values |= {"best_epoch": result.best_epoch, "epochs": len(result.history)}
    model = cast("GNN", subject.model if _is_trained_with(run) else subject)
    scores = evaluate(_subject(run, model, dataset), dataset, transform=transform)
    return values | _accuracies(scores), {WEIGHTS: _written_model(model)}


def _subject(model_run: Run, model: GNN, dataset: Dataset) -> nn.Module:
    """What is asked: the model, or the model with label propagation."""
    place = model_run.case["label_propagation"]
    return model if place == "none" else WithLabelPropagation(model, dataset, place=place).eval()


def _is_trained_with(model_run: Run) -> bool:
    """Whether label propagation is there in training already."""
    return bool(model_run.case["label_propagation"] == "before")


def _layer_of(run: Run) -> str:
    """The layer that is searched, as the subject calls it."""
    assert run.parent is not None  # noqa: S101 (it is a search)
    layer = str(run.config["layer"])
    is_inside = _is_trained_with(run.parent) and layer != OUTPUT
    return f"model.{layer}" if is_inside else layer


def _accuracies(scores: Scores) -> dict[str, Json]:
    return {
        "train_accuracy": scores.train.accuracy,
        "validation_accuracy": scores.validation.accuracy,
        "test_accuracy": scores.test.accuracy,
        "test_accuracy_chance": scores.test.chance,
        "at_chance": scores.test.at_chance,
    }


def _metamer(task: Task, dataset: Dataset) -> tuple[dict[str, Json], dict[str, bytes]]:
    run = task.run
    config: Any = run.config
    search = config["search"]
    assert task.weights is not None  # noqa: S101 (the driver gives them to every search)
    assert run.parent is not None  # noqa: S101 (it is a search)
    model = _subject(run.parent, _read_model(task.weights), dataset)
    solver = Rewire(proposals=search["proposals"]) if "proposals" in search else config["solver"]
    kind = search.get("feature_kind", dataset.feature_kind)
    vary = Features(kind=kind) if config["vary"] == "features" else config["vary"]
    metamer = generate(
        model,
        dataset.graph,
        _layer_of(run),
        vary=vary,
        objective=search["objective"],
        transform=_transform(run),
        solver=solver,
        init=search["init"],
        budget=Budget(steps=search["steps"]),
        tolerance=search["tolerance"],
        min_distance=search["min_distance"],
        seed=run.seed,
    )
    observing = _observer(run, vary, dataset, model)
    chance = observing.variables.shuffled(generator_for("shuffle", run.seed))
    values: dict[str, Json] = {
        "status": metamer.status.value,
        "is_metamer": metamer.is_metamer,
        "width": observing.null.activations.shape[1],
        "steps": metamer.steps,
        "start_loss": metamer.start_loss,
        **observing.observe(metamer.graph).numbers,
        **{f"{name}_chance": value for name, value in observing.observe(chance).numbers.items()},
    }
    if can_be_read(dataset, vary):
        values |= _excess_numbers(oracle_figures(dataset, [[metamer]], vary=vary, seeds=[run.seed]))
    return values, _graph_files(metamer, observing) if task.keep_graph else {}


def _excess_numbers(found: ScaledExcess) -> dict[str, Json]:
    """What the Bayes oracle says, as in `ScaledExcess`; nan where it is 0/0."""
    return {
        "excess": found.excess.estimate,
        "bayes_changed": found.numerator.estimate,
        "bayes_changed_by_noise": found.denominator.estimate,
        "bayes_matched_share": found.matched_share.estimate,
    }


def _graph_files(metamer: Metamer, observing: Observer) -> dict[str, bytes]:
    bases, variables = {} if observing.space is None else observing.space.bases, observing.variables
    assert not isinstance(variables, BothVariables)  # noqa: S101 (a study varies one of them, see `Grid`)
    return {GRAPH: encode_graph(metamer, variables, bases)}


_last_observer: tuple[tuple[str, str], Observer] | None = None


def _observer(run: Run, vary: Any, dataset: Dataset, model: nn.Module) -> Observer:
    """What is the same for all searches at one layer of one model: kept from one task to the next."""
    global _last_observer  # noqa: PLW0603 (one a worker process, and it changes no result)
    config: Any = run.config
    assert run.parent is not None  # noqa: S101 (it is a search)
    search = config["search"]
    gates = f"{search['tolerance']} {search['min_distance']}"
    kind = search.get("feature_kind", "own")
    asked = f"{config['layer']} {config['vary']} {kind} {gates}"
    key = (run.parent.run_id + fingerprint(model.state_dict()), asked)
    if _last_observer is not None and _last_observer[0] == key:
        return _last_observer[1]
    found = observer(
        ModelView(model, None, _transform(run)),
        what_varies(vary, dataset.graph),
        _layer_of(run),
        item_tolerance=ITEM_TOLERANCE_FACTOR * config["search"]["tolerance"],
        min_distance=config["search"]["min_distance"],
    )
    _last_observer = key, found
    return found


def _built(run: Run) -> GNN:
    settings: Any = run.config["model"]
    with torch.random.fork_rng(devices=[]):
        # As `build_model`, from a config that is complete.
        torch.default_generator.manual_seed(run.seed)
        return GNN(ModelConfig(**settings)).eval()


def _transform(run: Run) -> Transform | None:
    config = run.config if run.parent is None else run.parent.config
    return cast("Transform", NormalizeFeatures()) if config["normalize_features"] else None


def _verified(run: Run, dataset: Dataset) -> Dataset:
    if dataset.fingerprint != run.data_fingerprint:
        raise RunFailedError(
            f"{dataset.name} must have the fingerprint {run.data_fingerprint[:12]}... where the run is "
            f"computed, got {dataset.fingerprint[:12]}...; is another version of its files there?"
        )
    return dataset


@functools.lru_cache(maxsize=2)
def _loaded(source: DataSource) -> Dataset:
    return load_source(source)


def _written_model(model: GNN) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / WEIGHTS
        save_model(model, path)
        return path.read_bytes()


def _read_model(content: bytes) -> GNN:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / WEIGHTS
        path.write_bytes(content)
        return load_model(path)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Compute with this many threads, NumPy's and scikit-learn's too; afterwards with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        with threadpool_limits(number):
            yield
    finally:
        torch.set_num_threads(before)


def _peak_memory() -> int:
    """The largest resident memory of this process so far, bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
