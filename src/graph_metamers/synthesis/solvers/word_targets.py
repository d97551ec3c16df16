"""Where words should lead: a continuous descent on what the model reads of them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import minimize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers.word_slot import WordSlot

PROXIMITY = 0.01  # cost of leaving the present sums, in units of what that changes near a match
MOST_EVALUATIONS = 60


def sums_ahead(
    problem: Problem, slots: Mapping[str, WordSlot], most: int
) -> tuple[dict[str, NDArray[np.float64]], int]:
    """Sums of words at which the loss is lower, not far from the present ones.

    Parameters
    ----------
    problem, slots
        What is matched, and the words now; the model of the problem has to take sums (see `is_compressed`).
    most
        Evaluations at the most, at least 1.

    Returns
    -------
    tuple
        The sum of vectors that each node should have, slot by slot, float64 [n, k], and evaluations spent.

    Notes
    -----
    L-BFGS-B of SciPy on what the model reads, with `PROXIMITY` times the squared distance in the words'
    metric added to the loss: sums that no set of words comes near are of no use. *Ours.*
    """
    held = {name: slot.read(slot.annealer.items) for name, slot in slots.items()}
    shapes = {name: read.shape for name, read in held.items()}
    ends = np.cumsum([0, *(read.size for read in held.values())])
    spent = 0
    first = np.concatenate([read.astype(np.float64).ravel() for read in held.values()])
    best = (np.inf, first)

    def split(flat: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        parts = zip(shapes.items(), ends[:-1], ends[1:], strict=True)
        return {name: flat[first:last].reshape(shape) for (name, shape), first, last in parts}

    def value(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        nonlocal spent, best
        if spent == most:
            raise StopIteration
        spent += 1
        reads = split(flat)
        inputs = {name: slot.inputs(slot.annealer.items, reads[name]) for name, slot in slots.items()}
        found = problem.slopes(inputs)
        loss, gradients = found.loss, []
        for name, slot in slots.items():
            away = (reads[name] - held[name]) @ slot.metric.to_sums
            weighed = PROXIMITY * slot.metric.curvature[:, None] * away
            loss += float((weighed * away).sum())
            gradient = found.gradient[name].double().cpu().numpy() + 2 * weighed @ slot.metric.to_sums.T
            gradients.append(gradient.ravel())
        best = min(best, (loss, flat.copy()), key=lambda pair: pair[0])
        return loss, np.concatenate(gradients)

    with torch.enable_grad(), contextlib.suppress(StopIteration):  # maxfun is looked at between line searches
        minimize(value, first, jac=True, method="L-BFGS-B", options={"maxfun": most})
    reads = split(best[1])
    return {name: reads[name] @ slot.metric.to_sums for name, slot in slots.items()}, spent
