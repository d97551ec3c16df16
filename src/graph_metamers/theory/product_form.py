"""Layers that are one linear map of the graph times one of the features, and a function of each unit behind.

h = sigma(A X W^T + b): GCN's first layer and SGC. The Jacobian of all items is then D (A (x) W) with D the
slopes of sigma, and its rank follows from A, W and D apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from graph_metamers.replay.tape import Slot
from graph_metamers.theory.row_steps import POINTWISE, RESHAPING, Product, Rowwise

if TYPE_CHECKING:
    from graph_metamers.theory.row_program import RowProgram

aten = torch.ops.aten
_SAME = RESHAPING | {aten.clone.default, aten.detach.default, aten.alias.default}
_SHIFTS = frozenset({aten.add.Tensor, aten.add_.Tensor, aten.sub.Tensor, aten.sub_.Tensor})


@dataclass(frozen=True, eq=False)
class ProductForm:
    """A layer sigma(A X W^T + b).

    Attributes
    ----------
    graph_map
        A, float64, sparse [items, n].
    feature_map
        W, float64 [d_k, what is read of a node].
    slopes
        Derivatives of sigma at the reference, float64 [items, d_k]; `None` without sigma.
    """

    graph_map: Any
    feature_map: Tensor
    slopes: Tensor | None


def product_form(program: RowProgram, features: Tensor) -> ProductForm | None:
    """The layer in this form; `None` if it is not of it."""
    slot, done, graph_map, feature_map = 0, 0, None, None
    for step in program.steps:
        if isinstance(step, Product) and step.source == slot:
            shape = (program.kinds[step.outputs[0]].shape[0], step.num_rows)
            own = csr_array((step.coefficients.numpy(), step.lists.entries, step.lists.starts), shape=shape)
            graph_map = own if graph_map is None else own @ graph_map
        elif isinstance(step, Rowwise) and (weight := _weight(step, slot)) is not None:
            feature_map = weight.T if feature_map is None else weight.T @ feature_map
        elif not (isinstance(step, Rowwise) and _is_shift(step, slot)):
            break
        slot, done = step.outputs[0], done + 1
    if graph_map is None or feature_map is None:
        return None
    if done == len(program.steps):
        return ProductForm(graph_map, feature_map, None)
    slopes = _slopes(program, done, slot, features)
    return None if slopes is None else ProductForm(graph_map, feature_map, slopes)


def _weight(step: Rowwise, slot: int) -> Tensor | None:
    args = step.step.args
    if step.step.function not in (aten.mm.default, aten.addmm.default) or step.step.kwargs:
        return None
    return args[-1] if step.step.inputs == (slot,) and isinstance(args[-2], Slot) else None


def _is_shift(step: Rowwise, slot: int) -> bool:
    """Whether only constants are added."""
    if step.step.inputs != (slot,) or step.step.kwargs:
        return False
    if step.step.function in _SHIFTS:
        return isinstance(step.step.args[0], Slot)
    return step.step.function in _SAME and _shape_kept(step, slot)


def _shape_kept(step: Rowwise, slot: int) -> bool:
    """Whether a reshape changes nothing."""
    return step.kinds[slot].shape == step.kinds[step.outputs[0]].shape


def _slopes(program: RowProgram, done: int, slot: int, features: Tensor) -> Tensor | None:
    """Slopes of what is left of a layer behind a slot, if that goes unit by unit."""
    at = slot
    for step in program.steps[done:]:
        if not isinstance(step, Rowwise) or set(step.step.inputs) != {at} or not _shape_kept(step, at):
            return None
        if not (step.step.function in POINTWISE or step.step.function in _SAME):
            return None
        at = step.outputs[0]
    before = replace(program, steps=program.steps[:done], result=slot)
    reads = before.reads(np.arange(program.kinds[slot].shape[0]))
    with torch.enable_grad():
        linear = before.run(features[torch.from_numpy(reads[0].rows)], reads).detach().requires_grad_()
        value, pairs, at = linear, reads[slot], slot
        for step in program.steps[done:]:
            (value,) = step.run({at: value}, {at: pairs}, pairs)
            at = step.outputs[0]
        (slopes,) = torch.autograd.grad(value.sum(), linear)
    return slopes


def form_rank(form: ProductForm, num_features: int) -> tuple[int, str] | None:
    """Rank of D (A (x) W), and by which formula; `None` where there is none.

    Parameters
    ----------
    form
        The layer.
    num_features
        F, for the tolerance of the rank of W.

    Notes
    -----
    Without slopes that are 0: rank(A) rank(W). Else, where W has as many dimensions as units, the sum over
    units of the rank of the rows of A in which the unit is active. With N [items, q] an orthonormal basis of
    the left kernel of A this is, for a unit with the active set S, |S| - q + rank(N outside of S): the number
    of active units where A is invertible.
    """
    units = form.feature_map.shape[0]
    rank_w = _rank(torch.linalg.svdvals(form.feature_map), max(units, num_features))
    dense = torch.from_numpy(form.graph_map.toarray())
    off = None if form.slopes is None else form.slopes == 0
    if off is None or not bool(off.any()):
        rank_a = _rank(torch.linalg.svdvals(dense), max(dense.shape))
        return rank_a * rank_w, "rank(A) rank(W)"
    if rank_w < units:
        return None
    left, values, _ = torch.linalg.svd(dense, full_matrices=True)
    rank_a = _rank(values, max(dense.shape))
    kernel = left[:, rank_a:]
    total = int((~off).sum())
    if not kernel.shape[1]:
        return total, "active units"
    for unit in range(units):
        outside = kernel[off[:, unit]]
        values = torch.linalg.svdvals(outside)
        # N has orthonormal columns: singular values of its rows are at most 1, and 0 up to rounding in N.
        total -= kernel.shape[1] - int((values > 1e-8).sum())
    return total, "sum over units of rank(A in the rows where it is active)"


def _rank(values: Tensor, longest: int) -> int:
    eps = torch.finfo(torch.float64).eps
    return int((values > values.max() * longest * eps).sum()) if len(values) else 0
