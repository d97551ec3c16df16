"""The convolutions of the zoo, by name. A new one is one builder and one entry of `CONVOLUTIONS`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from torch import nn
from torch_geometric.nn import ChebConv, GATConv, GCNConv, GINConv, SAGEConv, SGConv

from graph_metamers.models.activation_functions import build_activation
from graph_metamers.models.norms import build_norm
from graph_metamers.parameters import check_choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from graph_metamers.models.config import ModelConfig

GAT_HEADS = 8
"""Attention heads of a hidden GAT layer, as in the paper; `hidden_channels` is the width of all together."""

CHEBYSHEV_TERMS = 3
"""Terms of a ChebNet filter: polynomials of degree 0 to 2, what Kipf and Welling call K=2."""

ConvolutionBuilder: TypeAlias = "Callable[[int, int, ModelConfig], nn.Module]"
"""From input width, output width and the model's config to a module called as `conv(x, edge_index)`."""


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """One architecture of the zoo.

    Parameters
    ----------
    name
        As `build_model` knows it.
    title
        As tables and figures write it.
    build
        Makes one layer.
    summary
        What a node takes from its neighbours, in a sentence.
    paper
        Authors, year, title and arXiv number.
    build_last
        Makes the last layer, where it is of another form; `None` where `build` makes it too.
    default_norm
        What `norm="auto"` stands for.
    width_unit
        What `hidden_channels` must be a multiple of.
    is_collapsed
        Whether all layers are one module without anything between them: `num_layers` is then its number of
        steps, and there is no hidden layer.
    takes_weights
        Whether a layer may be called as `conv(x, edge_index, edge_weight=...)`; the others have no place for
        weights of edges.
    aliases
        Other names that `build_model` accepts.
    """

    name: str
    title: str
    build: ConvolutionBuilder
    summary: str
    paper: str
    build_last: ConvolutionBuilder | None = None
    default_norm: str = "none"
    width_unit: int = 1
    is_collapsed: bool = False
    takes_weights: bool = False
    aliases: tuple[str, ...] = ()


def _gcn(in_channels: int, out_channels: int, config: ModelConfig) -> nn.Module:  # noqa: ARG001
    layer: nn.Module = GCNConv(in_channels, out_channels)
    return layer


def _sage(in_channels: int, out_channels: int, config: ModelConfig) -> nn.Module:  # noqa: ARG001
    layer: nn.Module = SAGEConv(in_channels, out_channels, aggr="mean")
    return layer


def _gin(in_channels: int, out_channels: int, config: ModelConfig) -> nn.Module:
    # The perceptron's inner width is the model's, not `out_channels`: two classes would otherwise
    # squeeze the last layer through two numbers.
    width = config.hidden_channels
    norm = [] if config.norm == "none" else [build_norm(config.norm, width)]
    first, last = nn.Linear(in_channels, width), nn.Linear(width, out_channels)
    perceptron = nn.Sequential(first, *norm, build_activation(config.activation), last)
    layer: nn.Module = GINConv(perceptron, train_eps=False)
    return layer


def _gat(in_channels: int, out_channels: int, config: ModelConfig) -> nn.Module:
    # Dropout of the attention coefficients is part of the paper's layer, at the rate of the hidden units.
    layer: nn.Module = GATConv(
        in_channels, out_channels // GAT_HEADS, heads=GAT_HEADS, concat=True, dropout=config.dropout
    )
    return layer


def _gat_last(in_channels: int, out_channels: int, config: ModelConfig) -> nn.Module:
    layer: nn.Module = GATConv(in_channels, out_channels, heads=1, dropout=config.dropout)
    return layer


def _cheb(in_channels: int, out_channels: int, config: ModelConfig) -> nn.Module:  # noqa: ARG001
    layer: nn.Module = ChebConv(in_channels, out_channels, K=CHEBYSHEV_TERMS, normalization="sym")
    return layer


def _sgc(in_channels: int, out_channels: int, config: ModelConfig) -> nn.Module:
    # Never cached: the cache would answer for every later graph with the features of the first.
    layer: nn.Module = SGConv(in_channels, out_channels, K=config.num_layers, cached=False)
    return layer


CONVOLUTIONS: dict[str, Convolution] = {
    convolution.name: convolution
    for convolution in (
        Convolution(
            name="gcn",
            title="GCN",
            build=_gcn,
            summary="degree-normalised sum over the neighbours and the node itself, then a linear map",
            paper="Kipf and Welling 2017, Semi-Supervised Classification with GCNs (1609.02907)",
            takes_weights=True,
        ),
        Convolution(
            name="sage",
            title="GraphSAGE",
            build=_sage,
            summary="mean of the neighbours and the node itself, each with a linear map of its own",
            paper="Hamilton et al. 2017, Inductive Representation Learning on Large Graphs (1706.02216)",
            aliases=("graphsage",),
        ),
        Convolution(
            name="gin",
            title="GIN",
            build=_gin,
            summary="plain sum of the neighbours and the node itself, then a two-layer perceptron",
            paper="Xu et al. 2019, How Powerful are Graph Neural Networks? (1810.00826)",
            # Sums grow with the degree: without BatchNorm many graphs are not learned at all, and a model at
            # chance has "perfect" metamers that mean nothing.
            default_norm="batch",
        ),
        Convolution(
            name="gat",
            title="GAT",
            build=_gat,
            build_last=_gat_last,
            summary="attention-weighted mean of the neighbours and the node itself after a linear map; eight "
            "heads side by side, one in the last layer",
            paper="Velickovic et al. 2018, Graph Attention Networks (1710.10903)",
            width_unit=GAT_HEADS,
        ),
        Convolution(
            name="cheb",
            title="ChebNet",
            build=_cheb,
            summary="Chebyshev polynomials of the graph's Laplacian up to degree two, each with a linear map "
            "of its own: neighbours up to two edges away in one layer",
            paper="Defferrard et al. 2016, Fast Localized Spectral Filtering on Graphs (1606.09375)",
            takes_weights=True,
            aliases=("chebnet",),
        ),
        Convolution(
            name="sgc",
            title="SGC",
            build=_sgc,
            summary="GCN's degree-normalised sum, num_layers times with nothing in between, then one "
            "linear map: no hidden layer",
            paper="Wu et al. 2019, Simplifying Graph Convolutional Networks (1902.07153)",
            is_collapsed=True,
            takes_weights=True,
        ),
    )
}
"""Canonical name to convolution, in the order in which they are listed."""

_CANONICAL_NAMES = {
    spelling: convolution.name
    for convolution in CONVOLUTIONS.values()
    for spelling in (convolution.name, *convolution.aliases)
}


@dataclass(frozen=True)
class ModelInfo:
    """What `list_models` says about one architecture.

    Parameters
    ----------
    name
        As `build_model` knows it.
    summary
        What a node takes from its neighbours, in a sentence.
    paper
        Authors, year, title and arXiv number.
    """

    name: str
    summary: str
    paper: str


def find_convolution(name: str) -> Convolution:
    """Return the architecture with this name or alias.

    Raises
    ------
    ParameterError
        If there is none; the error suggests the closest.
    """
    return CONVOLUTIONS[_CANONICAL_NAMES[check_choice("model", name, _CANONICAL_NAMES)]]


def list_models() -> list[ModelInfo]:
    """Return every architecture that `build_model` can build.

    Examples
    --------
    >>> [info.name for info in list_models()]
    ['gcn', 'sage', 'gin', 'gat', 'cheb', 'sgc']
    """
    return [ModelInfo(c.name, c.summary, c.paper) for c in CONVOLUTIONS.values()]
