"""Every option, declared once; each is a Python argument of the same name, with the same default.

One default differs: the verb `audit` asks a panel of observers, `gm.audit` only where it is told to.
"""

# Without `from __future__ import annotations`: typer reads these types when the program starts.
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

_DATA, _MODEL, _TRAINING, _SEARCH = "Data", "Model", "Training", "Search"

Seed = Annotated[
    int, typer.Option(help="Of everything random: split, first weights, training, start of the search.")
]


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which graph; see `load_dataset`."""

    dataset: Annotated[
        str,
        typer.Option(
            metavar="NAME|PATH",
            help="A data set (see `graph-metamers datasets`), or a .pt, .npz, .safetensors or .graphml file.",
            rich_help_panel=_DATA,
        ),
    ]
    split: Annotated[int, typer.Option(help="Which of the data set's splits.", rich_help_panel=_DATA)] = 0
    data_root: Annotated[
        Path | None,
        typer.Option(
            help="Folder of raw files; default: $GRAPH_METAMERS_DATA, else the user's cache folder.",
            show_default=False,
            rich_help_panel=_DATA,
        ),
    ] = None
    feature_kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="What values a feature may take: continuous, bounded or binary; default: what the data look "
            "like.",
            show_default=False,
            rich_help_panel=_DATA,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model; see `build_model`."""

    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="An architecture (see `graph-metamers models`), a .safetensors file made by `train`, or "
            "path/to/file.py:factory, a function of yours that returns a module: THE CODE IN THAT FILE IS "
            "RUN.",
            rich_help_panel=_MODEL,
        ),
    ]
    weights: Annotated[
        Path | None,
        typer.Option(
            help="A .safetensors file with the model's weights; it is then not trained.",
            show_default=False,
            rich_help_panel=_MODEL,
        ),
    ] = None
    hidden_channels: Annotated[
        int, typer.Option(help="Width of every hidden layer.", rich_help_panel=_MODEL)
    ] = 16
    num_layers: Annotated[int, typer.Option(help="Number of convolutions.", rich_help_panel=_MODEL)] = 2
    activation: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Activation function: relu, leaky_relu, elu, gelu, tanh or identity.",
            rich_help_panel=_MODEL,
        ),
    ] = "relu"
    residual: Annotated[
        bool, typer.Option(help="Add each hidden layer's input to it.", rich_help_panel=_MODEL)
    ] = False
    norm: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Normalisation: auto, none, batch or layer.", rich_help_panel=_MODEL
        ),
    ] = "auto"
    dropout: Annotated[
        float, typer.Option(help="Share of hidden units dropped in training.", rich_help_panel=_MODEL)
    ] = 0.5


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How a model is trained; see `fit`."""

    epochs: Annotated[int, typer.Option(help="Largest number of updates.", rich_help_panel=_TRAINING)] = 300
    learning_rate: Annotated[float, typer.Option(help="Of Adam.", rich_help_panel=_TRAINING)] = 0.01
    weight_decay: Annotated[float, typer.Option(help="L2 penalty of Adam.", rich_help_panel=_TRAINING)] = 1e-3
    patience: Annotated[
        int,
        typer.Option(
            help="Stop after so many epochs without a lower validation loss.", rich_help_panel=_TRAINING
        ),
    ] = 100


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How a metamer is searched for; see `generate`."""

    vary: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What a metamer may differ in: features; structure, the edges, where every node keeps its "
            "degree; or both.",
            rich_help_panel=_SEARCH,
        ),
    ] = "features"
    objective: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Of the search: match, or farthest, which goes on from the first match as far from the "
            "reference as the tolerance and the features' range allow.",
            rich_help_panel=_SEARCH,
        ),
    ] = "match"
    solver: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Of the search: auto, lbfgs, adam, word_swaps, null_space or, for edges, rewire, for both "
            "in_turn.",
            rich_help_panel=_SEARCH,
        ),
    ] = "auto"
    init: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Start of the search: noise, permuted or reference.", rich_help_panel=_SEARCH
        ),
    ] = "noise"
    steps: Annotated[
        int | None,
        typer.Option(
            help="Evaluations that each search may spend; default: 2000; in an audit 200 where edges vary, "
            "400 where features vary beside them.",
            show_default=False,
            rich_help_panel=_SEARCH,
        ),
    ] = None
    seconds: Annotated[
        float | None,
        typer.Option(
            help="Time limit of each search; results may then differ between runs.",
            show_default=False,
            rich_help_panel=_SEARCH,
        ),
    ] = None
    tolerance: Annotated[
        float,
        typer.Option(
            help="Activation loss up to which activations count as matched.", rich_help_panel=_SEARCH
        ),
    ] = 1e-3
    min_distance: Annotated[
        float,
        typer.Option(
            help="Input distance (0 = the reference, 1 = unrelated) that a metamer must have.",
            rich_help_panel=_SEARCH,
        ),
    ] = 0.1


@dataclass(frozen=True, kw_only=True)
class PrintOptions:
    """What is printed where."""

    json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False
