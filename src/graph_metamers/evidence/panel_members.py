"""Observers: classifiers that are shown a changed graph, and say which class they take each node for.

The word is of Feather et al. 2023, where models other than the one that a metamer was made for were asked
to recognise it. Beside other networks there are two observers who see one half of the input only: the
features without the edges, and the edges without the features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from graph_metamers.errors import ParameterError
from graph_metamers.evidence.baselines import propagated
from graph_metamers.parameters import check_choice
from graph_metamers.reading.binding import call_model
from graph_metamers.reading.guarding import borrowed
from graph_metamers.storage import fingerprint
from graph_metamers.training.scoring import on_device_of
from graph_metamers.types import Graph, Json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from graph_metamers.types import Forward, Transform

ObserverKind: TypeAlias = Literal["itself", "twin", "architecture", "features", "edges"]

KINDS: tuple[ObserverKind, ...] = get_args(ObserverKind)
"""In the order in which they are shown."""

KIND_TEXTS: Mapping[ObserverKind, str] = MappingProxyType(
    {
        "itself": "the model itself",
        "twin": "its twins",
        "architecture": "other architectures",
        "features": "features only",
        "edges": "edges only",
    }
)
"""How tables and figures call each class of observers."""

Reader: TypeAlias = Callable[[Graph], Tensor]
"""From a graph to the class of every node, int64 [n]; -1 for a node without an answer."""


@dataclass(frozen=True, eq=False, repr=False)
class PanelMember:
    """One observer.

    Parameters
    ----------
    name
        How tables call it.
    kind
        `"architecture"` for another network, `"twin"` for the audited one with another training seed,
        `"features"` or `"edges"` for one who sees nothing else. (`"itself"` is the audited model, which every
        audit adds.)
    predict
        From a graph to the class of every node, int64 [n].
    facts
        How it came about: for readers, and to repeat it.
    """

    name: str
    kind: ObserverKind
    predict: Reader
    facts: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        if self.name in KINDS:  # figures are asked for by the name of an observer or of a class
            raise ParameterError("name", f"another word than {', '.join(KINDS)}", self.name)

    @classmethod
    def of_model(
        cls,
        name: str,
        model: nn.Module,
        *,
        kind: ObserverKind = "architecture",
        forward: Forward | None = None,
        transform: Transform | None = None,
        facts: Mapping[str, Json] | None = None,
    ) -> PanelMember:
        """Make an observer of a trained model that returns logits [num_nodes, num_classes].

        Parameters
        ----------
        name, kind, facts
            As above.
        model
            It is borrowed for each look and comes back as it was.
        forward, transform
            How it is called, as in `fit`.
        """
        return cls(name, kind, NetworkReader(model, forward, transform), facts or {})

    def classes(self, graph: Graph) -> Tensor:
        """The class of every node, int64 [n] on the CPU, checked.

        Raises
        ------
        ParameterError
            If `predict` returns anything else.
        """
        with torch.no_grad():
            found = self.predict(graph)
        expected = (int(graph.num_nodes or 0),)
        if not isinstance(found, Tensor) or found.shape != expected or found.dtype not in _INTEGERS:
            got = f"{found.dtype} {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            must = f"observers whose predict returns the class of every node, integers {list(expected)}"
            raise ParameterError("observers", must, f"{got} from {self.name!r}")
        classes = found.detach().cpu().long()
        if bool((classes < -1).any()):
            must = "observers whose classes are at least 0, or -1 for no answer"
            raise ParameterError("observers", must, f"{int(classes.min())} from {self.name!r}")
        return classes

    def __repr__(self) -> str:
        return f"PanelMember({self.name}: {KIND_TEXTS[self.kind]})"


_INTEGERS = frozenset({torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8})


@dataclass(frozen=True, eq=False, repr=False)
class Panel:
    """Several observers, each with a name of its own.

    Parameters
    ----------
    members
        In the order in which they are shown.

    Raises
    ------
    ParameterError
        If two have the same name.
    """

    members: tuple[PanelMember, ...]

    def __post_init__(self) -> None:
        repeated = [name for name, count in Counter(one.name for one in self.members).items() if count > 1]
        if repeated:
            raise ParameterError("members", "observers with different names", repeated)

    @classmethod
    def of(cls, members: Iterable[PanelMember]) -> Panel:
        """A panel of these members.

        Raises
        ------
        ParameterError
            If something else is among them.
        """
        known = tuple(members)
        for member in known:
            if not isinstance(member, PanelMember):
                raise ParameterError("observers", "a Panel, or PanelMembers", type(member).__name__)
        return cls(known)

    def __repr__(self) -> str:
        lines = [f"  {KIND_TEXTS[member.kind]}: {member.name}" for member in self.members]
        return "\n".join([f"Panel of {len(self.members)} observers", *lines])


@dataclass(frozen=True, eq=False)
class NetworkReader:
    """A network that answers with logits [num_nodes, num_classes]; the largest is its class."""

    model: nn.Module
    forward: Forward | None = None
    transform: Transform | None = None

    def __call__(self, graph: Graph) -> Tensor:
        """The class of every node."""
        with borrowed(self.model), torch.no_grad():
            seen = on_device_of(self.model, graph)
            logits = call_model(self.model, seen, forward=self.forward, transform=self.transform)
        return classes_of(logits)


@dataclass(frozen=True, eq=False)
class LinearReader:
    """A linear classifier of each node's own features.

    Attributes
    ----------
    weight, bias
        float64 [num_known, F] and [num_known].
    known
        The class of each of their rows, int64 [num_known]: classes without an example are not among them.
    """

    weight: Tensor
    bias: Tensor
    known: Tensor

    def __call__(self, graph: Graph) -> Tensor:
        """The class of every node."""
        scores = graph.x.detach().cpu().double() @ self.weight.T + self.bias
        best = classes_of(scores)
        return torch.where(best >= 0, self.known[best.clamp(min=0)], best)


@dataclass(frozen=True, eq=False)
class EdgeReader:
    """Label propagation over a graph's edges, from the labels of some nodes; it reads no feature.

    Attributes
    ----------
    labels, given
        As in `propagated`.
    known
        Fingerprint of edges -> its answer: where features vary, all graphs have the same edges.
    """

    labels: Tensor
    given: Tensor
    known: dict[str, Tensor] = field(default_factory=dict)

    def __call__(self, graph: Graph) -> Tensor:
        """The class of every node."""
        edges = graph.edge_index.cpu()
        key = fingerprint({"edges": edges})
        if key not in self.known:
            self.known[key] = propagated(self.labels, edges, self.given)
        return self.known[key]


def classes_of(scores: Tensor) -> Tensor:
    """The place of the largest score of every row, int64 [n]; -1 where a score is NaN or infinite.

    An observer may be shown features that it was not made for: a node on which its numbers overflow counts
    as not recognised, and does not end an audit.
    """
    answered = torch.isfinite(scores).all(dim=1)
    return torch.where(answered, scores.argmax(dim=1), torch.full_like(answered, -1, dtype=torch.int64))
