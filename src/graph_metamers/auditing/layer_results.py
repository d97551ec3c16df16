"""What an audit found at one layer: a search from each start, its measures, and every node on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graph_metamers.synthesis import Status

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.evidence.controls import Baseline
    from graph_metamers.evidence.gating import GateReport
    from graph_metamers.evidence.measures import Measure
    from graph_metamers.evidence.null import NullSummary
    from graph_metamers.synthesis import Metamer, StructureFront
    from graph_metamers.types import Varies


@dataclass(frozen=True, eq=False)
class Start:
    """The search from one start, node by node.

    Attributes
    ----------
    seed
        Of the start, and of the shuffled features (or random edges) that it stands beside.
    status, activation_loss, steps, seconds
        As in `Metamer`.
    predictions
        Class that the model predicts for every node of what was found, int64 [n].
    gates
        Which nodes are metamers.
    chance_snr
        Signal-to-noise ratio of every node with shuffled features (or random edges), dB, float64 [n].
    """

    seed: int
    status: Status
    activation_loss: float
    steps: int
    seconds: float
    predictions: Tensor
    gates: GateReport
    chance_snr: Tensor

    @property
    def is_metamer(self) -> bool:
        """Whether a metamer was found from this start."""
        return self.status is Status.CONVERGED


def what_varied(metamer: Metamer) -> Varies:
    """What a search was allowed to change, by its record."""
    varied = metamer.config.get("vary")
    edges = varied.get("edges") if isinstance(varied, Mapping) else None
    if not isinstance(varied, Mapping) or not isinstance(edges, Mapping) or edges.get("kind") != "structure":
        return "features"
    return "both" if len(varied) > 1 else "structure"


@dataclass(frozen=True)
class StructureFloor:
    """What is proved of all graphs with the same degrees and no edge of the reference.

    Attributes
    ----------
    bound
        No such graph has a lower activation loss at the layer; 0 where nothing is proved, infinite where
        there is no such graph.
    unproved_energy
        Share of the layer's energy at nodes of which nothing is proved, [0, 1].
    why
        Why nothing could be computed for this layer, or why there is no such graph; else empty.
    """

    bound: float
    unproved_energy: float
    why: str = ""


@dataclass(frozen=True, eq=False)
class LayerAudit:
    """What was found at one layer.

    Attributes
    ----------
    name
        The layer.
    depth
        Its place among the audited layers, from 1.
    width
        Numbers per item at this layer.
    metamer
        What the search found from the first start, metamer or not: what pictures show.
    starts
        Every start, the first one included.
    measures
        Name -> measure over the starts, each beside its chance level.
    elsewhere
        Audited layer -> name -> measure: what this layer's metamers are there (`activation_loss`,
        `closer_share`). This layer itself is among them.
    null
        How alike real nodes are at this layer.
    front
        Where edges alone vary, activation loss against the share of edges that stay; else `None`.
    floor
        Where edges alone vary and none may stay, the loss below which no graph can be; else `None`.
    baselines
        The controls beside it, in the order in which they are shown.
    """

    name: str
    depth: int
    width: int
    metamer: Metamer
    starts: tuple[Start, ...]
    measures: Mapping[str, Measure]
    elsewhere: Mapping[str, Mapping[str, Measure]]
    null: NullSummary
    front: StructureFront | None = None
    floor: StructureFloor | None = None
    baselines: tuple[Baseline, ...] = ()

    @property
    def varies(self) -> Varies:
        """What the searches were allowed to change."""
        return what_varied(self.metamer)

    @property
    def front_holds_metamers(self) -> bool:
        """Whether the front meets the tolerance and the minimal distance at once."""
        metamer, front = self.metamer, self.front
        if front is None:
            return False
        changed = 1 - front.least_overlap(metamer.tolerance)
        return changed > 0 and changed >= metamer.min_distance * metamer.input_distance.chance

    @property
    def predictions(self) -> Tensor:
        """Class that the model predicts for every node of `metamer.graph`, int64 [n]."""
        return self.starts[0].predictions

    @property
    def num_metamers(self) -> int:
        """From how many starts a metamer was found."""
        return sum(start.is_metamer for start in self.starts)

    @property
    def is_matched(self) -> bool:
        """Whether a metamer was found from every start."""
        return self.num_metamers == len(self.starts)

    @property
    def found(self) -> str:
        """From how many starts a metamer was found, as in `5 of 5`."""
        return f"{self.num_metamers} of {len(self.starts)}"
