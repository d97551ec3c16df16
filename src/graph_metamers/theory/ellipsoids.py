"""What the singular values of a layer's Jacobian say: how many inputs it hardly tells apart.

Let J [k, m] be the Jacobian of a layer at one item, with r positive singular values sigma_i. The inputs delta
with ||J delta|| <= epsilon are an ellipsoid with half-axes epsilon / sigma_i in the r directions that the
layer sees, and unbounded in the m - r others (the kernel). All of it is linear: it holds near the reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from graph_metamers.errors import ParameterError
from graph_metamers.parameters import check_integer, check_real

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def numerical_rank(singular_values: ArrayLike, *, largest_side: int) -> int:
    """Singular values above sigma_max * largest_side * eps of float64.

    Parameters
    ----------
    singular_values
        Of a matrix, at least 0, any order, [r].
    largest_side
        The larger of the numbers of its rows and columns; of the matrix before any compression.

    Examples
    --------
    >>> numerical_rank([3.0, 1.0, 1e-15], largest_side=100)
    2
    """
    sigma = _values(singular_values)
    bound = sigma.max(initial=0.0) * check_integer("largest_side", largest_side, low=1)
    return int((sigma > bound * np.finfo(np.float64).eps).sum())


def log_unit_ball(dimension: int) -> float:
    """Logarithm of the volume of the unit ball, (r / 2) log pi - log Gamma(r / 2 + 1).

    Examples
    --------
    >>> [round(float(np.exp(log_unit_ball(r))), 4) for r in (0, 1, 2, 3)]
    [1.0, 2.0, 3.1416, 4.1888]
    """
    r = check_integer("dimension", dimension, low=0)
    return float(r / 2 * np.log(np.pi) - special.gammaln(r / 2 + 1))


def log_unseen_volume(singular_values: ArrayLike, epsilon: float) -> float:
    """Log-volume of the changes that keep a layer within epsilon, across the kernel, not along it.

    r log epsilon + log V_r - sum_i log sigma_i: of the ellipsoid {delta orthogonal to the kernel :
    ||J delta|| <= epsilon}, V_r the volume of the r-dimensional unit ball.

    Parameters
    ----------
    singular_values
        The positive ones, [r]; see `numerical_rank` for which to leave out.
    epsilon
        Largest change of the activation, in its unit, > 0.

    Returns
    -------
    float
        In nats, of a volume in (unit of the features)^r: comparable only where r is the same.

    Raises
    ------
    ParameterError
        If a singular value is not positive, or epsilon is out of range.

    Examples
    --------
    An ellipse with half-axes 1/2 and 1/3 has the area pi / 6.

    >>> round(float(np.exp(log_unseen_volume([2.0, 3.0], 1.0)) / np.pi), 6)
    0.166667
    """
    sigma = _values(singular_values)
    if not (sigma > 0).all():
        raise ParameterError("singular_values", "positive, without those of the kernel", sigma.tolist())
    epsilon = check_real("epsilon", epsilon, low=0.0, low_included=False)
    r = len(sigma)
    return float(r * np.log(epsilon) + log_unit_ball(r) - np.log(sigma).sum())


def effective_dimension(
    singular_values: ArrayLike,
    epsilon: float,
    *,
    num_inputs: int,
    feature_scale: float,
    activation_norm: float,
) -> int:
    """Directions along which a usual change of the features changes the layer by less than a tolerance.

    m - #{i : sigma_i tau > epsilon ||h||}. With epsilon towards 0 it is the dimension of the kernel.

    Parameters
    ----------
    singular_values
        Of the Jacobian of one item, [r]; missing ones count as 0.
    epsilon
        Largest relative change of the activation, >= 0.
    num_inputs
        m, features that the item depends on.
    feature_scale
        tau, how much a feature usually changes (its standard deviation), > 0.
    activation_norm
        ||h|| of the item, >= 0.

    Raises
    ------
    ParameterError
        If a number is out of range, or there are more singular values than inputs.

    Examples
    --------
    >>> scale = {"num_inputs": 5, "feature_scale": 1.0, "activation_norm": 10.0}
    >>> [effective_dimension([2.0, 0.5, 0.01], e, **scale) for e in (0.0, 0.01, 0.1, 1.0)]
    [2, 3, 4, 5]
    """
    sigma = _values(singular_values)
    m = check_integer("num_inputs", num_inputs, low=0)
    if len(sigma) > m:
        raise ParameterError("num_inputs", f"at least the number of singular values, {len(sigma)}", m)
    epsilon = check_real("epsilon", epsilon, low=0.0)
    tau = check_real("feature_scale", feature_scale, low=0.0, low_included=False)
    norm = check_real("activation_norm", activation_norm, low=0.0)
    return m - int((sigma * tau > epsilon * norm).sum())


def _values(singular_values: ArrayLike) -> NDArray[np.float64]:
    sigma: NDArray[np.float64] = np.asarray(singular_values, dtype=np.float64)
    if sigma.ndim != 1 or not np.isfinite(sigma).all() or (sigma < 0).any():
        raise ParameterError("singular_values", "one row of finite numbers of at least 0", singular_values)
    return sigma
