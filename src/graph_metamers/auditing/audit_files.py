"""Audits on disk: one folder that plain safetensors, JSON and PyTorch Geometric can read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from graph_metamers.auditing.excess_files import describe_excess, restored_excess
from graph_metamers.auditing.layer_files import describe_layer, layer_tensors, restore_layer
from graph_metamers.auditing.panel_files import describe_panel, panel_tensors, restored_panel
from graph_metamers.auditing.results import Audit, DatasetCard
from graph_metamers.auditing.theory import describe_theory, restored_theory
from graph_metamers.checks import CheckReport, Finding
from graph_metamers.errors import FileFormatError
from graph_metamers.metrics.classification import Accuracy
from graph_metamers.models import GNN, load_model, save_model
from graph_metamers.storage import (
    atomic_directory,
    load_graph,
    read_json,
    save_graph,
    to_jsonable,
    to_number,
    write_json,
)
from graph_metamers.synthesis.metamer_files import read_metamer, write_metamer
from graph_metamers.training import Scores

if TYPE_CHECKING:
    import os

MARKER = "audit.json"
OBSERVERS = "observers.safetensors"
SCHEMA_VERSION = 2


def save_audit(audit: Audit, path: str | os.PathLike[str]) -> None:
    """Save an audit to a folder; `load_audit` gives an equal one.

    The folder holds `audit.json`, `reference.safetensors`, `model.safetensors` (weights under their PyTorch
    names), `nodes.safetensors` (labels, predictions, and what each search found for every node), a folder
    `layer_1`, `layer_2`, ... for each metamer that is shown, and where observers were asked,
    `observers.safetensors` (the class that each of them took every node for). It appears whole or not at
    all; an older audit of ours in its place is replaced.

    Raises
    ------
    OutputError
        If the folder cannot be written, or holds something else.
    """
    with atomic_directory(path, marker=MARKER) as folder:
        save_graph(audit.graph, folder / "reference.safetensors")
        _save_weights(audit, folder / "model.safetensors")
        nodes: dict[str, Tensor] = {"labels": audit.labels, "predictions": audit.predictions}
        for layer in audit.layers:
            place = folder / f"layer_{layer.depth}"
            place.mkdir()
            write_metamer(layer.metamer, place)
            nodes |= layer_tensors(layer)
        stored = save({name: tensor.contiguous() for name, tensor in nodes.items()})
        (folder / "nodes.safetensors").write_bytes(stored)
        if audit.observers is not None:
            (folder / OBSERVERS).write_bytes(save(panel_tensors(audit.observers)))
        write_json(to_jsonable(_described(audit)), folder / MARKER)


def load_audit(path: str | os.PathLike[str]) -> Audit:
    """Load an audit that `save_audit` wrote.

    Raises
    ------
    FileFormatError
        If the folder does not hold an audit of this version.
    """
    folder = Path(path)
    stored: Any = read_json(folder / MARKER)
    try:
        if stored["schema_version"] != SCHEMA_VERSION:
            raise FileFormatError(
                f"{folder} must hold an audit of schema version {SCHEMA_VERSION}, got "
                f"{stored['schema_version']}. Load it with the version of graph-metamers that wrote it"
            )
        return _restored(stored, folder)
    except (KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(
            f"{folder} must hold a whole audit, got {error!r}. Run the audit again"
        ) from error


def _save_weights(audit: Audit, path: Path) -> None:
    if isinstance(audit.model, GNN):
        save_model(audit.model, path)
    elif audit.model is not None:
        weights = audit.model.state_dict().items()
        # A contiguous copy each: safetensors takes neither views nor tensors that share memory.
        path.write_bytes(
            save({n: w.detach().cpu().contiguous().clone() for n, w in weights if isinstance(w, Tensor)})
        )


def _described(audit: Audit) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "model_name": audit.model_name,
        "is_zoo_model": isinstance(audit.model, GNN),
        "at_chance": audit.at_chance,
        "dataset": asdict(audit.dataset),
        "scores": asdict(audit.scores),
        "controls": {name: asdict(accuracy) for name, accuracy in audit.controls.items()},
        "findings": [asdict(finding) for finding in audit.checks.findings],
        "layers": [describe_layer(layer) for layer in audit.layers],
        "theory": describe_theory(audit.theory),
        "observers": describe_panel(audit.observers),
        "oracle": {layer: describe_excess(found) for layer, found in audit.oracle.items()},
        "config": audit.config,
        "provenance": audit.provenance,
    }


def _restored(stored: dict[str, Any], folder: Path) -> Audit:
    graph = load_graph(folder / "reference.safetensors")
    nodes = load_file(folder / "nodes.safetensors")
    card = dict(stored["dataset"])
    for name in ("notes", "feature_names", "image_shape", "class_names"):
        card[name] = None if card[name] is None else tuple(card[name])
    card["homophily"] = to_number(card["homophily"])
    watched = stored.get("observers")
    return Audit(
        model_name=stored["model_name"],
        dataset=DatasetCard(**card),
        graph=graph,
        labels=nodes["labels"],
        predictions=nodes["predictions"],
        scores=Scores(**{name: Accuracy(**accuracy) for name, accuracy in stored["scores"].items()}),
        controls={name: Accuracy(**accuracy) for name, accuracy in stored["controls"].items()},
        checks=CheckReport(tuple(Finding(**finding) for finding in stored["findings"])),
        layers=tuple(
            restore_layer(layer, nodes, read_metamer(folder / f"layer_{layer['depth']}", graph))
            for layer in stored["layers"]
        ),
        theory=restored_theory(stored.get("theory")),
        model=load_model(folder / "model.safetensors") if stored["is_zoo_model"] else None,
        config=stored["config"],
        provenance=stored["provenance"],
        observers=restored_panel(
            watched, load_file(folder / OBSERVERS) if watched is not None else {}, nodes["labels"]
        ),
        oracle={layer: restored_excess(found) for layer, found in stored.get("oracle", {}).items()},
    )
