"""structure_lower_bound(): below which activation loss no graph with other edges can be."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from graph_metamers.errors import ModelError, ParameterError
from graph_metamers.inputs import Structure, structure_of
from graph_metamers.parameters import check_integer, check_layer, check_real
from graph_metamers.reading import ModelView
from graph_metamers.reading.precision import require_graph
from graph_metamers.synthesis.fixed_messages import fixed_messages
from graph_metamers.synthesis.preparing import chosen_items
from graph_metamers.synthesis.solvers import Rewire, SearchProgress, require_preserved
from graph_metamers.theory.closest_sums import MOST_DEGREE
from graph_metamers.theory.node_floors import Limits, NodeFloors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

    from graph_metamers.types import Forward, Graph, Transform

WORK = 50_000_000  # boxes and sums for one node: a second or two
OF_A_SUM = 1e-12  # what rounding may do to a sum over nodes


@dataclass(frozen=True, eq=False)
class StructureLowerBound:
    """What is proved of all graphs with the same nodes, features and degrees and no edge of the reference.

    Attributes
    ----------
    layer
        Its name.
    bound
        No such graph has a lower activation loss at the layer; infinite if there is no such graph.
    node_bounds
        What each node adds to it, float64 [n]: the least squared error that any choice of its neighbours
        leaves, over the energy of the whole layer.
    degrees
        Edges of each node that may vary, int64 [n] (into it, where they are directed).
    exact
        Nodes whose part is the least error over all choices, up to rounding, bool [n]. The part of the others
        is 0, or what was proved before the work ran out.
    energy
        ||h||_F^2 of the items.
    unproved_energy
        Share of it at nodes of which nothing above 0 is proved, in [0, 1].
    deviation
        Largest difference, over the largest activation, between the form in which the bound is computed and
        the model in float64, on all graphs on which it was verified.
    work, seconds
        Boxes and sums looked at, and the time that took.
    keeps
        Whether some edges were to stay, as `Structure(protected=, protected_nodes=)` says: what is proved is
        then of graphs that keep them, and have no other edge of the reference.
    """

    layer: str
    bound: float
    node_bounds: Tensor
    degrees: Tensor
    exact: Tensor
    energy: float
    unproved_energy: float
    deviation: float
    work: int
    seconds: float
    keeps: bool = False

    def by_degree(self) -> dict[int, float]:
        """What the nodes of each degree add to the bound, from degree 1 on; `bound` is their sum."""
        found = torch.unique(self.degrees[self.degrees > 0]).tolist()
        return {degree: float(self.node_bounds[self.degrees == degree].sum()) for degree in found}

    def rows(self) -> list[dict[str, Any]]:
        """A row for each degree: `degree`, `nodes`, `exact` (how many nodes), `loss` (what they add)."""
        parts = self.by_degree()
        return [
            {
                "degree": degree,
                "nodes": int((self.degrees == degree).sum()),
                "exact": int(self.exact[self.degrees == degree].sum()),
                "loss": loss,
            }
            for degree, loss in parts.items()
        ]

    @property
    def message(self) -> str:
        """What it says, in a sentence."""
        if self.bound == float("inf"):
            return f"There is no {self._graph}: {self._crowded}."
        if self.bound == 0:
            return f"Nothing is proved: at {self.layer!r} a loss of 0 may be possible."
        return f"No {self._graph} has an activation loss below {self.bound:.2e} at {self.layer!r}."

    @property
    def _crowded(self) -> str:
        """Why there is no such graph: the node with most neighbours of those that have too many."""
        stuck = torch.nonzero(self.node_bounds.isinf()).flatten()
        node = int(stuck[self.degrees[stuck].argmax()])
        count = int(self.degrees[node])
        neighbours = f"{count} neighbours" if count != 1 else "1 neighbour"
        return f"node {node} has {neighbours} to replace, and fewer other nodes that may take their place"

    @property
    def _graph(self) -> str:
        if self.keeps:
            return "graph with the same degrees that keeps the protected edges and no other of the reference"
        return "graph with the same degrees and no edge of the reference"

    def __repr__(self) -> str:
        parts = ", ".join(f"{degree}: {loss:.1e}" for degree, loss in self.by_degree().items() if loss > 0)
        return (
            f"StructureLowerBound({self.layer!r}, bound {self.bound:.3e}\n"
            f"  {self.message}\n"
            f"  by degree: {parts or 'nothing'}\n"
            f"  nothing proved of nodes with {self.unproved_energy:.1%} of the energy)"
        )


def structure_lower_bound(
    model: nn.Module,
    graph: Graph,
    layer: str,
    *,
    vary: str | Structure = "structure",
    index: Tensor | Sequence[int] | None = None,
    max_degree: int = 3,
    work: int = WORK,
    seconds: float | None = None,
    transform: Transform | None = None,
    forward: Forward | None = None,
    callbacks: Sequence[Callable[[SearchProgress], None]] = (),
) -> StructureLowerBound:
    """Prove that no other edges come nearer than some activation loss.

    Every node is let choose its neighbours by itself, among those that are none in the reference: as many as
    it has, all different. A graph is one such choice for all nodes at once, so no graph is better than all
    nodes at their best: the least errors of the nodes add up to a lower bound.

    Parameters
    ----------
    model, graph, transform, forward
        As in `generate`.
    layer
        A name: of a first layer that adds up what neighbours send (GCN, GraphSAGE mean or sum, GraphConv,
        SGC of one step, the first linear map inside GIN), before its activation function or behind one ReLU.
    vary
        `"structure"`, or a `Structure` that says which edges stay and whether they are directed.
    index
        Items that have to match, int64 [i] or bool [n]; default: all.
    max_degree
        Nodes with more edges add 0, 1 to 4.
    work
        Boxes and sums that may be looked at for one node.
    seconds
        After which the remaining nodes add 0. Default: no limit.
    callbacks
        Called with a `SearchProgress` whose steps are nodes and whose losses are the bound so far.

    Returns
    -------
    StructureLowerBound

    Raises
    ------
    ParameterError
        If a parameter is outside its range, or nothing can be rewired.
    ModelError
        If the layer is not of this form: with the reason. Nothing is assumed of a kind of convolution; that
        what arrives is a sum of fixed vectors times a factor of the degree, is verified in float64 on four
        random graphs with the same degrees.
    LayerNotFoundError, BindingError
        As `generate`.

    Notes
    -----
    Ours. A lower bound for the model in exact arithmetic: 0 says nothing. Closest sums are found by branch
    and bound over boxes of vectors (degrees 1 and 2) and of pairs (3 and 4). Rounding is taken off each
    node's part; else only a search that ends early (`work`, `seconds`) makes it lower than the least error.
    Degrees 3 and 4 need memory for all pairs of nodes, and add 0 for graphs of more than 4,000. Time: see
    `docs/structure.md`.

    Examples
    --------
    >>> import torch, graph_metamers as gm
    >>> from torch_geometric.nn import GCN
    >>> _ = torch.manual_seed(0)
    >>> karate = gm.load_dataset("karate").graph
    >>> proved = gm.structure_lower_bound(GCN(34, 8, num_layers=2), karate, "convs.0", max_degree=2)
    >>> proved.bound > 0, sorted(proved.by_degree())[:3]
    (True, [1, 2, 3])
    """
    check_integer("max_degree", max_degree, low=1, high=MOST_DEGREE)
    check_integer("work", work, low=1)
    if seconds is not None:
        check_real("seconds", seconds, low=0, low_included=False)
    check_layer("layer", layer)
    require_graph(graph)
    structure = structure_of(vary)
    if not isinstance(structure, Structure) or structure.reference_edges != "forbid":
        must = "'structure', or a Structure that forbids reference edges (else the reference itself is at 0)"
        raise ParameterError("vary", must, vary)
    require_preserved(structure.preserve, Rewire.name)
    started = time.monotonic()
    lists = structure.variables(graph).lists
    view = ModelView(model, forward, transform)
    with view.borrow():
        form = fixed_messages(view, graph, layer, lists)
    items = np.ones(lists.num_nodes, dtype=np.bool_)
    if (chosen := chosen_items(index, lists.num_nodes)) is not None:
        items[:] = False
        items[chosen.cpu().numpy()] = True
    squares = np.square(form.values).sum(axis=1)
    energy = float(squares[items].sum())
    if not energy > 0:
        raise ModelError(f"the activations to match must not all be zero, got only zeros at layer {layer!r}")
    limits = Limits(max_degree, work, None if seconds is None else started + seconds)
    floors = NodeFloors(form, lists, items, limits)
    total = len(floors.todo)
    for number in floors.search():
        for tell in callbacks:
            so_far = float(floors.bounds.sum()) / energy
            tell(SearchProgress(number, total, so_far, so_far))
    parts = floors.bounds * ((1 - OF_A_SUM) / energy)
    unproved = items & (floors.degrees > 0) & (parts == 0) & ~floors.exact
    return StructureLowerBound(
        layer,
        float(parts.sum()),
        torch.from_numpy(parts),
        torch.from_numpy(floors.degrees),
        torch.from_numpy(floors.exact),
        energy,
        float(squares[unproved].sum()) / energy,
        form.deviation / float(np.abs(form.values).max()),
        floors.work,
        time.monotonic() - started,
        keeps=structure.protected is not None or structure.protected_nodes is not None,
    )
