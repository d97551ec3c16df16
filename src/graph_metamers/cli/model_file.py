"""A model of the user's own: a function in a Python file that returns it. The file's code is run."""

from __future__ import annotations

import inspect
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from graph_metamers.errors import BindingError, FileFormatError, GraphMetamersError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from graph_metamers.datasets import Dataset

_MODULE_NAME = "graph_metamers_user_model"


def load_own_model(spec: str, dataset: Dataset, *, seed: int) -> nn.Module:
    """Run a Python file and call a function in it.

    Parameters
    ----------
    spec
        `path/to/file.py:factory`.
    dataset
        Handed to a factory that has a parameter `dataset`, or one required parameter of any name.
    seed
        Of torch's random state while the file runs; the state is restored afterwards.

    Raises
    ------
    FileFormatError
        If the file is missing or no Python.
    ModelError
        If there is no such function, or it fails or returns something else than a module, or the module
        cannot be run on the graph.
    """
    import torch  # noqa: PLC0415 (takes seconds)

    path, _, name = spec.rpartition(":")
    if not path.endswith(".py") or not name.isidentifier():
        raise ModelError(f"a model in a Python file is named as path/to/file.py:factory, got {spec!r}")
    file = Path(path)
    with torch.random.fork_rng(devices=[]), _importable_folder(file):
        torch.default_generator.manual_seed(seed)
        namespace = _run(file)
        if name not in namespace:
            own = [
                key for key, value in namespace.items() if getattr(value, "__module__", "") == _MODULE_NAME
            ]
            raise ModelError(f"{file} has no {name!r}; it defines {', '.join(own) or 'nothing'}")
        model = _call(namespace[name], spec, file, dataset)
        if not isinstance(model, torch.nn.Module):
            raise ModelError(f"{spec} must return a torch.nn.Module, got {type(model).__name__}")
        _try(model, spec, file, dataset)
    return model


@contextmanager
def _importable_folder(file: Path) -> Iterator[None]:
    """Let the file import its neighbours, as `python file.py` would."""
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _run(file: Path) -> dict[str, Any]:
    try:
        source = file.read_bytes()
    except OSError as error:
        raise FileFormatError(f"cannot read {file}: {error.strerror}") from error
    module = ModuleType(_MODULE_NAME)
    module.__file__ = str(file)
    sys.modules[_MODULE_NAME] = module  # dataclasses and others look their module up
    try:
        exec(compile(source, str(file), "exec"), module.__dict__)  # noqa: S102 (what the user asked for)
    except (SyntaxError, ValueError) as error:
        raise FileFormatError(f"{file} cannot be run: {error}") from error
    except (Exception, SystemExit) as error:
        raise ModelError(f"{file} cannot be run: {_described(error, file)}") from error
    return module.__dict__


def _call(factory: Any, spec: str, file: Path, dataset: Dataset) -> Any:
    if not callable(factory):
        raise ModelError(f"{spec} must be a function that returns a module, got {type(factory).__name__}")
    arguments, keywords = _arguments(factory, spec, dataset)
    try:
        return factory(*arguments, **keywords)
    except (Exception, SystemExit) as error:
        raise ModelError(f"{spec} failed: {_described(error, file)}") from error


def _arguments(factory: Any, spec: str, dataset: Dataset) -> tuple[list[Any], dict[str, Any]]:
    parameters = inspect.signature(factory).parameters
    if "dataset" in parameters and parameters["dataset"].kind is not inspect.Parameter.POSITIONAL_ONLY:
        return [], {"dataset": dataset}
    required = [
        parameter
        for parameter in parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(required) > 1:
        names = ", ".join(parameter.name for parameter in required)
        raise ModelError(f"{spec} must need no parameter or one, the data set, got {names}")
    return [dataset] * len(required), {}


def _try(model: nn.Module, spec: str, file: Path, dataset: Dataset) -> None:
    """Run the model once; lazy weights get their shapes here, under the seed."""
    import torch  # noqa: PLC0415 (takes seconds)

    from graph_metamers.reading.binding import call_model  # noqa: PLC0415

    try:
        with torch.no_grad():
            call_model(model.eval(), dataset.graph)
    except BindingError:
        raise
    except Exception as error:
        raise ModelError(
            f"the model of {spec} cannot be run on {dataset.name}: {_described(error, file)}"
        ) from error


def _described(error: BaseException, file: Path) -> str:
    """Name an error, with the last line of the user's file that it, or what it explains, passed through."""
    frames = traceback.extract_tb((error.__cause__ or error).__traceback__)
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == str(file)), None)
    where = f" (line {line})" if line else ""
    kind = "" if isinstance(error, GraphMetamersError) else f"{type(error).__name__}: "
    return f"{kind}{error}{where}"
