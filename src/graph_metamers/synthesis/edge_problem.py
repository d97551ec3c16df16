"""Find edges whose graph has the target activations: what a solver that rewires sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch_geometric.nn import MessagePassing

from graph_metamers.errors import ModelError, ParameterError
from graph_metamers.inputs import resolve_variables
from graph_metamers.inputs.compression import Compression, Refusal, compress
from graph_metamers.inputs.hetero_structure import HeteroStructureVariables
from graph_metamers.inputs.pairs import PairVariables
from graph_metamers.inputs.structure import StructureVariables
from graph_metamers.randomness import generator_for
from graph_metamers.synthesis.neighbour_sums import neighbour_sums, reached_nodes
from graph_metamers.synthesis.places import Spaces, find_places, placed_masks, places_of
from graph_metamers.synthesis.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from graph_metamers.inputs.edge_variables import EdgeVariables
    from graph_metamers.reading import ModelView
    from graph_metamers.reading.recording import Tap
    from graph_metamers.synthesis.places import Places
    from graph_metamers.types import Graph


NOT_TRIED = Refusal("not tried")


@dataclass(frozen=True, eq=False)
class EdgeProblem(Problem):
    """A problem whose points are edges (see `StructureVariables` and `PairVariables`).

    Attributes
    ----------
    edges
        What may vary.
    outcome
        A model that computes the same from fewer features, or why there is none. Features do not change
        here, so it only makes a run cheaper.
    reach
        For each hop the nodes at which a change of what arrives can change the items that have to match, bool
        [n]; empty where all items have to.
    places
        Where each hop sends, in a graph with several types of nodes; `None` with one type.
    """

    edges: EdgeVariables | None = None
    outcome: Compression | Refusal = NOT_TRIED
    reach: Sequence[Tensor] = ()
    places: Places | None = None

    @property
    def placed_reach(self) -> list[Tensor]:
        """`reach` among the nodes of the lists, bool [n] for each group of hops; empty where it is."""
        if not self.reach:
            return []
        nodes = self.structure.lists.num_nodes
        return placed_masks(self.reach, self.places or places_of(len(self.reach), nodes), nodes)

    @property
    def structure(self) -> StructureVariables:
        """What may vary, where edges are rewired."""
        assert isinstance(self.edges, StructureVariables)  # noqa: S101 (told by the solver, see `varying`)
        return self.edges

    @property
    def pairs(self) -> PairVariables:
        """What may vary, where pairs of nodes are chosen."""
        assert isinstance(self.edges, PairVariables)  # noqa: S101 (told by the solver, see `varying`)
        return self.edges

    @property
    def compression(self) -> Compression | None:
        """The smaller model, if there is one."""
        return self.outcome if isinstance(self.outcome, Compression) else None

    @property
    def items_are_nodes(self) -> bool:
        """Whether a row of the layers stands for a node, in the order of nodes."""
        return all(len(target) == self.structure.lists.num_nodes for target in self.targets.values())

    @property
    def seen(self) -> Graph:
        """The reference as the (compressed) model sees it."""
        reference = self.variables.reference
        if self.compression is None:
            return reference
        return self.compression.graph(reference, self.compression.coordinates(reference.x))

    def shares_at(self, edge_index: Tensor) -> Tensor:
        """Each item's share of the activation loss of other edges, [items]; their sum is the loss."""
        with torch.no_grad():
            errors = self.errors_at(edge_index)
        return torch.stack([error.square().sum(dim=1) for error in errors]).sum(dim=0)

    @property
    def seen_view(self) -> ModelView:
        """The model that takes `seen`."""
        return self.view if self.compression is None else self.compression.view

    def errors_at(self, edge_index: Tensor) -> list[Tensor]:
        """What other edges change in each layer, [items, d_k] each; the loss is the sum of their squares."""
        graph = self._with(edge_index)
        taps = self.seen_view.taps(graph, list(self.targets))
        pairs = [(self.choose(taps[name].value), self.choose(self.targets[name])) for name in self.targets]
        return [
            ((ours - theirs) / (theirs.square().sum() * len(pairs)).sqrt()).reshape(len(theirs), -1)
            for ours, theirs in pairs
        ]

    def activations_at(self, edge_index: Tensor) -> dict[str, Tensor]:
        """The layers with other edges, without gradients."""
        graph = self._with(edge_index)
        with torch.no_grad():
            return {name: tap.value for name, tap in self.seen_view.taps(graph, list(self.targets)).items()}

    def _with(self, edge_index: Tensor) -> Graph:
        assert self.edges is not None  # noqa: S101 (see `edge_problem`)
        return self.edges.with_edges(self.seen, edge_index)

    def objective_of(self, taps: Mapping[str, Tap]) -> Tensor:
        """What a search lowers, as in `Problem`; scalar, differentiable in what the layers depend on."""
        parts = [self._mismatch(tap, self.choose(self.targets[name]))[0] for name, tap in taps.items()]
        return torch.stack(parts).mean()

    def sums(self, generator: torch.Generator, probes: int) -> Spaces:
        """What neighbours add up to, hop by hop; see `neighbour_sums`.

        Raises
        ------
        ModelError
            If no gradient of the layers reaches a hop's messages, so that nothing can be weighed; or as
            `neighbour_sums`.
        ParameterError
            If edges have a direction, and messages go against it.
        """
        _require_flow(self.view.model, self.structure)
        found = neighbour_sums(
            self.seen_view, self.seen, list(self.targets), generator,
            probes=probes, index=self.index, reach=self.reach, places=self.places,
        )  # fmt: skip
        if found and not any(bool(one.weights.any()) for one in found):
            raise ModelError(
                f"the activations at {', '.join(self.targets)} must change with what nodes send along edges, "
                "got gradients of zero: units are dead or saturated on the way. Choose another layer, or "
                "scale the features"
            )
        nodes = self.structure.lists.num_nodes
        return Spaces(found, (self.places or places_of(len(found), nodes)) if found else (), nodes)


def edge_problem(problem: Problem, objective: str) -> EdgeProblem:
    """The problem of finding edges; call inside `view.borrow()`.

    Parameters
    ----------
    problem
        Whose variables are `EdgeVariables`.
    objective
        Of the search.

    Raises
    ------
    ParameterError
        If the objective is that of a search for features, or no edge that may vary reaches the items.

    Notes
    -----
    Where only some items have to match, every swap changes the neighbours of a node that reaches them: a node
    at which a change of what arrives, at any hop, changes their activations, by gradients at the reference
    and at random features. Elsewhere edges would stay where the search started and say nothing. The other
    edge of a swap may be anywhere, so that the neighbours of a single node can change.
    """
    if objective != "match":
        raise ParameterError("objective", "'match' where edges vary", objective)
    variables: Any = problem.variables
    features = resolve_variables("features", variables.reference)
    start = features.start("noise", generator_for("start", 0))
    with torch.no_grad():
        noise = features.discrete(start)
        read = {name: tap.value for name, tap in problem.view.taps(noise, list(problem.targets)).items()}
        outcome = compress(problem.view, features, problem.targets, [(noise, read)])
    layers, places = list(problem.targets), None
    if isinstance(variables, HeteroStructureVariables):
        places = find_places(problem.view, variables.reference, layers, variables.relations)
    reach: list[Tensor] = []
    if problem.index is not None:
        if not isinstance(variables, StructureVariables):
            must = "left out with this solver: all items have to match"
            raise ParameterError("index", must, problem.index.tolist())
        _require_flow(problem.view.model, variables)
        graphs = [variables.reference, noise]
        reach = reached_nodes(problem.view, graphs, layers, problem.index, generator_for("reach", 0))
    if reach:  # else no messages are passed, and the solver will see
        nodes = variables.lists.num_nodes
        masks = placed_masks(reach, places or places_of(len(reach), nodes), nodes)
        variables = variables.restricted(torch.stack(masks).any(dim=0))
    return EdgeProblem(
        problem.view,
        variables,
        problem.targets,
        problem.index,
        edges=variables,
        outcome=outcome,
        reach=reach,
        places=places,
    )


def _require_flow(model: nn.Module, variables: StructureVariables) -> None:
    """Lists hold the sources of a node's edges: what it is sent, unless messages go the other way."""
    against = [m for m in model.modules() if isinstance(m, MessagePassing) and m.flow != "source_to_target"]
    if variables.lists.directed and against:
        raise ParameterError(
            "vary",
            "'features' for a model that sends messages against the direction of edges",
            f"'structure' for {type(against[0]).__name__}(flow={against[0].flow!r})",
        )
