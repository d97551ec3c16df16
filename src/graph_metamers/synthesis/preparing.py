"""Everything about a search that does not depend on its seed: checked, compressed and recorded once."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graph_metamers.checks import check
from graph_metamers.errors import ModelError, ParameterError
from graph_metamers.inputs.both import BothVariables
from graph_metamers.inputs.compression import Refusal
from graph_metamers.inputs.edge_variables import EdgeVariables
from graph_metamers.inputs.edge_weights import EdgeWeightVariables
from graph_metamers.inputs.feature_values import BinaryFeatures, BoundedFeatures, RangedFeatures
from graph_metamers.inputs.slots import read_edge_weights, read_edges, read_features
from graph_metamers.inputs.structure import StructureVariables
from graph_metamers.randomness import generator_for
from graph_metamers.reading import ModelView
from graph_metamers.reading.items import items_of
from graph_metamers.reading.view import prediction_among
from graph_metamers.storage import environment, fingerprint
from graph_metamers.synthesis.both_problem import BothProblem, both_problem
from graph_metamers.synthesis.compressing import CompressedSearch, compressed_search
from graph_metamers.synthesis.edge_problem import EdgeProblem, edge_problem
from graph_metamers.synthesis.joining import JointRecord, JointSearch, joined, may_be_joined
from graph_metamers.synthesis.measuring import agreement, measure
from graph_metamers.synthesis.memory import require_memory
from graph_metamers.synthesis.objectives import solver_for
from graph_metamers.synthesis.problem import Problem
from graph_metamers.synthesis.solvers import (
    LBFGS,
    ExactSwaps,
    InTurn,
    NullSpace,
    Rewire,
    Search,
    WordSwaps,
    resolve_solver,
)
from graph_metamers.synthesis.varying import (
    features_of,
    first_variables,
    varies_features,
    weight_variables,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import nn

    from graph_metamers.inputs import Variables
    from graph_metamers.synthesis.metamer import Metamer
    from graph_metamers.synthesis.settings import SearchSettings
    from graph_metamers.synthesis.solvers import Solution, Solver
    from graph_metamers.types import Graph, Json

NO_FEATURES = Refusal("edge weights vary, and features do not")


@dataclass(eq=False)
class PreparedSearches:
    """Searches with one model, graph and settings; only their starts differ.

    Attributes
    ----------
    settings
        What was asked for.
    problem
        In the coordinates of the features.
    items
        What the items of the layers are, as `Layer.items` says.
    expected
        Name and value of the model's predictions for the reference, or `None`.
    provenance
        Of the results.
    """

    settings: SearchSettings
    problem: Problem
    items: str
    expected: tuple[str, Tensor] | None
    provenance: Mapping[str, Json]
    _started: float = field(default_factory=time.monotonic)
    _ready: tuple[CompressedSearch, Solver] | None = None

    def start(self, seed: int) -> Tensor:
        """Where a search starts, a point of the features, [p]."""
        return self.problem.variables.start(self.settings.init, generator_for("start", seed))

    def ready(self, start: Tensor) -> tuple[CompressedSearch, Solver]:
        """The problem as a solver gets it, and the solver.

        The first call compresses and records; what of it depends on the start is done anew by later ones.
        """
        if self._ready is None:
            self._ready = self._first(start)
        else:
            compressed, solver = self._ready
            self._ready = compressed.at(start), solver
        return self._ready

    def _first(self, start: Tensor) -> tuple[CompressedSearch, Solver]:
        objective = self.settings.objective
        if not varies_features(self.settings.vary):
            solver = resolve_solver(self.settings.solver, self.problem)
            require_memory(solver, start)
            if isinstance(self.problem, EdgeProblem):
                return CompressedSearch(self.problem, start, self.problem.outcome), solver
            if isinstance(self.problem, BothProblem):
                return CompressedSearch(self.problem, start, self.problem.parts[1].outcome), solver
            return CompressedSearch(self.problem, start, NO_FEATURES).replayed(), solver
        compressed = compressed_search(self.problem, start)
        found = resolve_solver(self.settings.solver, compressed.problem)
        solver = solver_for(objective, found, compressed.problem)
        require_memory(solver, compressed.start)
        if solver.name == LBFGS.name and objective == "match":
            compressed = compressed.separated()
        if solver.name != NullSpace.name:  # which evaluates once
            compressed = compressed.replayed()
        return compressed, solver

    def search(self, seed: int) -> Metamer:
        """Search from the start of a seed, and measure."""
        start, settings = self.start(seed), self.settings
        compressed, solver = self.ready(start)
        search = Search(settings.budget, settings.tolerance, settings.tell, seed=seed)
        solution = compressed.lifted(solver.solve(compressed.problem, compressed.start, search))
        return self.measured(solution, start, seed, compressed, solver)

    def together(self, seeds: Sequence[int]) -> JointSearch | None:
        """The searches from several seeds as one; `None` where that is not faster or not the same."""
        settings = self.settings
        # Starts that share a clock would each get less of it.
        if len(seeds) < 2 or settings.objective != "match" or settings.budget.seconds is not None:
            return None
        if not varies_features(settings.vary):
            return None
        first, solver = self.ready(self.start(seeds[0]))
        if not isinstance(solver, LBFGS) or not may_be_joined(first, len(seeds)):
            return None
        return joined([first, *(first.moved(self.start(seed)) for seed in seeds[1:])], solver)

    def search_together(self, joint: JointSearch, seeds: Sequence[int]) -> list[Metamer] | None:
        """Search from all starts at once, and measure every result; `None` if one has to begin anew."""
        settings, solver = self.settings, joint.solver
        require_memory(solver, joint.start)
        records = [Search(settings.budget, settings.tolerance, lambda _progress: None) for _ in seeds]
        solutions = joint.solve(JointRecord(records, settings.tell))
        if solutions is None:
            return None
        started = self._started
        found = [
            self.measured(solution, self.start(seed), seed, compressed, solver, starts_at_once=len(seeds))
            for solution, seed, compressed in zip(solutions, seeds, joint.searches, strict=True)
        ]
        each = (time.monotonic() - started) / len(found)
        return [replace(one, provenance={**one.provenance, "seconds": each}) for one in found]

    def measured(
        self,
        solution: Solution,
        start: Tensor,
        seed: int,
        compressed: CompressedSearch,
        solver: Solver,
        *,
        starts_at_once: int = 1,
    ) -> Metamer:
        """The metamer of a solution, both in the coordinates of the features."""
        config = {
            "layer": list(self.problem.targets),
            "vary": _describe(self.problem.variables, solver),
            "index": None if self.problem.index is None else self.problem.index.tolist(),
            "solver": solver.name,
            "solver_options": repr(solver),
            "compression": compressed.description(solver),
            "replay": compressed.replay,
            "blocks": compressed.problem.blocks.count,
            "starts_at_once": starts_at_once,
            "seed": seed,
            **self.settings.record(),
            **({"findings": dict(solution.findings)} if solution.findings else {}),
        }
        now = time.monotonic()
        with torch.no_grad():
            metamer = measure(
                self.problem,
                solution,
                start,
                items=self.items,
                config=config,
                provenance={**self.provenance, "seconds": now - self._started},
                agree=self.agree,
            )
        self._started = now
        return metamer

    def agree(self, outputs: Mapping[str, Tensor]) -> Any:
        """Agreement of outputs of the model with its predictions for the reference."""
        return agreement(outputs, self.expected, self.settings.task, self.settings.prediction_tolerance)


@contextmanager
def prepared(model: nn.Module, graph: Graph, settings: SearchSettings) -> Iterator[PreparedSearches]:
    """Check model and graph, and read what has to be matched; the model comes back as it was.

    Raises
    ------
    ParameterError, LayerNotFoundError, BindingError, CheckError, ModelError
        As `generate`.
    """
    started = time.monotonic()
    names, forward, transform = settings.layers, settings.forward, settings.transform
    view = ModelView(model, forward, transform)
    provenance = _provenance(model, graph)
    # The caller may be inside no_grad or inference_mode; a search needs gradients.
    with torch.inference_mode(False), torch.enable_grad(), view.borrow():
        variables: Any = first_variables(settings, graph)
        looked_at = settings.vary if isinstance(variables, EdgeVariables) else features_of(settings.vary)
        check(model, graph, names, forward=forward, transform=transform, vary=looked_at).raise_for_errors()
        with torch.no_grad():
            taps, outputs = view.read(graph, names)
        targets = {name: tap.value for name, tap in taps.items()}
        items, num_items = _items(targets, graph)
        problem = Problem(view, variables, targets, chosen_items(settings.index, num_items))
        _require_energy(problem)
        if variables is None:  # of weights: whether the layers react to them had to be read first
            variables = weight_variables(settings, view, graph, targets)
            problem = replace(problem, variables=variables)
        if isinstance(variables, EdgeVariables):
            problem = edge_problem(problem, settings.objective)
            solver = resolve_solver(settings.solver, problem)
            if solver.name == ExactSwaps.name and settings.init == "noise":
                settings = replace(settings, init="reference")  # where exact swaps begin in any case
        if isinstance(variables, BothVariables):
            problem = both_problem(problem, settings.objective)
            resolve_solver(settings.solver, problem)  # refused before edges are searched, and not after
        if problem.index is not None and not isinstance(problem, EdgeProblem):
            problem = problem.restricted(generator_for("probe", 0))
        expected = prediction_among(outputs, graph, items)
        searches = PreparedSearches(settings, problem, items, expected, provenance, started)
        # A task that does not fit the output is better refused before the search than after it.
        searches.agree(outputs)
        yield searches


def _items(targets: Mapping[str, Tensor], graph: Graph) -> tuple[str, int]:
    for name, target in targets.items():
        if target.ndim == 0:
            raise ParameterError("layer", "a layer with one row per item", f"{name}, a single number")
    kinds = {name: (items_of(name, len(target), graph), len(target)) for name, target in targets.items()}
    if len(set(kinds.values())) != 1:
        listed = ", ".join(f"{name}: {count} {items}" for name, (items, count) in kinds.items())
        raise ParameterError("layer", "layers of the same items, to be matched together", listed)
    return next(iter(kinds.values()))


def chosen_items(index: Tensor | Sequence[int] | None, num_items: int) -> Tensor | None:
    """The items that a user has named, int64 [chosen]; `None` for all.

    Raises
    ------
    ParameterError
        If they are no items, or named twice.
    """
    if index is None:
        return None
    try:
        chosen = torch.as_tensor(index)
    except (TypeError, ValueError, RuntimeError):
        raise ParameterError("index", f"integers, or a bool mask of shape [{num_items}]", index) from None
    if chosen.dtype == torch.bool and chosen.shape == (num_items,):
        chosen = chosen.nonzero().flatten()
    if chosen.is_floating_point() or chosen.dtype == torch.bool or chosen.ndim != 1 or not len(chosen):
        must = f"at least one item, as integers or as a bool mask of shape [{num_items}]"
        raise ParameterError("index", must, f"{chosen.dtype} of shape {list(chosen.shape)}")
    if int(chosen.min()) < 0 or int(chosen.max()) >= num_items:
        raise ParameterError("index", f"items from 0 to {num_items - 1}", chosen.tolist())
    if len(set(chosen.tolist())) != len(chosen):
        raise ParameterError("index", "items that are named once each", chosen.tolist())
    return chosen.long()


def _require_energy(problem: Problem) -> None:
    for name, target in problem.targets.items():
        if not bool(problem.choose(target).any()):
            raise ModelError(
                f"the activations to match must not all be zero, got only zeros at layer {name!r}: every "
                "unit is dead there, and any graph would match. Choose another layer or train the model again"
            )


def _describe(
    variables: Variables | EdgeVariables | EdgeWeightVariables | BothVariables, solver: Solver
) -> dict[str, Json]:
    if isinstance(variables, EdgeVariables | EdgeWeightVariables):
        edges = variables.describe()
        if isinstance(solver, Rewire) and isinstance(variables, StructureVariables):
            edges["proposals"] = solver.scheduled(variables.lists)
        return {"edges": edges}
    described: dict[str, Json] = {}
    if isinstance(variables, BothVariables):
        edges = variables.describe()
        if isinstance(solver, InTurn):
            edges["proposals"] = solver.rewire.scheduled(variables.edges.lists)
        described["edges"] = edges
    for slot, values in variables.values.items():
        entry: dict[str, Json] = {
            "kind": values.kind,
            "mutable": float(values.mutable.double().mean()),
        }
        if isinstance(values, BoundedFeatures):
            entry["low"], entry["high"] = values.low, values.high
        if isinstance(values, RangedFeatures):
            entry["range"] = "each feature's own"
        if isinstance(solver, WordSwaps) or (
            isinstance(solver, InTurn) and solver.swaps_words and isinstance(values, BinaryFeatures)
        ):
            entry["ones"] = "per_node"
        elif isinstance(values, BinaryFeatures):
            entry["ones"], entry["slope"] = values.ones, values.slope
        described[slot] = entry
    return described


def _provenance(model: nn.Module, graph: Graph) -> dict[str, Json]:
    weights = {n: w for n, w in model.state_dict().items() if isinstance(w, Tensor)}
    return {
        "model": type(model).__name__,
        "model_fingerprint": fingerprint(weights),
        "reference_fingerprint": fingerprint(
            {**read_features(graph), **read_edges(graph), **read_edge_weights(graph)}
        ),
        **environment(),
    }
