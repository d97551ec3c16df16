"""Section 2 where edges vary: the neighbours of a few nodes, before and after, at the same places."""

from __future__ import annotations

import itertools
import math
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from graph_metamers.auditing.wording import not_found
from graph_metamers.inputs.edges import changed_edges
from graph_metamers.report.labels import headline_layer
from graph_metamers.report.theme import SERIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from graph_metamers.auditing import Audit, DatasetCard, LayerAudit
    from graph_metamers.report.labels import ModelLabel

MOST_DRAWINGS = 6
MODERATE = (3, 12)
"""Numbers of neighbours between which nodes are chosen, both included."""
MOST_NEIGHBOURS = 30
"""More are counted and not drawn."""
ON_ONE_RING = 24
RADIUS, INNER_RADIUS = 88.0, 58.0
"""Of the rings on which neighbours stand, in a box of 220 x 220 around the node."""

Change = Literal["kept", "removed", "added"]


@dataclass(frozen=True)
class DrawnNode:
    """A node at its place, x to the right and y down from the middle.

    Attributes
    ----------
    node
        Its number.
    class_index, mark, class_name, colour_name
        Its true class, a letter for it, and the CSS variable of its colour.
    change
        Whether it is a neighbour in both graphs, in the reference, or in the metamer; `None` for the node
        itself.
    """

    x: float
    y: float
    node: int
    class_index: int
    mark: str
    class_name: str
    colour_name: str
    change: Change | None


@dataclass(frozen=True)
class DrawnEdge:
    """An edge between two drawn nodes.

    Attributes
    ----------
    change
        Whether it is in both graphs, in the reference, or in the metamer.
    is_between
        Whether it joins two neighbours.
    ends
        What these are; each side of the picture shows edges between its own neighbours.
    """

    x1: float
    y1: float
    x2: float
    y2: float
    change: Change
    is_between: bool
    ends: tuple[Change, ...]

    def is_shown(self, changes: Sequence[Change]) -> bool:
        """Whether the edge and its ends are among what a side shows."""
        return self.change in changes and all(end in changes for end in self.ends)


@dataclass(frozen=True)
class Neighbourhood:
    """The neighbours of one node in both graphs.

    Attributes
    ----------
    node, true_class, before, after
        Its number, its class, and the classes that the model predicts for it in reference and metamer.
    kept, removed, added
        How many neighbours.
    alike_before, alike_after
        How many of the neighbours in either graph have the node's class.
    more
        Neighbours that are counted and not drawn.
    nodes, edges
        What is drawn, the node itself last.
    """

    node: int
    true_class: str
    before: str
    after: str
    kept: int
    removed: int
    added: int
    alike_before: int
    alike_after: int
    more: int
    nodes: tuple[DrawnNode, ...]
    edges: tuple[DrawnEdge, ...]

    @property
    def sides(self) -> tuple[tuple[str, str, tuple[Change, ...]], ...]:
        """Heading, description in words, and what is drawn, of reference and metamer."""
        return (
            (
                "reference",
                f"Node {self.node} in the reference: {self.kept} neighbours stay, {self.removed} go",
                ("kept", "removed"),
            ),
            (
                "metamer",
                f"Node {self.node} in what was found: {self.kept} neighbours stayed, {self.added} are new",
                ("kept", "added"),
            ),
        )


@dataclass(frozen=True)
class ClassKey:
    """A class of the legend."""

    mark: str
    name: str
    colour_name: str


@dataclass(frozen=True)
class Drawings:
    """What a search did to the neighbours of a few nodes.

    Attributes
    ----------
    model, dataset, layer, is_metamer
        Whose result, of which layer, and whether it is a metamer.
    not_found
        What is said if it is none.
    neighbourhoods
        The nodes; empty where no node's neighbours changed.
    classes
        The classes that are drawn.
    rule
        By which rule the nodes were chosen.
    directed
        Whether edges have a direction: neighbours are then those whose edges end in the node.
    features
        Whether features were changed too.
    """

    model: ModelLabel
    dataset: DatasetCard
    layer: str
    is_metamer: bool
    not_found: str
    neighbourhoods: tuple[Neighbourhood, ...]
    classes: tuple[ClassKey, ...]
    rule: str
    directed: bool
    features: bool


def drawings(model: ModelLabel, audit: Audit) -> Drawings | None:
    """The drawings of an audit's headline layer; `None` where features alone vary."""
    layer = headline_layer(audit)
    if layer is None or audit.varies == "features":
        return None
    nodes, rule = chosen_nodes(audit, layer)
    drawn = tuple(neighbourhood(audit, layer, node) for node in nodes)
    present = sorted({one.class_index for entry in drawn for one in entry.nodes})
    edges = layer.metamer.config.get("vary")
    described = edges.get("edges") if isinstance(edges, dict) else None
    return Drawings(
        model,
        audit.dataset,
        layer.name,
        layer.metamer.is_metamer,
        not_found(layer),
        drawn,
        tuple(ClassKey(_mark(one), _class_name(audit.dataset, one), _colour(one)) for one in present),
        rule,
        bool(described.get("directed")) if isinstance(described, dict) else False,
        audit.varies == "both",
    )


def chosen_nodes(audit: Audit, layer: LayerAudit) -> tuple[tuple[int, ...], str]:
    """Nodes to draw, at most `MOST_DRAWINGS`, and the rule that chose them.

    Of the nodes with a moderate number of neighbours that keep their prediction, those whose neighbours
    changed most, the first of each predicted class before others. The rule is loosened where no node meets
    it: first the prediction may change, then the number of neighbours may be any.
    """
    graph, num_nodes = audit.graph, len(audit.labels)
    changed = changed_edges(layer.metamer.graph, graph, "nodes", num_nodes)
    degrees = torch.bincount(graph.edge_index[1], minlength=num_nodes)
    moderate = (degrees >= MODERATE[0]) & (degrees <= MODERATE[1])
    stays = layer.predictions == audit.predictions
    few = f"with {MODERATE[0]} to {MODERATE[1]} neighbours"
    for allowed, who in (
        (moderate & stays, f"{few} that keep their prediction"),
        (moderate, few),
        (torch.ones_like(moderate), ""),
    ):
        candidates = (allowed & (changed > 0)).nonzero().flatten()
        if len(candidates):
            # Stable: of nodes that changed equally, those with the smaller number.
            order = candidates[changed[candidates].argsort(descending=True, stable=True)].tolist()
            most = [node for node in order if changed[node] == changed[order[0]]]
            firsts = list({int(audit.predictions[node]): node for node in reversed(most)}.values())
            nodes = list(dict.fromkeys([*sorted(firsts), *order]))[:MOST_DRAWINGS]
            return tuple(nodes), f"of the nodes {who}".strip() if who else "of all nodes"
    return (), ""


def neighbourhood(audit: Audit, layer: LayerAudit, node: int) -> Neighbourhood:
    """The neighbours of a node in the reference and in what was found."""
    before, after = audit.graph.edge_index, layer.metamer.graph.edge_index
    old, new = _neighbours(before, node), _neighbours(after, node)
    groups: dict[Change, list[int]] = {
        "removed": sorted(old - new),
        "kept": sorted(old & new),
        "added": sorted(new - old),
    }
    for group in groups.values():
        group.sort(key=lambda other: (int(audit.labels[other]), other))
    shares = _shares([len(group) for group in groups.values()])
    shown = {change: group[:most] for (change, group), most in zip(groups.items(), shares, strict=True)}
    around = _around(shown)
    placed = [
        _drawn(audit, other, change, *_place(number, len(around)))
        for number, (change, other) in enumerate(around)
    ]
    middle = _drawn(audit, node, None, 0.0, 0.0)
    alike = [int(sum(audit.labels[other] == audit.labels[node] for other in side)) for side in (old, new)]
    return Neighbourhood(
        node=node,
        true_class=_class_name(audit.dataset, int(audit.labels[node])),
        before=_class_name(audit.dataset, int(audit.predictions[node])),
        after=_class_name(audit.dataset, int(layer.predictions[node])),
        kept=len(groups["kept"]),
        removed=len(groups["removed"]),
        added=len(groups["added"]),
        alike_before=alike[0],
        alike_after=alike[1],
        more=len(old | new) - len(around),
        nodes=(*placed, middle),
        edges=(*_between(placed, before, after), *(_edge(middle, one, one.change) for one in placed)),
    )


def _neighbours(edge_index: Tensor, node: int) -> set[int]:
    """Other nodes whose edges end in a node."""
    return set(edge_index[0, edge_index[1] == node].tolist()) - {node}


def _shares(sizes: Sequence[int]) -> list[int]:
    """How many of each group are drawn: all if there is room, else as many as it is large."""
    total = sum(sizes)
    if total <= MOST_NEIGHBOURS:
        return list(sizes)
    return [min(size, max(1, size * MOST_NEIGHBOURS // total)) if size else 0 for size in sizes]


def _around(shown: Mapping[Change, Sequence[int]]) -> list[tuple[Change, int]]:
    """Who stands next to whom: those that stay, then by turns those that go and those that come.

    Both are sorted by class, so that neighbours of one class that take each other's place stand together.
    """
    kept: list[tuple[Change, int]] = [("kept", other) for other in shown["kept"]]
    turns = itertools.zip_longest(shown["removed"], shown["added"])
    changed: list[tuple[Change, int | None]] = [
        entry for gone, new in turns for entry in (("removed", gone), ("added", new))
    ]
    return kept + [(change, other) for change, other in changed if other is not None]


def _place(number: int, count: int) -> tuple[float, float]:
    """Clockwise from the top; on two rings if there are many."""
    angle = 2 * math.pi * (number + 0.5) / count
    radius = INNER_RADIUS if count > ON_ONE_RING and number // 2 % 2 else RADIUS
    return radius * math.sin(angle), -radius * math.cos(angle)


def _drawn(audit: Audit, node: int, change: Change | None, x: float, y: float) -> DrawnNode:
    index = int(audit.labels[node])
    return DrawnNode(
        x, y, node, index, _mark(index), _class_name(audit.dataset, index), _colour(index), change
    )


def _between(placed: Sequence[DrawnNode], before: Tensor, after: Tensor) -> list[DrawnEdge]:
    """Edges of either graph between drawn neighbours."""
    places = {one.node: one for one in placed}
    pairs = [_pairs_among(edges, list(places)) for edges in (before, after)]
    found = []
    for a, b in sorted(pairs[0] | pairs[1]):
        change: Change = "kept" if (a, b) in pairs[0] & pairs[1] else "removed"
        found.append(_edge(places[a], places[b], change if (a, b) in pairs[0] else "added", is_between=True))
    return found


def _pairs_among(edge_index: Tensor, nodes: Sequence[int]) -> set[tuple[int, int]]:
    """Unordered pairs of different nodes, out of some, that are joined."""
    chosen = torch.tensor(nodes, dtype=torch.long)
    inside = torch.isin(edge_index[0], chosen) & torch.isin(edge_index[1], chosen)
    return {(min(a, b), max(a, b)) for a, b in edge_index[:, inside].T.tolist() if a != b}


def _edge(one: DrawnNode, other: DrawnNode, change: Change | None, *, is_between: bool = False) -> DrawnEdge:
    assert change is not None  # noqa: S101 (only the node itself has none)
    ends = tuple(node.change for node in (one, other) if node.change is not None)
    return DrawnEdge(one.x, one.y, other.x, other.y, change, is_between, ends)


def _class_name(card: DatasetCard, index: int) -> str:
    return card.class_names[index] if 0 <= index < len(card.class_names) else f"class {index}"


def _mark(index: int) -> str:
    """A letter, so that nobody takes it for a number in a class's name; numbers after the last one."""
    letters = string.ascii_uppercase
    return letters[index] if index < len(letters) else str(index)


def _colour(index: int) -> str:
    return SERIES[index % len(SERIES)].name
