"""Section 2 for image-like and for other numeric features: the reference above, its metamers below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graph_metamers.inputs import Features, resolve_variables
from graph_metamers.randomness import generator_for
from graph_metamers.report.numbers import listed
from graph_metamers.report.png import data_uri
from graph_metamers.report.varied import what_of_edges

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from graph_metamers.auditing import Audit, DatasetCard, LayerAudit
    from graph_metamers.report.labels import ModelLabel

MOST_NODES = 10
LARGEST_SIDE = 64
"""Larger images are thinned out to this many pixels a side, so that the page stays small."""
MOST_COLUMNS = 128
SPREAD = 2.5
"""Standard deviations from mid-grey to white in a heat map."""


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes
    ----------
    uri
        The image inside the page.
    alt
        What it shows, for those who do not see it.
    caption
        Class below it.
    changed
        Whether that class is another than the model predicted for the reference.
    """

    uri: str
    alt: str
    caption: str
    changed: bool


@dataclass(frozen=True)
class PictureRow:
    """The same nodes in one version.

    Attributes
    ----------
    model
        Whose metamer; `None` for the reference and for unrelated features.
    heading, note
        What the row shows, and how that search ended.
    pictures
        One a node.
    """

    model: ModelLabel | None
    heading: str
    note: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class PictureGrid:
    """Pictures of the same nodes: columns are nodes, rows are versions.

    Attributes
    ----------
    dataset
        Whose nodes.
    nodes, classes
        Numbers of the nodes, and names of their true classes.
    rows
        The reference first, unrelated features last.
    already_wrong
        Sentences about nodes whose reference a model already gets wrong.
    low, high
        Feature values that are black and white.
    farthest
        Models whose searches went on for distance; empty where none did.
    edges
        What happened to edges, in a sentence.
    """

    dataset: DatasetCard
    nodes: tuple[int, ...]
    classes: tuple[str, ...]
    rows: tuple[PictureRow, ...]
    already_wrong: tuple[str, ...]
    low: float
    high: float
    farthest: str
    edges: str


@dataclass(frozen=True)
class HeatMaps:
    """Features that are no image: a node a line, a feature a column, a version a map.

    Attributes
    ----------
    dataset, nodes, classes
        As in `PictureGrid`.
    maps
        One `PictureRow` a version, each with one picture.
    num_columns
        How many features are shown, of `dataset.num_features`.
    farthest, edges
        As in `PictureGrid`.
    """

    dataset: DatasetCard
    nodes: tuple[int, ...]
    classes: tuple[str, ...]
    maps: tuple[PictureRow, ...]
    num_columns: int
    farthest: str
    edges: str


def first_of_each_class(labels: Tensor) -> tuple[int, ...]:
    """The first node of each class, in the order of the classes, at most `MOST_NODES`.

    A rule that looks at no result, so that nobody can have picked the nodes.
    """
    classes = torch.unique(labels).tolist()
    return tuple(int((labels == value).nonzero()[0, 0]) for value in classes[:MOST_NODES])


def unrelated_features(audit: Audit) -> Tensor | None:
    """The features with each column shuffled over the nodes, [n, F]: what chance looks like.

    `None` where the audit does not say which entries might vary.
    """
    search = audit.config.get("search")
    varied = search.get("vary") if isinstance(search, dict) else None
    slot = varied.get("x") if isinstance(varied, dict) else None
    if not isinstance(slot, dict) or slot.get("mutable") != 1.0:
        return None
    variables = resolve_variables(Features(), audit.graph)
    seed = search.get("seed") if isinstance(search, dict) else None
    generator = generator_for("shuffle", seed if isinstance(seed, int) else 0)
    shuffled: Tensor = variables.shuffled(generator).x
    return shuffled


def picture_grid(card: DatasetCard, group: Sequence[tuple[ModelLabel, Audit]]) -> PictureGrid | None:
    """The grid of a data set whose features are images."""
    audit = group[0][1]
    if card.image_shape is None or not any(entry.layers for _, entry in group):
        return None
    nodes = first_of_each_class(audit.labels)
    classes = tuple(_class_name(card, int(audit.labels[node])) for node in nodes)
    low, high = _value_range(audit)

    def uris(features: Tensor) -> list[str]:
        return [data_uri(_grey(_image(features[node], card), low, high)) for node in nodes]

    rows = [_plain_row("reference", uris(audit.graph.x), [f"is {name}" for name in classes], nodes)]
    for model, entry in group:
        rows += [
            _metamer_row(model, entry, layer, nodes, uris(layer.metamer.graph.x)) for layer in entry.layers
        ]
    unrelated = unrelated_features(audit)
    if unrelated is not None:
        rows.append(_plain_row("unrelated features (chance)", uris(unrelated), [""] * len(nodes), nodes))
    wrong, farthest = _already_wrong(group, nodes), _farthest(group)
    return PictureGrid(card, nodes, classes, tuple(rows), wrong, low, high, farthest, what_of_edges(audit))


def heat_maps(card: DatasetCard, group: Sequence[tuple[ModelLabel, Audit]]) -> HeatMaps | None:
    """The heat maps of a data set whose features are neither images nor words."""
    audit = group[0][1]
    if card.image_shape is not None or card.feature_kind == "binary" or not audit.layers:
        return None
    nodes = first_of_each_class(audit.labels)
    columns = min(MOST_COLUMNS, card.num_features)
    features = audit.graph.x.double()
    mean, deviation = features.mean(dim=0), features.std(dim=0, correction=0).clamp_min(1e-12)

    def row(heading: str, changed: Tensor, model: ModelLabel | None = None, note: str = "") -> PictureRow:
        scores = ((changed.double() - mean) / deviation)[list(nodes), :columns]
        alt = f"{heading}: {len(nodes)} nodes by {columns} features as grey values"
        uri = data_uri(_grey(scores, -SPREAD, SPREAD))
        return PictureRow(model, heading, note, (Picture(uri, alt, "", changed=False),))

    maps = [row("reference", audit.graph.x)]
    for model, entry in group:
        maps += [row(layer.name, layer.metamer.graph.x, model, _note(layer)) for layer in entry.layers]
    unrelated = unrelated_features(audit)
    if unrelated is not None:
        maps.append(row("unrelated features (chance)", unrelated))
    classes = tuple(_class_name(card, int(audit.labels[node])) for node in nodes)
    return HeatMaps(card, nodes, classes, tuple(maps), columns, _farthest(group), what_of_edges(audit))


def _metamer_row(
    model: ModelLabel, audit: Audit, layer: LayerAudit, nodes: Sequence[int], uris: Sequence[str]
) -> PictureRow:
    pictures = []
    for node, uri in zip(nodes, uris, strict=True):
        found = int(layer.predictions[node])
        name = _class_name(audit.dataset, found)
        what = "Metamer" if layer.metamer.is_metamer else "Best attempt"
        alt = f"{what} of {layer.name} of {model.flagged}, node {node}: predicted {name}"
        pictures.append(Picture(uri, alt, name, changed=found != int(audit.predictions[node])))
    return PictureRow(model, layer.name, _note(layer), tuple(pictures))


def _already_wrong(group: Sequence[tuple[ModelLabel, Audit]], nodes: Sequence[int]) -> tuple[str, ...]:
    sentences = []
    for node in nodes:
        wrong: dict[str, list[str]] = {}
        for model, audit in group:
            found = int(audit.predictions[node])
            if found != int(audit.labels[node]):
                wrong.setdefault(_class_name(audit.dataset, found), []).append(model.text)
        sentences += [
            f"{listed(models)} already {'predicts' if len(models) == 1 else 'predict'} {name} "
            f"for the reference of node {node}."
            for name, models in wrong.items()
        ]
    return tuple(sentences)


def _farthest(group: Sequence[tuple[ModelLabel, Audit]]) -> str:
    names = [model.text for model, audit in group if audit.went_farther]
    return "" if not names else "every model" if len(names) == len(group) else listed(names)


def _plain_row(
    heading: str, uris: Sequence[str], captions: Sequence[str], nodes: Sequence[int]
) -> PictureRow:
    return PictureRow(
        None,
        heading,
        "",
        tuple(
            Picture(uri, f"{heading}, node {node} {caption}".strip(), caption, changed=False)
            for uri, caption, node in zip(uris, captions, nodes, strict=True)
        ),
    )


def _note(layer: LayerAudit) -> str:
    return "" if layer.metamer.is_metamer else "no metamer: best attempt"


def _class_name(card: DatasetCard, index: int) -> str:
    return card.class_names[index] if 0 <= index < len(card.class_names) else f"class {index}"


def _value_range(audit: Audit) -> tuple[float, float]:
    search = audit.config.get("search")
    varied = search.get("vary") if isinstance(search, dict) else None
    slot = varied.get("x") if isinstance(varied, dict) else None
    low, high = (slot.get("low"), slot.get("high")) if isinstance(slot, dict) else (None, None)
    if isinstance(low, (int, float)) and isinstance(high, (int, float)):
        return float(low), float(high)
    return float(audit.graph.x.min()), float(audit.graph.x.max())


def _image(features: Tensor, card: DatasetCard) -> Tensor:
    image = features.reshape(card.image_shape or (1, -1))
    stride = [-(-side // LARGEST_SIDE) for side in image.shape]
    return image[:: stride[0], :: stride[1]]


def _grey(values: Tensor, low: float, high: float) -> NDArray[np.uint8]:
    scaled = (values.double() - low) / max(high - low, 1e-12)
    grey: NDArray[np.uint8] = (scaled.nan_to_num(0.0).clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return grey
