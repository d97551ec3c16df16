"""The activation functions of the zoo, by name.

Always modules, never functions: a layer can be read where a module has it as its output, and what a ReLU
hides is only to be seen *after* the ReLU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import nn

from graph_metamers.parameters import check_choice

if TYPE_CHECKING:
    from collections.abc import Callable


class Identity(nn.Identity):
    """No activation function at all, in the place of one.

    A network with it is linear between its normalisations, so every invariance that it has is one of the
    convolutions: the control against which ReLU, ELU and the others are compared.

    Attributes
    ----------
    is_activation
        Marks a module class as an activation function. The listing of layers knows the activation functions
        of PyTorch by their class; any other module that sets `is_activation = True` (this one, or one of
        yours) is treated like them, so that the default audit reads the layer after it.
    """

    is_activation: ClassVar[bool] = True


ACTIVATION_FUNCTIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "identity": Identity,
}
"""Name to module factory; PyTorch's defaults (leaky_relu has slope 0.01, elu alpha 1, gelu is exact)."""


def list_activation_functions() -> list[str]:
    """Return the names that the `activation` of `build_model` may be.

    Examples
    --------
    >>> list_activation_functions()
    ['relu', 'leaky_relu', 'elu', 'gelu', 'tanh', 'identity']
    """
    return list(ACTIVATION_FUNCTIONS)


def build_activation(name: str) -> nn.Module:
    """Return a new activation module, [*] -> [*].

    New at every call: a module that is shared between two places has two outputs under one name.

    Raises
    ------
    ParameterError
        If the name is unknown.
    """
    return ACTIVATION_FUNCTIONS[check_choice("activation", name, ACTIVATION_FUNCTIONS)]()
