"""The part of the features that a layer reads, and the part that it does not.

Where raw features enter a layer only through linear maps, however many and whatever comes between, its
activations depend on X only through X Q, with Q [F, r] an orthonormal basis of what these maps read. Changes
inside the complement are free: they are found by counting dimensions, not by searching, and are told apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graph_metamers.inputs.moments import mutable_moments
from graph_metamers.inputs.slots import count_items, read_features, rows_of_items, write_features
from graph_metamers.inputs.variables import sum_per_item
from graph_metamers.randomness import generator_for
from graph_metamers.reading.opening import OpenUnits
from graph_metamers.reading.precision import double_graph, double_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graph_metamers.inputs.variables import Variables
    from graph_metamers.reading import ModelView
    from graph_metamers.types import Graph

POINTS = 3  # feature matrices at which gradients are taken: units that are off at one are on at another
PROBES = 2  # random combinations of units per point
FIRST_SKETCH = 64  # rows of the first random sketch; doubled until the space has fewer dimensions


@dataclass(frozen=True, eq=False)
class VisibleSpace:
    """What a layer reads of the features.

    Attributes
    ----------
    bases
        Slot -> Q, float64 [F, r], orthonormal columns. r = F where the layer reads every direction.
    layer
        The layer.
    """

    bases: Mapping[str, Tensor]
    layer: str

    def split(self, graph: Graph, variables: Variables, items: str) -> SplitDistance:
        """Distance of a graph from the reference inside and outside the visible space.

        Parameters
        ----------
        graph
            A changed version of the reference.
        variables
            The reference and what may vary.
        items
            What the items are, as `Layer.items` says.
        """
        parts = self._squares(graph, variables)
        visible, hidden = (_ratio(*lengths) for lengths in _totals(parts))
        owners = rows_of_items(items, variables.reference)
        num_items = count_items(items, variables.reference)
        seen, chance = ({slot: part[k].unsqueeze(1) for slot, part in parts.items()} for k in (0, 1))
        ratio = sum_per_item(seen, owners, num_items) / sum_per_item(chance, owners, num_items)
        return SplitDistance(visible, hidden, ratio.sqrt())

    def lengths(self, graph: Graph, variables: Variables) -> tuple[tuple[float, float], tuple[float, float]]:
        """||(X' - X) Q||_F and ||(X' - X)(I - Q Q^T)||_F, in units of the features, each with its chance.

        Parameters
        ----------
        graph, variables
            As in `split`.

        Returns
        -------
        tuple of tuple of float
            (length, chance) in the visible space, and outside.
        """
        (seen, chance), (hidden, hidden_chance) = _totals(self._squares(graph, variables))
        return (seen**0.5, chance**0.5), (hidden**0.5, hidden_chance**0.5)

    def _squares(self, graph: Graph, variables: Variables) -> dict[str, tuple[Tensor, ...]]:
        """Slot -> squared length of every row's change inside, its chance, and both outside, [n] each."""
        changed = read_features(graph)
        squares: dict[str, tuple[Tensor, ...]] = {}
        for slot, values in variables.values.items():
            basis = self.bases[slot]
            x, mutable = values.reference.double(), values.mutable
            difference = changed[slot].double() - x
            mean, variance = mutable_moments(x, mutable)
            centred, spread = torch.where(mutable, x - mean, 0.0), mutable * variance
            seen = (difference @ basis).square().sum(dim=1)
            chance = (centred @ basis).square().sum(dim=1) + spread @ basis.square().sum(dim=1)
            hidden, hidden_chance = torch.zeros_like(seen), torch.zeros_like(chance)
            if basis.shape[1] < basis.shape[0]:  # else the differences are rounding, and so is their ratio
                all_chance = centred.square().sum(dim=1) + spread.sum(dim=1)
                hidden = (difference.square().sum(dim=1) - seen).clamp(min=0)
                hidden_chance = (all_chance - chance).clamp(min=0)
            squares[slot] = (seen, chance, hidden, hidden_chance)
        return squares


@dataclass(frozen=True, eq=False)
class SplitDistance:
    """Distance from the reference in two parts, each over its own chance level (0 = reference, 1 = chance).

    Attributes
    ----------
    visible, null_space
        ||(X' - X) Q||_F and ||(X' - X)(I - Q Q^T)||_F, each over the root mean square that it has when every
        feature is drawn from a random node, in closed form. `null_space` is 0 where there is none.
    visible_items
        The visible part for every item's own features, float64 [items]; nan where chance gives nothing.
    """

    visible: float
    null_space: float
    visible_items: Tensor


def visible_space(view: ModelView, variables: Variables, layer: str, *, seed: int = 0) -> VisibleSpace:
    """Find what a layer reads of the features.

    By the chain rule, every gradient of an activation with respect to a row of X lies in the row space of the
    linear maps through which X enters. Gradients of random combinations of units, at the reference and at
    random features, in float64 on a copy of the model, span that space. Rectifiers are held open meanwhile
    (`OpenUnits`): what a closed unit reads counts too, since other features may switch it on. The space is
    read off random combinations of the gradients' rows: singular values above max(shape) * eps * sigma_max
    count. This names no class of model; one that reads X nonlinearly has all F directions.

    Parameters
    ----------
    view
        The model; not changed.
    variables
        The reference and what may vary.
    layer
        The layer.
    seed
        Of points and probes.

    Returns
    -------
    VisibleSpace

    Notes
    -----
    Ours. Costs POINTS * PROBES backward passes in float64, O(n F r) time and as many copies of the features.
    """
    generator = generator_for("visible space", seed)
    double = double_model(view)
    features = {slot: values.reference.double() for slot, values in variables.values.items()}
    gradients: dict[str, list[Tensor]] = {slot: [] for slot in features}
    with double.borrow():
        for number in range(POINTS):
            point = features if number == 0 else {s: _random_like(x, generator) for s, x in features.items()}
            for slot, gradient in _gradients(double, variables.reference, layer, point, generator):
                gradients[slot].append(gradient)
    return VisibleSpace({slot: _row_space(found, generator) for slot, found in gradients.items()}, layer)


def _gradients(
    view: ModelView,
    reference: Graph,
    layer: str,
    point: Mapping[str, Tensor],
    generator: torch.Generator,
) -> list[tuple[str, Tensor]]:
    leaves = {slot: x.clone().requires_grad_() for slot, x in point.items()}
    graph = write_features(double_graph(reference), leaves)
    with OpenUnits():
        activation = view.taps(graph, [layer])[layer].value
    found = []
    for _ in range(PROBES):
        probe = torch.randn(activation.shape, generator=generator, dtype=torch.float64).to(activation.device)
        gradients = torch.autograd.grad(
            activation, list(leaves.values()), probe, retain_graph=True, allow_unused=True
        )
        found += [
            (slot, torch.zeros_like(leaf) if gradient is None else gradient)
            for (slot, leaf), gradient in zip(leaves.items(), gradients, strict=True)
        ]
    return found


def _random_like(x: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x.device)
    return x.mean(dim=0) + x.std(dim=0, correction=0).clamp(min=1e-12) * noise


def _row_space(parts: list[Tensor], generator: torch.Generator) -> Tensor:
    """Orthonormal basis of all rows of some matrices [n, F], as columns [F, r].

    Random combinations of the rows span the same space if there are more of them than dimensions; a sketch
    that has full rank is doubled.
    """
    num_features = parts[0].shape[1]
    size = FIRST_SKETCH
    while True:
        rows = min(size, num_features + 8)
        sketch = torch.stack([_sketch(part, rows, generator) for part in parts]).sum(dim=0)
        _, sigma, directions = torch.linalg.svd(sketch, full_matrices=False)
        tolerance = max(parts[0].shape) * torch.finfo(torch.float64).eps * sigma[:1]
        rank = int((sigma > tolerance).sum())
        if rank < rows:
            basis: Tensor = directions[:rank].T.contiguous()
            return basis
        size *= 2


def _sketch(rows: Tensor, size: int, generator: torch.Generator) -> Tensor:
    weights = torch.randn(size, rows.shape[0], generator=generator, dtype=torch.float64)
    return weights.to(rows.device) @ rows


def _totals(parts: Mapping[str, tuple[Tensor, ...]]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Squared length and its chance level over all slots, inside and outside."""
    inside, inside_chance, outside, outside_chance = (
        sum(float(part[k].sum()) for part in parts.values()) for k in range(4)
    )
    return (inside, inside_chance), (outside, outside_chance)


def _ratio(squared: float, chance: float) -> float:
    return float((squared / chance) ** 0.5) if chance > 1e-300 else 0.0
