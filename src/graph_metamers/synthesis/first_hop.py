"""A model up to a layer behind one step of message passing, run with other edges or other sums. *Ours*."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from graph_metamers.errors import ModelError
from graph_metamers.reading.messages import MessageRecorder
from graph_metamers.reading.opening import OpenUnits
from graph_metamers.synthesis.precise_model import SAME

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from graph_metamers.reading.messages import Hop
    from graph_metamers.synthesis.precise_model import PreciseModel


def require(holds: bool, text: str) -> None:
    """Refuse a model, with the reason, unless something holds."""
    if not holds:
        raise ModelError(text)


@dataclass(frozen=True, eq=False)
class HopRun:
    """What one run of the model showed: the layer, float64 [n, k], and the hop that reaches it."""

    value: NDArray[np.float64]
    hop: Hop


class FirstHop:
    """Runs a precise model, with other edges or with what arrives shifted."""

    def __init__(self, precise: PreciseModel, layer: str, num_nodes: int) -> None:
        self._precise, self._layer, self.num_nodes = precise, layer, num_nodes
        self._place = self._only_hop()

    def _only_hop(self) -> int:
        """Which hop reaches the layer."""
        value = self._precise.activations[self._layer]
        require(
            value.ndim >= 1 and len(value) == self.num_nodes,
            f"the layer must have a row for each of the {self.num_nodes} nodes, got {list(value.shape)}",
        )
        with torch.enable_grad(), MessageRecorder(self._precise.view.model) as recorder:
            tap = self._precise.view.taps(self._precise.graph, (self._layer,))[self._layer].value
            leaves = [hop.leaf for hop in recorder.hops]
        require(
            not any(
                leaf is None or hop.messages is None for hop, leaf in zip(recorder.hops, leaves, strict=True)
            ),
            "every step of message passing must say what it sends, got one that multiplies by a sparse "
            "matrix instead. Give the graph's edges as `edge_index`",
        )
        gradients: Sequence[Tensor | None] = ()
        if leaves and tap.requires_grad:
            gradients = torch.autograd.grad(tap.sum(), leaves, allow_unused=True)  # type: ignore[arg-type]
        places = [place for place, gradient in enumerate(gradients) if gradient is not None]
        require(bool(places), f"layer {self._layer!r} receives no messages along edges: any edges match it")
        require(
            len(places) == 1,
            f"the layer must be a first one, behind one step of message passing, got {len(places)} steps: "
            "what neighbours send would depend on edges themselves",
        )
        return places[0]

    def run(
        self,
        columns: Mapping[str, Tensor] | None = None,
        shift: Tensor | None = None,
        *,
        opened: bool = False,
    ) -> HopRun:
        """The layer as the model computes it; `opened` without the rectifiers behind the sums."""
        return self._run(columns, shift, opened=opened)[0]

    def opened(self) -> tuple[HopRun, Tensor]:
        """The same at the reference, and how it depends on what arrives, [k, d]: alike at every node."""
        run, tap, leaf = self._run(None, None, opened=True)
        rows = []
        for unit in range(tap.shape[1]):
            (gradient,) = torch.autograd.grad(tap[:, unit].sum(), leaf, retain_graph=True)
            gradient = gradient.flatten(1)
            rows.append(gradient[0])
            spread = float((gradient - gradient[0]).abs().max())
            require(
                spread <= SAME * max(1.0, float(gradient.abs().max())),
                "what follows the sum must be one linear map for all nodes (but for a ReLU at the end), got "
                "others for other nodes",
            )
        return run, torch.stack(rows)

    def _run(
        self, columns: Mapping[str, Tensor] | None, shift: Tensor | None, *, opened: bool
    ) -> tuple[HopRun, Tensor, Tensor]:
        graph = self._precise.graph.clone() if columns else self._precise.graph
        for name, column in (columns or {}).items():
            graph[name] = column
        model = self._precise.view.model
        with torch.enable_grad(), _Shifting(model, self._place, shift) as recorder:
            opening = _OpenBehind(recorder.has_arrived) if opened else nullcontext()
            with opening:
                taps = self._precise.view.taps(graph, (self._layer,))
        hop = recorder.hops[self._place]
        value = taps[self._layer].value
        tap = value.flatten(1) if value.ndim > 1 else value[:, None]
        assert hop.leaf is not None  # noqa: S101 (checked when the hop was chosen)
        return HopRun(tap.detach().cpu().numpy(), hop), tap, hop.leaf


class _Shifting(MessageRecorder):
    """Notes hops, and adds something to what arrives at one of them."""

    def __init__(self, model: nn.Module, place: int, shift: Tensor | None) -> None:
        super().__init__(model)
        self._place, self._shift = place, shift

    def has_arrived(self) -> bool:
        """Whether the sums of that hop are there."""
        return len(self.hops) > self._place and self.hops[self._place].sums is not None

    def _note_sums(self, module: nn.Module, arguments: tuple[Any, ...], result: Tensor) -> Tensor:
        noted = super()._note_sums(module, arguments, result)
        if self._shift is not None and len(self.hops) - 1 == self._place:
            noted = noted + self._shift.reshape(noted.shape)
        return noted


class _OpenBehind(OpenUnits):
    """Opens rectifiers altogether once something has happened."""

    def __init__(self, has_happened: Callable[[], bool]) -> None:
        super().__init__(1.0)
        self._has_happened = has_happened

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Collection[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if not self._has_happened():
            return func(*args, **dict(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs)
