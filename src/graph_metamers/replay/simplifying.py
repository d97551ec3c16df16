"""Shorten a tape without changing what it computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from graph_metamers.replay.sparse_products import with_sparse_products
from graph_metamers.replay.tape import Slot, Step, Tape

if TYPE_CHECKING:
    from collections.abc import Sequence

aten = torch.ops.aten
_SAME = frozenset({aten.detach.default, aten.alias.default})
_COPIES = frozenset({aten.clone.default})


def simplified(tape: Tape) -> Tape:
    """Without copies that nobody writes into, with sparse products, without what no result needs."""
    steps = _without_copies(tape)
    products = with_sparse_products(steps, tape.kinds)
    return Tape(_needed(products, tape.results, len(tape.kinds)), tape.results, tape.kinds)


def _without_copies(tape: Tape) -> list[Step]:
    """Leave out copies where neither the original nor the copy is changed later."""
    storages = _Storages(tape.steps, len(tape.kinds))
    instead: dict[int, int] = {}
    steps = []
    for step in tape.steps:
        moved = step.with_slots(instead)
        source = moved.args[0] if moved.args else None
        if isinstance(source, Slot) and not moved.kwargs and step.outputs[0] not in tape.results:
            constant = not storages.is_written(source.number) and not storages.is_written(step.outputs[0])
            power = step.function is aten.pow.Tensor_Scalar and step.args[1] == 1
            if step.function in _SAME or (constant and (power or step.function in _COPIES)):
                instead[step.outputs[0]] = source.number
                continue
        steps.append(moved)
    return steps


def _needed(steps: Sequence[Step], results: Sequence[int], num_slots: int) -> list[Step]:
    """The steps on which a result depends."""
    storages = _Storages(steps, num_slots)
    needed = set(results)
    kept = []
    for step in reversed(steps):
        written = set(step.inputs()) & set(step.outputs)
        alive = {storages.of(slot) for slot in needed} if written else set()
        if not needed & set(step.outputs) and not any(storages.of(slot) in alive for slot in written):
            continue
        kept.append(step)
        needed = (needed - set(step.outputs)) | set(step.inputs())
    return kept[::-1]


class _Storages:
    """Which slots may share memory, and which memory is written into."""

    def __init__(self, steps: Sequence[Step], num_slots: int) -> None:
        self._first = list(range(num_slots))
        for step in steps:
            if _returns_views(step):
                for slot in (*step.inputs(), *step.outputs):
                    self._join(step.outputs[0], slot)
        self._written = {self.of(slot) for step in steps for slot in set(step.inputs()) & set(step.outputs)}

    def of(self, slot: int) -> int:
        """A name for the memory of a slot."""
        while self._first[slot] != slot:
            slot = self._first[slot]
        return slot

    def is_written(self, slot: int) -> bool:
        """Whether anything is written into its memory."""
        return self.of(slot) in self._written

    def _join(self, one: int, other: int) -> None:
        self._first[self.of(one)] = self.of(other)


def _returns_views(step: Step) -> bool:
    schema = getattr(step.function, "_schema", None)
    return schema is not None and any(value.alias_info is not None for value in schema.returns)
