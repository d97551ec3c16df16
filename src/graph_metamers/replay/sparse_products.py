"""Gather, scale, scatter: where message passing with fixed coefficients is a product with a sparse matrix.

Sending rows x_u along edges, each times a number that does not depend on the features, and adding them up
where they arrive, is M x with M sparse. The product reads and writes no row for each edge. Backwards it is
the same with M^T, which shows as a gather and a scatter of its own. Found on a tape, so for any convolution.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from scipy.sparse import coo_array
from torch import Tensor

from graph_metamers.replay.tape import Kind, Slot, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

aten = torch.ops.aten
_ADDING = frozenset(
    {aten.scatter_add.default, aten.scatter_add_.default, aten.index_add.default, aten.index_add_.default}
)
_GATHERING = frozenset({aten.index_select.default, aten.gather.default})
_ZEROS = frozenset({torch.zeros, aten.new_zeros.default, aten.zeros_like.default})

MATRIX = 2  # dimensions of what a product takes


class _Messages(NamedTuple):
    """Rows on edges: row e is `coefficients[e]` times row `sources[e]` of a slot, [n, d]."""

    slot: int
    sources: Tensor
    coefficients: Tensor | None  # `None` for 1


def with_sparse_products(steps: Sequence[Step], kinds: Mapping[int, Kind]) -> list[Step]:
    """Put products with sparse matrices in the place of scatters, where they are equal.

    Parameters
    ----------
    steps
        Of a tape.
    kinds
        Of the tensors in its slots.

    Returns
    -------
    list of Step
        As many; what is no longer needed is still among them.
    """
    messages: dict[int, _Messages] = {}
    zeros: set[int] = set()
    found = []
    for step in steps:
        new = step
        if (sent := _gathered(step, kinds) or _scaled(step, messages)) is not None:
            messages[step.outputs[0]] = sent
        elif step.function in _ZEROS:
            zeros.add(step.outputs[0])
        elif step.function in _ADDING:
            new = _product(step, messages, zeros, kinds) or step
        zeros -= {slot for slot in step.inputs if step.function not in _ZEROS}
        _forget_changed(messages, set(step.inputs) & set(step.outputs))
        found.append(new)
    return found


def _forget_changed(messages: dict[int, _Messages], written: set[int]) -> None:
    """Leave out messages that were written into, or whose source was: they are no longer what was sent."""
    for slot in [slot for slot, sent in messages.items() if slot in written or sent.slot in written]:
        del messages[slot]


def _gathered(step: Step, kinds: Mapping[int, Kind]) -> _Messages | None:
    if step.function not in _GATHERING or step.kwargs:
        return None
    rows, dim, index = step.args[:3]
    if not isinstance(rows, Slot) or not isinstance(index, Tensor) or len(kinds[rows.number].shape) != MATRIX:
        return None
    line = _line(index) if dim in (0, -MATRIX) else None
    return None if line is None else _Messages(rows.number, line, None)


def _scaled(step: Step, messages: Mapping[int, _Messages]) -> _Messages | None:
    if step.function is not aten.mul.Tensor:
        return None
    for rows, factor in (step.args, step.args[::-1]):
        if not isinstance(rows, Slot) or not isinstance(factor, Tensor) or rows.number not in messages:
            continue
        sent = messages[rows.number]
        if sent.coefficients is None and factor.shape == (len(sent.sources), 1):
            return sent._replace(coefficients=factor.flatten())
    return None


def _product(
    step: Step, messages: Mapping[int, _Messages], zeros: set[int], kinds: Mapping[int, Kind]
) -> Step | None:
    into, dim, index, rows = step.args[:4]
    known = isinstance(index, Tensor) and isinstance(rows, Slot)
    if not known or step.kwargs or rows.number not in messages or not _is_zero(into, zeros):
        return None
    shape, sent = kinds[step.outputs[0]].shape, messages[rows.number]
    line = _line(index) if len(shape) == MATRIX and dim in (0, -MATRIX) else None
    if line is None or len(line) != len(sent.sources):
        return None
    source = kinds[sent.slot]
    values = _coefficients(sent, source)
    if values.dtype != source.dtype:
        return None
    matrix = _matrix(line, sent.sources, values, (shape[0], source.shape[0]))
    return Step(torch.mm, (matrix, Slot(sent.slot)), {}, step.outputs)


def _is_zero(into: Any, zeros: set[int]) -> bool:
    if isinstance(into, Slot):
        return into.number in zeros
    return isinstance(into, Tensor) and not bool(into.any())


def _line(index: Tensor) -> Tensor | None:
    """An index as one number a row, [e]; `None` if it has several."""
    if index.ndim == 1:
        return index
    expanded = index.ndim == MATRIX and (index.stride(1) == 0 or index.shape[1] == 1)
    return index[:, 0] if expanded else None


def _coefficients(sent: _Messages, source: Kind) -> Tensor:
    if sent.coefficients is not None:
        return sent.coefficients
    return torch.ones(len(sent.sources), dtype=source.dtype, device=source.device)


@contextlib.contextmanager
def without_beta_warning() -> Iterator[None]:
    """Torch calls its own sparse matrices a beta."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        yield


def _matrix(rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """The matrix whose entry (r, c) is the sum of the values with this row and column; CSR."""
    if values.device.type == "cpu":
        return _matrix_by_scipy(rows, columns, values, shape)
    with without_beta_warning():
        entries = torch.sparse_coo_tensor(torch.stack([rows, columns]), values, shape, check_invariants=True)
        return entries.coalesce().to_sparse_csr()


def _matrix_by_scipy(rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """The same, by counting instead of sorting: a third of the time with ten million entries."""
    entries = (values.numpy(), (rows.numpy(), columns.numpy()))
    matrix = coo_array(entries, shape=shape).tocsr()  # adds up what has the same place
    matrix.sort_indices()
    parts = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
    pointers, indices, data = parts
    with without_beta_warning():
        return torch.sparse_csr_tensor(pointers.long(), indices.long(), data, shape, check_invariants=True)
