"""Models of which we know what they see, because it was planted."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv, SimpleConv

from graph_metamers.randomness import generator_for

if TYPE_CHECKING:
    from collections.abc import Callable

NEIGHBOURS_WEIGHT = 0.3  # below 1, or mixing could lose something
GREATEST_STRETCH = 2**0.5  # of an invertible map, and 1 over its least

Model = TypeVar("Model", bound=nn.Module)


def planted(build: Callable[[], Model], seed: int) -> Model:
    """Build a model with weights of this seed; the global random state is not touched."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator_for("planted weights", seed).initial_seed())
        return build().eval()


class Identity(nn.Module):
    """Returns the features."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the features, [n, F]."""
        return x


class Linear(nn.Module):
    """The same linear map for every node.

    Parameters
    ----------
    weight
        [F, d].
    """

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return x W, [n, d]."""
        return x @ self.weight


def invertible(width: int) -> Linear:
    """A linear map that loses nothing: random, with singular values from 1 / sqrt(2) to sqrt(2).

    A relative error of e in its output is one of 2 e at most in its input: who matches it has the input back.
    (One that is much narrower in one direction than in another has metamers at any tolerance above 0.)
    """
    stretch = torch.logspace(-1, 1, width, base=GREATEST_STRETCH)
    return Linear(_rotation(width) * stretch @ _rotation(width))


class Perceptron(nn.Module):
    """Classifies every node by its own features; never looks at an edge.

    Parameters
    ----------
    num_features, width, num_classes
        Numbers per node: given, hidden, returned.
    """

    def __init__(self, num_features: int, width: int, num_classes: int) -> None:
        super().__init__()
        self.into = nn.Linear(num_features, width)
        self.hidden = nn.Tanh()
        self.head = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, [n, num_classes]."""
        logits: Tensor = self.head(self.hidden(self.into(x)))
        return logits


class Mixing(nn.Module):
    """Mixes nodes with their neighbours and loses nothing: z U + 0.3 A_hat z V with rotations U, V.

    A_hat, the adjacency matrix with self-loops as GCN normalises it, has no singular value above 1, so this
    map of a whole graph's features has all of its own between 0.7 and 1.3: who matches it has the input back.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own = nn.Linear(width, width, bias=False)
        self.neighbours = GCNConv(width, width, bias=False)
        with torch.no_grad():
            self.own.weight.copy_(_rotation(width))
            self.neighbours.lin.weight.copy_(NEIGHBOURS_WEIGHT * _rotation(width))

    def forward(self, z: Tensor, edge_index: Tensor) -> Tensor:
        """Return the mixture, [n, width]."""
        mixture: Tensor = self.own(z) + self.neighbours(z, edge_index)
        return mixture


class NamedNeighbours(nn.Module):
    """Adds up the neighbours' features, turned by a rotation U: A X U.

    Where features are one-hot names, a node's sum is the list of its neighbours: of two graphs with E edges
    (counting directions) of which they share K, the activation loss is 2 (1 - K / E).

    Parameters
    ----------
    width
        Numbers per node.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.turn = nn.Linear(width, width, bias=False)
        self.sum = SimpleConv(aggr="sum")
        with torch.no_grad():
            self.turn.weight.copy_(_rotation(width))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Return the sums, [n, width]."""
        sums: Tensor = self.sum(self.turn(x), edge_index)
        return sums


class Reader(nn.Module):
    """Reads some directions of the features and nothing else; keeps all of that in `hidden`; classifies.

    Parameters
    ----------
    reads
        What it reads, [F, r]: it sees x only as x @ reads.
    num_classes
        Numbers it returns for every node.
    """

    reads: Tensor

    def __init__(self, reads: Tensor, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("reads", reads)
        self.hidden = Mixing(reads.shape[1])
        self.head = nn.Linear(reads.shape[1], num_classes)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Return the logits, [n, num_classes]."""
        logits: Tensor = self.head(self.hidden(x @ self.reads, edge_index))
        return logits


class Bypass(nn.Module):
    """Classifies by the features that its layer `hidden` does not read.

    Parameters
    ----------
    reads
        What the layer reads, [F, r]: it sees x only as x @ reads.
    beside
        What decides the class, [F, s].
    num_classes
        Numbers it returns for every node.
    """

    reads: Tensor
    beside: Tensor

    def __init__(self, reads: Tensor, beside: Tensor, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("reads", reads)
        self.register_buffer("beside", beside)
        self.hidden = Mixing(reads.shape[1])
        self.head = nn.Linear(beside.shape[1], num_classes, bias=False)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Return the logits, [n, num_classes]."""
        self.hidden(x @ self.reads, edge_index)
        logits: Tensor = self.head(x @ self.beside)
        return logits


def _rotation(width: int) -> Tensor:
    """A random rotation or reflection, [width, width], from the global random state."""
    return nn.init.orthogonal_(torch.empty(width, width))
