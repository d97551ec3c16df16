"""Steps of message passing that add up neighbours, each times a coefficient: what, with what, along what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch_geometric.nn import MessagePassing

from graph_metamers.reading.listening import Listener

if TYPE_CHECKING:
    from torch import nn

MATRIX = 2


@dataclass(frozen=True, eq=False)
class WeightedSum:
    """One step, y_v = sum over edges u -> v of c_uv x_u, as it looks from what the step was called with.

    Attributes
    ----------
    edge_index
        int64 [2, e]; convolutions add self-loops.
    coefficients
        c, [e]; differentiable in the weights of the edges.
    rows
        x, [n, d].
    sums
        y, [n, d], differentiable in both.
    """

    edge_index: Tensor
    coefficients: Tensor
    rows: Tensor
    sums: Tensor


class WeightedSumRecorder(Listener):
    """Context manager that notes the weighted sums of a model while it runs, and leaves no trace on it.

    Parameters
    ----------
    model
        The model to listen to.

    Attributes
    ----------
    sums
        In the order in which they were taken.
    all_are_weighted
        Whether every step of message passing had rows `x` and one coefficient for each edge. That it really
        is their weighted sum, this does not say.
    """

    def __init__(self, model: nn.Module) -> None:
        self.sums: list[WeightedSum] = []
        self.all_are_weighted = True
        self._model = model
        super().__init__()

    def _register(self) -> None:
        for module in self._model.modules():
            if isinstance(module, MessagePassing):
                self._cleanup.callback(module.register_propagate_forward_hook(self._note).remove)

    def _note(self, module: nn.Module, called: tuple[Any, ...], result: Any) -> None:
        edge_index, _, arguments = called
        rows = arguments.get("x")
        rows = rows[0] if isinstance(rows, tuple) else rows
        edges = edge_index.shape[1] if isinstance(edge_index, Tensor) else -1
        coefficients = [
            value
            for value in arguments.values()
            if isinstance(value, Tensor) and value.requires_grad and value.shape in ((edges,), (edges, 1))
        ]
        fits = (
            getattr(module, "flow", "") == "source_to_target"
            and len(coefficients) == 1
            and isinstance(rows, Tensor)
            and isinstance(result, Tensor)
            and rows.ndim == MATRIX
            and rows.shape == result.shape
        )
        if not fits:
            self.all_are_weighted = False
            return
        self.sums.append(WeightedSum(edge_index, coefficients[0].flatten(), rows, result))
