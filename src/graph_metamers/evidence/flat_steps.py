"""Steps along directions of the features in which a layer hardly moves, as far as its derivatives tell.

A search leaves the reference far behind; derivatives are only known there. So a long step along a direction
that is flat at the reference is a control: where its loss is as low as that of a search, nothing had to be
searched for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graph_metamers.evidence.equal_size import chosen_of_rows
from graph_metamers.inputs.slots import HOMOGENEOUS, read_features, write_features
from graph_metamers.theory.freedom import ridge_of

if TYPE_CHECKING:
    from graph_metamers.inputs import Variables
    from graph_metamers.inputs.visible import VisibleSpace
    from graph_metamers.theory.jacobians import LayerReader
    from graph_metamers.types import Graph

ITERATIONS = 100  # of conjugate gradients
SOLVED = 1e-8  # residual, relative: what is left of a direction that is seen is far smaller than that
LEAST_TOLERANCE = 1e-9  # so that there is a ridge where a search has to match exactly


@dataclass(frozen=True, eq=False)
class FlatDirections:
    """Random directions of the visible features out of which steep ones are filtered.

    y = lambda (J^T J + lambda I)^-1 z, for a random z: the component along a singular vector of J, the
    Jacobian of all items of the layer by the visible features of all nodes, is multiplied by
    lambda / (sigma^2 + lambda). What the layer does not see at first order stays, what it sees is filtered
    the more, the better it is seen. lambda is that of `free_shares`: a change as large as unrelated features
    make passes if it moves the layer by no more than the tolerance.

    Attributes
    ----------
    reader
        The layer, at the reference, in float64; see `layer_readers`.
    space
        What the layer reads of the features.
    tolerance
        Activation loss that counts as hardly moved.

    Notes
    -----
    Ours. J is never made: two backward passes a product with J^T J, at most `ITERATIONS` products.
    """

    reader: LayerReader
    space: VisibleSpace
    tolerance: float

    def draw(self, generator: torch.Generator) -> Tensor:
        """One direction, of length 1, in the features, float64 [n, F]; call inside `reader.view.borrow()`."""
        basis = self.space.bases[HOMOGENEOUS].cpu()
        z = torch.randn(len(self.reader.features), basis.shape[1], generator=generator, dtype=torch.float64)
        y = self._filtered(z, basis)
        direction: Tensor = (y / y.norm()) @ basis.T
        return direction

    def _filtered(self, z: Tensor, basis: Tensor) -> Tensor:
        """What `draw` gives, in coordinates of the visible space and up to a factor: conjugate gradients."""
        compression = self.reader.compression
        into = basis.T if compression is None else basis.T @ compression.into.cpu().double()
        ridge = ridge_of(self.reader, max(self.tolerance, LEAST_TOLERANCE))
        point = torch.zeros_like(z, requires_grad=True)
        with torch.enable_grad():
            graph = write_features(self.reader.graph, {HOMOGENEOUS: self.reader.features + point @ into})
            value = self.reader.view.taps(graph, [self.reader.layer])[self.reader.layer].value
            seed = torch.zeros_like(value, requires_grad=True)
            (slope,) = torch.autograd.grad(value, point, seed, create_graph=True)

        def product(v: Tensor) -> Tensor:
            # Backwards twice: the derivative of J^T u by u, times v, is J v.
            (moved,) = torch.autograd.grad(slope, seed, v, retain_graph=True)
            (back,) = torch.autograd.grad(value, point, moved, retain_graph=True)
            return back + ridge * v

        solution, residual = torch.zeros_like(z), z.clone()
        direction, squared = residual.clone(), residual.square().sum()
        for _ in range(ITERATIONS):
            image = product(direction)
            length = squared / (direction * image).sum()
            solution, residual = solution + length * direction, residual - length * image
            before, squared = squared, residual.square().sum()
            if float(squared) <= SOLVED**2 * float(z.square().sum()):
                break
            direction = residual + squared / before * direction
        return solution


def stepped(variables: Variables, space: VisibleSpace, graph: Graph, direction: Tensor) -> Graph:
    """A step along a direction, as long as a change of the features is where the layer reads.

    Parameters
    ----------
    variables
        The reference and what may vary, of one slot.
    space
        What the layer reads of the features.
    graph
        A changed version of the reference, whose size of change counts.
    direction
        Of length 1, float64 [n, F].

    Returns
    -------
    Graph
        Continuous features: the step, brought back to their range. Binary ones: every node loses and gains
        as many as it did in `graph`, those that lie most along its direction.
    """
    (values,) = variables.values.values()
    x, changed, mutable = values.reference, read_features(graph)[HOMOGENEOUS], values.mutable
    along = direction.to(x.device)
    if values.kind == "binary":
        before, after = x.bool(), changed.bool()
        lost = chosen_of_rows(-along, before & mutable, (before & ~after & mutable).sum(dim=1))
        gained = chosen_of_rows(along, ~before & mutable, (after & ~before & mutable).sum(dim=1))
        return variables.graph_with({HOMOGENEOUS: ((before & ~lost) | gained).to(x.dtype)})
    size = ((changed.double() - x.double()) @ space.bases[HOMOGENEOUS].to(x.device)).norm()
    step = torch.where(mutable, size * along, 0.0)
    moved = values.project((x.double() + step).to(x.dtype))
    return variables.graph_with({HOMOGENEOUS: torch.where(mutable, moved, x)})
