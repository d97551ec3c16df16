"""What observers saw, on disk: JSON for who they are, tensors for what they took every node for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from graph_metamers.evidence.panel_report import PanelReport, Sight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


def describe_panel(report: PanelReport | None) -> dict[str, Any] | None:
    """What of a report is not a tensor; `None` where nobody watched."""
    if report is None:
        return None
    observers = [
        {"name": sight.name, "kind": sight.kind, "facts": dict(sight.facts)} for sight in report.sights
    ]
    return {"layers": list(report.layers), "observers": observers}


def panel_tensors(report: PanelReport) -> dict[str, Tensor]:
    """The judged nodes, and the classes that each observer saw: `observer_0.reference`, `observer_0.layer_1`.

    Observers are numbered from 0, the audited model itself, and layers from 1, in their order.
    """
    tensors = {"judged": report.judged}
    for number, sight in enumerate(report.sights):
        prefix = f"observer_{number}."
        tensors |= {f"{prefix}reference": sight.reference, f"{prefix}chance": sight.chance}
        for depth, layer in enumerate(report.layers, start=1):
            tensors[f"{prefix}layer_{depth}"] = sight.found[layer]
    return tensors


def restored_panel(
    stored: Mapping[str, Any] | None, tensors: Mapping[str, Tensor], labels: Tensor
) -> PanelReport | None:
    """A report from what `describe_panel` and `panel_tensors` gave; older audits have none.

    Raises
    ------
    KeyError, ValueError
        If tensors are missing, or do not fit the graph.
    """
    if stored is None:
        return None
    layers = tuple(stored["layers"])
    sights = tuple(
        Sight(
            one["name"],
            one["kind"],
            one["facts"],
            tensors[f"observer_{number}.reference"],
            tensors[f"observer_{number}.chance"],
            {layer: tensors[f"observer_{number}.layer_{depth}"] for depth, layer in enumerate(layers, 1)},
        )
        for number, one in enumerate(stored["observers"])
    )
    for sight in sights:
        seen = (sight.reference, sight.chance, *sight.found.values())
        if any(classes.shape[-1] != len(labels) or classes.dtype != torch.int64 for classes in seen):
            raise ValueError(f"what {sight.name!r} saw must be a class for each of {len(labels)} nodes")
    return PanelReport(sights, labels, tensors["judged"], layers)
