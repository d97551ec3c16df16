"""A run: one trained model, or one search in it; what it is called follows from what decides its result."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from graph_metamers.storage import json_fingerprint
from graph_metamers.training import Perturbation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graph_metamers.types import Json

SCHEMA_VERSION = 3
"""Raised when the same settings would give another result, or a result another form.

Not for rounding: another order of a sum changes a training as another processor does."""

RUN_ID_LENGTH = 40

USUAL_STEPS = Perturbation.steps
"""Of a pgd perturbation: those of `Perturbation` by default, which labels leave out."""

Kind: TypeAlias = Literal["model", "metamer"]


@dataclass(frozen=True)
class DataSource:
    """Where a data set comes from; not part of what a run is, its fingerprint is.

    Attributes
    ----------
    name
        As for `load_dataset`: a name or a path.
    split, seed
        As for `load_dataset`.
    data_root
        As for `load_dataset`.
    """

    name: str
    split: int
    seed: int
    data_root: str | None = None


@dataclass(frozen=True, eq=False)
class Run:
    """What is to be computed.

    Attributes
    ----------
    kind
        `model`: built and trained once. `metamer`: one search in it.
    config
        Everything that decides the result but the seed and the data.
    seed
        Of the first weights and the training, or of the search.
    data_fingerprint
        SHA-256 of the data set and its split.
    source
        Where the data set is loaded from.
    parent
        The run of the model in which a metamer is searched for; `None` for a model.
    """

    kind: Kind
    config: Mapping[str, Json]
    seed: int
    data_fingerprint: str
    source: DataSource
    parent: Run | None = None

    @cached_property
    def run_id(self) -> str:
        """40 hexadecimal digits of the SHA-256 of what decides the result, and of the schema's version.

        Neither of weights, which the number of threads changes, nor of the package's version: both are in the
        manifest.
        """
        return json_fingerprint(self.identity)[:RUN_ID_LENGTH]

    @property
    def identity(self) -> dict[str, Json]:
        """What `run_id` is the fingerprint of."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "config": dict(self.config),
            "seed": self.seed,
            "data_fingerprint": self.data_fingerprint,
            "parent": None if self.parent is None else self.parent.run_id,
        }

    @cached_property
    def case(self) -> dict[str, Any]:
        """The settings as columns of a table, those of the model included."""
        return case_of(self.identity, None if self.parent is None else self.parent.identity)

    @property
    def title(self) -> str:
        """The run in a few words, for progress and errors."""
        case = self.case
        words = [str(case["dataset"]), str(case["model"]), f"seed {case['seed']}"]
        if self.parent is not None:
            words += [str(case["layer"]), f"search {case['search_seed']}"]
        return ", ".join(words)


def case_of(identity: Mapping[str, Any], parent: Mapping[str, Any] | None) -> dict[str, Any]:
    """The settings of a run as columns of a table.

    Parameters
    ----------
    identity
        As `Run.identity`.
    parent
        That of its model; `None` for a model.
    """
    config = identity["config"]
    if parent is not None:
        own = {name: config[name] for name in ("layer", "depth", "vary", "solver")}
        own["feature_kind"] = config["search"].get("feature_kind", "own")
        return case_of(parent, None) | own | {"search_seed": identity["seed"]}
    model = config["model"]
    return {
        "dataset": config["dataset"],
        "split": config["split"],
        "model": model["architecture"],
        **{name: model[name] for name in ("num_layers", "hidden_channels", "activation", "residual")},
        "perturbation": perturbation_label(config["perturbation"]),
        "drop_edge": config["drop_edge"],
        "label_propagation": config.get("label_propagation", "none"),
        "weights": config["weights"],
        "seed": identity["seed"],
    }


def perturbation_label(settings: Any) -> str:
    """The settings of a perturbation in one word each, `none` for nothing.

    Steps are named where they are not those of `Perturbation` by default; a random change takes none.

    Examples
    --------
    >>> perturbation_label({"kind": "pgd", "on": "features", "norm": "l2", "radius": 0.5, "steps": 5})
    'pgd features l2 0.5'
    >>> perturbation_label({"kind": "pgd", "on": "features", "norm": "l2", "radius": 0.5, "steps": 20})
    'pgd features l2 0.5 20 steps'
    """
    if settings is None:
        return "none"
    label = f"{settings['kind']} {settings['on']} {settings['norm']} {settings['radius']:g}"
    unusual = settings["kind"] == "pgd" and settings["steps"] != USUAL_STEPS
    return f"{label} {settings['steps']} steps" if unusual else label


def control_label(label: str) -> str:
    """The label of the random perturbation of the same size as an adversarial one, wherever it stands.

    Examples
    --------
    >>> control_label("elu + pgd features l2 0.5 20 steps")
    'elu + random features l2 0.5'
    """
    return re.sub(r"\bpgd (\S+ \S+ \S+)( \d+ steps)?", r"random \1", label)
