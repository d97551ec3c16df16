"""Which kind of metamers an audit found at a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from graph_metamers.metrics.deciding import compare

if TYPE_CHECKING:
    from graph_metamers.auditing.layer_results import LayerAudit


def kind_of(layer: LayerAudit) -> Literal["visible", "null space"]:
    """What kind most metamers of a layer are.

    `"null space"` if more nodes pass the gates by differing where the layer does not read than by
    differing where it does (by their intervals; with one start by their values), else `"visible"`, which
    changed edges always are, alone or beside features.
    """
    if layer.varies != "features":
        return "visible"
    hidden, seen = layer.measures["null_space_share"], layer.measures["visible_share"]
    compared = compare(hidden.interval, seen.interval)
    by_value = compared == "no interval" and hidden.value > seen.value
    return "null space" if compared == "above" or by_value else "visible"
