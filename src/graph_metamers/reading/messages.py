"""What a model sends along edges: every message-passing step, with its messages and their sums.

PyTorch Geometric calls hooks of its own around `message` and `aggregate`; they say what a step sends whatever
kind of convolution it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch_geometric.nn import MessagePassing

from graph_metamers.reading.listening import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn


@dataclass(eq=False)
class Hop:
    """One step of message passing.

    Attributes
    ----------
    edge_index
        Along which it sends, int64 [2, e]: sources and targets; convolutions add self-loops.
    messages
        What is sent along each edge, float [e, d].
    sums
        What arrives at each node, float [n, d]: `leaf` is added to it, so that gradients can be taken there.
    leaf
        Zeros of that shape, with gradient.
    given
        All tensors that the step was handed, numbers of nodes and of edges.
    module
        The convolution.
    """

    edge_index: Tensor
    messages: Tensor | None = None
    sums: Tensor | None = None
    leaf: Tensor | None = field(default=None, repr=False)
    given: list[Tensor] = field(default_factory=list, repr=False)
    module: MessagePassing | None = field(default=None, repr=False)


class MessageRecorder(Listener):
    """Context manager that notes the hops of a model while it runs, and leaves no trace on it.

    Parameters
    ----------
    model
        The model to listen to.
    """

    def __init__(self, model: nn.Module) -> None:
        self.hops: list[Hop] = []
        self._model = model
        super().__init__()

    def _register(self) -> None:
        for module in self._model.modules():
            if isinstance(module, MessagePassing):
                for register, hook in (
                    (module.register_propagate_forward_pre_hook, self._begin),
                    (module.register_message_forward_hook, self._note_messages),
                    (module.register_aggregate_forward_hook, self._note_sums),
                ):
                    self._cleanup.callback(register(hook).remove)

    def _begin(self, module: MessagePassing, arguments: tuple[Any, ...]) -> None:
        self.hops.append(Hop(arguments[0], given=list(_tensors(arguments[-1])), module=module))

    def _note_messages(self, _module: nn.Module, _arguments: tuple[Any, ...], result: Tensor) -> None:
        self.hops[-1].messages = result

    def _note_sums(self, _module: nn.Module, _arguments: tuple[Any, ...], result: Tensor) -> Tensor:
        hop = self.hops[-1]
        hop.leaf = torch.zeros_like(result).requires_grad_()
        hop.sums = result
        return result + hop.leaf


def _tensors(given: Any) -> Iterator[Tensor]:
    """Every tensor among some arguments; of a pair for senders and receivers both."""
    if isinstance(given, torch.Tensor):
        yield given
    elif isinstance(given, dict):
        for value in given.values():
            yield from _tensors(value)
    elif isinstance(given, tuple | list):
        for value in given:
            yield from _tensors(value)
