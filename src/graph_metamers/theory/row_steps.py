"""Operations of a tape, told by what one row of their result needs: rows of the same number, or others.

Most of what a model does to nodes it does row by row: products with weights, activation functions,
normalisations with fixed statistics. Rows meet where messages are gathered and summed. For both it is known
which rows of the arguments a row of the result needs, and the operation can be run on these rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from graph_metamers.replay.tape import Kind, Slot, Step
from graph_metamers.theory.sparse_maps import SparseMap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graph_metamers.theory.pairs import Ints, Lists, Pairs

aten = torch.ops.aten


class UnknownOperationError(Exception):
    """An operation of which it is not known which rows its result needs."""


class RowStep(Protocol):
    """An operation that can be run on some rows."""

    @property
    def outputs(self) -> tuple[int, ...]:
        """Slots of the results."""
        ...

    def demands(self, wanted: Pairs) -> list[tuple[int, Ints]]:
        """Slots and keys of the pairs that some pairs of the result need."""
        ...

    def run(self, values: Mapping[int, Tensor], known: Mapping[int, Pairs], wanted: Pairs) -> list[Tensor]:
        """The rows of the results, from the rows in slots, `known` which."""
        ...


@dataclass(frozen=True, eq=False)
class Rowwise:
    """Row e of the result needs row e of every argument.

    Attributes
    ----------
    step
        The operation.
    kinds
        Of the tensors in slots.
    """

    step: Step
    kinds: Mapping[int, Kind]

    @property
    def outputs(self) -> tuple[int, ...]:
        """Slots of the results."""
        return self.step.outputs

    @property
    def _takes_rows(self) -> bool:
        """Whether constants among the arguments are row by row too."""
        return self.step.function in POINTWISE or self.step.function is aten.cat.default

    def demands(self, wanted: Pairs) -> list[tuple[int, Ints]]:
        """See `RowStep`."""
        return [(slot, wanted.keys) for slot in dict.fromkeys(self.step.inputs)]

    def run(self, values: Mapping[int, Tensor], known: Mapping[int, Pairs], wanted: Pairs) -> list[Tensor]:
        """See `RowStep`."""
        shape = self.kinds[self.outputs[0]].shape
        rows = torch.from_numpy(wanted.rows)

        def chosen(leaf: Any) -> Any:
            if isinstance(leaf, Slot):
                return rows_at(values[leaf.number], known[leaf.number], wanted)
            aligned = isinstance(leaf, Tensor) and leaf.ndim == len(shape) and leaf.shape[0] == shape[0] > 1
            return leaf[rows] if aligned and self._takes_rows else leaf

        if self.step.function in RESHAPING:
            return [chosen(self.step.args[0]).reshape(len(wanted), *shape[1:])]
        if self.step.function is aten.expand.default:
            return [chosen(self.step.args[0]).expand(len(wanted), *shape[1:])]
        args, kwargs = tree_map(chosen, (self.step.args, self.step.kwargs))
        if self.step.function._schema.is_mutable:  # type: ignore[attr-defined]
            args = (args[0].clone(), *args[1:])
        result = self.step.function(*args, **kwargs)
        return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]


class _Pointwise:
    def __contains__(self, function: object) -> bool:
        return torch.Tag.pointwise in getattr(function, "tags", ())


POINTWISE = _Pointwise()
RESHAPING = frozenset(
    {
        aten.view.default,
        aten._unsafe_view.default,
        aten.reshape.default,
        aten.unsqueeze.default,
        aten.squeeze.default,
        aten.squeeze.dim,
        aten.squeeze.dims,
    }
)


@dataclass(frozen=True, eq=False)
class Gather:
    """Row e of the result is row `index[e]` of the argument."""

    source: int
    index: Ints
    num_rows: int
    outputs: tuple[int, ...]

    def demands(self, wanted: Pairs) -> list[tuple[int, Ints]]:
        """See `RowStep`."""
        return [(self.source, wanted.moved(self.index[wanted.rows], self.num_rows))]

    def run(self, values: Mapping[int, Tensor], known: Mapping[int, Pairs], wanted: Pairs) -> list[Tensor]:
        """See `RowStep`."""
        keys = wanted.moved(self.index[wanted.rows], self.num_rows)
        places = torch.from_numpy(known[self.source].places(keys))
        return [values[self.source].index_select(0, places)]


@dataclass(frozen=True, eq=False)
class Reduce:
    """Row u of the result is the sum, or the greatest and so on, of the rows e with `index[e]` = u."""

    source: int
    lists: Lists
    num_rows: int
    how: str
    outputs: tuple[int, ...]

    def demands(self, wanted: Pairs) -> list[tuple[int, Ints]]:
        """See `RowStep`."""
        return [(self.source, self._keys(wanted)[0])]

    def _keys(self, wanted: Pairs) -> tuple[Ints, Ints]:
        _, places, owners = self.lists.expanded(wanted.rows)
        return wanted.items[owners] * self.num_rows + self.lists.entries[places], owners

    def run(self, values: Mapping[int, Tensor], known: Mapping[int, Pairs], wanted: Pairs) -> list[Tensor]:
        """See `RowStep`."""
        keys, owners = self._keys(wanted)
        rows = values[self.source]
        rows = rows.index_select(0, torch.from_numpy(known[self.source].places(keys)))
        index, result = torch.from_numpy(owners), rows.new_zeros(len(wanted), *rows.shape[1:])
        if self.how == "sum":
            return [result.index_add(0, index, rows)]
        index = index.view(-1, *[1] * (rows.ndim - 1)).expand_as(rows)
        return [result.scatter_reduce(0, index, rows, self.how, include_self=False)]


@dataclass(frozen=True, eq=False)
class Product:
    """A product with a constant matrix from the left: row u is a sum of rows with coefficients."""

    source: int
    lists: Lists
    coefficients: Tensor
    num_rows: int
    outputs: tuple[int, ...]

    def demands(self, wanted: Pairs) -> list[tuple[int, Ints]]:
        """See `RowStep`."""
        return [(self.source, self._entries(wanted)[0])]

    def _entries(self, wanted: Pairs) -> tuple[Ints, Ints, Ints]:
        lengths, places, owners = self.lists.expanded(wanted.rows)
        return wanted.items[owners] * self.num_rows + self.lists.entries[places], places, lengths

    def run(self, values: Mapping[int, Tensor], known: Mapping[int, Pairs], wanted: Pairs) -> list[Tensor]:
        """See `RowStep`."""
        keys, places, lengths = self._entries(wanted)
        pairs = known[self.source]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        data = self.coefficients.numpy()[places]
        local = SparseMap.of(starts, pairs.places(keys), data, (len(wanted), len(pairs)))
        return [local(values[self.source])]


def rows_at(value: Tensor, known: Pairs, wanted: Pairs) -> Tensor:
    """Rows of some pairs among those that are known."""
    if known.holds_the_same(wanted):
        return value
    return value.index_select(0, torch.from_numpy(known.places(wanted.keys)))
