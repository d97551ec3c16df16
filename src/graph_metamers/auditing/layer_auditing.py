"""From what the searches of a layer found to everything that an audit says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch

from graph_metamers.auditing.layer_results import LayerAudit, Start
from graph_metamers.evidence.measures import Measure, measure
from graph_metamers.evidence.observing import Observation, Observer, observer
from graph_metamers.inputs.asking import varies_of
from graph_metamers.randomness import generator_for
from graph_metamers.synthesis.metamer import ITEM_TOLERANCE_FACTOR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graph_metamers.auditing.layer_results import StructureFloor
    from graph_metamers.evidence.control_runs import ControlRuns
    from graph_metamers.inputs.asking import Varying
    from graph_metamers.reading import ModelView
    from graph_metamers.synthesis import Metamer, StructureFront
    from graph_metamers.types import Graph, Varies


@dataclass(frozen=True, eq=False)
class LayerAuditor:
    """All audited layers of a model, ready to look at what the searches find.

    Attributes
    ----------
    view
        The model.
    seeds
        Of the starts.
    observers
        Layer -> its observer.
    chance
        Layer -> what shuffled features (or random edges, or both) look like there, one for each start.
    varies
        What may vary.
    """

    view: ModelView
    seeds: Sequence[int]
    observers: Mapping[str, Observer]
    chance: Mapping[str, tuple[Observation, ...]]
    varies: Varies

    @classmethod
    def of(
        cls,
        view: ModelView,
        variables: Varying,
        layers: Sequence[str],
        *,
        seeds: Sequence[int],
        tolerance: float,
        min_distance: float,
    ) -> LayerAuditor:
        """Measure how alike real nodes are at every layer, and the chance level of every measure there."""
        observers = {
            layer: observer(
                view,
                variables,
                layer,
                item_tolerance=ITEM_TOLERANCE_FACTOR * tolerance,
                min_distance=min_distance,
                seed=seeds[0],
            )
            for layer in layers
        }
        shuffled = [variables.shuffled(generator_for("shuffle", seed)) for seed in seeds]
        chance = {
            layer: tuple(observing.observe(graph) for graph in shuffled)
            for layer, observing in observers.items()
        }
        return cls(view, seeds, observers, chance, varies_of(variables))

    def audit(
        self,
        layer: str,
        depth: int,
        metamers: Sequence[Metamer],
        front: StructureFront | None = None,
        floor: StructureFloor | None = None,
        controls: ControlRuns | None = None,
    ) -> LayerAudit:
        """Measure what the searches of a layer found, one metamer for each seed, and its controls."""
        observing = self.observers[layer]
        found = [observing.observe(metamer.graph) for metamer in metamers]
        parts = zip(self.seeds, metamers, found, self.chance[layer], strict=True)
        return LayerAudit(
            name=layer,
            depth=depth,
            width=observing.null.activations.shape[1],
            metamer=metamers[0],
            starts=tuple(_start(*part) for part in parts),
            measures=measure(
                [each.numbers for each in found], self._chance_numbers(layer), varies=self.varies
            ),
            elsewhere=self._elsewhere([metamer.graph for metamer in metamers]),
            null=observing.null.summary(),
            front=front,
            floor=floor,
            baselines=() if controls is None else controls.of_layer(observing, metamers),
        )

    def _elsewhere(self, graphs: Sequence[Graph]) -> dict[str, dict[str, Measure]]:
        """Some graphs at every audited layer: one row of the cross-layer matrix."""
        seen: dict[str, list[dict[str, float]]] = {layer: [] for layer in self.observers}
        for graph in graphs:
            with self.view.borrow(), torch.no_grad():
                taps = self.view.taps(graph, list(self.observers))
            for layer, observing in self.observers.items():
                seen[layer].append(observing.glance(taps[layer].value))
        return {layer: measure(numbers, self._chance_numbers(layer)) for layer, numbers in seen.items()}

    def _chance_numbers(self, layer: str) -> list[Mapping[str, float]]:
        return [observation.numbers for observation in self.chance[layer]]


def _start(seed: int, metamer: Metamer, found: Observation, chance: Observation) -> Start:
    return Start(
        seed=seed,
        status=metamer.status,
        activation_loss=metamer.activation_loss,
        steps=metamer.steps,
        seconds=cast("float", metamer.provenance["seconds"]),
        predictions=found.predictions,
        gates=found.gates,
        chance_snr=chance.gates.snr,
    )
