"""List what can be read in a model, and choose what an audit reads by default."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from torch_geometric.nn import MessagePassing

from graph_metamers.errors import LayerNotFoundError
from graph_metamers.reading.binding import call_model
from graph_metamers.reading.functions import is_activation_module
from graph_metamers.reading.guarding import borrowed
from graph_metamers.reading.items import GRAPHS, NODES, items_of
from graph_metamers.reading.recording import Recorder, Tap

if TYPE_CHECKING:
    from collections.abc import Collection

    from graph_metamers.types import Forward, Graph, Transform

Role = Literal["post-activation", "pre-activation", "output", "inside"]


@dataclass(frozen=True)
class Layer:
    """One place of a model that can be read.

    Attributes
    ----------
    name
        What to pass as `layer`.
    module
        Class of the module, or the name of the function.
    call
        Which call of that module or function, from 1.
    shape
        Shape of the activation on this graph.
    items
        What the rows stand for: `nodes`, `graphs`, `edges`, `other`; with types, `nodes:movie`.
    role
        `post-activation`: what an activation function returned; `pre-activation`: what one was applied
        to; `output`: what the model returned; `inside`: anything else.
    is_default
        Whether an audit reads it when no layer is named.
    """

    name: str
    module: str
    call: int
    shape: tuple[int, ...]
    items: str
    role: Role
    is_default: bool


class LayerList(list[Layer]):
    """A list of layers that prints as a table; in all else a list."""

    def table(self) -> list[tuple[str, ...]]:
        """Return one row of text for each layer, below a row of headings."""
        return [_HEADINGS, *map(_cells, self)]

    def __repr__(self) -> str:
        widths = [max(map(len, column)) for column in zip(*self.table(), strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in self.table()]
        return "\n  ".join([self._title(), *lines])

    def _repr_html_(self) -> str:
        head, *rows = self.table()
        body = "".join(_html_row(row, "td") for row in rows)
        return (
            f"<table><caption>{self._title()}</caption>"
            f"<thead>{_html_row(head, 'th')}</thead><tbody>{body}</tbody></table>"
        )

    def _title(self) -> str:
        return f"{len(self)} layers, {len(default_layers(self))} of them read by an audit"


_HEADINGS = ("name", "module", "call", "shape", "rows are", "role", "audited")


def _html_row(cells: tuple[str, ...], tag: str) -> str:
    inside = "".join(f'<{tag} style="text-align:left">{escape(cell)}</{tag}>' for cell in cells)
    return f"<tr>{inside}</tr>"


def _cells(layer: Layer) -> tuple[str, ...]:
    return (
        layer.name,
        layer.module,
        str(layer.call),
        " x ".join(map(str, layer.shape)),
        layer.items,
        layer.role,
        "yes" if layer.is_default else "",
    )


def layers(
    model: nn.Module,
    graph: Graph,
    *,
    forward: Forward | None = None,
    transform: Transform | None = None,
) -> LayerList:
    """List everything that can be read in a model on this graph, in the order of computation.

    The default layers of an audit are marked: every post-activation output with one row per node or per
    graph that is not inside a convolution, and the output. (A convolution's own output comes *before* the
    activation function: there a ReLU and an ELU cannot differ.)

    Parameters
    ----------
    model
        Any module; run once in eval mode, and left as it was.
    graph
        A `Data`, `Batch` or `HeteroData`.
    forward, transform
        How the model is called; see `activations`.

    Returns
    -------
    list of Layer
        Printed as a table.

    Raises
    ------
    BindingError
        If the model's forward needs something that the graph does not have.
    ModelError
        If the model cannot be looked into (TorchScript), or is built for another number of features.

    Examples
    --------
    >>> import torch, graph_metamers as gm
    >>> from torch_geometric.data import Data
    >>> from torch_geometric.nn import GCN
    >>> graph = Data(x=torch.ones(3, 2), edge_index=torch.tensor([[0, 1], [1, 2]]))
    >>> gm.layers(GCN(2, 4, num_layers=1), graph)
    4 layers, 1 of them read by an audit
      name                 module          call  shape  rows are  role    audited
      convs.0.lin          Linear          1     3 x 4  nodes     inside
      convs.0.aggr_module  SumAggregation  1     3 x 4  nodes     inside
      convs.0              GCNConv         1     3 x 4  nodes     inside
      output               GCN             1     3 x 4  nodes     output  yes
    """
    with borrowed(model), torch.no_grad(), Recorder(model) as recorder:
        recorder.note_output(call_model(model, graph, forward=forward, transform=transform))
    taps = list(recorder.taps.values())
    before_activation = {tap.input_identity for tap in taps}
    output_tensors = {tap.identity for tap in taps if tap.is_output}
    listed = LayerList()
    for tap in taps:
        items = items_of(tap.name, tap.value.shape[0] if tap.value.ndim else 0, graph)
        role = _role(tap, before_activation)
        is_default = _is_default(tap, role, items, model)
        if role != "output" and tap.identity in output_tensors:
            is_default = False  # the output stands for it
        listed.append(
            Layer(tap.name, _source_name(tap), tap.call, tuple(tap.value.shape), items, role, is_default)
        )
    return listed


def default_layers(listed: Collection[Layer]) -> list[str]:
    """Names of the layers that an audit reads when none is named."""
    return [layer.name for layer in listed if layer.is_default]


def unknown_layer(name: str, known: Collection[str]) -> LayerNotFoundError:
    """Say which layers there are, the likeliest first, for a name that is none of them."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    close = close or [other for other in known if other.startswith(f"{name}/")][:1]
    hint = f"did you mean {close[0]!r}? " if close else ""
    return LayerNotFoundError(
        f"the 'layer' parameter must be a layer of the model, got {name!r}; {hint}"
        f"Its layers are {', '.join(known)}"
    )


def _role(tap: Tap, before_activation: Collection[int | None]) -> Role:
    if tap.is_output:
        return "output"
    if isinstance(tap.source, nn.Module):
        if is_activation_module(tap.source):
            return "post-activation"
    elif tap.source != "fx":
        return "post-activation"
    return "pre-activation" if tap.identity in before_activation else "inside"


def _is_default(tap: Tap, role: Role, items: str, model: nn.Module) -> bool:
    if role == "output":
        return True
    if role != "post-activation" or items.split(":", maxsplit=1)[0] not in (NODES, GRAPHS):
        return False
    return not any(isinstance(model.get_submodule(name), MessagePassing) for name in tap.inside)


def _source_name(tap: Tap) -> str:
    return tap.source if isinstance(tap.source, str) else type(tap.source).__name__
