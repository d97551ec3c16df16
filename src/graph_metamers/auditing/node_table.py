"""Every node of an audit as a row of numbers, for whoever wants to look at nodes on their own."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import torch

from graph_metamers.metrics.fidelity import snr_db
from graph_metamers.storage import atomic_file

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from graph_metamers.auditing.layer_results import LayerAudit, Start
    from graph_metamers.auditing.results import Audit
    from graph_metamers.types import Varies

NODE_COLUMNS = {
    "layer": "Name of the layer.",
    "seed": "Seed of the start.",
    "node": "The node, from 0.",
    "class": "Its true class.",
    "predicted_before": "Class that the model predicts on the reference.",
    "predicted_after": "Class that it predicts on what was found.",
    "item_loss": "Squared error of its activation over its squared size; inf where that is 0.",
    "snr_db": "-10 log10 of the item loss, dB.",
    "snr_db_chance": "The same with shuffled features, or (and) with random edges where edges vary.",
    "nearest_real_node": "The real node with another activation that is nearest to it; -1 if there is none.",
    "nearest_real_snr_db": "Signal-to-noise ratio of that node as a stand-in, dB: what gate 2 has to beat.",
    "same_prediction": "Gate 1, 0 or 1.",
    "closer_than_any_real_node": "Gate 2, 0 or 1.",
    "not_the_reference": "Gate 3, 0 or 1.",
    "passes": "All three gates, 0 or 1.",
    "kind": "`visible` or `null space` where it passes, else empty. Not there where edges vary.",
    "input_distance": "Distance of its own features (or edges), 0 = the reference, 1 = unrelated; where both "
    "vary, the smaller of the two.",
    "visible_distance": "That of the features inside the directions that the layer reads. Not there where "
    "edges alone vary.",
    "passes_share": "Share of the starts from which it passes, 0 to 1.",
}
"""Column -> what it holds."""


def columns_of(audit: Audit) -> tuple[str, ...]:
    """The columns of an audit's table: those of `NODE_COLUMNS` that are about what varies."""
    return tuple(name for name in NODE_COLUMNS if name not in _LEFT_OUT[audit.varies])


_LEFT_OUT: Mapping[Varies, tuple[str, ...]] = {
    "features": (),
    "structure": ("kind", "visible_distance"),
    "both": ("kind",),
}


def node_rows(audit: Audit) -> Iterator[dict[str, Any]]:
    """One row per layer, start and node, with the columns `columns_of(audit)`."""
    for layer in audit.layers:
        passing = torch.stack([start.gates.passes.double() for start in layer.starts]).mean(dim=0)
        for start in layer.starts:
            columns = _columns(audit, layer, start, passing)
            for node, values in enumerate(zip(*columns.values(), strict=True)):
                yield {"layer": layer.name, "seed": start.seed, "node": node} | dict(
                    zip(columns, values, strict=True)
                )


def save_node_table(audit: Audit, path: str | os.PathLike[str]) -> None:
    """Write every node of an audit to a CSV file (UTF-8, comma, one header line); see `NODE_COLUMNS`.

    Raises
    ------
    OutputError
        If the file cannot be written. An existing file is replaced, whole or not at all.
    """
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns_of(audit), lineterminator="\n")
        writer.writeheader()
        writer.writerows(node_rows(audit))


def _columns(audit: Audit, layer: LayerAudit, start: Start, passing: Tensor) -> dict[str, list[Any]]:
    names, gates = audit.dataset.class_names, start.gates
    kinds = {True: "visible", False: "null space"}
    columns: dict[str, list[Any]] = {
        "class": [names[label] for label in audit.labels.tolist()],
        "predicted_before": [names[label] for label in audit.predictions.tolist()],
        "predicted_after": [names[label] for label in start.predictions.tolist()],
        "item_loss": gates.item_loss.tolist(),
        "snr_db": snr_db(gates.item_loss).tolist(),
        "snr_db_chance": start.chance_snr.tolist(),
        "nearest_real_node": layer.null.nearest_item.tolist(),
        "nearest_real_snr_db": layer.null.nearest_snr.tolist(),
        "same_prediction": gates.same_prediction.int().tolist(),
        "closer_than_any_real_node": gates.closer.int().tolist(),
        "not_the_reference": gates.different.int().tolist(),
        "passes": gates.passes.int().tolist(),
        "kind": [
            kinds[visible] if passes else ""
            for passes, visible in zip(gates.passes.tolist(), gates.visible.tolist(), strict=True)
        ],
        "input_distance": gates.item_distance.tolist(),
        "visible_distance": [] if gates.distance is None else gates.distance.visible_items.tolist(),
        "passes_share": passing.tolist(),
    }
    wanted = columns_of(audit)
    return {name: values for name, values in columns.items() if name in wanted}
