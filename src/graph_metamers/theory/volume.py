"""What an activation function does to the inputs that a layer cannot tell apart: their dimension and volume.

Let z be what the function is applied to at one item, J [k, m] its Jacobian with respect to the features that
the item depends on, and D = diag(sigma'(z)). The layer after the function has the Jacobian D J.

* A unit with sigma'(z) = 0 is closed. Closing units takes rows from J; its rank falls by the *dimension
  gain*, rank J - rank D J: so many directions more are unseen.
* The units that are not closed bend: J_S (their rows of J) becomes D_S J_S, of the same rank. How much larger
  the set of inputs becomes that keep the layer within a small tolerance, in the directions that are seen, is
  the *log-volume change*, log pdet J_S - log pdet D_S J_S, where pdet is the product of the positive singular
  values. With U an orthonormal basis of the column space of J_S it is -log pdet(D_S U).

Where J has independent rows, the gain is the number of closed units, and the log-volume change is the sum of
-log abs(sigma'(z)) over the others: numbers of single units, which need no Jacobian. Where rows depend on
each other, neither need hold. *Paper*, the notion; *ours*, the deficient case and the split in two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import linalg

from graph_metamers.parameters import check_layer
from graph_metamers.reading import ModelView
from graph_metamers.theory.pre_activations import activation_name, read_pre_activations, slopes_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from graph_metamers.theory.pre_activations import Activation, PreActivations
    from graph_metamers.types import Forward, Graph, Transform

COMPARED = ("relu", "leaky_relu", "elu", "gelu", "tanh")
"""Activation functions that are compared at the same pre-activations."""


class ItemChange(NamedTuple):
    """Of one item; see `VolumeChange`."""

    rank: int
    rank_after: int
    log_volume: float
    log_pseudo_determinants: float


@dataclass(frozen=True, eq=False, repr=False)
class VolumeChange:
    """What an activation function does to dimension and volume of what a layer does not tell apart.

    Attributes
    ----------
    read
        Pre-activations, slopes and Jacobians of q items with k units.
    rank
        rank J, int64 [q]. With rank k, per-unit sums are exact.
    rank_after
        rank D J, int64 [q].
    log_volume
        log pdet J_S - log pdet D_S J_S over the units S that are not closed, float64 [q]; in natural
        logarithms (nats). Positive: more inputs look alike. 0 for ReLU, whatever the rank.
    log_pseudo_determinants
        log pdet J - log pdet D J, float64 [q]. Equal to `log_volume` where no unit is closed. Where one is,
        it compares volumes of different dimension: it depends on the unit of the features, and is not 0 for
        ReLU.

    Notes
    -----
    Ranks count singular values above sigma_max * max(k, m) * eps of float64, with m the features that the
    item depends on, before any compression. What is said holds near the reference: derivatives are those at
    z. A unit with z exactly 0 has the derivative that PyTorch gives it there (`at_zero` counts them).
    """

    read: PreActivations
    rank: NDArray[np.int64]
    rank_after: NDArray[np.int64]
    log_volume: NDArray[np.float64]
    log_pseudo_determinants: NDArray[np.float64]

    @property
    def num_units(self) -> int:
        """Units of an item, k."""
        return int(self.read.values.shape[1])

    @property
    def inactive(self) -> NDArray[np.int64]:
        """Units with derivative 0 (in float64: tanh has it from abs(z) about 19 on), int64 [q]."""
        return np.asarray((self.read.derivative == 0).sum(axis=1), dtype=np.int64)

    @property
    def at_zero(self) -> NDArray[np.int64]:
        """Units with z exactly 0, where ReLU and leaky ReLU have no derivative, int64 [q]."""
        return np.asarray((self.read.values == 0).sum(axis=1), dtype=np.int64)

    @cached_property
    def per_unit(self) -> NDArray[np.float64]:
        """-log abs(sigma'(z)), float64 [q, k]; nan where the derivative is 0."""
        slopes = np.abs(self.read.derivative)
        found: NDArray[np.float64] = np.full(slopes.shape, np.nan)
        np.log(slopes, out=found, where=slopes > 0)
        return -found

    @property
    def sum_of_units(self) -> NDArray[np.float64]:
        """Sum of `per_unit` over units that are not closed, float64 [q]."""
        return np.asarray(np.nansum(self.per_unit, axis=1))

    @property
    def dimension_gain(self) -> NDArray[np.int64]:
        """Rank J - rank D J, int64 [q]; at most `inactive`."""
        return self.rank - self.rank_after

    @property
    def is_full_rank(self) -> NDArray[np.bool_]:
        """Whether J has independent rows, bool [q]: then `inactive` and `sum_of_units` are exact."""
        return np.asarray(self.rank == self.num_units)

    def with_activation(self, activation: Activation) -> VolumeChange:
        """The same weights and inputs with another activation function at this layer.

        Parameters
        ----------
        activation
            A name ("relu", "elu", ...), or any function or module of single numbers.

        Raises
        ------
        ParameterError
            If the name is unknown, or the function mixes units.
        """
        slopes = slopes_at(activation, self.read.values)
        return changes_of(replace(self.read, derivative=slopes, activation=activation_name(activation)))

    def compared(self, activations: Sequence[Activation] = COMPARED) -> list[dict[str, Any]]:
        """One row of means over items for each activation function at the same pre-activations."""
        return [self.with_activation(each).summary() for each in activations]

    def summary(self) -> dict[str, Any]:
        """Means over items, with standard errors over them (items of one graph are not independent)."""
        row: dict[str, Any] = {
            "layer": self.read.layer,
            "activation": self.read.activation,
            "items": len(self.rank),
            "units": self.num_units,
            "full_rank_share": float(self.is_full_rank.mean()),
        }
        for name in ("inactive", "dimension_gain", "sum_of_units", "log_volume"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            error = float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else float("nan")
            row |= {name: float(values.mean()), f"{name}_error": error}
        return row

    def rows(self) -> list[dict[str, Any]]:
        """One row per item: counts, ranks, the sum over units, and the log-volume change that is exact."""
        return [
            {
                "layer": self.read.layer,
                "activation": self.read.activation,
                "item": int(item),
                "units": self.num_units,
                "rank": int(self.rank[i]),
                "rank_after": int(self.rank_after[i]),
                "inactive": int(self.inactive[i]),
                "dimension_gain": int(self.dimension_gain[i]),
                "sum_of_units": float(self.sum_of_units[i]),
                "log_volume": float(self.log_volume[i]),
                "exact": "sum of units" if self.is_full_rank[i] else "pseudo-determinants",
            }
            for i, item in enumerate(self.read.index)
        ]

    def __repr__(self) -> str:
        mean = self.summary()
        deficient = int((~self.is_full_rank).sum())
        which = f"{deficient} of {len(self.rank)} {self.read.items} have dependent rows"
        return (
            f"VolumeChange({self.read.layer}, {self.read.activation}: {len(self.rank)} {self.read.items}, "
            f"{self.num_units} units)\n"
            f"  closed units        {mean['inactive']:.2f} a row\n"
            f"  dimension gain      {mean['dimension_gain']:.2f}\n"
            f"  log-volume change   {mean['log_volume']:.4g} (sum of units {mean['sum_of_units']:.4g})\n"
            f"  {which}; there pseudo-determinants are what is exact\n"
            f"  gradients in {self.read.compression}"
        )


def volume_change(
    model: nn.Module,
    graph: Graph,
    layer: str,
    *,
    index: Tensor | Sequence[int] | None = None,
    activation: Activation | None = None,
    forward: Forward | None = None,
    transform: Transform | None = None,
) -> VolumeChange:
    """Measure what the activation function of a layer does to dimension and volume of what it cannot see.

    Parameters
    ----------
    model
        Any module; not changed.
    graph
        A `Data`, `Batch` or `HeteroData`; derivatives are those at its features, with its edges fixed.
    layer
        The output of an activation function; or any layer, with `activation`.
    index
        Items (nodes or graphs), as integers or a bool mask; default: all.
    activation
        A function to put in the place of the layer's own one (or behind a layer that has none): a name, or
        any function of single numbers. The weights stay.
    forward, transform
        How the model is called; see `activations`.

    Returns
    -------
    VolumeChange

    Raises
    ------
    ParameterError
        If the graph or the layer is something else, the layer is no activation function and none is given,
        it mixes units, `index` is out of range, or there are more items than there is memory for.
    LayerNotFoundError, BindingError, ModelError
        As `activations`.

    Notes
    -----
    Time: k gradients for every set of items that depend on disjoint nodes, and a singular value decomposition
    [k, k] for each item. Memory: q k^2 numbers, and one batch of gradients.

    Examples
    --------
    >>> import graph_metamers as gm
    >>> dataset = gm.load_dataset("karate")
    >>> model = gm.build_model("gcn", dataset, hidden_channels=4, seed=0)
    >>> change = gm.volume_change(model, dataset.graph, "act.0")
    >>> change.dimension_gain.tolist() == change.inactive.tolist(), bool(change.log_volume.any())
    (True, False)
    """
    check_layer("layer", layer)
    view = ModelView(model, forward, transform)
    return changes_of(read_pre_activations(view, graph, layer, index=index, activation=activation))


def changes_of(read: PreActivations) -> VolumeChange:
    """Dimension gain and log-volume change of every item, from pre-activations and Jacobians alone."""
    items = zip(read.factors, read.derivative, read.sizes, strict=True)
    found = [item_change(factor, slopes, size=int(size)) for factor, slopes, size in items]
    columns = list(zip(*found, strict=True))
    rank, rank_after = (np.asarray(column, dtype=np.int64) for column in columns[:2])
    return VolumeChange(read, rank, rank_after, *(np.asarray(column) for column in columns[2:]))


def item_change(
    jacobian: NDArray[np.float64], slopes: NDArray[np.float64], *, size: int | None = None
) -> ItemChange:
    """Ranks and log-volume change of one item.

    Parameters
    ----------
    jacobian
        J [k, m] of the pre-activations, or any L [k, r] with L L^T = J J^T.
    slopes
        sigma'(z), [k].
    size
        m, where the matrix given is narrower than J; for the tolerance of ranks.

    Returns
    -------
    ItemChange

    Examples
    --------
    Two units that read the same: closing one of them hides nothing, and slopes 1/2 and 1/2 count once.

    >>> import numpy as np
    >>> same = np.array([[3.0, 0.0], [3.0, 0.0]])
    >>> item_change(same, np.array([1.0, 0.0]))[:2]
    (1, 1)
    >>> f"{item_change(same, np.array([0.5, 0.5])).log_volume / np.log(2):.12f}"
    '1.000000000000'
    """
    largest = max(len(jacobian), size or jacobian.shape[1])
    open_units = slopes != 0
    _, sigma, rank = _decomposed(jacobian, largest)
    basis, sigma_open, rank_open = _decomposed(jacobian[open_units], largest)
    bent = slopes[open_units]
    if rank_open == len(bent):  # U is a square orthogonal matrix
        log_volume = 0.0 - float(np.log(np.abs(bent)).sum())  # not -0
    else:
        log_volume = -_log_pseudo_determinant(bent[:, None] * basis)
    lost = float(np.log(sigma[:rank]).sum() - np.log(sigma_open[:rank_open]).sum())
    return ItemChange(rank, rank_open, log_volume, lost + log_volume)


def _decomposed(
    matrix: NDArray[np.float64], largest: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Orthonormal basis of the column space, all singular values, and the rank."""
    if not len(matrix) or not matrix.shape[1]:
        return np.zeros((len(matrix), 0)), np.zeros(0), 0
    basis, sigma, _ = np.linalg.svd(matrix, full_matrices=False)
    rank = int((sigma > sigma[0] * largest * np.finfo(np.float64).eps).sum())
    return basis[:, :rank], sigma, rank


def _log_pseudo_determinant(matrix: NDArray[np.float64]) -> float:
    """Of a matrix with independent columns: of R, with the largest rows first, so that small ones count.

    Slopes may differ by many orders of magnitude; singular values would lose the small ones to rounding.
    """
    if not matrix.shape[1]:
        return 0.0
    order = np.argsort(-np.abs(matrix).max(axis=1))
    upper = linalg.qr(matrix[order], mode="r", pivoting=True)[0]
    return float(np.log(np.abs(np.diag(upper)[: matrix.shape[1]])).sum())
