"""Make the controls of a layer: what stands beside the metamers that its searches found."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from graph_metamers.datasets.digits import edges_from_pixels, has_edges_from_pixels
from graph_metamers.errors import GraphMetamersError
from graph_metamers.evidence.baselines import propagated
from graph_metamers.evidence.control_cache import kept_control
from graph_metamers.evidence.controls import Baseline
from graph_metamers.evidence.equal_size import equal_size
from graph_metamers.evidence.flat_steps import FlatDirections, stepped
from graph_metamers.evidence.nearest import nearest_numbers
from graph_metamers.evidence.observing import observer
from graph_metamers.evidence.untrained import untrained_copy
from graph_metamers.inputs import StructureVariables, Variables
from graph_metamers.inputs.asking import varies_of
from graph_metamers.inputs.both import BothVariables
from graph_metamers.inputs.slots import HOMOGENEOUS
from graph_metamers.randomness import generator_for
from graph_metamers.synthesis import Budget, generate_many
from graph_metamers.synthesis.objectives import variables_for
from graph_metamers.theory.jacobians import layer_readers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from graph_metamers.datasets import Dataset
    from graph_metamers.evidence.controls import BaselineName
    from graph_metamers.evidence.observing import Observer
    from graph_metamers.inputs.asking import Varying
    from graph_metamers.reading import ModelView
    from graph_metamers.synthesis import Metamer
    from graph_metamers.synthesis.repeating import SearchOptions
    from graph_metamers.types import Graph

FLAT_STEPS = 3  # directions of a layer at the most

WORDS_HAVE_NO_NOISE = "features are 0 or 1: noise in what the layer does not read would be neither"
BOTH_AT_ONCE = "edges vary too, and have no directions; an audit of features alone has this control"
NO_UNTRAINED = "no untrained copies were asked for"


@dataclass(frozen=True, eq=False)
class ControlRuns:
    """Everything about the controls that is the same for every layer.

    Attributes
    ----------
    view
        The audited model.
    dataset
        With the reference, and the training labels.
    variables
        What may vary.
    predictions
        Class that the model predicts for every node of the reference, int64 [n].
    options
        Keyword parameters of `generate_many` with which metamers are searched; nobody is told of the
        progress of a control.
    seeds
        Of the starts; controls have one value for each.
    num_untrained
        Copies with random weights that are searched, from the first starts.
    cache
        Folder where what was found for these is kept, and looked for; `None` for nowhere.
    """

    view: ModelView
    dataset: Dataset
    variables: Varying
    predictions: Tensor
    options: SearchOptions
    seeds: Sequence[int]
    num_untrained: int
    cache: Path | None

    def of_layer(self, observing: Observer, metamers: Sequence[Metamer]) -> tuple[Baseline, ...]:
        """The controls of one layer.

        Parameters
        ----------
        observing
            The layer.
        metamers
            What was found from each start.

        Returns
        -------
        tuple of Baseline
            In the order in which they are shown; one that cannot be made says why. Steps along flat
            directions and the null space are about features, and not there where edges alone vary.
        """
        graphs = [metamer.graph for metamer in metamers]
        found = [
            self._perturbed(observing, graphs),
            self._nearest(observing),
            *self._of_features(observing, graphs),
            self._untrained(observing, metamers),
        ]
        if varies_of(self.variables) == "features" and has_edges_from_pixels(self.dataset):
            found.append(self._recomputed(observing, graphs))
        return (*found, self._propagated())

    def _made(self, name: BaselineName, numbers: Sequence[Mapping[str, float]]) -> Baseline:
        return Baseline.of(name, varies_of(self.variables), numbers)

    def _not_made(self, name: BaselineName, why: str) -> Baseline:
        return Baseline.left_out(name, varies_of(self.variables), why)

    def _observed(self, observing: Observer, graphs: Sequence[Graph]) -> list[Mapping[str, float]]:
        return [observing.observe(graph).numbers for graph in graphs]

    def _in_range(self) -> Varying:
        """What may vary, in the range that the searches kept."""
        variables = self.variables
        if isinstance(variables, Variables):
            return variables_for(self.options["objective"], variables)
        return variables

    def _perturbed(self, observing: Observer, graphs: Sequence[Graph]) -> Baseline:
        variables = self._in_range()
        changed = [
            equal_size(variables, graph, generator_for("perturbation", seed))
            for seed, graph in zip(self.seeds, graphs, strict=True)
        ]
        return self._made("random_perturbation", self._observed(observing, changed))

    def _nearest(self, observing: Observer) -> Baseline:
        numbers = nearest_numbers(observing, self.predictions)
        if numbers is None:
            return self._not_made("nearest_item", "no two real nodes have different activations here")
        return self._made("nearest_item", [numbers])

    def _of_features(self, observing: Observer, graphs: Sequence[Graph]) -> tuple[Baseline, ...]:
        """The controls that are about features."""
        variables = self._in_range()
        if isinstance(variables, StructureVariables):
            return ()
        if isinstance(variables, BothVariables):
            return self._not_made("flat_step", BOTH_AT_ONCE), self._not_made("null_space", BOTH_AT_ONCE)
        return self._flat(variables, observing, graphs), self._null_space(variables, observing)

    def _flat(self, variables: Variables, observing: Observer, graphs: Sequence[Graph]) -> Baseline:
        try:
            steps = self._steps(variables, observing, graphs)
        except GraphMetamersError as error:
            return self._not_made("flat_step", str(error))
        except RuntimeError as error:  # torch: an operation that can be differentiated once only
            why = (str(error).splitlines() or [type(error).__name__])[0]
            return self._not_made("flat_step", f"the layer cannot be differentiated twice: {why}")
        return self._made("flat_step", self._observed(observing, steps))

    def _steps(self, variables: Variables, observing: Observer, graphs: Sequence[Graph]) -> list[Graph]:
        """The reference after a step along a flat direction, as long as each of some changes."""
        layer, space = observing.layer, observing.space
        assert space is not None  # noqa: S101 (features vary)
        with self.view.borrow():
            reader = layer_readers(self.view, variables.reference, [layer])[layer]
        directions = FlatDirections(reader, space, self.options["tolerance"])
        with reader.view.borrow():
            return [
                stepped(variables, space, graph, directions.draw(generator_for("flat direction", seed)))
                for seed, graph in zip(self.seeds[:FLAT_STEPS], graphs, strict=False)
            ]

    def _null_space(self, variables: Variables, observing: Observer) -> Baseline:
        if variables.is_binary:
            return self._not_made("null_space", WORDS_HAVE_NO_NOISE)
        options: SearchOptions = {**self.options, "solver": "null_space", "objective": "match"}
        try:
            found = generate_many(
                self.view.model, variables.reference, observing.layer, seeds=self.seeds, **options
            )
        except GraphMetamersError as error:
            why, _, _ = str(error).partition(". Choose")  # advice to who asked for it by name
            return self._not_made("null_space", why)
        return self._made("null_space", self._observed(observing, [metamer.graph for metamer in found]))

    def _untrained(self, observing: Observer, metamers: Sequence[Metamer]) -> Baseline:
        if not self.num_untrained:
            return self._not_made("random_weights", NO_UNTRAINED)
        steps, seeds = max(metamer.steps for metamer in metamers), self.seeds[: self.num_untrained]
        kept = kept_control(
            self.cache, self.view, self.dataset, observing.layer, self.options, seeds=seeds, steps=steps
        )
        if kept is not None and (found := kept.read()) is not None:
            return self._made("random_weights", found)
        try:
            numbers = [self._searched(observing, seed, steps) for seed in seeds]
        except GraphMetamersError as error:
            return self._not_made("random_weights", str(error))
        if kept is not None:
            kept.write(numbers)
        return self._made("random_weights", numbers)

    def _searched(self, observing: Observer, seed: int, steps: int) -> Mapping[str, float]:
        """What the same search finds for one untrained copy in so many steps, measured against that copy."""
        budget = self.options["budget"]
        options: SearchOptions = {
            **self.options,
            "budget": Budget(steps=steps, seconds=None if budget is None else budget.seconds),
        }
        weights = int(torch.randint(2**62, (), generator=generator_for("untrained", seed)))
        fresh = untrained_copy(self.view.model, seed=weights)
        (metamer,) = generate_many(fresh, self.variables.reference, observing.layer, seeds=[seed], **options)
        own = observer(
            replace(self.view, model=fresh),
            self.variables,
            observing.layer,
            item_tolerance=observing.item_tolerance,
            min_distance=observing.min_distance,
            seed=seed,
        )
        return own.observe(metamer.graph).numbers

    def _recomputed(self, observing: Observer, graphs: Sequence[Graph]) -> Baseline:
        changed = []
        for graph in graphs:
            joined = copy.copy(graph)
            joined.edge_index = edges_from_pixels(graph[HOMOGENEOUS]).to(graph.edge_index.device)
            changed.append(joined)
        return self._made("recomputed_edges", self._observed(observing, changed))

    def _propagated(self) -> Baseline:
        graph, given = self.dataset.graph, self.dataset.split.train
        classes = propagated(graph.y, graph.edge_index, given)
        others = torch.ones(len(classes), dtype=torch.bool)
        others[given.cpu()] = False
        same = (classes.cpu() == self.predictions.cpu())[others].double().mean()
        return self._made("label_propagation", [{"prediction_agreement": float(same)}])
