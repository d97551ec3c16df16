"""What a model of the zoo is made of: everything but its weights."""

from __future__ import annotations

from dataclasses import dataclass

from graph_metamers.errors import ParameterError
from graph_metamers.models.activation_functions import ACTIVATION_FUNCTIONS
from graph_metamers.models.convolutions import Convolution, find_convolution
from graph_metamers.models.norms import NORMS
from graph_metamers.parameters import check_choice, check_flag, check_integer, check_real


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The architecture of a `GNN`, checked and in canonical form.

    Parameters
    ----------
    architecture
        Name of the convolution; an alias is replaced by the canonical name.
    in_channels, out_channels
        Number of input features and of logits (classes) per node, >= 1.
    hidden_channels
        Width of every hidden layer, >= 1; for GAT a multiple of its eight heads.
    num_layers
        Number of convolutions, >= 1; for SGC, which is one convolution, its number of steps.
    activation
        Name of the activation function after every convolution but the last.
    residual
        Whether a layer's input is added before its activation function.
    norm
        "none", "batch", "layer": between a convolution and its activation function, and inside GIN's
        perceptrons; or "auto", which is replaced by the architecture's own default.
    dropout
        Probability in [0, 1) with which a hidden unit is dropped in training.

    Raises
    ------
    ParameterError
        If a value is unknown or out of range, or asks for something that the architecture does not have.

    Notes
    -----
    SGC has no hidden layer. Its config holds `activation="identity"`, `residual=False` and `norm="none"`,
    other values of these are refused, and `hidden_channels` and `dropout` have no effect, as they have none
    on any model of one layer.
    """

    architecture: str
    in_channels: int
    out_channels: int
    hidden_channels: int = 16
    num_layers: int = 2
    activation: str = "relu"
    residual: bool = False
    norm: str = "auto"
    dropout: float = 0.5

    def __post_init__(self) -> None:
        convolution = find_convolution(self.architecture)
        norm = check_choice("norm", self.norm, ("auto", *NORMS))
        canonical = {
            "architecture": convolution.name,
            "in_channels": check_integer("in_channels", self.in_channels, low=1),
            "out_channels": check_integer("out_channels", self.out_channels, low=1),
            "hidden_channels": check_integer("hidden_channels", self.hidden_channels, low=1),
            "num_layers": check_integer("num_layers", self.num_layers, low=1),
            "activation": check_choice("activation", self.activation, ACTIVATION_FUNCTIONS),
            "residual": check_flag("residual", self.residual),
            "norm": convolution.default_norm if norm == "auto" else norm,
            "dropout": check_real("dropout", self.dropout, low=0.0, high=1.0),
        }
        for name, value in canonical.items():
            object.__setattr__(self, name, value)
        if convolution.is_collapsed:
            self._settle_collapsed(convolution)
        elif self.num_layers > 1 and self.hidden_channels % convolution.width_unit:
            raise ParameterError(
                "hidden_channels",
                f"a multiple of {convolution.width_unit} for {convolution.name}, whose heads share it",
                self.hidden_channels,
            )

    def _settle_collapsed(self, convolution: Convolution) -> None:
        """Refuse what only a hidden layer could have; the defaults give way to what there is."""
        nothing: dict[str, tuple[object, ...]] = {
            "activation": ("identity", "relu"),  # relu is the default of `build_model`
            "residual": (False,),
            "norm": ("none",),
        }
        for name, accepted in nothing.items():
            value = getattr(self, name)
            if value not in accepted:
                must = f"left out with {convolution.name}, which has no hidden layer"
                raise ParameterError(name, must, value)
            object.__setattr__(self, name, accepted[0])

    @property
    def num_convolutions(self) -> int:
        """Number of convolution modules: `num_layers`, but 1 for SGC."""
        return 1 if find_convolution(self.architecture).is_collapsed else self.num_layers

    @property
    def title(self) -> str:
        """How tables and figures call the model: its architecture, and what is not usual about it."""
        unusual = [f"{self.num_layers} layers"] if self.num_layers != 2 else []
        convolution = find_convolution(self.architecture)
        if not convolution.is_collapsed:
            unusual += [self.activation] if self.activation != "relu" else []
            unusual += ["residual"] if self.residual else []
        return f"{convolution.title} ({', '.join(unusual)})" if unusual else convolution.title
