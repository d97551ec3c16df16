"""What an audit of edges proves beside what its searches find."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graph_metamers.auditing.layer_results import StructureFloor
from graph_metamers.errors import ModelError
from graph_metamers.theory import structure_lower_bound

if TYPE_CHECKING:
    from torch import nn

    from graph_metamers.inputs import Structure
    from graph_metamers.types import Forward, Graph, Transform

MAX_DEGREE = 2  # of nodes whose choices are looked through: with three neighbours a third of a second each
SECONDS = 20.0  # for a layer


def structure_floor(
    model: nn.Module,
    graph: Graph,
    layer: str,
    structure: Structure,
    *,
    forward: Forward | None = None,
    transform: Transform | None = None,
) -> StructureFloor | None:
    """The loss below which no graph without edges of the reference can be; `None` where such edges may stay.

    Notes
    -----
    From nodes with up to `MAX_DEGREE` neighbours, within `SECONDS`: seconds for a graph of some thousand
    nodes.
    """
    if structure.reference_edges != "forbid":
        return None
    try:
        proved = structure_lower_bound(
            model,
            graph,
            layer,
            vary=structure,
            max_degree=MAX_DEGREE,
            seconds=SECONDS,
            forward=forward,
            transform=transform,
        )
    except ModelError as error:
        return StructureFloor(0.0, 1.0, str(error))
    why = proved.message if math.isinf(proved.bound) else ""
    return StructureFloor(proved.bound, proved.unproved_energy, why)


def rounded_down(bound: float) -> float:
    """A positive lower bound with two digits: never rounded up, since more is not proved.

    Examples
    --------
    >>> rounded_down(0.05598), rounded_down(0.0999), rounded_down(0.25)
    (0.055, 0.099, 0.25)
    """
    nearest = float(f"{bound:.2g}")
    size = 10.0 ** (math.floor(math.log10(bound)) - 1)
    return nearest if nearest <= bound else float(f"{nearest - size:.2g}")
