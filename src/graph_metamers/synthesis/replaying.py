"""Evaluate a problem from a tape where that is the same: verified, or refused with the reason."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from graph_metamers.replay import NotReplayable, Tape, record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from graph_metamers.synthesis.problem import Problem

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}
"""Largest relative difference of loss and gradient that is rounding; sums are taken in another order."""


def replayed(problem: Problem, start: Tensor) -> tuple[Problem, str]:
    """The problem with a tape of its evaluation, and what was done; call inside `view.borrow()`.

    Parameters
    ----------
    problem
        Whose objective is a smooth function of the point; others stay as they are.
    start
        A point, [p]. The tape is recorded there, and verified at another one.

    Returns
    -------
    tuple of Problem and str
        The problem itself where a tape is refused.
    """
    if not problem.is_smooth:
        return problem, "none: the features are discrete"
    other = problem.project(start.detach() + 0.5 * (start.roll(1) - start).detach())
    tape = verified_tape(problem.evaluate_eagerly, start.detach(), other)
    if isinstance(tape, str):
        return problem, f"none: {tape}"
    return dataclasses.replace(problem, tape=tape), f"{len(tape.steps)} operations"


def verified_tape(function: Callable[[Tensor], Sequence[Tensor]], start: Tensor, other: Tensor) -> Tape | str:
    """A tape of a function, recorded at `start` and verified at `other`, or why there is none.

    Notes
    -----
    Ours. Costs two runs of the function and a few ten milliseconds.
    """
    expected = function(other)
    try:
        tape = record(function, start)
        found = tape(other)
    except NotReplayable as refusal:
        return str(refusal)
    except Exception as error:  # a module of the user's may raise anything when it is listened to
        return f"it cannot be recorded: {(str(error).splitlines() or [type(error).__name__])[0]}"
    limit = TOLERANCE.get(start.dtype, 1e-3)
    for ours, theirs in zip(found, expected, strict=True):
        if not bool((ours - theirs).norm() <= limit * theirs.norm()):
            return "something outside of torch takes part"
    return tape
