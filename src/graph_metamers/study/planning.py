"""From what a study asks for to the list of its runs: models first, then the searches in them."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from graph_metamers.datasets import list_datasets, load_dataset
from graph_metamers.errors import ParameterError, UserError
from graph_metamers.models import ModelConfig
from graph_metamers.study.config import LAYER_WORDS, Grid, StudyConfig
from graph_metamers.study.runs import DataSource, Run
from graph_metamers.synthesis import Rewire, check_search

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from graph_metamers.datasets import Dataset
    from graph_metamers.types import Json

STEPS = {"features": 2000, "structure": 200}
"""Budget of a search where the study names none: those of `generate`, and of an audit where edges vary."""

OUTPUT = "output"


@dataclass(frozen=True, eq=False)
class Plan:
    """All runs of a study.

    Attributes
    ----------
    study
        What was asked for.
    runs
        Models first, then searches; each once.
    facts
        Run id of every model -> what estimates need to know of its data set.
    """

    study: StudyConfig
    runs: tuple[Run, ...]
    facts: Mapping[str, DataFacts]

    @property
    def models(self) -> list[Run]:
        """The runs of models."""
        return [run for run in self.runs if run.kind == "model"]

    @property
    def metamers(self) -> list[Run]:
        """The searches."""
        return [run for run in self.runs if run.kind == "metamer"]


@dataclass(frozen=True)
class DataFacts:
    """What a plan keeps of a data set.

    Attributes
    ----------
    source
        Where it is loaded from.
    name, fingerprint, num_nodes, num_edges, num_features, num_classes, feature_kind
        As in `Dataset`.
    """

    source: DataSource
    name: str
    fingerprint: str
    num_nodes: int
    num_edges: int
    num_features: int
    num_classes: int
    feature_kind: str


def plan(study: StudyConfig, *, data_root: str | None = None) -> Plan:
    """Expand a study.

    Parameters
    ----------
    study
        From `study_config`.
    data_root
        As for `load_dataset`.

    Raises
    ------
    UserError
        If a data set cannot be loaded, or a combination cannot be built or searched; the error names it.

    Notes
    -----
    Loads every data set and split once, one after the other, for their fingerprints.
    """
    data = _Data(data_root)
    excluded = [_Exclusion(entry) for entry in study.excluded()]
    models: dict[str, Run] = {}
    metamers: dict[str, Run] = {}
    facts: dict[str, DataFacts] = {}
    for grid, leaves_out in [(study.grid, excluded), *((grid, []) for grid in study.included())]:
        for case in _combinations(grid, leaves_out):
            model = _model_run(study, case, data)
            for layer, depth in _layers_of(case["layer"], model):
                named = case | {"layer": layer}
                if not _is_left_out(leaves_out, named, case):
                    search = _metamer_run(study, case, layer, depth, model)
                    models.setdefault(model.run_id, model)
                    facts.setdefault(model.run_id, data.facts(case["dataset"], case["split"]))
                    # The parents of equal searches are one object.
                    metamers.setdefault(search.run_id, replace(search, parent=models[model.run_id]))
    for number, entry in enumerate(excluded):
        if not entry.has_matched:
            mend = "It would leave nothing out: are all values written as in the grid?"
            raise ParameterError(f"exclude[{number}]", "some of the grid", study.exclude[number], mend)
    if not metamers:
        raise ParameterError("grid", "such that something is left of it", "nothing, after 'exclude'")
    return Plan(study, (*models.values(), *metamers.values()), facts)


def layer_names(config: ModelConfig) -> list[str]:
    """The layers that an audit reads by default, in the order of computation: known without a graph.

    Examples
    --------
    >>> layer_names(ModelConfig(architecture="gcn", in_channels=5, out_channels=2, num_layers=3))
    ['act.0', 'act.1', 'output']
    """
    return [*(f"act.{number}" for number in range(config.num_convolutions - 1)), OUTPUT]


@dataclass(eq=False)
class _Exclusion:
    """Settings and their values of which nothing is computed, and whether there was any such."""

    values: dict[str, tuple[Any, ...]]
    has_matched: bool = False

    def matches(self, case: dict[str, Any]) -> bool:
        found = all(case[name] in values for name, values in self.values.items())
        self.has_matched |= found
        return found


def _is_left_out(exclusions: list[_Exclusion], *cases: dict[str, Any]) -> bool:
    """Whether one of them matches; all are asked, so that one that never does is noticed."""
    matched = [exclusion.matches(case) for exclusion in exclusions for case in cases]
    return any(matched)


def _combinations(grid: Grid, leaves_out: list[_Exclusion]) -> Iterator[dict[str, Any]]:
    names = list(Grid.model_fields)
    for values in itertools.product(*(getattr(grid, name) for name in names)):
        case = dict(zip(names, values, strict=True))
        # What excludes by a layer waits until words such as `all` are layers.
        if not _is_left_out([entry for entry in leaves_out if "layer" not in entry.values], case):
            yield case


class _Data:
    """Data sets by name and split, of which little is kept."""

    def __init__(self, data_root: str | None) -> None:
        self._root = data_root
        self._facts: dict[tuple[str, int], DataFacts] = {}
        self._features: dict[tuple[str, int], Tensor] = {}

    def facts(self, name: str, split: int) -> DataFacts:
        if (name, split) not in self._facts:
            source = _source(name, split, self._root)
            dataset = load_source(source)
            # A set that brings one split has the same whatever the seed.
            if source.seed and dataset.fingerprint == load_source(replace(source, seed=0)).fingerprint:
                must = f"0 for {dataset.name}, which brings one split"
                raise ParameterError("split", must, split)
            self._features = {(name, split): dataset.graph.x}  # of one data set at a time
            self._facts[name, split] = DataFacts(
                source=source,
                name=dataset.name,
                fingerprint=dataset.fingerprint,
                num_nodes=dataset.num_nodes,
                num_edges=dataset.num_edges,
                num_features=dataset.num_features,
                num_classes=dataset.num_classes,
                feature_kind=dataset.feature_kind,
            )
        return self._facts[name, split]

    def features(self, name: str, split: int) -> Tensor:
        facts = self.facts(name, split)
        if (name, split) not in self._features:
            self._features = {(name, split): load_source(facts.source).graph.x}
        return self._features[name, split]


def load_source(source: DataSource) -> Dataset:
    """Load the data set of a run."""
    return load_dataset(source.name, split=source.split, seed=source.seed, data_root=source.data_root)


def _source(name: str, split: int, data_root: str | None) -> DataSource:
    published = {info.name: info.num_splits for info in list_datasets()}.get(name.lower(), 1)
    if published > 1:
        return DataSource(name, split, 0, data_root)
    return DataSource(name, 0, split, data_root)


def _model_run(study: StudyConfig, case: dict[str, Any], data: _Data) -> Run:
    facts = data.facts(case["dataset"], case["split"])
    trained = case["weights"] == "trained"
    perturbation = case["perturbation"] if trained else None
    is_before = case["label_propagation"] == "before"  # and reads a score for each class too
    try:
        model = ModelConfig(
            architecture=case["model"],
            in_channels=facts.num_features + (facts.num_classes if is_before else 0),
            out_channels=facts.num_classes,
            hidden_channels=case["hidden_channels"],
            num_layers=case["num_layers"],
            activation=case["activation"],
            residual=case["residual"],
            norm=study.training.norm,
            dropout=study.training.dropout,
        )
        if perturbation is not None:
            x = data.features(case["dataset"], case["split"])
            perturbation = replace(perturbation, norm=perturbation.norm_for(x))
    except ParameterError as error:
        asked = ", ".join(f"{name} {case[name]}" for name in ("dataset", "model", "num_layers", "activation"))
        raise UserError(f"{error}. It was met with {asked}: leave that out with 'exclude'") from error
    config: dict[str, Json] = {
        "dataset": facts.name,
        "split": case["split"],
        "model": asdict(model),
        "weights": case["weights"],
        "normalize_features": study.training.normalize_features,
        "training": _training(study) if trained else None,
        "perturbation": None if perturbation is None else asdict(perturbation),
        "drop_edge": float(case["drop_edge"]) if trained else 0.0,
    }
    if case["label_propagation"] != "none":
        config["label_propagation"] = case["label_propagation"]
    return Run("model", config, case["seeds"], facts.fingerprint, facts.source)


def _training(study: StudyConfig) -> dict[str, Json]:
    names = ("epochs", "learning_rate", "weight_decay", "patience")
    return {name: getattr(study.training, name) for name in names}


def _layers_of(asked: str, model: Run) -> list[tuple[str, int]]:
    """Name and depth, from 1, of the layers that a word or a name stands for."""
    settings: Any = model.config["model"]
    names = layer_names(ModelConfig(**settings))
    numbered = [(name, depth) for depth, name in enumerate(names, start=1)]
    if model.case["label_propagation"] == "behind":
        if asked in names and asked != OUTPUT:
            return []  # the same as without label propagation
        numbered = numbered[-1:]
    hidden = numbered[:-1]
    by_word = {
        "all": numbered,
        "hidden": hidden,
        "first": hidden[:1],
        "last": hidden[-1:],
        "output": numbered[-1:],
    }
    if asked in by_word:
        return by_word[asked]
    found = [(name, depth) for name, depth in numbered if name == asked]
    if not found:
        known = ", ".join(repr(name) for name in [*names, *LAYER_WORDS])
        mend = "Leave the combination out with 'exclude', or use 'all'"
        raise ParameterError("layer", f"one of {known} in {model.title}", asked, mend)
    return found


def _metamer_run(study: StudyConfig, case: dict[str, Any], layer: str, depth: int, model: Run) -> Run:
    search, vary = study.search, case["vary"]
    solver = Rewire.name if vary == "structure" and case["solver"] == "auto" else case["solver"]
    check_search(
        solver=solver,
        init=search.init,
        tolerance=search.tolerance,
        min_distance=search.min_distance,
        seed=case["search_seeds"],
        objective=search.objective,
        vary=vary,
    )
    settings: dict[str, Json] = {
        "steps": search.steps or STEPS[vary],
        "objective": search.objective,
        "init": search.init,
        "tolerance": search.tolerance,
        "min_distance": search.min_distance,
    }
    if solver == Rewire.name:
        settings["proposals"] = search.proposals
    elif search.feature_kind != "own":
        settings["feature_kind"] = search.feature_kind
    config: dict[str, Json] = {
        "layer": layer,
        "depth": depth,
        "vary": vary,
        "solver": solver,
        "search": settings,
    }
    seed = case["search_seeds"]
    return Run("metamer", config, seed, model.data_fingerprint, model.source, model)
