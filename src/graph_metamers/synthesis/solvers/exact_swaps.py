"""Exact swaps: edges change ends between nodes that the model cannot tell apart, and nothing changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, get_args

import torch

from graph_metamers.errors import ParameterError
from graph_metamers.graphs.admissible_swaps import Swapper, count_swaps
from graph_metamers.graphs.colours import rounds_to_tell_apart
from graph_metamers.parameters import check_choice, check_integer
from graph_metamers.synthesis.alike_nodes import Alike, AlikeNodes, alike_nodes
from graph_metamers.synthesis.edge_problem import EdgeProblem
from graph_metamers.synthesis.precise_model import SAME
from graph_metamers.synthesis.status import Status

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.graphs.admissible_swaps import SwapGroups
    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers.search import Search, Solution
    from graph_metamers.types import Json

RUNS = 8  # of the model at the most, and counted as so many: to compare nodes, to verify, and for the loss
MOST_PAIRS = 30_000_000  # of edges that are looked at to count swaps: seconds
BYTES_OF_A_SLOT = 200


@dataclass(frozen=True)
class ExactSwaps:
    """Swaps that leave every activation as it is: a metamer without a search, where there is one.

    Edges a - u and b - v become a - v and b - u, where a and b look alike to the model, and u and v do. The
    reference is where it begins, whatever `init` says; edges of the reference are taken away first, and what
    `Structure(reference_edges=...)` says holds for every swap. Swaps that only let two nodes of the same
    features change names are not made.

    Parameters
    ----------
    swaps
        How many are made one after another, at least 1; fewer if no more are possible, which the record
        says. Default: as long as one takes an edge of the reference away.
    alike
        When two nodes look alike. `"messages"`: at every hop they hand the same numbers to the step of
        message passing, up to rounding in float64; for this model. `"inputs"`: what the model reads of their
        features (X Q, or the rows) is the same, and so are their surroundings up to one hop less than the
        layer sees; for any model that reads features through the same linear maps.

    Notes
    -----
    Ours; see `graphs.admissible_swaps`. What was done is in `metamer.config["findings"]`: `swaps_made`,
    whether it is `exhausted`, `admissible_swaps` of the reference and `relabellings` among them (`None` where
    more than `MOST_PAIRS` pairs of edges would have to be looked at), `hops`, `node_classes`,
    `reads_degrees`, `largest_change` of an activation over the largest of its layer, in float64,
    `reference_edges_left` (a share), and `told_apart_after`: rounds of Weisfeiler-Leman refinement after
    which the graph is proved to be no relabelling of the reference (`None`: not told apart).

    Whether a model reads degrees is found out by swaps of nodes that differ in nothing else. In the end the
    unmodified model is run in float64 with the new edges: if activations change by more than 1e-10 of the
    largest, this is refused, not reported. Time: some runs of the model, and the pairs of edges with ends of
    the same colours. Memory: `BYTES_OF_A_SLOT` for each edge and direction, and a copy of the model in
    float64.

    Examples
    --------
    >>> import torch, graph_metamers as gm
    >>> from torch_geometric.nn import GIN
    >>> graph = gm.load_dataset("karate").graph.clone()
    >>> graph.x = torch.ones(34, 1)
    >>> model, options = GIN(1, 8, num_layers=1), {"vary": "structure", "solver": "exact_swaps"}
    >>> metamer = gm.generate(model, graph, "output", **options)
    >>> metamer.activation_loss < 1e-10, metamer.is_metamer
    (True, True)
    """

    swaps: int | None = None
    alike: Alike = "messages"
    name: ClassVar[str] = "exact_swaps"

    def __post_init__(self) -> None:
        if self.swaps is not None:
            check_integer("swaps", self.swaps, low=1)
        check_choice("alike", self.alike, get_args(Alike))

    def memory(self, point: Tensor) -> int:
        """See `Solver.memory`."""
        return BYTES_OF_A_SLOT * point.numel() // 2

    def solve(self, problem: Problem, start: Tensor, search: Search) -> Solution:  # noqa: ARG002
        """See `Solver.solve`.

        Raises
        ------
        ParameterError
            If features vary, or swaps would not be exact for this model; see `alike_nodes`.
        """
        if not isinstance(problem, EdgeProblem):
            raise ParameterError("solver", "'lbfgs', 'adam' or 'word_swaps' where features vary", self.name)
        if search.steps_left < RUNS:
            raise ParameterError("budget", f"Budget(steps={RUNS}) or more for exact swaps", search.steps_left)
        variables = problem.structure
        nodes = alike_nodes(problem, self.alike)
        point, swapper, change, exhausted = self._swapped(problem, nodes, search)
        if not change <= SAME and not nodes.reads_degrees:
            nodes = replace(nodes, reads_degrees=True)
            point, swapper, change, exhausted = self._swapped(problem, nodes, search)
        if not change <= SAME:
            raise ParameterError(
                "solver",
                "'rewire' for a model that sees more of a graph than nodes and what their neighbours send",
                f"activations that change by {change:.1e} of the largest with swaps that should be exact",
            )
        loss = float(problem.shares_at(variables.edge_index(point)).sum())
        search.steps += RUNS
        status = search.record(point, loss) or Status.STALLED
        groups = nodes.groups(problem)
        findings = {
            "swaps_asked": self.swaps,
            "swaps_made": swapper.made,
            "exhausted": exhausted,
            **_counted(groups),
            "hops": nodes.hops,
            "node_classes": int(nodes.colours(degrees=bool(nodes.reads_degrees)).max()) + 1,
            "reads_degrees": nodes.reads_degrees,
            "largest_change": change,
            "reference_edges_left": variables.lists.kept(swapper.neighbours),
            "told_apart_after": _told_apart(problem, nodes, swapper),
        }
        return replace(search.finish(status, point), findings=findings)

    def _swapped(
        self, problem: EdgeProblem, nodes: AlikeNodes, search: Search
    ) -> tuple[Tensor, Swapper, float, bool]:
        """A point after all swaps, their maker, the change of activations, whether no more were possible."""
        variables = problem.structure
        groups = nodes.groups(problem)
        swapper = Swapper(groups, seed=search.seed, reference_edges=variables.structure.reference_edges)
        exhausted = swapper.run(self.swaps, is_late=lambda: search.is_late)
        point = torch.clone(variables.point_of(swapper.neighbours, swapper.edges))
        change = nodes.precise.change({"edge_index": variables.edge_index(point)})
        return point, swapper, change, exhausted


def _counted(groups: SwapGroups) -> dict[str, Json]:
    if groups.pairs > MOST_PAIRS:
        return {"admissible_swaps": None, "relabellings": None}
    count = count_swaps(groups)
    return {"admissible_swaps": count.swaps, "relabellings": count.relabellings}


def _told_apart(problem: EdgeProblem, nodes: AlikeNodes, swapper: Swapper) -> int | None:
    """Rounds after which refinement proves that the graph is no relabelling of the reference."""
    variables = problem.structure
    before = variables.reference.edge_index.cpu().numpy()
    after = variables.lists.edge_index(swapper.neighbours, swapper.edges)
    marks = nodes.edge_colours
    return rounds_to_tell_apart(
        before, after, colours=nodes.labels, edge_colours=marks, other_edge_colours=marks
    )
