"""The words of the report, explained once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph_metamers.report.numbers import MINUS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.auditing import Audit

GLOSSARY: tuple[tuple[str, str], ...] = (
    ("reference", "The real graph that was given: its features, edges and labels."),
    (
        "metamer",
        "A graph with other features whose activations at a layer are those of the reference, within the "
        "tolerance, and whose features differ from the reference's by at least the minimal distance.",
    ),
    ("activation", "The numbers that a layer of the model computes for each node."),
    (
        "layer",
        "A step of the model. Each is named as in the model's code; “output” is what the model finally "
        "answers. A layer with a nonlinearity is read after it.",
    ),
    (
        "activation loss",
        "Squared difference of the activations of two graphs over all nodes, divided by the squared size of "
        "the reference's: 0 = the same, 1 = as far off as a layer of zeros.",
    ),
    ("item loss", "The same for a single node (an item)."),
    (
        "signal to noise",
        f"{MINUS}10 log₁₀ of the loss, in decibel (dB): 30 dB is a loss of 0.001, 20 dB of 0.01, 0 dB of 1.",
    ),
    (
        "matched",
        "Of a layer: a metamer of it was found. Of a node: its item loss is at most ten times the tolerance. "
        "It says that the model computes the same, not that the change is without meaning.",
    ),
    (
        "objective",
        "What a search is for. “match”: the first features within the tolerance. “farthest”: from there "
        "on as far from the reference as the tolerance and the range of the features allow. That is far, "
        "and not proved to be the farthest there is.",
    ),
    (
        "unrelated features",
        "Each feature's values shuffled over the nodes, each feature on its own: same distribution, no "
        "relation to the node any more.",
    ),
    (
        "chance",
        "What the same measure gives for unrelated features. For an accuracy: always answering the most "
        "frequent class.",
    ),
    (
        "scaled distance",
        "Distance of the features from the reference's, divided by the expected distance of unrelated "
        "features: 0 = the reference, 1 = unrelated. It can exceed 1.",
    ),
    (
        "visible distance",
        "The scaled distance inside the directions of the features that the layer reads at all. Where raw "
        "features enter through linear maps, these are the directions that the maps do not send to zero.",
    ),
    (
        "null-space distance",
        "The same in the directions that the layer does not read. Changes there are free: how many there are "
        "is known by counting dimensions, without any search.",
    ),
    (
        "gates",
        "Three questions to every node. Does the model predict the same class? Is its activation closer to "
        "the reference's than any real node with another activation is, or equal? Are its features not the "
        "reference's again? A node that passes all three is a metamer on its own.",
    ),
    (
        "kind",
        "Of a node that passes the gates: “visible” if it differs in the directions that the layer reads by "
        "at least the minimal distance, else “null space”.",
    ),
    ("start", "One of several random features from which a layer is searched."),
    (
        "95% interval",
        "The range in which the mean over other starts of the search is expected, by the bootstrap over "
        "starts (never over nodes). With five starts such intervals hold the truth in about 84% of cases, "
        "not 95%. They say nothing about other trainings of the model.",
    ),
    (
        "at chance",
        "Said of a model that is not shown to be better than always answering the most frequent class (exact "
        "binomial test on the test nodes, p ≥ 0.01). What it matches says nothing about a trained model.",
    ),
    (
        "label propagation",
        "A control that spreads the training labels over the edges and uses no feature at all.",
    ),
    ("step", "One evaluation of the model during a search; a budget counts them."),
    ("tolerance", "The activation loss that a metamer must not exceed."),
)
"""(term, explanation), in the order in which a reader meets them."""

EDGES: dict[str, str] = {
    "metamer": "A graph with other edges, and the same number of neighbours at every node, whose "
    "activations at a layer are those of the reference, within the tolerance, and whose edges "
    "differ from the reference's by at least the minimal distance.",
    "start": "One of several random graphs with the reference's degrees, from which a layer is searched.",
    "chance": "What the same measure gives for a random graph with the same degrees. For an accuracy: "
    "always answering the most frequent class.",
    "scaled distance": "Share of the edges in either graph that are not in both, divided by the share that "
    "is expected of a random graph with the same degrees: 0 = the reference, 1 = such a graph. It "
    "can exceed 1.",
    "gates": "Three questions to every node. Does the model predict the same class? Is its activation "
    "closer to the reference's than any real node with another activation is, or equal? Are its "
    "neighbours not the reference's again? A node that passes all three is a metamer on its own.",
}
"""What some terms mean where edges vary."""

BOTH: dict[str, str] = {
    "metamer": "Where features and edges vary together, both differ by at least that distance.",
    "start": "Where both vary: random features on such a graph.",
    "chance": "Where both vary: for unrelated features on such a graph.",
    "scaled distance": "Where both vary, the smaller of the two.",
    "gates": "Where both vary, its features and its neighbours have to be others.",
}
"""What there is to add where features and edges vary together."""

OF_EDGES: tuple[tuple[str, str], ...] = (
    (
        "random graph with the same degrees",
        "The reference after very many random swaps of the ends of its edges: every node keeps its "
        "number of neighbours, and nothing else is kept.",
    ),
    (
        "edge overlap",
        "Edges that two graphs have in common, over the edges that are in either (Jaccard index): 1 = "
        "the same edges, 0 = none in common.",
    ),
    (
        "label homophily",
        "Share of edges that join two nodes of one class.",
    ),
    (
        "clustering",
        "Share of pairs of a node's neighbours that are joined themselves; mean over the nodes.",
    ),
    (
        "front",
        "Activation loss against edge overlap: a search that begins at the reference and replaces edges, "
        "the cheapest first, until hardly any is left. It is what was found, so less may be possible.",
    ),
)
"""Terms that are needed only where edges vary."""

NOT_OF_EDGES = frozenset(
    {"objective", "unrelated features", "visible distance", "null-space distance", "kind"}
)


def glossary(audits: Sequence[Audit]) -> tuple[tuple[str, str], ...]:
    """The terms that a page about some audits needs, for features, edges or both."""
    kinds = {audit.varies for audit in audits}
    if kinds <= {"features"}:
        return GLOSSARY
    if kinds != {"structure"}:
        terms = tuple((term, _for_all(term, text, "both" in kinds)) for term, text in GLOSSARY)
        return terms + OF_EDGES
    own = tuple((t, EDGES.get(t, text)) for t, text in GLOSSARY if t not in NOT_OF_EDGES)
    return own + OF_EDGES


def _for_all(term: str, text: str, both: bool) -> str:
    text = f"{text} Where edges vary: {EDGES[term]}" if term in EDGES else text
    return f"{text} {BOTH[term]}" if both and term in BOTH else text
