"""What L-BFGS remembers: steps and changes of the gradient, and the inverse Hessian that they tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

LARGEST_MEMORY = 2 << 30  # bytes of all pairs
FEWEST_PAIRS = 3
LEAST_CURVATURE = 1e-10  # of |s||y|: below it a pair would make the model of the Hessian indefinite


def pairs_kept(example: Tensor, history: int) -> int:
    """How many pairs of such points, [p], are kept if `history` are asked for."""
    fitting = LARGEST_MEMORY // (2 * example.numel() * example.element_size())
    return min(history, max(FEWEST_PAIRS, fitting))


class Curvature:
    """The last pairs (s, y) of a search, in one matrix, with their inner products.

    The recursion of L-BFGS needs inner products only. Those among the pairs are kept, so a step costs one
    product of the matrix with the gradient, one with the new step, and one back (Chen et al. 2014): three
    passes over the pairs instead of forty over vectors. The products are read by the host, which on a GPU
    waits for them.

    Parameters
    ----------
    example
        A point, [p].
    history
        Pairs at the most; fewer where they would need more than `LARGEST_MEMORY`.
    """

    def __init__(self, example: Tensor, history: int) -> None:
        self._history = pairs_kept(example, history)
        self._pairs = example.new_empty(2 * self._history, example.numel())  # step, change, step, change, ...
        self._order: list[int] = []  # rows of the steps, oldest first; the change is in the row below
        self._products: NDArray[np.float64] = np.zeros((2 * self._history, 2 * self._history))
        self._gradient: Tensor | None = None
        self._slopes: NDArray[np.float64] = np.zeros(0)  # products of the rows with that gradient

    @property
    def num_pairs(self) -> int:
        """Pairs that are remembered now."""
        return len(self._order)

    def forget(self) -> None:
        """Start again without pairs."""
        self._order.clear()
        self._slopes = np.zeros(0)

    def remember(self, step: Tensor, change: Tensor, gradient: Tensor) -> None:
        """Add a pair, unless its curvature is not positive; the oldest goes if there are too many.

        Parameters
        ----------
        step, change
            Of the point and of the gradient, [p].
        gradient
            After the step, [p]; that before it is the one that `newton_step` was given last.
        """
        met, squared_step, squared_change = torch.stack(
            [step.dot(change), step.dot(step), change.dot(change)]
        ).tolist()
        if not met > LEAST_CURVATURE * (squared_step * squared_change) ** 0.5:
            self._note(gradient)
            return
        row = self._order.pop(0) if len(self._order) == self._history else 2 * len(self._order)
        self._order.append(row)
        self._pairs[row], self._pairs[row + 1] = step, change
        before = np.zeros(2 * len(self._order))
        before[: len(self._slopes)] = self._slopes
        self._note(gradient)
        for place, products in ((row + 1, self._slopes - before), (row, self._times(step))):
            self._products[place, : len(products)] = self._products[: len(products), place] = products
        self._products[row, row + 1] = self._products[row + 1, row] = met
        self._products[row + 1, row + 1] = squared_change

    def newton_step(self, gradient: Tensor) -> Tensor:
        """Minus the inverse Hessian times a gradient, [p]; minus the gradient without pairs."""
        if not self._order:
            return -gradient
        slopes = self._slopes if gradient is self._gradient else self._times(gradient)
        coefficients, scale = self._coefficients(slopes)
        step = torch.mv(self._filled.T, torch.from_numpy(coefficients).to(gradient))
        return step.sub_(gradient, alpha=scale)

    def _note(self, gradient: Tensor) -> None:
        """Keep the products of a gradient: the next change of the gradient is told from them."""
        self._gradient, self._slopes = gradient, self._times(gradient)

    @property
    def _filled(self) -> Tensor:
        return self._pairs[: 2 * len(self._order)]

    def _times(self, vector: Tensor) -> NDArray[np.float64]:
        """Inner products with all rows."""
        return torch.mv(self._filled, vector).double().cpu().numpy()

    def _coefficients(self, slopes: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """How much of each row the step has, and of minus the gradient: the two loops, in inner products."""
        found = np.zeros(len(slopes))
        products = self._products[: len(slopes), : len(slopes)]
        weights: dict[int, float] = {}
        for row in reversed(self._order):
            weights[row] = (products[row] @ found - slopes[row]) / products[row, row + 1]
            found[row + 1] -= weights[row]
        last = self._order[-1]
        scale = products[last, last + 1] / products[last + 1, last + 1]
        found *= scale
        for row in self._order:
            met = (products[row + 1] @ found - scale * slopes[row + 1]) / products[row, row + 1]
            found[row] += weights[row] - met
        return found, float(scale)
