"""Changes of node features that all have one size: random ones, and those that raise a loss most.

Every point that is tried lies on the surface of the ball, row by row, never inside: the size is that of the
random control, exactly. Source of the ascent: Madry et al. 2018; the surface, and flips, are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Loss = Callable[[Tensor], Tensor]

OVERSHOOT = 2.5
"""All steps together could cross the ball this many times (Madry et al. 2018)."""


def moved(
    x: Tensor,
    radius: float,
    norm: Literal["l2", "linf"],
    loss: Loss,
    generator: torch.Generator,
    *,
    steps: int,
) -> Tensor:
    """Move every row of x, [n, F], by exactly `radius`.

    Parameters
    ----------
    x
        Features.
    radius
        l2: length of every row of the change; linf: size of every entry of it.
    norm
        Which of the two.
    loss
        From features [n, F] to what is to be raised, a scalar.
    generator
        Of the random change, from which the ascent starts.
    steps
        Gradient steps; 0 leaves the random change.

    Returns
    -------
    Tensor
        [n, F], detached; with the highest loss among the points tried.
    """
    inside = torch.randn(x.shape, generator=generator).to(x)
    on_surface = _rows_of_length if norm == "l2" else _signs
    change = on_surface(inside, radius)
    if not steps:
        return (x + change).detach()
    inside, pace = change, OVERSHOOT * radius / steps
    best, best_value = change, -torch.inf
    for step in range(steps + 1):
        value, slope = _slope(loss, x + change, needed=step < steps)
        if value > best_value:
            best, best_value = change, value
        if slope is not None:
            inside = _stepped(change if norm == "l2" else inside, slope, pace, radius, norm)
            change = on_surface(inside, radius)
    return (x + best).detach()


def flipped(x: Tensor, count: int, loss: Loss, generator: torch.Generator, *, steps: int) -> Tensor:
    """Flip exactly `count` entries of every row of a binary matrix, [n, F]; otherwise as `moved`.

    The ascent moves a matrix of scores, of which the largest `count` of each row are flipped. Rows on which
    the loss does not depend keep their random flips.
    """
    chosen = _distinct_columns(x.shape[0], x.shape[1], count, generator).to(x.device)
    if not steps:
        return _with_flips(x, chosen)
    scores = torch.zeros_like(x).scatter_(1, chosen, 1.0)
    best, best_value = chosen, -torch.inf
    toward = 1 - 2 * x
    for step in range(steps + 1):
        value, slope = _slope(loss, _with_flips(x, chosen), needed=step < steps)
        if value > best_value:
            best, best_value = chosen, value
        if slope is not None:
            gain = slope * toward
            # In place: matrices of all features are what this spends its time on.
            largest = gain.abs().amax(dim=1, keepdim=True)
            scores.add_(gain.div_(largest.clamp(min=torch.finfo(x.dtype).tiny)))
            chosen = scores.topk(count, dim=1).indices
    return _with_flips(x, best)


def _with_flips(x: Tensor, chosen: Tensor) -> Tensor:
    """x, [n, F], with the entries of these columns, [n, count], flipped; detached."""
    x = x.detach()
    return x.scatter(1, chosen, 1 - x.gather(1, chosen))


def _distinct_columns(rows: int, width: int, count: int, generator: torch.Generator) -> Tensor:
    """For each row as many different columns, int64 [rows, count], all sets as likely.

    Rows with a column twice are drawn again: with count^2 <= width, at most half of them each time.
    """
    if count * count > width:
        return torch.rand(rows, width, generator=generator).topk(count, dim=1).indices
    drawn = torch.randint(width, (rows, count), generator=generator)
    again = torch.arange(rows)
    while True:
        ordered = drawn[again].sort(dim=1).values
        again = again[(ordered[:, 1:] == ordered[:, :-1]).any(dim=1)]
        if not len(again):
            return drawn
        drawn[again] = torch.randint(width, (len(again), count), generator=generator)


def _slope(loss: Loss, x: Tensor, *, needed: bool) -> tuple[float, Tensor | None]:
    """The loss, and its gradient where it is needed."""
    if not needed:
        with torch.no_grad():
            return float(loss(x)), None
    leaf = x.detach().requires_grad_()
    value = loss(leaf)
    (slope,) = torch.autograd.grad(value, leaf, allow_unused=True)
    return float(value.detach()), torch.zeros_like(leaf) if slope is None else slope


def _stepped(inside: Tensor, slope: Tensor, pace: float, radius: float, norm: str) -> Tensor:
    if norm == "linf":
        return (inside + pace * slope.sign()).clamp(-radius, radius)
    # A row that the loss does not depend on has slope 0, and stays where chance has put it.
    return inside + _rows_of_length(slope, pace)


def _rows_of_length(rows: Tensor, length: float) -> Tensor:
    sizes = rows.norm(dim=1, keepdim=True)
    return torch.where(sizes > 0, rows * (length / sizes.clamp(min=torch.finfo(rows.dtype).tiny)), 0.0)


def _signs(inside: Tensor, radius: float) -> Tensor:
    return torch.where(inside >= 0, radius, -radius).to(inside)
