"""The numbers of an audited layer on disk: JSON for what is one number, tensors for what each node has."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from graph_metamers.auditing.layer_results import LayerAudit, Start, StructureFloor, what_varied
from graph_metamers.evidence.controls import BASELINE_MEASURES, Baseline
from graph_metamers.evidence.gating import GateReport
from graph_metamers.evidence.measures import Measure, described_measure
from graph_metamers.evidence.null import NullSummary
from graph_metamers.inputs.visible import SplitDistance
from graph_metamers.storage import to_number
from graph_metamers.synthesis import Status, StructureFront
from graph_metamers.synthesis.fronts import FrontPoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from graph_metamers.synthesis import Metamer
    from graph_metamers.types import Varies


def describe_layer(layer: LayerAudit) -> dict[str, Any]:
    """What of a layer is not a tensor."""
    return {
        "name": layer.name,
        "depth": layer.depth,
        "width": layer.width,
        "starts": [
            {
                "seed": start.seed,
                "status": start.status.value,
                "activation_loss": start.activation_loss,
                "steps": start.steps,
                "seconds": start.seconds,
                "min_distance": start.gates.min_distance,
                **_parts(start.gates.distance),
            }
            for start in layer.starts
        ],
        "measures": _describe(layer.measures),
        "elsewhere": {other: _describe(measures) for other, measures in layer.elsewhere.items()},
        "null": {"num_pairs": layer.null.num_pairs, "num_equal": layer.null.num_equal},
        "front": None if layer.front is None else asdict(layer.front),
        "floor": None if layer.floor is None else asdict(layer.floor),
        "baselines": [asdict(baseline) for baseline in layer.baselines],
    }


def _parts(distance: SplitDistance | None) -> dict[str, float]:
    """Visible and null-space distance; nothing where edges alone vary."""
    if distance is None:
        return {}
    return {"visible_distance": distance.visible, "null_space_distance": distance.null_space}


def layer_tensors(layer: LayerAudit) -> dict[str, Tensor]:
    """What of a layer is one number per node: `[starts, n]`, or `[n]` for what no start changes."""
    gates = [start.gates for start in layer.starts]
    prefix = f"layer_{layer.depth}."
    per_start = {
        "predictions": [start.predictions for start in layer.starts],
        "chance_snr": [start.chance_snr for start in layer.starts],
        "item_loss": [report.item_loss for report in gates],
        "same_prediction": [report.same_prediction for report in gates],
        "closer": [report.closer for report in gates],
        "different": [report.different for report in gates],
        "visible": [report.visible for report in gates],
        "item_distance": [report.item_distance for report in gates],
    }
    visible = [report.distance.visible_items for report in gates if report.distance is not None]
    if visible:
        per_start["visible_distance"] = visible
    null = {
        "null_snr": layer.null.snr,
        "nearest_item": layer.null.nearest_item,
        "nearest_snr": layer.null.nearest_snr,
    }
    stacked = {name: torch.stack(tensors) for name, tensors in per_start.items()}
    return {f"{prefix}{name}": tensor for name, tensor in {**stacked, **null}.items()}


def restore_layer(stored: Mapping[str, Any], tensors: Mapping[str, Tensor], metamer: Metamer) -> LayerAudit:
    """A layer from what `describe_layer` and `layer_tensors` gave, and from the metamer that is shown."""
    prefix = f"layer_{stored['depth']}."
    own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    return LayerAudit(
        name=stored["name"],
        depth=stored["depth"],
        width=stored["width"],
        metamer=metamer,
        starts=tuple(_start(start, own, place) for place, start in enumerate(stored["starts"])),
        measures=_measures(stored["measures"], varies=what_varied(metamer)),
        elsewhere={other: _measures(measures) for other, measures in stored["elsewhere"].items()},
        null=NullSummary(
            own["null_snr"],
            stored["null"]["num_pairs"],
            stored["null"]["num_equal"],
            own["nearest_item"],
            own["nearest_snr"],
        ),
        front=_front(stored.get("front")),
        floor=_floor(stored.get("floor")),
        baselines=tuple(map(_baseline, stored.get("baselines", ()))),
    )


def _describe(measures: Mapping[str, Measure]) -> dict[str, Any]:
    return {
        name: {"values": measure.values, "chances": measure.chances} for name, measure in measures.items()
    }


def _front(stored: Mapping[str, Any] | None) -> StructureFront | None:
    """A front; audits of features, and older ones, have none."""
    if stored is None:
        return None
    points, random = (
        tuple(FrontPoint(*map(to_number, point)) for point in stored[name]) for name in ("points", "random")
    )
    numbers = {name: to_number(stored[name]) for name in stored if name.startswith("random_")}
    return StructureFront(tuple(stored["layer"]), points, random, **numbers)


def _floor(stored: Mapping[str, Any] | None) -> StructureFloor | None:
    if stored is None:
        return None
    bound, unproved = (to_number(stored[name]) for name in ("bound", "unproved_energy"))
    return StructureFloor(bound, unproved, stored["why"])


def _baseline(stored: Mapping[str, Any]) -> Baseline:
    """A control; older audits have none."""
    numbers = {name: tuple(map(to_number, stored[name])) for name in BASELINE_MEASURES}
    return Baseline(**{**stored, **numbers})


def _measures(stored: Mapping[str, Any], *, varies: Varies = "features") -> dict[str, Measure]:
    return {
        name: described_measure(
            name,
            [to_number(value) for value in numbers["values"]],
            [to_number(value) for value in numbers["chances"]],
            varies=varies,
        )
        for name, numbers in stored.items()
    }


def _start(stored: Mapping[str, Any], tensors: Mapping[str, Tensor], place: int) -> Start:
    own = {name: tensor[place] for name, tensor in tensors.items()}
    return Start(
        seed=stored["seed"],
        status=Status(stored["status"]),
        activation_loss=to_number(stored["activation_loss"]),
        steps=stored["steps"],
        seconds=stored["seconds"],
        predictions=own["predictions"],
        gates=GateReport(
            same_prediction=own["same_prediction"],
            closer=own["closer"],
            different=own["different"],
            visible=own["visible"],
            item_loss=own["item_loss"],
            min_distance=stored["min_distance"],
            item_distance=own["item_distance"],
            distance=_split(stored, own),
        ),
        chance_snr=own["chance_snr"],
    )


def _split(stored: Mapping[str, Any], own: Mapping[str, Tensor]) -> SplitDistance | None:
    if "visible_distance" not in own:
        return None
    return SplitDistance(
        to_number(stored["visible_distance"]),
        to_number(stored["null_space_distance"]),
        own["visible_distance"],
    )
