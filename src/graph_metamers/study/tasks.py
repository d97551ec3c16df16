"""What an executor is given and gives back: plain values and bytes, never a live model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graph_metamers.study.runs import Run
    from graph_metamers.types import Json

WEIGHTS = "model.safetensors"
GRAPH = "graph.npz"


@dataclass(frozen=True, eq=False)
class Task:
    """A run to compute.

    Attributes
    ----------
    run
        What it is; a model is built and a data set loaded from it where it is computed.
    weights
        For a metamer: the file of its model, as `save_model` writes it; else `None`.
    threads
        Threads of torch.
    keep_graph
        Whether the graph that was found is wanted.
    """

    run: Run
    weights: bytes | None
    threads: int
    keep_graph: bool = False


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a task.

    Attributes
    ----------
    values
        As in `RunRecord`.
    error
        As in `RunRecord`.
    manifest
        As in `RunRecord`, from where it was computed.
    files
        Name -> content.
    """

    values: Mapping[str, Json]
    error: str | None
    manifest: Mapping[str, Json]
    files: Mapping[str, bytes]
