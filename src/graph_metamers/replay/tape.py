"""A tape: a function of one tensor as a flat list of operations."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Slot:
    """A place in which a tensor lies while a tape runs; 0 is the tape's argument."""

    number: int


class Kind(NamedTuple):
    """What a tensor in a slot is like."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True, eq=False)
class Step:
    """One operation.

    Attributes
    ----------
    function
        What is called; an operator of torch, or any other callable.
    args, kwargs
        With a `Slot` for everything that depends on the tape's argument; other tensors are constants.
    outputs
        Slots of the tensors that it returns, in order; a slot that an argument has too is changed in place.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[int, ...]

    @functools.cached_property
    def inputs(self) -> tuple[int, ...]:
        """Slots that it reads."""
        leaves = tree_leaves((self.args, self.kwargs))
        return tuple(leaf.number for leaf in leaves if isinstance(leaf, Slot))

    def with_slots(self, replaced: dict[int, int]) -> Step:
        """The same operation on other slots."""
        if not any(slot in replaced for slot in self.inputs):
            return self

        def other(leaf: Any) -> Any:
            return Slot(replaced.get(leaf.number, leaf.number)) if isinstance(leaf, Slot) else leaf

        args, kwargs = tree_map(other, (self.args, self.kwargs))
        return Step(self.function, args, kwargs, self.outputs)


class Tape:
    """A function from one tensor to several, as a flat list of operations.

    Parameters
    ----------
    steps
        In their order.
    results
        Slots of what is returned.
    kinds
        Slot -> what the tensor in it is like.

    Notes
    -----
    A slot is emptied after its last use, so that memory is that of the tensors alive at one time.
    """

    def __init__(self, steps: Sequence[Step], results: Sequence[int], kinds: Mapping[int, Kind]) -> None:
        self.steps, self.results, self.kinds = tuple(steps), tuple(results), kinds
        last_use = {s: n for n, step in enumerate(self.steps) for s in (*step.inputs, *step.outputs)}
        finished: list[list[int]] = [[] for _ in self.steps]
        for slot, number in last_use.items():
            if slot not in self.results:
                finished[number].append(slot)
        self._program = [(*_compiled(step), done) for step, done in zip(self.steps, finished, strict=True)]

    def __call__(self, argument: Tensor) -> list[Tensor]:
        """Run every step; no gradients."""
        slots: list[Any] = [None] * len(self.kinds)
        slots[0] = argument
        with torch.no_grad():
            for function, places, args, nested, kwargs, outputs, finished in self._program:
                if nested:
                    args, kwargs = tree_map(  # noqa: PLW2901 (the template stays as it is)
                        lambda leaf: slots[leaf.number] if isinstance(leaf, Slot) else leaf, (args, kwargs)
                    )
                elif places:
                    filled = list(args)
                    for place, slot in places:
                        filled[place] = slots[slot]
                    args = filled  # noqa: PLW2901 (as above)
                result = function(*args, **kwargs)
                if len(outputs) == 1 and isinstance(result, Tensor):
                    slots[outputs[0]] = result
                else:
                    tensors = (leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
                    for slot, value in zip(outputs, tensors, strict=True):
                        slots[slot] = value
                for slot in finished:
                    slots[slot] = None
        return [slots[slot] for slot in self.results]


def _compiled(step: Step) -> tuple[Any, ...]:
    """Where slots go into the arguments, told once; whether some are inside lists or keyword arguments."""
    places = [(place, leaf.number) for place, leaf in enumerate(step.args) if isinstance(leaf, Slot)]
    nested = len(step.inputs) > len(places)
    return step.function, places, step.args, nested, step.kwargs, step.outputs
