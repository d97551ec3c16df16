"""Every exception that graph-metamers raises on purpose.

The tree is shallow. `UserError` is what the caller can mend before anything runs (the command line
exits with 2); everything else under `GraphMetamersError` is a run that failed (exit 1).
"""

from __future__ import annotations

__all__ = [
    "BindingError",
    "CheckError",
    "DatasetError",
    "FileFormatError",
    "GraphMetamersError",
    "LayerNotFoundError",
    "ModelError",
    "OutputError",
    "ParameterError",
    "RunFailedError",
    "UserError",
]


class GraphMetamersError(Exception):
    """Base class: catch this to catch everything that graph-metamers raises on purpose."""


class UserError(GraphMetamersError, ValueError):
    """Something the caller can mend before the run starts: a parameter, a file, a model."""


class ParameterError(UserError):
    """A parameter has a value outside its range.

    Parameters
    ----------
    name
        The parameter as the caller wrote it.
    must
        What it must be, completing "must be ...".
    got
        What it was; shown with `repr`.
    mend
        How to mend it, if `must` does not already say so.
    """

    def __init__(self, name: str, must: str, got: object, mend: str = "") -> None:
        ending = f". {mend}" if mend else ""
        super().__init__(f"the '{name}' parameter must be {must}, got {got!r}{ending}")


class DatasetError(UserError):
    """A data set is unknown, incomplete, or cannot be used for what was asked."""


class FileFormatError(UserError):
    """A file cannot be read: missing, corrupt, of another format, or not safe to open."""


class OutputError(UserError):
    """A place to write to cannot be written."""


class ModelError(UserError):
    """A model and a graph do not fit together."""


class BindingError(ModelError):
    """The parameters of a model's forward cannot be found on the graph."""


class LayerNotFoundError(ModelError):
    """No layer of the model has the name that was asked for."""


class CheckError(ModelError):
    """`check` found a defect that would make every number meaningless."""


class RunFailedError(GraphMetamersError):
    """A run started and could not be finished."""
