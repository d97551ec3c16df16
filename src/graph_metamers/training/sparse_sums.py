"""Sums over neighbours as products with a sparse matrix, while a model is trained.

GraphSAGE, GIN, ChebNet and SGC send whole feature rows along edges. PyTorch Geometric writes a row for each
edge, unless it is given the edges as a sparse matrix: then nothing is written, and with thousands of features
training takes a tenth of the time (ours: chameleon, 2325 features). Sums are the same up to the order of
their terms.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch_geometric.nn import ChebConv, GINConv, MessagePassing, SAGEConv, SGConv
from torch_geometric.utils import is_sparse

from graph_metamers.replay.sparse_products import without_beta_warning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

FEWEST_ENTRIES = 2**22
"""Numbers on edges, below which rows on edges fit into the cache and are left as they are."""

SUMS = ("sum", "add", "mean")

WEIGHTS: dict[type, str] = {SGConv: "edge_weight", ChebConv: "norm"}
"""Convolutions that add up weighted rows, and what they call the weights; they make them in every call."""


@contextmanager
def sparse_sums(model: nn.Module) -> Iterator[None]:
    """Let the model's wide sums over neighbours be sparse products inside the block.

    Only on the CPU, and where it changes nothing but rounding: the own message passing of these four without
    hooks on messages, one set of nodes; GraphSAGE and GIN with no edge twice. Messages are not formed inside:
    whoever looks at them must not use it. It holds up to two sparse matrices.
    """
    matrices = _Matrices()
    convs = [module for module in model.modules() if isinstance(module, MessagePassing) and _adds_up(module)]
    handles = [
        conv.register_forward_pre_hook(matrices.hook, with_kwargs=True)
        for conv in convs
        if type(conv) in (SAGEConv, GINConv) and conv.fuse
    ]
    # A model may bring a `propagate` of its own: then it stays.
    weighted = [conv for conv in convs if type(conv) in WEIGHTS and "propagate" not in vars(conv)]
    try:
        for conv in weighted:
            conv.propagate = _weighted_sums(conv.propagate, WEIGHTS[type(conv)])
        yield
    finally:
        for handle in handles:
            handle.remove()
        for conv in weighted:
            conv.__dict__.pop("propagate", None)


def _adds_up(conv: MessagePassing) -> bool:
    """Whether all that a convolution does with messages is to add them up, where edges point to."""
    hooks = (
        conv._message_forward_pre_hooks,
        conv._message_forward_hooks,
        conv._aggregate_forward_pre_hooks,
        conv._aggregate_forward_hooks,
        conv._propagate_forward_pre_hooks,
        conv._propagate_forward_hooks,
    )
    is_plain = not conv.explain and not any(hooks)
    return is_plain and conv.aggr in SUMS and conv.flow == "source_to_target"


class _Matrices:
    """Sparse matrices of the edges that were seen last: those of training and, with dropped edges, all."""

    def __init__(self) -> None:
        self._known: deque[tuple[Tensor, tuple[Any, ...], Tensor | None]] = deque(maxlen=2)

    def hook(
        self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Put the matrix in the place of the edges; `None` leaves a call as it is."""
        if kwargs or len(args) != 2:
            return None
        x, edge_index = args
        matrix = self._of(edge_index, x) if _pays(x, edge_index) else None
        return None if matrix is None else ((x, matrix), {})

    def _of(self, edge_index: Tensor, x: Tensor) -> Tensor | None:
        made_for = (edge_index._version, x.shape[0], x.dtype)  # a version is one of changes in place
        for known, key, matrix in self._known:
            if known is edge_index and key == made_for:
                return matrix
        matrix = _matrix(edge_index, x)
        self._known.append((edge_index, made_for, matrix))
        return matrix


def _pays(x: Any, edge_index: Any) -> bool:
    """Whether rows are wide, and what a product can take."""
    if type(x) is not Tensor or type(edge_index) is not Tensor or is_sparse(edge_index):
        return False
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64) or x.ndim != 2:
        return False
    return edge_index.shape[1] * x.shape[1] >= FEWEST_ENTRIES


def _matrix(edge_index: Tensor, x: Tensor) -> Tensor | None:
    """Rows are receivers, columns senders, [n, n]; `None` with an edge twice, which would count once."""
    matrix = _coalesced(edge_index, torch.ones(edge_index.shape[1], dtype=x.dtype), x)
    return _as_rows(matrix) if matrix.indices().shape[1] == edge_index.shape[1] else None


def _weighted_sums(whole: Callable[..., Tensor], name: str) -> Callable[..., Tensor]:
    """Message passing with weights, which is `whole` where a product cannot take its place."""
    known: dict[str, Tensor] = {}

    def propagate(edge_index: Tensor, size: Any = None, **named: Any) -> Tensor:
        x, weight = named.get("x"), named.get(name)
        if size is not None or named.keys() != {"x", name} or not _pays(x, edge_index):
            return whole(edge_index, size=size, **named)
        assert isinstance(x, Tensor)  # noqa: S101 (it pays)
        if not isinstance(weight, Tensor) or weight.requires_grad or weight.dtype != x.dtype:
            return whole(edge_index, size=size, **named)
        same = bool(known) and len(x) == len(known["matrix"]) and weight.dtype == known["weight"].dtype
        if not (same and torch.equal(edge_index, known["edges"]) and torch.equal(weight, known["weight"])):
            known["edges"], known["weight"] = edge_index.clone(), weight.clone()
            known["matrix"] = _as_rows(_coalesced(edge_index, weight, x))
        found: Tensor = torch.sparse.mm(known["matrix"], x)
        return found

    return propagate


def _coalesced(edge_index: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    size = (x.shape[0], x.shape[0])
    return torch.sparse_coo_tensor(edge_index.flip(0), weight, size, check_invariants=True).coalesce()


def _as_rows(matrix: Tensor) -> Tensor:
    with without_beta_warning():
        return matrix.to_sparse_csr()
