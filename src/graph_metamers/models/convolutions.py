"""The convolutions of the zoo, by name. A new one is one builder and one entry of `CONVOLUTIONS`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from torch import nn
from torch_geometric.nn import GCNConv, GINConv, SAGEConv

from graph_metamers.models.activation_functions import build_activation
from graph_metamers.parameters import check_choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from graph_metamers.models.config import ModelConfig

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
    default_norm
        What `norm="auto"` stands for.
    aliases
        Other names that `build_model` accepts.
    """

    name: str
    title: str
    build: ConvolutionBuilder
    summary: str
    paper: str
    default_norm: str = "none"
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
    perceptron = nn.Sequential(
        nn.Linear(in_channels, config.hidden_channels),
        nn.BatchNorm1d(config.hidden_channels),
        build_activation(config.activation),
        nn.Linear(config.hidden_channels, out_channels),
    )
    layer: nn.Module = GINConv(perceptron, train_eps=False)
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
    ['gcn', 'sage', 'gin']
    """
    return [ModelInfo(c.name, c.summary, c.paper) for c in CONVOLUTIONS.values()]
