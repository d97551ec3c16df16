"""structure_front(): what it costs in activation loss to have fewer and fewer edges of the reference."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import torch

from graph_metamers.errors import ParameterError
from graph_metamers.graphs.rewiring import Rewirer, RewiringProblem, shuffled
from graph_metamers.graphs.set_matching import Schedule
from graph_metamers.inputs import Structure
from graph_metamers.parameters import check_integer
from graph_metamers.randomness import generator_for
from graph_metamers.synthesis.edge_problem import EdgeProblem
from graph_metamers.synthesis.measuring import losses_of
from graph_metamers.synthesis.neighbour_sums import PROBES
from graph_metamers.synthesis.preparing import prepared
from graph_metamers.synthesis.settings import SearchSettings, check_seed
from graph_metamers.synthesis.solvers import Rewire, require_preserved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import nn

    from graph_metamers.graphs.neighbour_lists import NeighbourLists
    from graph_metamers.synthesis.places import Spaces
    from graph_metamers.synthesis.preparing import PreparedSearches
    from graph_metamers.types import Forward, Graph, Transform

LEAST_PENALTY, MOST_PENALTY = 0.005, 3.0  # in units of what one neighbour more in an average sum costs
COLDEST = 0.0005  # in the same units: hardly any swap is made that costs anything
HOTTEST_OF_PENALTY = 0.1  # hotter, and edges leave because there are so many others, not because it is cheap
MOST_OF_CONTROL = 500  # rounds of random swaps for one overlap: where degrees leave no choice it is not met


_Slots: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"
PointCallback: TypeAlias = "Callable[[FrontPoint, Graph], None]"


class FrontPoint(NamedTuple):
    """One graph of a front.

    Attributes
    ----------
    overlap
        Jaccard index of its edges and the reference's, of those that may vary, in [0, 1].
    activation_loss
        Of the unmodified model on this graph, float64; the mean over the layers if there are several.
    agreement
        Share of the model's predictions that stay, in [0, 1]; nan if it has no output to compare.
    penalty
        Price of an edge of the reference, in units of what one neighbour more in an average sum costs; 0 for
        random swaps, which have none.
    """

    overlap: float
    activation_loss: float
    agreement: float
    penalty: float


@dataclass(frozen=True)
class StructureFront:
    """Activation loss against the share of edges that are still the reference's.

    Attributes
    ----------
    layer
        Names of the layers, matched together.
    points
        From the reference (overlap 1, loss 0) outwards, in the order in which they were found. Degrees are
        the reference's everywhere.
    random
        The control: random swaps of edges from the reference on, degrees kept, to about the same overlaps.
    random_loss
        Activation loss of a random graph with the reference's degrees: chance.
    random_overlap, random_agreement
        Of that graph.
    """

    layer: tuple[str, ...]
    points: tuple[FrontPoint, ...]
    random: tuple[FrontPoint, ...]
    random_loss: float
    random_overlap: float
    random_agreement: float

    def least_overlap(self, tolerance: float, *, random: bool = False) -> float:
        """The least overlap among the points, or those of the control, with at most that activation loss.

        1 where only the reference has: a front holds what was found, so less may be possible.
        """
        points = self.random if random else self.points
        return min((point.overlap for point in points if point.activation_loss <= tolerance), default=1.0)


def structure_front(
    model: nn.Module,
    graph: Graph,
    layer: str | Sequence[str],
    *,
    vary: str | Structure = "structure",
    num_points: int = 14,
    proposals: int = 300,
    transform: Transform | None = None,
    forward: Forward | None = None,
    seed: int = 0,
    on_point: PointCallback | None = None,
) -> StructureFront:
    """Follow the edges away from the reference, the cheapest first.

    Edges of the reference are charged a price that rises from point to point, while double-edge swaps are
    annealed at low temperatures on what neighbours add up to (see `Rewire`). Each point begins where the last
    one ended, the first at the reference.

    Parameters
    ----------
    model, graph, layer, transform, forward
        As in `generate`.
    vary
        `"structure"`, or a `Structure` that says what is protected and whether edges are directed; its
        `reference_edges` are charged whatever it says.
    num_points
        Prices, at least 2. The front has the reference and a point for each price that changed the overlap.
    proposals
        Swaps that are proposed for every edge at each price.
    seed
        Of the swaps.
    on_point
        Called with each `FrontPoint` and its graph, first those of the front, then those of the control.

    Returns
    -------
    StructureFront

    Raises
    ------
    ParameterError
        If a parameter is outside its range, or the layer receives no messages along edges.
    LayerNotFoundError, BindingError, CheckError, ModelError
        As `generate`.

    Notes
    -----
    Ours. The front is what this search found: an upper bound of the least loss at each overlap. Its points
    are not polished on the true loss, as results of `generate` are. Time: `num_points * proposals` proposals
    an edge, a million and more a second, and `2 num_points` runs of the model.

    Examples
    --------
    >>> import torch, graph_metamers as gm
    >>> from torch_geometric.nn import GCN
    >>> _ = torch.manual_seed(0)
    >>> graph = gm.load_dataset("karate").graph
    >>> front = gm.structure_front(GCN(34, 8, num_layers=2), graph, "act", num_points=4)
    >>> front.points[0].overlap, front.points[0].activation_loss
    (1.0, 0.0)
    >>> front.points[-1].overlap < 0.5
    True
    """
    check_integer("num_points", num_points, low=2)
    check_integer("proposals", proposals, low=1)
    seed = check_seed(seed)
    asked = _structure(vary)
    settings = SearchSettings.of(
        layer, vary=asked, objective="match", index=None, transform=transform, forward=forward,
        solver="rewire", init="reference", budget=None, tolerance=0.0, min_distance=0.0, task="auto",
        prediction_tolerance=None, callbacks=(),
    )  # fmt: skip
    with prepared(model, graph, settings) as searches:
        problem = searches.problem
        assert isinstance(problem, EdgeProblem)  # noqa: S101 (what `prepared` makes of a Structure)
        sums = problem.sums(generator_for("neighbour sums", 0), PROBES)
        lists = problem.structure.lists
        swapped = generator_for("front", seed)
        seeds = torch.randint(2**62, (num_points + 2,), generator=swapped).tolist()
        chance = _Evaluation(searches, None)(*shuffled(lists, seed=seeds[-2]), 0.0)
        if (
            not sums.sums and chance.activation_loss > 0
        ):  # else the layer does not look at edges, and all are free
            must = "'features' for a model whose layer receives no messages along edges"
            raise ParameterError("vary", must, "structure")
        evaluate = _Evaluation(searches, on_point)
        points = tuple(_swept(evaluate, lists, sums, num_points, proposals, seeds))
        control = tuple(_randomised(evaluate, lists, [point.overlap for point in points], seeds[-1]))
        layers = tuple(problem.targets)
    return StructureFront(layers, points, control, chance.activation_loss, chance.overlap, chance.agreement)


def _structure(vary: str | Structure) -> Structure:
    if vary == "structure":
        return Structure(reference_edges="charge")
    if not isinstance(vary, Structure):
        raise ParameterError("vary", "'structure' or a Structure", vary)
    require_preserved(vary.preserve, Rewire.name)
    return replace(vary, reference_edges="charge")


def _swept(
    evaluate: _Evaluation,
    lists: NeighbourLists,
    sums: Spaces,
    num_points: int,
    proposals: int,
    seeds: Sequence[int],
) -> Iterator[FrontPoint]:
    """The reference, and a point for each price."""
    vectors, weights = _indifferent(lists)
    if sums.sums:
        vectors, weights = sums.vectors(), sums.weights()
    neighbours, edges = lists.neighbours, lists.edges
    yield evaluate(neighbours, edges, 0.0)
    penalties = np.geomspace(LEAST_PENALTY, MOST_PENALTY, num_points)
    for penalty, seed in zip(penalties.tolist(), seeds, strict=False):
        problem = RewiringProblem(lists, vectors, weights, "charge", penalty)
        rewirer = Rewirer(problem, seed=seed, neighbours=neighbours, edges=edges)
        hottest = max(COLDEST, HOTTEST_OF_PENALTY * penalty)
        for _ in rewirer.anneal(Schedule(proposals * len(lists.active), hottest, COLDEST)):
            pass
        if not np.array_equal(rewirer.neighbours, neighbours):
            yield evaluate(rewirer.neighbours, rewirer.edges, penalty)
        neighbours, edges = rewirer.neighbours, rewirer.edges


def _indifferent(lists: NeighbourLists) -> tuple[list[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Vectors and weights for which every swap is as good as any other."""
    nothing = np.zeros((lists.num_nodes, 1))
    return [nothing], nothing


def _randomised(
    evaluate: _Evaluation, lists: NeighbourLists, overlaps: Sequence[float], seed: int
) -> Iterator[FrontPoint]:
    """Random swaps from the reference on, until no more edges are left than at each of some overlaps."""
    rewirer = Rewirer(RewiringProblem(lists, *_indifferent(lists), "forbid"), seed=seed)
    varying = len(lists.active) / len(lists.edges)
    for overlap in sorted(overlaps, reverse=True):
        wanted = 2 * overlap / (1 + overlap)  # share of kept edges: the Jaccard index is k / (2 - k)
        for _ in range(MOST_OF_CONTROL):
            surplus = 1 - varying * (1 - lists.kept(rewirer.neighbours)) - wanted
            if surplus <= 0:
                break
            swaps = max(1, int(surplus * len(lists.edges) / 8))  # each moves four edges at the most
            for _ in rewirer.anneal(Schedule(swaps), chunk=swaps):
                pass
        yield evaluate(rewirer.neighbours, rewirer.edges, 0.0)


@dataclass(frozen=True, eq=False)
class _Evaluation:
    """What the unmodified model makes of some edges, told to whoever wants to know."""

    searches: PreparedSearches
    on_point: PointCallback | None

    def __call__(self, neighbours: _Slots, edges: _Slots, penalty: float) -> FrontPoint:
        problem = self.searches.problem
        assert isinstance(problem, EdgeProblem)  # noqa: S101 (what `prepared` makes of a Structure)
        variables = problem.structure
        graph = variables.discrete(variables.point_of(neighbours, edges))
        with torch.no_grad():
            loss, _, outputs = losses_of(problem, graph)
            agreement = self.searches.agree(outputs)
        overlap = 1 - variables.distance(graph, "none").raw
        point = FrontPoint(overlap, loss, agreement.share if agreement else math.nan, penalty)
        if self.on_point is not None:
            self.on_point(point, graph)
        return point
