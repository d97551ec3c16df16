"""A layer, run for some of its items alone: every tensor on the way has only the rows that these need.

The model is recorded as a tape on the whole graph, so that normalisations, degrees and everything else that
does not depend on the features are those of the whole graph, also at the boundary of what an item reads.
Then each operation is run on the pairs (item, row) that are needed. Items do not share rows, so one backward
pass gives the gradient of one unit of all items, each with respect to its own copy of the features it reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graph_metamers.replay.recording import NotReplayable, record
from graph_metamers.replay.sparse_products import with_sparse_products
from graph_metamers.replay.storages import needed_steps
from graph_metamers.replay.tape import Kind, Slot, Step
from graph_metamers.theory.pairs import Ints, Lists, Pairs, union
from graph_metamers.theory.row_steps import (
    POINTWISE,
    RESHAPING,
    Gather,
    Product,
    Reduce,
    RowStep,
    Rowwise,
    UnknownOperationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

aten = torch.ops.aten
_ALONG: dict[Any, int] = {  # operations along a dimension, and where that is among the arguments
    aten.sum.dim_IntList: 1,
    aten.mean.dim: 1,
    aten.amax.default: 1,
    aten.amin.default: 1,
    aten.max.dim: 1,
    aten.min.dim: 1,
    aten.linalg_vector_norm.default: 2,
    aten._softmax.default: 1,
    aten._log_softmax.default: 1,
    aten.slice.Tensor: 1,
    aten.select.int: 1,
    aten.cat.default: 1,
    aten.stack.default: 1,
    aten.split.Tensor: 2,
    aten.cumsum.default: 1,
}
_ROWWISE = frozenset(
    {aten.native_layer_norm.default, aten.clone.default, aten.detach.default, aten.alias.default}
    | {aten._to_copy.default, aten.lift_fresh.default}
)
_FIXED_NORMS = frozenset(
    {aten.native_batch_norm.default, aten._native_batch_norm_legit_no_training.default}
    | {aten.cudnn_batch_norm.default}
)
_SUMS = frozenset(
    {aten.scatter_add.default, aten.scatter_add_.default, aten.index_add.default, aten.index_add_.default}
)
_REDUCTIONS = frozenset({aten.scatter_reduce.two, aten.scatter_reduce_.two})


@dataclass(frozen=True, eq=False)
class RowProgram:
    """A layer as operations on rows.

    Attributes
    ----------
    steps
        In their order; every slot is written once.
    result
        Slot of the layer's activation.
    kinds
        Of the tensors in slots; slot 0 holds the features.
    """

    steps: tuple[RowStep, ...]
    result: int
    kinds: Mapping[int, Kind]

    def reads(self, items: Ints) -> dict[int, Pairs]:
        """The rows of every slot that items need; slot 0 is what they read of the features.

        The first item is item 0 of the pairs, and so on.
        """
        last = self.kinds[self.result].shape[0]
        wanted: dict[int, list[Ints]] = {self.result: [np.arange(len(items)) * last + items]}
        found: dict[int, Pairs] = {}
        for step in reversed(self.steps):
            asked = [keys for slot in step.outputs for keys in wanted.get(slot, [])]
            if not asked:
                continue
            pairs = union(asked, self.kinds[step.outputs[0]].shape[0])
            found.update(dict.fromkeys(step.outputs, pairs))
            for slot, keys in step.demands(pairs):
                wanted.setdefault(slot, []).append(keys)
        nothing = [np.zeros(0, dtype=np.int64)]
        found[0] = union(wanted.get(0, nothing), self.kinds[0].shape[0])
        return found

    def run(self, features: Tensor, reads: Mapping[int, Pairs]) -> Tensor:
        """The items' activations, from the rows that they read, [pairs of slot 0, F]; differentiable."""
        values: dict[int, Tensor] = {0: features}
        for step in self.steps:
            if step.outputs[0] not in reads:
                continue
            found = step.run(values, reads, reads[step.outputs[0]])
            values.update(zip(step.outputs, found, strict=True))
        return values[self.result]


def row_program(function: Callable[[Tensor], Tensor], features: Tensor) -> RowProgram:
    """Record what a function computes of features, [n, F], as operations on rows.

    Raises
    ------
    NotReplayable
        If what the function computes is no fixed list of operations.
    UnknownOperationError
        If for one of them it is not known which rows it needs.
    """
    with torch.no_grad():
        tape = record(lambda x: [function(x)], features, shortened=False)
    kinds = dict(tape.kinds)
    steps = needed_steps(with_sparse_products(tape.steps, kinds), tape.results, len(kinds))
    written, result = _each_slot_once(steps, tape.results[0], kinds)
    zeros: set[int] = set()
    found: list[RowStep] = []
    for step in written:
        if step.function is torch.zeros:
            zeros.add(step.outputs[0])
        else:
            found.append(_row_step(step, kinds, zeros))
    return RowProgram(tuple(found), result, kinds)


def _each_slot_once(steps: Sequence[Step], result: int, kinds: dict[int, Kind]) -> tuple[list[Step], int]:
    """The same steps, with another slot for what is left of a tensor after something was written into it."""
    current: dict[int, int] = {}
    found = []
    for step in steps:
        read = step.with_slots(current)
        outputs = []
        for slot in step.outputs:
            name = slot
            if slot in step.inputs:
                name = len(kinds)
                kinds[name] = kinds[slot]
                current[slot] = name
            outputs.append(name)
        found.append(Step(read.function, read.args, read.kwargs, tuple(outputs)))
    return found, current.get(result, result)


def _row_step(step: Step, kinds: Mapping[int, Kind], zeros: set[int]) -> RowStep:
    function = step.function
    shape = kinds[step.outputs[0]].shape
    if not shape or any(not kinds[slot].shape for slot in step.inputs):
        raise UnknownOperationError(f"{function} on a single number")
    if function in _SUMS or function in _REDUCTIONS:
        return _reduce(step, kinds, zeros)
    if function in (aten.mm.default, torch.mm) and isinstance(step.args[0], Tensor):
        return _product(step, kinds)
    if _is_gather(step, kinds):
        return _gather(step, kinds)
    rows = {kinds[slot].shape[0] for slot in step.inputs} | {shape[0]}
    if len(rows) == 1 and not zeros & set(step.inputs) and _is_rowwise(step, kinds):
        return Rowwise(step, kinds)
    raise UnknownOperationError(f"{function} with shapes {[kinds[slot].shape for slot in step.inputs]}")


def _is_rowwise(step: Step, kinds: Mapping[int, Kind]) -> bool:
    function, args = step.function, step.args
    if function in POINTWISE:
        ndim = len(kinds[step.outputs[0]].shape)
        return all(len(kinds[slot].shape) == ndim for slot in step.inputs)
    if function in (aten.mm.default, aten.addmm.default):
        return isinstance(args[-2], Slot) and isinstance(args[-1], Tensor)
    if function in _FIXED_NORMS:
        training = function is not aten._native_batch_norm_legit_no_training.default and args[5]
        return isinstance(args[0], Slot) and len(step.inputs) == 1 and not training
    if function in _ALONG:
        return 0 not in _dimensions(step, kinds)
    if function is aten.repeat.default:
        return len(args[1]) == len(kinds[step.inputs[0]].shape) and args[1][0] == 1
    return function in _ROWWISE or function in RESHAPING or function is aten.expand.default


def _dimensions(step: Step, kinds: Mapping[int, Kind]) -> set[int]:
    """Along which dimensions an operation goes."""
    function: Any = step.function
    place, ndim = _ALONG[function], len(kinds[step.inputs[0]].shape)
    given = step.args[place] if place < len(step.args) else step.kwargs.get("dim")
    if given is None:
        given = (
            0 if step.function in (aten.cat.default, aten.slice.Tensor, aten.split.Tensor) else range(ndim)
        )
    ndim += function is aten.stack.default
    several = [given] if isinstance(given, int) else list(given) or list(range(ndim))
    return {dim % ndim for dim in several}


def _is_gather(step: Step, kinds: Mapping[int, Kind]) -> bool:
    source = step.args[0]
    if not isinstance(source, Slot) or len(step.inputs) != 1:
        return False
    ndim = len(kinds[source.number].shape)
    if step.function in (aten.index_select.default, aten.gather.default):
        return isinstance(step.args[2], Tensor) and step.args[1] % ndim == 0
    if step.function is aten.slice.Tensor:
        return 0 in _dimensions(step, kinds)
    if step.function is aten.index.Tensor:
        indices = step.args[1]
        return (
            isinstance(indices[0], Tensor)
            and indices[0].ndim == 1
            and not any(index is not None for index in indices[1:])
        )
    return False


def _gather(step: Step, kinds: Mapping[int, Kind]) -> Gather:
    source = step.args[0].number
    num_rows = kinds[source].shape[0]
    if step.function is aten.slice.Tensor:
        places: Any = np.arange(num_rows)[slice(*step.args[2:])]
        return Gather(source, places, num_rows, step.outputs)
    if step.function is aten.index.Tensor:
        index = step.args[1][0]
        index = index.nonzero().flatten() if index.dtype == torch.bool else index
    else:
        index = step.args[2]
        width = kinds[source].shape[1:]
        if step.function is aten.gather.default and (tuple(index.shape[1:]) != width):
            raise UnknownOperationError("a gather of single numbers")
    return Gather(source, _line(index) % num_rows, num_rows, step.outputs)


def _reduce(step: Step, kinds: Mapping[int, Kind], zeros: set[int]) -> Reduce:
    into, dim, index, rows = step.args[:4]
    fresh = isinstance(into, Slot) and into.number in zeros
    fresh = fresh or (isinstance(into, Tensor) and not bool(into.any()))
    shape = kinds[step.outputs[0]].shape
    if not fresh or not isinstance(rows, Slot) or not isinstance(index, Tensor) or dim % len(shape) != 0:
        raise UnknownOperationError(f"{step.function} otherwise than of rows into zeros")
    how = "sum" if step.function in _SUMS else step.args[4]
    if how != "sum" and step.kwargs.get("include_self", True):
        raise UnknownOperationError(f"{step.function} with what was there before")
    lists = Lists.of_groups(_line(index), shape[0])
    return Reduce(rows.number, lists, kinds[rows.number].shape[0], how, step.outputs)


def _product(step: Step, kinds: Mapping[int, Kind]) -> Product:
    matrix, rows = step.args
    if not isinstance(rows, Slot):
        raise UnknownOperationError("a product of two constants")
    dense_or_csr = matrix if matrix.layout == torch.sparse_csr else matrix.to_sparse_csr()
    starts = dense_or_csr.crow_indices().numpy()
    entries, data = dense_or_csr.col_indices().numpy(), dense_or_csr.values()
    kept = data.numpy() != 0  # a coefficient of 0 carries nothing
    if not kept.all():
        owners = np.repeat(np.arange(len(starts) - 1), np.diff(starts))[kept]
        starts = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(starts) - 1))])
        entries, data = entries[kept], data[torch.from_numpy(kept)]
    return Product(rows.number, Lists(starts, entries), data, kinds[rows.number].shape[0], step.outputs)


def _line(index: Tensor) -> Ints:
    """An index as one number a row, int64 [e].

    Raises
    ------
    UnknownOperationError
        If it has several.
    """
    line = index.reshape(len(index), -1)[:, :1]
    if index.ndim > 1 and not bool((index.reshape(len(index), -1) == line).all()):
        raise UnknownOperationError("an index with several numbers a row")
    return np.asarray(line.flatten().cpu().numpy().astype(np.int64))


__all__ = ["NotReplayable", "RowProgram", "UnknownOperationError", "row_program"]
