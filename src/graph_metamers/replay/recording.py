"""Record a function as a tape, by running it once and noting every operation that depends on its argument.

What a model computes from features on a fixed graph is the same list of operations every time; everything
that does not depend on the features (degrees, normalisations, index arithmetic) is the same tensor every
time. A mode of torch sees each operation below autograd, so gradients are recorded like everything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakIdKeyDictionary

from graph_metamers.replay.simplifying import simplified
from graph_metamers.replay.tape import Kind, Slot, Step, Tape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

aten = torch.ops.aten
_ZEROS = frozenset({aten.new_zeros.default, aten.zeros.default, aten.zeros_like.default})
_SHAPE_ONLY = _ZEROS | {
    aten.new_ones.default,
    aten.new_full.default,
    aten.ones_like.default,
    aten.full_like.default,
}
"""Of what is in their argument, these use nothing but its shape."""


class NotReplayable(Exception):  # noqa: N818 (a refusal, not an error)
    """Why what a function computes is no fixed list of operations."""


def record(
    function: Callable[[Tensor], Sequence[Tensor]], argument: Tensor, *, shortened: bool = True
) -> Tape:
    """Run a function once and record what it does.

    Parameters
    ----------
    function
        From one tensor to several; may use autograd inside.
    argument
        Where it is run.
    shortened
        Whether to simplify the tape; else it holds every operation as the function called it.

    Returns
    -------
    Tape
        Computes the same; verify it at other arguments: what leaves torch on the way is not seen.

    Raises
    ------
    NotReplayable
        If something is random, is decided by a number that depends on the argument, has a shape that
        depends on it, or is written into a tensor that others share.

    Notes
    -----
    Ours. Costs one run of the function, about 20 microseconds for each operation, and no copies.
    """
    watch = _Watch(argument)
    with watch:
        results = list(function(argument))
    slots = [watch.slot_of(result) for result in results]
    if None in slots:
        raise NotReplayable("a result does not depend on the features")
    tape = Tape(watch.steps, [slot for slot in slots if slot is not None], watch.kinds)
    return simplified(tape) if shortened else tape


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types for it
    """Note the operations on what depends on the argument."""

    def __init__(self, argument: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[Step] = []
        self.kinds = {0: _kind(argument)}
        self._slots: Any = WeakIdKeyDictionary()  # tensor -> slot, as long as the tensor lives
        self._slots[argument] = 0
        self._zeros: Any = WeakIdKeyDictionary()  # tensors of zeros that nothing else has seen
        self._constants: set[int] = set()  # storages of constants that are on the tape
        self._kept: list[Tensor] = []

    def slot_of(self, tensor: Tensor) -> int | None:
        """Where a tensor is; `None` if it does not depend on the argument."""
        slot: int | None = self._slots.get(tensor)
        return slot

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise NotReplayable(f"it draws random numbers ({func})")
        written = _written(func, args, kwargs)
        if func in _SHAPE_ONLY or not any(tensor in self._slots for tensor in tensors):
            if any(tensor.untyped_storage()._cdata in self._constants for tensor in written):
                raise NotReplayable(f"a constant is written into later ({func})")
            result = func(*args, **kwargs)
            self._note_zeros(func, tensors, result)
            return result
        self._refuse_changing_shapes(func, args)
        for tensor in written:
            if tensor not in self._slots:
                self._start_with_zeros(tensor, func)
        own_args, own_kwargs = tree_map(self._slot_or_constant, (args, kwargs))
        result = func(*args, **kwargs)
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if any(not isinstance(leaf, Tensor | None) for leaf in tree_leaves(result, is_leaf=_is_none)):
            raise NotReplayable(f"a number is read from the features and decides what happens ({func})")
        if not outputs:
            raise NotReplayable(f"an operation on the features has no result ({func})")
        self.steps.append(Step(func, own_args, own_kwargs, tuple(map(self._slot_for, outputs))))
        return result

    def _note_zeros(self, func: Any, tensors: list[Tensor], result: Any) -> None:
        if any(value.alias_info is not None for value in func._schema.returns):  # a view, or written into
            for tensor in tensors:
                self._zeros.pop(tensor, None)
        if func in _ZEROS:
            self._zeros[result] = True

    def _refuse_changing_shapes(self, func: Any, args: tuple[Any, ...]) -> None:
        by_mask = func is aten.index.Tensor and any(
            isinstance(mask, Tensor) and mask.dtype == torch.bool and mask in self._slots for mask in args[1]
        )
        if torch.Tag.dynamic_output_shape in func.tags and (func is not aten.index.Tensor or by_mask):
            raise NotReplayable(f"a shape depends on the features ({func})")

    def _start_with_zeros(self, tensor: Tensor, func: Any) -> None:
        if self._zeros.pop(tensor, None) is None:
            raise NotReplayable(f"features are written into a tensor that is not new ({func})")
        options = {"dtype": tensor.dtype, "device": tensor.device}
        slot = self._slot_for(tensor)
        self.steps.append(Step(torch.zeros, (tuple(tensor.shape),), options, (slot,)))

    def _slot_or_constant(self, leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        slot = self.slot_of(leaf)
        if slot is not None:
            return Slot(slot)
        self._zeros.pop(leaf, None)
        if leaf.layout == torch.strided:
            self._constants.add(leaf.untyped_storage()._cdata)
        self._kept.append(leaf)
        return leaf.detach() if leaf.requires_grad else leaf

    def _slot_for(self, output: Tensor) -> int:
        slot = self.slot_of(output)
        if slot is None:
            slot = self._slots[output] = len(self.kinds)
            self.kinds[slot] = _kind(output)
        return slot


def _is_none(leaf: Any) -> bool:
    return leaf is None


def _kind(tensor: Tensor) -> Kind:
    return Kind(tuple(tensor.shape), tensor.dtype, tensor.device)


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """Tensors that an operation changes in place."""
    if not func._schema.is_mutable:
        return []
    found = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[place] if place < len(args) else kwargs.get(argument.name)
            found += [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return found
