"""Shorten a tape without changing what it computes."""

from __future__ import annotations

import torch

from graph_metamers.replay.fusing import fused
from graph_metamers.replay.sparse_products import with_sparse_products
from graph_metamers.replay.storages import Storages, needed_steps
from graph_metamers.replay.tape import Slot, Step, Tape

aten = torch.ops.aten
_SAME = frozenset({aten.detach.default, aten.alias.default})
_COPIES = frozenset({aten.clone.default})


def simplified(tape: Tape) -> Tape:
    """Without copies that nobody writes into, with sparse products, joined, without what no result needs."""
    kinds = dict(tape.kinds)
    steps = needed_steps(_without_copies(tape), tape.results, len(kinds))
    products = needed_steps(with_sparse_products(steps, kinds), tape.results, len(kinds))
    return Tape(fused(products, tape.results, kinds), tape.results, kinds)


def _without_copies(tape: Tape) -> list[Step]:
    """Leave out copies where neither the original nor the copy is changed later."""
    storages = Storages(tape.steps, len(tape.kinds))
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
