"""Which sections the page has, when each is expected, and the data of each.

Numbers are those of the design and the same in every report; a section without data is left out, so
numbers may be missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from graph_metamers.auditing import advice
from graph_metamers.auditing.mattering import was_asked
from graph_metamers.report.controls import controls_section
from graph_metamers.report.gates import evidence_section
from graph_metamers.report.labels import grouped, model_labels
from graph_metamers.report.layers import layers_section
from graph_metamers.report.making import making_section
from graph_metamers.report.neighbourhoods import Drawings, drawings
from graph_metamers.report.observers import ObserversSection, observers_section
from graph_metamers.report.oracle import OraclePart, oracle_part
from graph_metamers.report.pictures import HeatMaps, PictureGrid, heat_maps, picture_grid
from graph_metamers.report.structure import structure_section
from graph_metamers.report.summary import summary
from graph_metamers.report.theory import theory_section
from graph_metamers.report.varied import vary_edges
from graph_metamers.report.words import WordChanges, word_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graph_metamers.auditing import Audit


@dataclass(frozen=True)
class Section:
    """One section of the page, ready for its template.

    Attributes
    ----------
    id
        Where links point; also the name of its template.
    number
        Its number in every report.
    heading
        Without the number.
    short
        The same for the navigation.
    data
        What its template shows.
    """

    id: str
    number: int
    heading: str
    short: str
    data: object


@dataclass(frozen=True)
class Pictures:
    """Section 2: each of the audited data sets in the form that suits its features; or the changed edges."""

    grids: tuple[PictureGrid, ...]
    words: tuple[WordChanges, ...]
    maps: tuple[HeatMaps, ...]
    drawings: tuple[Drawings, ...]


@dataclass(frozen=True)
class Mattering:
    """Section 7: what observers make of it, and the oracle where there is one."""

    observers: ObserversSection | None
    oracle: OraclePart | None


def _has_layers(audits: Sequence[Audit]) -> bool:
    return any(audit.layers for audit in audits)


EXPECTED: Mapping[str, Callable[[Sequence[Audit]], bool]] = MappingProxyType(
    {
        "verdict": bool,
        "pictures": _has_layers,
        "layers": _has_layers,
        "metamer": _has_layers,
        "theory": lambda audits: any(audit.theory is not None for audit in audits),
        "controls": lambda audits: any(any(audit.baselines) for audit in audits),
        "observers": lambda audits: any(was_asked(audit) and audit.layers for audit in audits),
        "structure": lambda audits: _has_layers(vary_edges(audits)),
        "advice": lambda audits: bool(advice(audits)),
        "making": bool,
    }
)
"""Section id -> whether a report about these audits must have it."""


def expected_sections(audits: Sequence[Audit]) -> tuple[str, ...]:
    """Ids of the sections that a report about these audits must have, in their order on the page."""
    return tuple(name for name, is_expected in EXPECTED.items() if is_expected(audits))


def build_sections(audits: Sequence[Audit]) -> tuple[Section, ...]:
    """The sections that have data."""
    return tuple(
        Section(name, number, heading, short, data)
        for name, number, heading, short, build in _DEFINITIONS
        if (data := build(audits)) is not None
    )


def _pictures(audits: Sequence[Audit]) -> Pictures | None:
    pairs = list(zip(model_labels(audits), audits, strict=True))
    features = [(label, audit) for label, audit in pairs if audit.varies != "structure"]
    kinds = dict.fromkeys(audit.varies for _, audit in features)
    groups = [
        group for kind in kinds for group in grouped([pair for pair in features if pair[1].varies == kind])
    ]
    pictures = Pictures(
        tuple(grid for card, group in groups if (grid := picture_grid(card, group)) is not None),
        tuple(changes for label, audit in features if (changes := word_changes(label, audit)) is not None),
        tuple(maps for card, group in groups if (maps := heat_maps(card, group)) is not None),
        tuple(drawn for label, audit in pairs if (drawn := drawings(label, audit)) is not None),
    )
    return pictures if any((pictures.grids, pictures.words, pictures.maps, pictures.drawings)) else None


def _mattering(audits: Sequence[Audit]) -> Mattering | None:
    mattering = Mattering(observers_section(audits), oracle_part(audits))
    return mattering if mattering.observers or mattering.oracle else None


def _advice(audits: Sequence[Audit]) -> tuple[str, ...] | None:
    return advice(audits) or None


_DEFINITIONS: tuple[tuple[str, int, str, str, Callable[[Sequence[Audit]], object | None]], ...] = (
    ("verdict", 1, "In short", "Verdict", summary),
    ("pictures", 2, "What it looks like", "Pictures", _pictures),
    ("layers", 3, "Layer by layer", "Layers", layers_section),
    ("metamer", 4, "Is it a metamer?", "Evidence", evidence_section),
    ("theory", 5, "Why so much looks alike", "Why", theory_section),
    ("controls", 6, "How far one gets with less", "Controls", controls_section),
    ("observers", 7, "Does it matter?", "Observers", _mattering),
    ("structure", 8, "What other edges cost", "Structure", structure_section),
    ("advice", 9, "What to do now", "What to do", _advice),
    ("making", 10, "How it was made", "How made", making_section),
)
