"""The cases of the self-test: what is planted, and what has to come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from graph_metamers.evidence import exact_runs, selftest_runs, structure_runs
from graph_metamers.evidence.planted_graphs import NUM_FEATURES
from graph_metamers.evidence.selftest_runs import ALMOST_NOTHING, EXACT, FOUND, NARROW

if TYPE_CHECKING:
    from collections.abc import Callable

    from graph_metamers.evidence.outcome import Outcome

Planted = Literal["invariance", "sensitivity"]


@dataclass(frozen=True)
class Case:
    """One control of the instrument.

    Attributes
    ----------
    name
        A few words.
    planted
        `invariance`: something that the model does not see, which has to be found and accepted;
        `sensitivity`: something that it does see, of which nothing may be accepted.
    what
        What is planted, in words.
    expected
        What has to come out, in words.
    run
        From a seed to what came out.
    needs_files
        Whether it reads files that do not come with the package; without them it is skipped.
    """

    name: str
    planted: Planted
    what: str
    expected: str
    run: Callable[[int], Outcome]
    needs_files: bool = False


ANOTHER_GRAPH = "for each, a graph that is not isomorphic to it, with equal degrees and activations"

CASES = (
    Case(
        "ignored columns",
        "invariance",
        "half of the columns have weight zero",
        f"a metamer: these columns gone, the others back; at least {FOUND:.0%} of nodes accepted",
        selftest_runs.ignored_columns,
    ),
    Case(
        "duplicated columns",
        "invariance",
        "columns come twice, and only the sum of the copies is read",
        f"a metamer: copies apart, their sum back; at least {FOUND:.0%} of nodes accepted",
        selftest_runs.duplicated_columns,
    ),
    Case(
        "ignored edges",
        "invariance",
        "a perceptron looks at no edge",
        f"other edges accepted at {EXACT:.0%} of nodes or more",
        selftest_runs.ignored_edges,
    ),
    Case(
        "null space",
        "invariance",
        f"a GCN reads {NARROW} of {NUM_FEATURES} directions",
        f"noise in the other directions accepted as null space at {EXACT:.0%} of nodes or more",
        selftest_runs.null_space,
    ),
    Case(
        "hexagon and triangles",
        "invariance",
        "two triangles with the same features everywhere, and a hexagon; GCN, GIN, GraphSAGE, GAT",
        ANOTHER_GRAPH,
        structure_runs.hexagon_and_triangles,
    ),
    Case(
        "regular graph",
        "invariance",
        "three neighbours at each of 30 nodes, the same features everywhere; four models",
        ANOTHER_GRAPH,
        structure_runs.regular,
    ),
    Case(
        "disjoint copies",
        "invariance",
        "five copies of a small graph with random features; four models",
        ANOTHER_GRAPH,
        structure_runs.copies,
    ),
    Case(
        "strongly regular graphs",
        "invariance",
        "the 15 graphs srg(25, 12, 5, 6), the same features everywhere; four models in turns",
        ANOTHER_GRAPH,
        structure_runs.strongly_regular,
        needs_files=True,
    ),
    Case(
        "BREC pairs",
        "invariance",
        "12 pairs that message passing cannot tell apart, the same features everywhere; GIN",
        ANOTHER_GRAPH,
        structure_runs.brec,
        needs_files=True,
    ),
    Case(
        "exact swaps",
        "invariance",
        "five copies of a small graph with random features, exact swaps asked for; four models",
        "all swaps that were planted, and no other; another graph with equal activations in float64",
        exact_runs.exact_swaps,
    ),
    Case(
        "identity",
        "sensitivity",
        "the layer is the features",
        f"the reference again; at most {ALMOST_NOTHING:.0%} of nodes accepted",
        selftest_runs.identity,
    ),
    Case(
        "invertible map",
        "sensitivity",
        "the layer is a linear map that loses nothing",
        f"the reference again; at most {ALMOST_NOTHING:.0%} of nodes accepted",
        selftest_runs.invertible_map,
    ),
    Case(
        "lookup by name",
        "sensitivity",
        "every node's one-hot name stands for numbers of its own",
        f"the reference again, or not found; at most {ALMOST_NOTHING:.0%} of nodes accepted",
        selftest_runs.lookup,
    ),
    Case(
        "another class",
        "sensitivity",
        "the class comes from columns that the layer does not read; all nodes get those of another class",
        "gate 1 passed by no node",
        selftest_runs.other_class,
    ),
    Case(
        "nearest real node",
        "sensitivity",
        "every node gets the features of the real node nearest to it",
        "gate 2 passed by no node",
        selftest_runs.nearest_real_node,
    ),
    Case(
        "edges by name",
        "sensitivity",
        "every node's sum is the list of its neighbours' names",
        "not found with other edges; with all, the reference again or not found",
        structure_runs.edges_by_name,
    ),
    Case(
        "no exact swap",
        "sensitivity",
        "every node has random features of its own, exact swaps asked for; four models",
        "no swap, and the reference again",
        exact_runs.no_exact_swaps,
    ),
    Case(
        "other edges",
        "sensitivity",
        "a GCN reads the edges, and all of them change",
        f"at most {ALMOST_NOTHING:.0%} of nodes accepted",
        selftest_runs.other_edges,
    ),
)
"""Every case, invariances first."""
