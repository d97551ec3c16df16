"""GraphML files, as networkx, Gephi, igraph and others write them; nothing that a DTD could do is done."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

import networkx as nx
import torch

from graph_metamers.errors import DatasetError, FileFormatError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["read_graphml"]

_CLASS_ATTRIBUTES = ("y", "label")
_MASKS = ("train_mask", "val_mask", "test_mask")
_NUMBERED = re.compile(r"x(\d+)")
_WEIGHT = "weight"


def read_graphml(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Read one graph.

    Features are the node attributes x0, x1, ... in the order of their numbers, or, if there are none of
    these, all attributes that are numbers at every node, in the order of their names. The class is the
    attribute `y`, else `label`; texts are numbered in their order. An edge without direction becomes two.

    Parameters
    ----------
    path
        A .graphml file in UTF-8.

    Returns
    -------
    parts
        `x`, `edge_index`, `y`, `feature_names`; `class_names` if the classes are texts; the three masks and
        `edge_weight` if the file has them.
    notes
        A sentence if attributes were left out.

    Raises
    ------
    FileFormatError
        If the file is no GraphML, has a DTD, or holds more than one graph.
    DatasetError
        If the attributes do not make features and classes.
    """
    graph = _parse(path, _safe_text(path))
    columns = _Columns(graph)
    names = columns.names()
    try:
        features = _feature_names(columns, names)
        classes, class_names = _classes(columns, names)
        parts: dict[str, Any] = {
            "x": torch.tensor([columns.complete(name) for name in features], dtype=torch.float64).t(),
            "y": classes,
            "feature_names": features,
        }
        if class_names is not None:
            parts["class_names"] = class_names
        parts |= {name: torch.tensor(columns.complete(name)) for name in _MASKS if name in names}
        edge_index, weights, of_edges = _edges(graph)
        parts["edge_index"] = edge_index
        if weights is not None:
            parts["edge_weight"] = weights
    except DatasetError:
        raise
    except (OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise DatasetError(f"an attribute is no number that fits in 64 bits: {error}. Replace it") from error
    used = {*features, *_MASKS, _class_attribute(names)}
    left_out = [f"{name} of nodes" for name in names if name not in used] + of_edges
    return parts, (f"Left out of the graph: {', '.join(left_out)}.",) if left_out else ()


def _safe_text(path: Path) -> str:
    """Read the text of a file that has no DTD: its entities could fill the memory or name other files.

    It is looked through by the same parser that networkx uses, as text that is decoded already, so that no
    declared encoding can hide anything from one and show it to the other.
    """
    graphs = 0

    def refuse(*_: object) -> None:
        raise FileFormatError(
            f"{path} has a DTD (<!DOCTYPE or <!ENTITY), which GraphML does not need and which can fill the "
            "memory or read other files. Remove it"
        )

    def count(name: str, _: object) -> None:
        nonlocal graphs
        graphs += name.rsplit("}", maxsplit=1)[-1] == "graph"

    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = count
    try:
        text = path.read_text(encoding="utf-8-sig")
        parser.Parse(text, True)
    except OSError as error:
        raise FileFormatError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path} is not UTF-8 ({error}). Save it as UTF-8") from error
    except expat.ExpatError as error:
        raise FileFormatError(f"{path} is not well-formed XML: {error}. Save it again") from error
    if graphs != 1:
        raise FileFormatError(f"{path} holds {graphs} graphs, counting nested ones; one is needed")
    return text


def _parse(path: Path, text: str) -> Any:
    try:
        # networkx warns of attributes whose type is not declared, and reads them as text.
        with warnings.catch_warnings(action="ignore"):
            return nx.parse_graphml(text)
    except (nx.NetworkXError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise FileFormatError(f"{path} is not a readable GraphML file: {reason}. Save it again") from error


class _Columns:
    """Attributes of all nodes, with the defaults that the file declares."""

    def __init__(self, graph: Any) -> None:
        self._nodes = list(graph.nodes(data=True))
        self._defaults: dict[str, Any] = graph.graph.get("node_default", {})

    def names(self) -> list[str]:
        """List every attribute that some node has, in the order of the file."""
        found = {name: None for _, attributes in self._nodes for name in attributes}
        return [*found, *(name for name in self._defaults if name not in found)]

    def values(self, name: str) -> list[Any]:
        """List the values; None where there is none."""
        default = self._defaults.get(name)
        return [attributes.get(name, default) for _, attributes in self._nodes]

    def complete(self, name: str) -> list[Any]:
        """List the values, of which none may be missing."""
        values = self.values(name)
        if None in values:
            node = self._nodes[values.index(None)][0]
            raise DatasetError(f"node {node!r} has no attribute {name!r}. Give every node one")
        return values


def _feature_names(columns: _Columns, names: Sequence[str]) -> list[str]:
    numbered = [name for name in names if _NUMBERED.fullmatch(name)]
    if numbered:
        features = sorted(numbered, key=lambda name: (int(name[1:]), name))
    else:
        reserved = {*_CLASS_ATTRIBUTES, *_MASKS}
        features = sorted(
            name for name in names if name not in reserved and _are_numbers(columns.values(name))
        )
    if not features:
        raise DatasetError(
            "no node attribute is a feature: needed are x0, x1, ... or others of type boolean, int, "
            f"long, float or double; got {', '.join(names) or 'none'}. Add one"
        )
    for name in features:
        if not _are_numbers(columns.complete(name)):
            raise DatasetError(f"the node attribute {name!r} is text, not numbers. Declare its type")
    return features


def _class_attribute(names: Sequence[str]) -> str | None:
    return next((name for name in _CLASS_ATTRIBUTES if name in names), None)


def _classes(columns: _Columns, names: Sequence[str]) -> tuple[torch.Tensor, list[str] | None]:
    attribute = _class_attribute(names)
    if attribute is None:
        raise DatasetError(
            "no node attribute is the class: needed is 'y' or 'label', a number or a text. Add one"
        )
    values = columns.complete(attribute)
    if all(isinstance(value, str) for value in values):
        texts = sorted(set(values))
        number_of = {text: number for number, text in enumerate(texts)}
        return torch.tensor([number_of[value] for value in values], dtype=torch.int64), texts
    if all(isinstance(value, bool) for value in values):
        return torch.tensor(values).long(), None
    return torch.tensor(values), None


def _edges(graph: Any) -> tuple[torch.Tensor, torch.Tensor | None, list[str]]:
    """List edges [2, E] in the order of the file, their weights [E] if all have one, and what is left out."""
    number_of = {node: number for number, node in enumerate(graph)}
    edges = [
        (number_of[source], number_of[target], attributes)
        for source, target, attributes in graph.edges(data=True)
    ]
    if not graph.is_directed():
        edges += [(target, source, attributes) for source, target, attributes in edges if source != target]
    pairs = [(source, target) for source, target, _ in edges]
    edge_index = torch.tensor(pairs, dtype=torch.int64).view(-1, 2).t().contiguous()
    names = {name: None for *_, attributes in edges for name in attributes if name != "id"}
    weights = None
    if _WEIGHT in names:
        default = graph.graph.get("edge_default", {}).get(_WEIGHT)
        values = [attributes.get(_WEIGHT, default) for *_, attributes in edges]
        if not _are_numbers(values) or None in values:
            raise DatasetError("an edge has no 'weight', or it is text. Give every edge a number, or none")
        weights = torch.tensor(values, dtype=torch.float64)
    return edge_index, weights, [f"{name} of edges" for name in names if name != _WEIGHT]


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(value is None or isinstance(value, (bool, int, float)) for value in values)
