"""The cases of the self-test: what is planted, and what has to come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from graph_metamers.evidence import selftest_runs
from graph_metamers.evidence.planted_graphs import NUM_FEATURES
from graph_metamers.evidence.selftest_runs import ALMOST_NOTHING, EXACT, FOUND, NARROW

if TYPE_CHECKING:
    from collections.abc import Callable

    from graph_metamers.evidence.selftest_runs import Outcome

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
    """

    name: str
    planted: Planted
    what: str
    expected: str
    run: Callable[[int], Outcome]


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
        "other edges",
        "sensitivity",
        "a GCN reads the edges, and all of them change",
        f"at most {ALMOST_NOTHING:.0%} of nodes accepted",
        selftest_runs.other_edges,
    ),
)
"""Every case, invariances first."""
