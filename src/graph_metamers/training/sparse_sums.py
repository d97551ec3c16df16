"""Sums over neighbours as products with a sparse matrix, while a model is trained.

GraphSAGE and GIN send whole feature rows along edges. PyTorch Geometric writes a row for each edge, unless it
is given the edges as a sparse matrix: then nothing is written, and with thousands of features training takes
a tenth of the time (ours: chameleon, 2325 features). Sums are the same up to the order of their terms.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch_geometric.nn import GINConv, SAGEConv
from torch_geometric.utils import is_sparse

from graph_metamers.replay.sparse_products import without_beta_warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn
    from torch_geometric.nn import MessagePassing

FEWEST_ENTRIES = 2**22
"""Numbers on edges, below which rows on edges fit into the cache and are left as they are."""

SUMS = ("sum", "add", "mean")


@contextmanager
def sparse_sums(model: nn.Module) -> Iterator[None]:
    """Let the model's wide sums over neighbours be sparse products inside the block.

    Only on the CPU, and where it changes nothing but rounding: GraphSAGE's and GIN's own message passing
    without hooks on messages, no edge twice, one set of nodes. Messages are not formed inside: whoever looks
    at them must not use it.
    """
    matrices = _Matrices()
    handles = [
        module.register_forward_pre_hook(matrices.hook, with_kwargs=True)
        for module in model.modules()
        if type(module) in (SAGEConv, GINConv) and _adds_up(module)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _adds_up(conv: MessagePassing) -> bool:
    """Whether all that a convolution does with messages is to add them up, where edges point to."""
    hooks = (
        conv._message_forward_pre_hooks,
        conv._message_forward_hooks,
        conv._aggregate_forward_pre_hooks,
        conv._aggregate_forward_hooks,
    )
    is_plain = conv.fuse and not conv.explain and not any(hooks)
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
        if type(x) is not Tensor or type(edge_index) is not Tensor or is_sparse(edge_index):
            return None
        if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64) or x.ndim != 2:
            return None
        if edge_index.shape[1] * x.shape[1] < FEWEST_ENTRIES:
            return None
        matrix = self._of(edge_index, x)
        return None if matrix is None else ((x, matrix), {})

    def _of(self, edge_index: Tensor, x: Tensor) -> Tensor | None:
        made_for = (edge_index._version, x.shape[0], x.dtype)  # a version is one of changes in place
        for known, key, matrix in self._known:
            if known is edge_index and key == made_for:
                return matrix
        matrix = _matrix(edge_index, x)
        self._known.append((edge_index, made_for, matrix))
        return matrix


def _matrix(edge_index: Tensor, x: Tensor) -> Tensor | None:
    """Rows are receivers, columns senders, [n, n]; `None` with an edge twice, which would count once."""
    size = (x.shape[0], x.shape[0])
    ones = torch.ones(edge_index.shape[1], dtype=x.dtype)
    matrix = torch.sparse_coo_tensor(edge_index.flip(0), ones, size, check_invariants=True).coalesce()
    if matrix.indices().shape[1] != edge_index.shape[1]:
        return None
    with without_beta_warning():
        return matrix.to_sparse_csr()
