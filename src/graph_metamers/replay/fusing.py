"""Join neighbouring operations of a tape into one, and take sparse products on their narrow side.

With M sparse, W dense and D diagonal, all of them constants:

    D (M x), M (D x)    ->  (D M) x, (M D) x     an average is a sum whose matrix is scaled
    M x + D x           ->  (M + D) x            a node that adds itself to its neighbours
    (M x) W, M (x W)    ->  the one that sends fewer columns along edges
    x W + y             ->  one operation

GraphSAGE averages wide rows before it multiplies, and its gradient does so the other way round. Found on a
tape, so for any convolution; sums are taken in another order, which the tape's verification judges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from graph_metamers.replay.sparse_products import MATRIX, without_beta_warning
from graph_metamers.replay.storages import Storages, needed_steps
from graph_metamers.replay.tape import Kind, Slot, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

aten = torch.ops.aten
_SCALING = frozenset({aten.mul.Tensor, aten.div.Tensor})
_DENSE = frozenset({aten.mm.default, aten.addmm.default})


def fused(steps: Sequence[Step], results: Sequence[int], kinds: dict[int, Kind]) -> list[Step]:
    """Apply the rules above as long as one fits.

    Parameters
    ----------
    steps, results, kinds
        Of a tape; kinds of new slots are added.

    Returns
    -------
    list of Step
        Without what is no longer needed.
    """
    current = list(steps)
    while True:
        program = _Program(current, results, kinds)
        for place, step in enumerate(current):
            new = next((found for rule in _RULES if (found := rule(step, program)) is not None), None)
            if new is not None:
                current[place : place + 1] = new
                break
        else:
            return current
        current = needed_steps(current, results, len(kinds))


class _Program:
    """What is known of all steps at one time."""

    def __init__(self, steps: Sequence[Step], results: Sequence[int], kinds: dict[int, Kind]) -> None:
        self.kinds = kinds
        storages = Storages(steps, len(kinds))
        self._written = {slot for slot in kinds if storages.is_written(slot)}
        self._makers = {slot: step for step in steps for slot in step.outputs}
        self._readers: dict[int, int] = dict.fromkeys(results, len(steps))  # what is returned stays
        for step in steps:
            for slot in step.inputs:
                self._readers[slot] = self._readers.get(slot, 0) + 1

    def maker(self, value: Any) -> Step | None:
        """The step that makes a value for one reader only, if nothing around it is changed in place."""
        if not isinstance(value, Slot) or self._readers.get(value.number) != 1:
            return None
        step = self._makers.get(value.number)
        if step is None or step.kwargs or self._written & {*step.inputs, *step.outputs}:
            return None
        return step

    def is_steady(self, step: Step) -> bool:
        """Whether nothing that a step reads or makes is changed in place."""
        return not step.kwargs and not self._written & {*step.inputs, *step.outputs}

    def new_slot(self, like: Slot, rows: int, columns: int) -> Slot:
        """A place for a matrix of the kind of another one."""
        slot = Slot(len(self.kinds))
        self.kinds[slot.number] = self.kinds[like.number]._replace(shape=(rows, columns))
        return slot


class _Sparse(NamedTuple):
    """M x."""

    matrix: Tensor
    rows: Slot


def _sparse(step: Step | None) -> _Sparse | None:
    if step is None or step.function is not torch.mm or not isinstance(step.args[0], Tensor):
        return None
    matrix, rows = step.args
    return _Sparse(matrix, rows) if matrix.layout == torch.sparse_csr and isinstance(rows, Slot) else None


def _scaled(step: Step | None, kinds: dict[int, Kind]) -> tuple[Slot, Tensor] | None:
    """What is multiplied with one number for each row, and these numbers, [n]."""
    if step is None or step.function not in _SCALING or step.kwargs:
        return None
    rows, factor = step.args
    if isinstance(rows, Tensor) and step.function is aten.mul.Tensor:
        rows, factor = factor, rows
    if not isinstance(rows, Slot) or not isinstance(factor, Tensor) or not factor.is_floating_point():
        return None
    shape = kinds[rows.number].shape
    if len(shape) != MATRIX or kinds[step.outputs[0]].shape != shape:
        return None
    factor = factor.expand(shape)
    column = factor[:, :1]
    if factor.dtype != kinds[rows.number].dtype or not torch.equal(column.expand(shape), factor):
        return None
    return rows, (column if step.function is aten.mul.Tensor else 1 / column).flatten()


def _average(step: Step, program: _Program) -> list[Step] | None:
    """D (M x)."""
    scaled = _scaled(step, program.kinds)
    inner = _sparse(program.maker(scaled[0])) if scaled is not None and program.is_steady(step) else None
    if scaled is None or inner is None:
        return None
    counts = inner.matrix.crow_indices().diff()
    matrix = _with_values(inner.matrix, inner.matrix.values() * scaled[1].repeat_interleave(counts))
    return [Step(torch.mm, (matrix, inner.rows), {}, step.outputs)]


def _average_backwards(step: Step, program: _Program) -> list[Step] | None:
    """M (D x)."""
    outer = _sparse(step)
    inner = program.maker(outer.rows) if outer is not None and program.is_steady(step) else None
    scaled = _scaled(inner, program.kinds)
    if outer is None or scaled is None:
        return None
    matrix = outer.matrix
    matrix = _with_values(matrix, matrix.values() * scaled[1][matrix.col_indices()])
    return [Step(torch.mm, (matrix, scaled[0]), {}, step.outputs)]


def _own_row(step: Step, program: _Program) -> list[Step] | None:
    """M x + D x."""
    for sent, own in _summands(step, program):
        inner = _sparse(program.maker(sent))
        if inner is None or inner.matrix.shape[0] != inner.matrix.shape[1]:
            continue
        source, factor = _scaled(program.maker(own), program.kinds) or (own, None)
        if source != inner.rows:
            continue
        with without_beta_warning():
            matrix = (inner.matrix.to_sparse() + _diagonal(inner.matrix, factor)).coalesce().to_sparse_csr()
        return [Step(torch.mm, (matrix, inner.rows), {}, step.outputs)]
    return None


def _narrow_after(step: Step, program: _Program) -> list[Step] | None:
    """(M x) W, with a W that makes rows shorter."""
    if step.function not in _DENSE or not program.is_steady(step):
        return None
    *bias, wide, weight = step.args
    inner = _sparse(program.maker(wide))
    if inner is None or not _shortens(weight):
        return None
    multiplied = program.new_slot(inner.rows, inner.matrix.shape[1], weight.shape[1])
    first = Step(aten.mm.default, (inner.rows, weight), {}, (multiplied.number,))
    if not bias:
        return [first, Step(torch.mm, (inner.matrix, multiplied), {}, step.outputs)]
    sent = program.new_slot(inner.rows, inner.matrix.shape[0], weight.shape[1])
    second = Step(torch.mm, (inner.matrix, multiplied), {}, (sent.number,))
    return [first, second, Step(aten.add.Tensor, (sent, bias[0]), {}, step.outputs)]


def _narrow_before(step: Step, program: _Program) -> list[Step] | None:
    """M (x W), with a W that makes rows longer."""
    outer = _sparse(step)
    inner = program.maker(outer.rows) if outer is not None and program.is_steady(step) else None
    if outer is None or inner is None or inner.function is not aten.mm.default:
        return None
    rows, weight = inner.args
    if not isinstance(rows, Slot) or not isinstance(weight, Tensor) or not _shortens(weight.T):
        return None
    sent = program.new_slot(rows, outer.matrix.shape[0], weight.shape[0])
    first = Step(torch.mm, (outer.matrix, rows), {}, (sent.number,))
    return [first, Step(aten.mm.default, (sent, weight), {}, step.outputs)]


def _product_and_sum(step: Step, program: _Program) -> list[Step] | None:
    """X W + y."""
    for product, other in _summands(step, program):
        inner = program.maker(product)
        if inner is not None and inner.function is aten.mm.default and isinstance(other, Slot):
            return [Step(aten.addmm.default, (other, *inner.args), {}, step.outputs)]
    return None


_RULES: tuple[Callable[[Step, _Program], list[Step] | None], ...] = (
    _average,
    _average_backwards,
    _own_row,
    _narrow_after,
    _narrow_before,
    _product_and_sum,
)


def _summands(step: Step, program: _Program) -> list[tuple[Any, Any]]:
    """Both orders of the two matrices of one shape that are added, or nothing."""
    if step.function is not aten.add.Tensor or not program.is_steady(step):
        return []
    shape = program.kinds[step.outputs[0]].shape
    slots = [value for value in step.args if isinstance(value, Slot)]
    if len(slots) != MATRIX or len(shape) != MATRIX or slots[0] == slots[1]:
        return []
    if any(program.kinds[slot.number].shape != shape for slot in slots):
        return []
    return [(slots[0], slots[1]), (slots[1], slots[0])]


def _shortens(weight: Any) -> bool:
    return isinstance(weight, Tensor) and weight.ndim == MATRIX and weight.shape[1] < weight.shape[0]


def _diagonal(matrix: Tensor, values: Tensor | None) -> Tensor:
    places = torch.arange(matrix.shape[0], device=matrix.device)
    values = torch.ones_like(places, dtype=matrix.dtype) if values is None else values
    both = torch.stack([places, places])
    return torch.sparse_coo_tensor(both, values, matrix.shape, check_invariants=True)


def _with_values(matrix: Tensor, values: Tensor) -> Tensor:
    with without_beta_warning():
        return torch.sparse_csr_tensor(
            matrix.crow_indices(), matrix.col_indices(), values, matrix.shape, check_invariants=True
        )
