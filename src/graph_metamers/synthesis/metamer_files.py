"""Metamers on disk: graphs and numbers as safetensors, the rest as JSON; no pickle."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from graph_metamers.errors import FileFormatError
from graph_metamers.inputs import InputDistance
from graph_metamers.metrics.classification import Agreement
from graph_metamers.storage import (
    atomic_directory,
    load_graph,
    read_json,
    save_graph,
    to_jsonable,
    to_number,
    write_json,
)
from graph_metamers.synthesis.metamer import Metamer
from graph_metamers.synthesis.status import Status

if TYPE_CHECKING:
    import os

    from torch import Tensor

    from graph_metamers.types import Graph

MARKER = "metamer.json"
SCHEMA_VERSION = 1


def save_metamer(metamer: Metamer, path: str | os.PathLike[str]) -> None:
    """Save a metamer to a folder; `load_metamer` gives an equal one.

    The folder holds `graph.safetensors` and `reference.safetensors` (tensors by their attribute names: any
    safetensors reader opens them), `items.safetensors` (`item_loss`, `item_distance`, `index`) and
    `metamer.json`. It appears whole or not at all; an older metamer of ours in its place is replaced.

    Raises
    ------
    OutputError
        If the folder cannot be written, or holds something else.
    """
    with atomic_directory(path, marker=MARKER) as folder:
        save_graph(metamer.reference, folder / "reference.safetensors")
        write_metamer(metamer, folder)


def load_metamer(path: str | os.PathLike[str]) -> Metamer:
    """Load a metamer that `save_metamer` wrote.

    Raises
    ------
    FileFormatError
        If the folder does not hold a metamer of this version.
    """
    return read_metamer(Path(path), load_graph(Path(path) / "reference.safetensors"))


def write_metamer(metamer: Metamer, folder: Path) -> None:
    """Write everything but the reference into an existing folder."""
    save_graph(metamer.graph, folder / "graph.safetensors")
    items: dict[str, Tensor] = {
        "item_loss": metamer.item_loss.contiguous(),
        "item_distance": metamer.input_distance.items.contiguous(),
    }
    if metamer.index is not None:
        items["index"] = metamer.index.contiguous()
    (folder / "items.safetensors").write_bytes(save(items))
    distance, agreement = metamer.input_distance, metamer.prediction_agreement
    written: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "layer": metamer.layer,
        "status": metamer.status.value,
        "is_metamer": metamer.is_metamer,
        "activation_loss": metamer.activation_loss,
        "relaxed_loss": metamer.relaxed_loss,
        "start_loss": metamer.start_loss,
        "tolerance": metamer.tolerance,
        "min_distance": metamer.min_distance,
        "items": metamer.items,
        "input_distance": {"scaled": distance.scaled, "raw": distance.raw, "chance": distance.chance},
        "prediction_agreement": None if agreement is None else asdict(agreement),
        "steps": metamer.steps,
        "trace": metamer.trace,
        "distance_trace": metamer.distance_trace,
        "config": metamer.config,
        "provenance": metamer.provenance,
    }
    write_json(to_jsonable(written), folder / MARKER)


def read_metamer(folder: Path, reference: Graph) -> Metamer:
    """Read what `write_metamer` wrote."""
    stored: Any = read_json(folder / MARKER)
    try:
        if stored["schema_version"] != SCHEMA_VERSION:
            raise FileFormatError(
                f"{folder} must hold a metamer of schema version {SCHEMA_VERSION}, got "
                f"{stored['schema_version']}. Load it with the version of graph-metamers that wrote it"
            )
        items = load_file(folder / "items.safetensors")
        agreement = stored["prediction_agreement"]
        return Metamer(
            graph=load_graph(folder / "graph.safetensors"),
            reference=reference,
            layer=tuple(stored["layer"]),
            status=Status(stored["status"]),
            activation_loss=to_number(stored["activation_loss"]),
            relaxed_loss=to_number(stored["relaxed_loss"]),
            start_loss=to_number(stored["start_loss"]),
            tolerance=to_number(stored["tolerance"]),
            min_distance=to_number(stored["min_distance"]),
            item_loss=items["item_loss"],
            items=stored["items"],
            index=items.get("index"),
            input_distance=InputDistance(
                **{name: to_number(value) for name, value in stored["input_distance"].items()},
                items=items["item_distance"],
            ),
            prediction_agreement=None if agreement is None else Agreement(**agreement),
            trace=tuple((int(step), to_number(loss)) for step, loss in stored["trace"]),
            steps=stored["steps"],
            config=stored["config"],
            provenance=stored["provenance"],
            distance_trace=tuple(
                (int(step), to_number(distance)) for step, distance in stored.get("distance_trace", ())
            ),
        )
    except (KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(
            f"{folder} must hold a whole metamer, got {error!r}. Generate it again"
        ) from error
