"""What a study asks for: a grid of trained models and of searches in them, from YAML or from Python."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from graph_metamers.errors import FileFormatError, ParameterError
from graph_metamers.study.yaml_files import read_yaml
from graph_metamers.training import Perturbation

if TYPE_CHECKING:
    import os

    from pydantic_core import ErrorDetails

T = TypeVar("T")


def _several(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple, range)) else (value,)


def _none(value: Any) -> Any:
    return None if value == "none" else value


Several = Annotated[tuple[T, ...], BeforeValidator(_several), Field(min_length=1)]
"""One value, or a list of values to go through."""

OrNone = Annotated[T | None, BeforeValidator(_none)]
"""A value, or the word `none`."""

LAYER_WORDS = ("all", "hidden", "first", "last", "output")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Grid(_Part):
    """Every combination of these is run; each may be one value or a list.

    Attributes
    ----------
    dataset
        Names as for `load_dataset`, or paths of graph files.
    split
        Which of a data set's splits; of one that brings none, the seed of the split.
    model, num_layers, hidden_channels, activation, residual
        As for `build_model`.
    perturbation
        `none`, or settings of a `Perturbation`.
    drop_edge
        As for `fit`.
    label_propagation
        `none`; `behind`, for the trained model with label propagation behind it, of which only the output is
        searched: the layers before are those of the model without; or `before`, for a model that is trained
        with what label propagation says beside its features. See `WithLabelPropagation`. Layers have the
        names of the model inside, whose weights are what is stored.
    weights
        `trained`, or `random` for the same model with its first weights.
    layer
        Names of layers, or `all` (every post-activation output and the output), `hidden` (the former),
        `first`, `last` (of the former) or `output`.
    vary
        `features` or `structure`.
    solver
        As for `generate`.
    seeds
        Training seeds: of first weights and training.
    search_seeds
        Seeds of the searches in each trained model.
    """

    dataset: Several[str]
    split: Several[NonNegativeInt] = (0,)
    model: Several[str]
    num_layers: Several[PositiveInt] = (2,)
    hidden_channels: Several[PositiveInt] = (16,)
    activation: Several[str] = ("relu",)
    residual: Several[bool] = (False,)
    perturbation: Several[OrNone[Perturbation]] = (None,)
    drop_edge: Several[Annotated[float, Field(ge=0, lt=1)]] = (0.0,)
    label_propagation: Several[Literal["none", "behind", "before"]] = ("none",)
    weights: Several[Literal["trained", "random"]] = ("trained",)
    layer: Several[str] = ("all",)
    vary: Several[Literal["features", "structure"]] = ("features",)
    solver: Several[str] = ("auto",)
    seeds: Several[NonNegativeInt] = (0,)
    search_seeds: Several[NonNegativeInt] = (0,)


class Training(_Part):
    """How every model is trained; see `fit` and `build_model`.

    Attributes
    ----------
    normalize_features
        Whether models read each node's features divided by their sum.
    """

    epochs: PositiveInt = 300
    learning_rate: PositiveFloat = 0.01
    weight_decay: NonNegativeFloat = 1e-3
    patience: PositiveInt = 100
    dropout: NonNegativeFloat = 0.5
    norm: str = "auto"
    normalize_features: bool = False


class Searching(_Part):
    """How every search is made; see `generate`.

    Attributes
    ----------
    steps
        Budget of each search; default 2000, and 200 where edges vary.
    proposals
        Swaps proposed for every edge where edges vary.
    feature_kind
        `own`: features stay of the data's kind, words words and pixels in their range; `continuous`: any real
        number, as the literature has it, and found in a fraction of the time that words take.
    """

    steps: PositiveInt | None = None
    proposals: PositiveInt = 1000
    feature_kind: Literal["own", "continuous"] = "own"
    objective: Literal["match", "farthest"] = "match"
    init: Literal["noise", "permuted", "reference"] = "noise"
    tolerance: PositiveFloat = 1e-3
    min_distance: NonNegativeFloat = 0.1


class StudyConfig(_Part):
    """A study: its grid, and what is the same for all of its runs.

    Attributes
    ----------
    name
        What tables and reports call it.
    description
        One or two sentences for its report.
    grid
        Every combination is run.
    exclude
        Combinations to leave out: each entry names some keys of the grid and one or several values of each.
    include
        Combinations to add after that: each entry is a grid of its own, with the study's values for the keys
        that it does not name.
    training, search
        The same for all runs.
    threads
        Threads of torch in every worker; with another number sums differ in their last digits.
    """

    name: str
    description: str = ""
    grid: Grid
    exclude: tuple[dict[str, Any], ...] = ()
    include: tuple[dict[str, Any], ...] = ()
    training: Training = Training()
    search: Searching = Searching()
    threads: PositiveInt = 1

    def included(self) -> list[Grid]:
        """The grids of `include`, each whole.

        Raises
        ------
        ParameterError
            If an entry names a key that a grid does not have, or a value that it cannot have.
        """
        return [self._merged(entry, f"include[{place}]") for place, entry in enumerate(self.include)]

    def excluded(self) -> list[dict[str, tuple[Any, ...]]]:
        """The entries of `exclude`: key -> values, checked as those of the grid are.

        Raises
        ------
        ParameterError
            As `included`.
        """
        checked = []
        for place, entry in enumerate(self.exclude):
            if not entry:
                raise ParameterError(f"exclude[{place}]", "an entry with at least one key", entry)
            grid = self._merged(entry, f"exclude[{place}]")
            checked.append({key: getattr(grid, key) for key in entry})
        return checked

    def _merged(self, entry: dict[str, Any], where: str) -> Grid:
        own = {name: getattr(self.grid, name) for name in Grid.model_fields}
        return _validated(Grid, own | entry, where)


def study_config(source: str | os.PathLike[str] | dict[str, Any] | StudyConfig) -> StudyConfig:
    """Read a study from a YAML file, or check one that was made in Python.

    Parameters
    ----------
    source
        The path of a YAML file, a dictionary of the same form, or a `StudyConfig`.

    Raises
    ------
    FileFormatError
        If the file is missing or is no YAML.
    ParameterError
        If a key is unknown (the error suggests the closest), missing, or has a value out of range.

    Examples
    --------
    >>> study = study_config({"name": "small", "grid": {"dataset": "karate", "model": ["gcn", "sage"]}})
    >>> study.grid.model, study.grid.num_layers
    (('gcn', 'sage'), (2,))
    """
    if isinstance(source, StudyConfig):
        found = source
    else:
        raw = source if isinstance(source, dict) else read_yaml(Path(source))
        if not isinstance(raw, dict):
            raise FileFormatError(f"{source} must hold a study (name, grid, ...), got {type(raw).__name__}")
        found = _validated(StudyConfig, raw, "")
    found.included()
    found.excluded()
    return found


PartT = TypeVar("PartT", bound=_Part)


def _validated(part: type[PartT], raw: dict[str, Any], where: str) -> PartT:
    try:
        return part.model_validate(raw)
    except ValidationError as error:
        found = error.errors()
        # A slip in a key is also a key that is missing.
        first = next((each for each in found if each["type"] in _UNKNOWN), found[0])
        raise _explained(first, part, where) from error


_UNKNOWN = frozenset({"extra_forbidden", "unexpected_keyword_argument"})


def _explained(error: ErrorDetails, part: type[_Part], where: str) -> ParameterError:
    """One error of pydantic in the words of this package."""
    place = [str(step) for step in error["loc"] if not isinstance(step, int)]
    name = ".".join([*([where] if where else []), *place])
    if error["type"] in _UNKNOWN:
        known = _keys_at(place[:-1], part)
        close = difflib.get_close_matches(place[-1], known, n=1)
        mend = f"Did you mean {close[0]!r}?" if close else ""
        return ParameterError(name, f"one of the keys {', '.join(known)}", place[-1], mend)
    if error["type"] == "missing":
        return ParameterError(name, "given", "nothing")
    message = error["msg"].removeprefix("Value error, ")
    must = message[0].lower() + message[1:]
    return ParameterError(name, f"another value ({must})", error["input"])


def _keys_at(place: list[str], part: type[_Part]) -> list[str]:
    """The keys that are known where `place` leads, from a part of a study."""
    if place and place[-1].startswith("Perturbation"):
        place = place[:-1]
    if place and place[-1] == "perturbation":
        return list(Perturbation.__dataclass_fields__)
    for key in place:
        inner = part.model_fields[key].annotation
        if isinstance(inner, type) and issubclass(inner, _Part):
            part = inner
    return list(part.model_fields)
