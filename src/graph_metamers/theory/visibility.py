"""Which features a model reads strongly, weakly, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from graph_metamers.errors import ModelError, ParameterError
from graph_metamers.inputs import resolve_variables
from graph_metamers.inputs.compression import Refusal, read_maps
from graph_metamers.inputs.slots import read_features
from graph_metamers.parameters import check_layer
from graph_metamers.reading import ModelView
from graph_metamers.reading.precision import in_float64
from graph_metamers.reading.recording import OUTPUT
from graph_metamers.theory.pre_activations import unrelated_features

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from graph_metamers.types import Forward, Graph, Transform

LEAST_SIGMA = 1e-3
"""Of the largest singular value: directions that are read less count as not read."""
SHOWN = 3


@dataclass(frozen=True, eq=False, repr=False)
class FeatureVisibility:
    """How strongly a model reads each feature.

    W [out, F] are the maps through which features enter, stacked: everything that the model computes depends
    on a node's features x only through W x, possibly summed over neighbours.

    Attributes
    ----------
    gain
        ||W e_i|| over its median, float64 [F], >= 0: by how much more or less than for most features the
        model's first numbers change if feature i of a node changes by 1. What features are usually like does
        not enter: a word that is never there may have a large gain.
    share
        diag(Q Q^T), float64 [F], 0 to 1: which part of a change of feature i alone is in the directions that
        the model reads; Q spans those with a singular value of W above `LEAST_SIGMA` of the largest. 1: the
        feature is seen whole, whatever the others do. 0: not at all.
    rank
        r, directions that are read.
    names
        What the features are called, or `None`.
    median_norm
        The median of ||W e_i||, by which gains are divided; in units of first pre-activations per unit of
        the features.

    Notes
    -----
    Source: *ours*.
    """

    gain: NDArray[np.float64]
    share: NDArray[np.float64]
    rank: int
    names: tuple[str, ...] | None
    median_norm: float

    @property
    def chance(self) -> float:
        """Mean of `share`, r / F: what every feature has if directions are read at random."""
        return self.rank / len(self.share)

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Features from the most to the least visible by gain, int64 [F]."""
        return np.argsort(-self.gain, kind="stable")

    def name(self, feature: int) -> str:
        """What a feature is called; its number where it has no name."""
        return str(feature) if self.names is None else self.names[feature]

    def rows(self) -> list[dict[str, Any]]:
        """One row per feature, the most visible first."""
        return [
            {
                "feature": int(i),
                "name": self.name(int(i)),
                "gain": float(self.gain[i]),
                "share": float(self.share[i]),
                "chance_share": self.chance,
            }
            for i in self.order
        ]

    def __repr__(self) -> str:
        def told(features: NDArray[np.int64]) -> str:
            return ", ".join(f"{self.name(int(i))} {self.gain[i]:.3g}" for i in features)

        low, high = np.quantile(self.gain, [0.05, 0.95])
        return (
            f"FeatureVisibility({len(self.gain)} features, read in {self.rank} directions)\n"
            f"  gain over its median: 5% of the features below {low:.3g}, 5% above {high:.3g}\n"
            f"  most visible   {told(self.order[:SHOWN])}\n"
            f"  least visible  {told(self.order[::-1][:SHOWN])}\n"
            f"  share inside these directions: {self.share.min():.3f} to {self.share.max():.3f}, "
            f"chance {self.chance:.3f}"
        )


def feature_visibility(
    model: nn.Module,
    graph: Graph,
    layer: str | None = None,
    *,
    names: Sequence[str] | None = None,
    forward: Forward | None = None,
    transform: Transform | None = None,
) -> FeatureVisibility:
    """Measure how strongly a model reads each feature, before anything nonlinear happens to it.

    Parameters
    ----------
    model
        Any module in which features enter through linear maps of single nodes, or of sums over nodes; not
        changed.
    graph
        A `Data` or `Batch` with more than three features.
    layer
        For which the maps are verified; default: the output.
    names
        Of the features, `dataset.feature_names`.
    forward, transform
        How the model is called; see `activations`.

    Returns
    -------
    FeatureVisibility

    Raises
    ------
    ModelError
        If features enter otherwise than through linear maps (a maximum over neighbours, a transform that
        normalises), or they are three or fewer.
    ParameterError
        If there are more or fewer names than features, or the graph or the layer is something else.

    Notes
    -----
    The maps are found by what multiplies features when the model runs, and verified: a copy that gets X Q
    computes the same, on this graph and on unrelated features. Costs a few runs and a singular value
    decomposition of [out, F].

    Examples
    --------
    >>> import torch, graph_metamers as gm
    >>> dataset = gm.load_dataset("karate")
    >>> model = gm.build_model("gcn", dataset, hidden_channels=4)
    >>> with torch.no_grad():
    ...     _ = model.conv[0].lin.weight[:, 7].zero_()
    >>> visibility = gm.feature_visibility(model, dataset.graph)
    >>> visibility.rows()[-1]["feature"], visibility.gain[7].item(), visibility.rank
    (7, 0.0, 4)
    """
    own = ModelView(model, forward, transform)
    at = OUTPUT if layer is None else check_layer("layer", layer)
    with own.borrow():
        view, doubled, _ = in_float64(own, graph, [at])
    with torch.inference_mode(False), torch.no_grad(), view.borrow():
        variables = resolve_variables("features", doubled)
        other = unrelated_features(doubled)
        read, moved = ({at: view.taps(g, [at])[at].value} for g in (doubled, other))
        found = read_maps(view, variables, read, [(other, moved)])
    if isinstance(found, Refusal):
        raise ModelError(f"features must enter the model through linear maps, got: {found.reason}")
    num_features = next(iter(read_features(graph).values())).shape[1]
    if names is not None and len(names) != num_features:
        raise ParameterError("names", f"one for each of {num_features} features", len(names))
    return visibility_of(found.cpu().numpy(), names)


def visibility_of(maps: NDArray[np.float64], names: Sequence[str] | None = None) -> FeatureVisibility:
    """Visibility of features that enter through stacked linear maps [out, F].

    Raises
    ------
    ModelError
        If more than half of the features are not read at all: there is no median to divide by.
    """
    norms = np.linalg.norm(maps, axis=0)
    median = float(np.median(norms))
    if not median > 0:
        unread = int((norms == 0).sum())
        raise ModelError(f"at least half of the features must be read, got {unread} that are not")
    _, sigma, directions = np.linalg.svd(maps, full_matrices=False)
    read = directions[sigma > LEAST_SIGMA * sigma[0]]
    share = np.minimum((read**2).sum(axis=0), 1.0)
    return FeatureVisibility(
        norms / median, share, len(read), None if names is None else tuple(names), median
    )
