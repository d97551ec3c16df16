"""What L-BFGS remembers: steps and changes of the gradient, and the inverse Hessian that they tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from graph_metamers.synthesis.blocks import ONE_BLOCK, Blocks

if TYPE_CHECKING:
    from torch import Tensor

LARGEST_MEMORY = 2 << 30  # bytes of all pairs
FEWEST_PAIRS = 2
LEAST_CURVATURE = 1e-10  # of the slope: below it a pair would make the model of the Hessian indefinite
STEP, CHANGE = 0, 1


def pairs_kept(example: Tensor, history: int) -> int:
    """How many pairs of such points, [p], are kept if `history` are asked for."""
    fitting = LARGEST_MEMORY // (2 * example.numel() * example.element_size())
    return min(history, max(FEWEST_PAIRS, fitting))


class Curvature:
    """The last pairs (s, y) of a search, and the step that they propose, in every block of a point.

    With S and Y the steps and changes, R the upper triangle of S^T Y, D its diagonal and c the latest
    s.y / y.y, the inverse Hessian of L-BFGS is (Byrd, Nocedal and Schnabel 1994)

        H = c I + [S  cY] [R^-T (D + c Y^T Y) R^-1   -R^-T] [S^T ]
                          [        -R^-1               0  ] [cY^T],

    so that a step needs the inner products of all pairs with one gradient, and one sum of pairs: two passes
    over what is remembered. The products of a new change with older pairs are differences of what is known
    of two gradients. All small matrices stay on the device of the point, in float64: nothing waits for it.

    Parameters
    ----------
    example
        A point, [p].
    history
        Pairs at the most, m; fewer where they would need more than `LARGEST_MEMORY`.
    blocks
        Parts of the point, of which each has a Hessian of its own.
    """

    def __init__(self, example: Tensor, history: int, blocks: Blocks = ONE_BLOCK) -> None:
        self._blocks = blocks
        size, count = pairs_kept(example, history), blocks.count
        small = torch.empty(0, dtype=torch.float64, device=example.device)
        self._pairs = example.new_zeros(size, 2, example.numel())
        # Everything below has the oldest pair first; `_places` says where each one is among the pairs above.
        self._is_pair = torch.zeros(count, size, dtype=torch.bool, device=example.device)
        self._places = torch.arange(size, device=example.device).expand(count, size)
        # s_i . y_j for i <= j, and y_i . y_j, at [:, i, j]; 0 where there is no pair
        self._known = small.new_zeros(count, size, size, 2)
        self._products = small.new_zeros(count, size, 2)  # of every pair with the last gradient
        self._gradient: Tensor | None = None
        self._scale = small.new_ones(count)
        self._each = torch.arange(count, device=example.device)[:, None]
        self._all = torch.arange(size, device=example.device)

    @property
    def has_pairs(self) -> Tensor:
        """Which blocks remember a pair, bool [B]."""
        return self._is_pair.any(dim=1)

    def forget(self, mask: Tensor) -> None:
        """Start again without pairs in some blocks, bool [B]."""
        self._is_pair &= ~mask[:, None]
        self._known *= ~mask[:, None, None, None]
        self._scale = torch.where(mask, 1.0, self._scale)

    def remember(
        self, step: Tensor, gradient: Tensor, before: Tensor, slopes: Tensor, accepted: Tensor
    ) -> None:
        """Make a pair of a step; blocks in which its curvature is not positive get none.

        Parameters
        ----------
        step
            [p]; blocks that did not accept it keep their pairs.
        gradient, before
            After and before the step, [p]; the latter is the one that was remembered last.
        slopes
            Inner product of the step with the gradient before it, [B].
        accepted
            Blocks that took the step, bool [B].
        """
        agree = accepted.device.type == "cpu" and bool(accepted.all())
        own = self._write(step, gradient, before, None if agree else accepted)
        is_pair = accepted & (own[:, STEP] > LEAST_CURVATURE * slopes.abs())
        earlier, places, have, known = self._products, self._places, self._is_pair, self._known
        self._places = places.roll(-1, 1)
        self._is_pair = torch.cat([have[:, 1:], is_pair[:, None]], dim=1)
        self._known = torch.nn.functional.pad(known[:, 1:, 1:], (0, 0, 0, 1, 0, 1))
        self._scale = torch.where(is_pair, own[:, STEP] / own[:, CHANGE], self._scale)
        if not agree:
            self._places = torch.where(accepted[:, None], self._places, places)
            self._is_pair = torch.where(accepted[:, None], self._is_pair, have)
        self._gradient, self._products = gradient, self._products_with(gradient)
        change = torch.cat([self._products[:, :-1] - earlier[:, 1:], own[:, None]], dim=1)
        change *= (self._is_pair & is_pair[:, None])[:, :, None]
        self._known[:, -1, :, CHANGE] = change[:, :, CHANGE]
        self._known[:, :, -1] = change
        if not agree:
            self._known = torch.where(accepted[:, None, None, None], self._known, known)

    def _write(self, step: Tensor, gradient: Tensor, before: Tensor, accepted: Tensor | None) -> Tensor:
        """Put a pair in the place of the oldest where it is accepted (`None`: in all); s.y, y.y, [B, 2]."""
        oldest = self._places[:, 0]
        if accepted is None and (len(oldest) == 1 or bool((oldest == oldest[0]).all())):
            pair = self._pairs[int(oldest[0])]
            pair[STEP] = step
            torch.sub(gradient, before, out=pair[CHANGE])
        else:
            pair = torch.stack([step, gradient - before])
            places = self._blocks.spread(oldest)
            coordinates = torch.arange(len(step), device=step.device)
            mixed = pair.T
            if accepted is not None:
                old = self._pairs[places, :, coordinates]
                mixed = torch.where(self._blocks.spread(accepted)[:, None], mixed, old)
            self._pairs[places, :, coordinates] = mixed
        return self._blocks.dot(pair, pair[CHANGE]).double().T

    def newton_step(self, gradient: Tensor) -> Tensor:
        """Minus the inverse Hessian times a gradient, [p]; minus the gradient in blocks without pairs."""
        products = self._products if gradient is self._gradient else self._products_with(gradient)
        weights = self._weights(products).to(gradient.dtype)
        step = self._blocks.combined(self._pairs.flatten(0, 1), weights)
        return step.addcmul_(gradient, self._blocks.spread(self._scale.to(gradient.dtype)), value=-1)

    def _products_with(self, gradient: Tensor) -> Tensor:
        """Inner products of all pairs with a gradient, float64 [B, m, 2]."""
        found = self._blocks.dot(self._pairs.flatten(0, 1), gradient).double()
        return found.T.reshape(-1, len(self._all), 2)[self._each, self._places]

    def _weights(self, products: Tensor) -> Tensor:
        """How much of every step and change the next step has, float64 [2m, B]."""
        is_pair, scale = self._is_pair, self._scale[:, None]
        met, squares = self._known.unbind(dim=3)
        products = products * is_pair[:, :, None]
        triangle = met + torch.diag_embed(~is_pair)
        change = torch.linalg.solve_triangular(triangle, products[:, :, :CHANGE], upper=True)
        curved = met.diagonal(dim1=1, dim2=2) * change[:, :, 0] + scale * (squares @ change)[:, :, 0]
        right = (scale * products[:, :, CHANGE] - curved)[:, :, None]
        step = torch.linalg.solve_triangular(triangle.mT, right, upper=False)
        both = torch.cat([step, scale[:, :, None] * change], dim=2)
        ages = (self._all - self._places[:, :1]) % len(self._all)  # of every place, [B, m]
        return both[self._each, ages].flatten(1).T
