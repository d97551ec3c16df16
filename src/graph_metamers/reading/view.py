"""The one way in which the rest of the package sees a model: graph in, activations out."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graph_metamers.reading.binding import call_model
from graph_metamers.reading.guarding import borrowed
from graph_metamers.reading.items import items_of
from graph_metamers.reading.listing import LayerList, layers, unknown_layer
from graph_metamers.reading.recording import OUTPUT, AllRead, Recorder, Tap, named_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from graph_metamers.types import Forward, Graph, Transform


@dataclass(frozen=True, eq=False)
class ModelView:
    """A model seen as a function from graphs to activations.

    Attributes
    ----------
    model
        Any module; it is run in eval mode with frozen parameters inside `borrow`, and left as it was.
    forward, transform
        How the model is called; see `activations`.
    """

    model: nn.Module
    forward: Forward | None = None
    transform: Transform | None = None

    @contextmanager
    def borrow(self) -> Iterator[None]:
        """Hold the model frozen and in eval mode; give it back as it was, whatever happens."""
        with borrowed(self.model):
            yield

    def layers(self, graph: Graph) -> LayerList:
        """See `graph_metamers.layers`."""
        return layers(self.model, graph, forward=self.forward, transform=self.transform)

    def taps(self, graph: Graph, names: Sequence[str]) -> dict[str, Tap]:
        """Read layers by name, in the order asked for; differentiable. Call inside `borrow`.

        The model is run as far as the last of them, and no further where nobody could notice.

        Raises
        ------
        LayerNotFoundError
            If a name is no layer of the model.
        """
        with Recorder(self.model, names, stops=True) as recorder:
            try:
                recorder.note_output(self.call(graph))
            except AllRead as end:
                if end.args[0] is not recorder:  # that of a recorder around this one
                    raise
        return self._in_order(recorder, graph, names)

    def read(self, graph: Graph, names: Sequence[str]) -> tuple[dict[str, Tap], dict[str, Tensor]]:
        """Taps and outputs, as `taps` and `outputs` give them, in one run of the model."""
        with Recorder(self.model, names) as recorder:
            result = self.call(graph)
            recorder.note_output(result)
        return self._in_order(recorder, graph, names), dict(named_tensors(OUTPUT, result))

    def _in_order(self, recorder: Recorder, graph: Graph, names: Sequence[str]) -> dict[str, Tap]:
        for name in names:
            if name not in recorder.taps:
                raise unknown_layer(name, [layer.name for layer in self.layers(graph)])
        return {name: recorder.taps[name] for name in names}

    def outputs(self, graph: Graph) -> dict[str, Tensor]:
        """What the model returns: every floating-point tensor by its name, `output` where there is one."""
        return dict(named_tensors(OUTPUT, self.call(graph)))

    def prediction(self, graph: Graph, items: str) -> tuple[str, Tensor] | None:
        """Which output the model's predictions for some items are read from, and the output itself.

        Returns
        -------
        tuple of str and Tensor, or None
            The first output, [n] or [n, C], whose rows are these items; else the first of such a shape;
            `None` if there is none.
        """
        return prediction_among(self.outputs(graph), graph, items)

    def call(self, graph: Graph) -> Any:
        """Run the model and return what it returns."""
        return call_model(self.model, graph, forward=self.forward, transform=self.transform)


def prediction_among(outputs: Mapping[str, Tensor], graph: Graph, items: str) -> tuple[str, Tensor] | None:
    """See `ModelView.prediction`; among outputs that are there already."""
    shaped = [(name, out) for name, out in outputs.items() if out.ndim in (1, 2)]
    fitting = [entry for entry in shaped if items_of(entry[0], len(entry[1]), graph) == items]
    return next(iter(fitting or shaped), None)


def activations(
    model: nn.Module,
    graph: Graph,
    layer: str | Sequence[str],
    *,
    forward: Forward | None = None,
    transform: Transform | None = None,
) -> dict[str, Tensor]:
    """Read the activations of any model at any of its layers.

    Parameters
    ----------
    model
        Any module; run in eval mode, and left as it was (mode, gradients, hooks, buffers), also after
        an exception.
    graph
        A `Data`, `Batch` or `HeteroData`. Gradients flow from the activations to its tensors.
    layer
        A name or names out of `layers(model, graph)`.
    forward
        How to call the model, as `forward(model, graph)`. Default: the attributes of the graph are bound to
        the parameters of the model's forward by name (`x`, `edge_index`, `batch`, `x_dict`, `data`, ...).
    transform
        A PyTorch Geometric transform applied to the graph before the model sees it.

    Returns
    -------
    dict of str to Tensor
        Name -> activation, [items, ...], in the order of `layer`.

    Raises
    ------
    LayerNotFoundError
        If a name is no layer of the model; the message suggests the closest.
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
    >>> gm.activations(GCN(2, 4, num_layers=2), graph, "act")["act"].shape
    torch.Size([3, 4])
    """
    names = [layer] if isinstance(layer, str) else list(layer)
    view = ModelView(model, forward, transform)
    with view.borrow():
        return {name: tap.value for name, tap in view.taps(graph, names).items()}
