"""How models, layers and the page itself are called."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from graph_metamers.auditing.mattering import is_blind
from graph_metamers.auditing.rules import kind_of
from graph_metamers.report.numbers import listed
from graph_metamers.report.theme import SYMBOL_PATHS, series_colour, symbol_index

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.auditing import Audit, DatasetCard, LayerAudit

LONGEST_FIGURE_LABEL = 28
VARIED = {"features": "features vary", "structure": "edges vary", "both": "both vary"}


@dataclass(frozen=True)
class ModelLabel:
    """How one audited model is called on the page.

    Attributes
    ----------
    text
        Its name; with its data set, what varied or its number where several audits have that name.
    index
        Its place among the audits, from 0: colour and marker shape.
    at_chance
        Whether every mention has to carry the flag.
    """

    text: str
    index: int
    at_chance: bool

    @property
    def flagged(self) -> str:
        """The name with the flag in words, for places that cannot be styled."""
        return f"{self.text} (at chance)" if self.at_chance else self.text

    @property
    def symbol_path(self) -> str:
        """SVG path of its marker."""
        return SYMBOL_PATHS[symbol_index(self.index)]

    @property
    def colour_name(self) -> str:
        """CSS variable of its colour."""
        return series_colour(self.index).name


def model_labels(audits: Sequence[Audit]) -> tuple[ModelLabel, ...]:
    """One label for each audit, all different."""
    names = [audit.model_name for audit in audits]
    if len({audit.dataset.name for audit in audits}) > 1:
        names = [f"{audit.model_name} on {audit.dataset.name}" for audit in audits]
    if len({audit.varies for audit in audits}) > 1:
        repeated = Counter(names)
        varied = [VARIED[audit.varies] for audit in audits]
        pairs = zip(names, varied, strict=True)
        names = [f"{name}, {what}" if repeated[name] > 1 else name for name, what in pairs]
    repeated, seen = Counter(names), Counter[str]()
    labels = []
    for index, (name, audit) in enumerate(zip(names, audits, strict=True)):
        seen[name] += 1
        text = f"{name}, audit {seen[name]}" if repeated[name] > 1 else name
        labels.append(ModelLabel(text, index, audit.at_chance))
    return tuple(labels)


def title(audits: Sequence[Audit]) -> str:
    """The title of the page: what is not seen, what was matched, or that nothing was found within the budget.

    It says "cannot see" only where that is borne out for every model on the page; see `is_blind`.
    """
    names = _once([f"{a.model_name} (at chance)" if a.at_chance else a.model_name for a in audits])
    data = listed(_once([audit.dataset.name for audit in audits]))
    layers = [layer for audit in audits for layer in audit.layers]
    matched = any(layer.num_metamers or layer.front_holds_metamers for layer in layers)
    if audits and all(is_blind(audit) for audit in audits):
        return f"What {listed(names)} cannot see in {data}"
    if matched:
        return f"What {listed(names)} {'matches' if len(names) == 1 else 'match'} on {data}"
    steps = max((start.steps for layer in layers for start in layer.starts), default=0)
    return f"No metamer of {listed(names)} was found on {data} within {steps} steps"


def by_dataset(
    audits: Sequence[Audit],
) -> tuple[tuple[DatasetCard, tuple[tuple[ModelLabel, Audit], ...]], ...]:
    """The audits grouped by data set, with their labels, in the order given."""
    return grouped(list(zip(model_labels(audits), audits, strict=True)))


def grouped(
    pairs: Sequence[tuple[ModelLabel, Audit]],
) -> tuple[tuple[DatasetCard, tuple[tuple[ModelLabel, Audit], ...]], ...]:
    """The same for audits that have their labels already."""
    groups: dict[str, list[tuple[ModelLabel, Audit]]] = {}
    for label, audit in pairs:
        groups.setdefault(audit.dataset.fingerprint, []).append((label, audit))
    return tuple((group[0][1].dataset, tuple(group)) for group in groups.values())


def headline_layer(audit: Audit) -> LayerAudit | None:
    """The layer that stands for an audit: the deepest whose visible metamers were found, else the deepest.

    Layers that were matched from every start come first, then those from some; layers whose metamers are of
    kind "null space" only stand for an audit that has nothing else.
    """
    from_all = [layer for layer in audit.layers if layer.is_matched]
    from_some = [layer for layer in audit.layers if layer.num_metamers]
    visible = [layer for layer in from_all or from_some if kind_of(layer) == "visible"]
    return next(reversed(visible or from_all or from_some or list(audit.layers)), None)


def depths(audits: Sequence[Audit]) -> tuple[int, ...]:
    """Every depth at which some model was audited, in order."""
    return tuple(sorted({layer.depth for audit in audits for layer in audit.layers}))


def depth_name(audits: Sequence[Audit], depth: int) -> str:
    """What the models call the layer at a depth: their names for it, each once."""
    names = _once([layer.name for audit in audits for layer in audit.layers if layer.depth == depth])
    return " / ".join(names)


def for_figure(text: str) -> str:
    """A text that plotly shows as it is: shortened, and escaped because plotly renders pseudo-HTML."""
    short = text if len(text) <= LONGEST_FIGURE_LABEL else text[: LONGEST_FIGURE_LABEL - 1] + "…"
    return escape(short)


def _once(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(words))
