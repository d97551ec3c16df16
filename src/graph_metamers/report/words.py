"""Section 2 for binary features: the most changed nodes, with the words that they lost and gained.

A word is any feature that is 0 or 1; the page says "feature", because not every such data set is of texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graph_metamers.report.labels import headline_layer
from graph_metamers.report.pictures import unrelated_features
from graph_metamers.report.varied import what_of_edges

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.auditing import Audit, DatasetCard
    from graph_metamers.report.labels import ModelLabel

MOST_NODES = 10
MOST_WORDS = 10


@dataclass(frozen=True)
class Words:
    """Some words, and how many more there are."""

    shown: tuple[str, ...]
    more: int

    @property
    def total(self) -> int:
        """How many words in all."""
        return len(self.shown) + self.more


@dataclass(frozen=True)
class ChangedNode:
    """One node before and after.

    Attributes
    ----------
    node
        Its number.
    true_class, before, after
        Its class, and the classes predicted for reference and metamer.
    kept
        How many words stayed.
    lost, gained
        Words that only the reference, or only the metamer, has.
    """

    node: int
    true_class: str
    before: str
    after: str
    kept: int
    lost: Words
    gained: Words


@dataclass(frozen=True)
class Typical:
    """Medians over the nodes: words lost, gained and kept."""

    lost: float
    gained: float
    kept: float


@dataclass(frozen=True)
class WordChanges:
    """What a metamer did to the words of a graph.

    Attributes
    ----------
    model, dataset, layer, is_metamer
        Whose metamer, of which layer, and whether it is one.
    typical, chance
        The median node, and the median node with unrelated features (`None` where unknown).
    nodes
        The most changed ones, the most changed first.
    named
        Whether the data set names its features.
    edges
        What happened to edges, in a sentence.
    """

    model: ModelLabel
    dataset: DatasetCard
    layer: str
    is_metamer: bool
    typical: Typical
    chance: Typical | None
    nodes: tuple[ChangedNode, ...]
    named: bool
    edges: str


def word_changes(model: ModelLabel, audit: Audit) -> WordChanges | None:
    """What the headline metamer of an audit did to its words; `None` unless the features are binary."""
    layer = headline_layer(audit)
    if layer is None or audit.dataset.feature_kind != "binary" or audit.dataset.image_shape is not None:
        return None
    before, after = audit.graph.x.bool(), layer.metamer.graph.x.bool()
    unrelated = unrelated_features(audit)
    changes = (before ^ after).sum(dim=1)
    # Stable: of nodes that changed equally, those with the smaller number.
    order = changes.argsort(descending=True, stable=True)[:MOST_NODES].tolist()
    return WordChanges(
        model=model,
        dataset=audit.dataset,
        layer=layer.name,
        is_metamer=layer.metamer.is_metamer,
        typical=_typical(before, after),
        chance=None if unrelated is None else _typical(before, unrelated.bool()),
        nodes=tuple(
            ChangedNode(
                node=node,
                true_class=_class(audit, int(audit.labels[node])),
                before=_class(audit, int(audit.predictions[node])),
                after=_class(audit, int(layer.predictions[node])),
                kept=int((before[node] & after[node]).sum()),
                lost=_words(audit.dataset, before[node] & ~after[node]),
                gained=_words(audit.dataset, after[node] & ~before[node]),
            )
            for node in order
            if int(changes[node]) > 0
        ),
        named=audit.dataset.feature_names is not None,
        edges=what_of_edges(audit),
    )


def _typical(before: Tensor, after: Tensor) -> Typical:
    parts = (before & ~after, after & ~before, before & after)
    return Typical(*(float(part.sum(dim=1).double().quantile(0.5)) for part in parts))


def _words(card: DatasetCard, mask: Tensor) -> Words:
    columns = mask.nonzero().flatten().tolist()
    names = card.feature_names
    shown = tuple(names[c] if names is not None else f"feature {c}" for c in columns[:MOST_WORDS])
    return Words(shown, len(columns) - len(shown))


def _class(audit: Audit, index: int) -> str:
    names = audit.dataset.class_names
    return names[index] if 0 <= index < len(names) else f"class {index}"
