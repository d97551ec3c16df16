"""Which tensors of a tape may share memory, which memory is written into, and what is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_leaves

from graph_metamers.replay.tape import Slot, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


_UNSAID_VIEWS = frozenset({torch.ops.aten._unsafe_view.default})
"""Views of their first argument whose schema does not say so."""


class Storages:
    """Which slots may share memory, and which memory is written into."""

    def __init__(self, steps: Sequence[Step], num_slots: int) -> None:
        self._first = list(range(num_slots))
        for step in steps:
            for slot in (*_aliased(step), *step.outputs):
                if _returns_views(step):
                    self._join(step.outputs[0], slot)
        self._written = {self.of(slot) for step in steps for slot in set(step.inputs) & set(step.outputs)}

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
    if step.function in _UNSAID_VIEWS:
        return True
    schema = getattr(step.function, "_schema", None)
    return schema is not None and any(value.alias_info is not None for value in schema.returns)


def _aliased(step: Step) -> Iterator[int]:
    """Slots whose memory the results of a step may share."""
    schema: Any = getattr(step.function, "_schema", None)
    for place, argument in enumerate(schema.arguments if _returns_views(step) else ()):
        value = step.args[place] if place < len(step.args) else step.kwargs.get(argument.name)
        if argument.alias_info is not None or (step.function in _UNSAID_VIEWS and place == 0):
            yield from (leaf.number for leaf in tree_leaves(value) if isinstance(leaf, Slot))


def needed_steps(steps: Sequence[Step], results: Sequence[int], num_slots: int) -> list[Step]:
    """The steps on which a result depends."""
    storages = Storages(steps, num_slots)
    needed = set(results)
    kept = []
    for step in reversed(steps):
        written = set(step.inputs) & set(step.outputs)
        alive = {storages.of(slot) for slot in needed} if written else set()
        if not needed & set(step.outputs) and not any(storages.of(slot) in alive for slot in written):
            continue
        kept.append(step)
        needed = (needed - set(step.outputs)) | set(step.inputs)
    return kept[::-1]
