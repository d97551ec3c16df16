"""The one network of the zoo: convolutions with an activation module after each but the last."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

from graph_metamers.models.activation_functions import build_activation
from graph_metamers.models.config import ModelConfig
from graph_metamers.models.convolutions import find_convolution
from graph_metamers.models.norms import build_norm
from graph_metamers.parameters import MAX_SEED, check_integer

if TYPE_CHECKING:
    from torch import Tensor


class ClassificationTask(Protocol):
    """What `build_model` must know of a data set; PyTorch Geometric's own data sets fit too."""

    @property
    def num_features(self) -> int:
        """Number of features per node."""
        ...

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        ...


class GNN(nn.Module):
    """A node classifier of `num_layers` convolutions of one kind (SGC: of one, with `num_layers` steps).

    Layer i but the last computes ::

        x_{i+1} = dropout(act_i(norm_i(conv_i(x_i)) + skip_i(x_i)))

    with the last two terms only where the config has them; the logits are the last convolution's output.
    The residual is added *before* the activation function, as in ResNet: so the output of `act.i` is all
    that the next layer gets to see (dropout does nothing in eval mode), and matching it matches the layer.
    Added behind it, `act.i` would be half of the layer, and its metamers not metamers of the layer.

    Parameters
    ----------
    config
        What to build.

    Attributes
    ----------
    config
        As given; what a checkpoint holds beside the weights.
    conv, norm, act, skip
        Module lists, so that layers are named "conv.0", "norm.0", "act.0", ...; `norm` and `skip` are empty
        where the config has none.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        convolution = find_convolution(config.architecture)
        hidden = [config.hidden_channels] * (config.num_convolutions - 1)
        widths = [config.in_channels, *hidden, config.out_channels]
        self.conv = nn.ModuleList(
            convolution.build(before, after, config) for before, after in pairwise(widths[:-1])
        )
        build_last = convolution.build_last or convolution.build
        self.conv.append(build_last(widths[-2], widths[-1], config))
        self.norm = nn.ModuleList(build_norm(config.norm, width) for width in hidden if config.norm != "none")
        self.act = nn.ModuleList(build_activation(config.activation) for _ in hidden)
        self.skip = nn.ModuleList(
            _build_skip(before, after) for before, after in pairwise(widths[:-1]) if config.residual
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Return the logits of every node.

        Parameters
        ----------
        x
            [num_nodes, in_channels] node features.
        edge_index
            [2, num_edges] int64 edges, source above target.
        edge_weight
            [num_edges] weights, for GCN, ChebNet and SGC; `None` for 1. GraphSAGE, GIN and GAT have no place
            for them: there they change nothing.

        Returns
        -------
        Tensor
            [num_nodes, out_channels].
        """
        takes_weights = find_convolution(self.config.architecture).takes_weights
        weights = {"edge_weight": edge_weight} if takes_weights else {}
        for i, act in enumerate(self.act):
            hidden = self.conv[i](x, edge_index, **weights)
            if self.norm:
                hidden = self.norm[i](hidden)
            if self.skip:
                hidden = hidden + self.skip[i](x)
            x = self.dropout(act(hidden))
        logits: Tensor = self.conv[-1](x, edge_index, **weights)
        return logits


def build_model(
    name: str,
    dataset: ClassificationTask,
    *,
    hidden_channels: int = 16,
    num_layers: int = 2,
    activation: str = "relu",
    residual: bool = False,
    norm: str = "auto",
    dropout: float = 0.5,
    seed: int = 0,
) -> GNN:
    """Build an untrained model of the zoo, sized for a data set.

    Parameters
    ----------
    name
        "gcn", "sage" (or "graphsage"), "gin", "gat", "cheb" (or "chebnet") or "sgc"; see `list_models`.
    dataset
        Anything with `num_features` and `num_classes`.
    hidden_channels
        Width of every hidden layer, >= 1. It bounds what the model can see: a layer of 16 numbers cannot
        tell apart all of 64 pixels. For GAT it is the width of all eight heads together, and so a multiple
        of 8.
    num_layers
        Number of convolutions, >= 1. One means a linear model on aggregated features (a perceptron for GIN).
        For SGC it is the number of steps of its one convolution: a GCN of so many layers without what lies
        between them.
    activation
        "relu", "leaky_relu", "elu", "gelu", "tanh" or "identity". SGC, which has no hidden layer, refuses it,
        `residual` and `norm`.
    residual
        Add each hidden layer's input before its activation function; through a bias-free linear map where
        the widths differ.
    norm
        "none", "batch", "layer", or "auto": "batch" for GIN, whose plain sums fail to train on many graphs
        without it, "none" for the others. For GIN it is also the normalisation inside its perceptrons.
    dropout
        Probability in [0, 1) with which a hidden unit is dropped in training.
    seed
        Of the initial weights. The global random state is not touched.

    Raises
    ------
    ParameterError
        If a name is unknown or a value out of range.

    Examples
    --------
    >>> from torch_geometric.datasets import KarateClub
    >>> build_model("gcn", KarateClub(), hidden_channels=8)
    GNN(
      (conv): ModuleList(
        (0): GCNConv(34, 8)
        (1): GCNConv(8, 4)
      )
      (norm): ModuleList()
      (act): ModuleList(
        (0): ReLU()
      )
      (skip): ModuleList()
      (dropout): Dropout(p=0.5, inplace=False)
    )
    """
    config = ModelConfig(
        architecture=name,
        in_channels=dataset.num_features,
        out_channels=dataset.num_classes,
        hidden_channels=hidden_channels,
        num_layers=num_layers,
        activation=activation,
        residual=residual,
        norm=norm,
        dropout=dropout,
    )
    seed = check_integer("seed", seed, low=0, high=MAX_SEED)
    # The weights are made on the CPU, so the generators of other devices need no fork. `default_generator`
    # rather than `torch.manual_seed`, which would also reseed every other device.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return GNN(config)


def _build_skip(before: int, after: int) -> nn.Module:
    return nn.Identity() if before == after else nn.Linear(before, after, bias=False)
