from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from graph_metamers.errors import ParameterError
from graph_metamers.models import Identity, list_activation_functions
from graph_metamers.models.activation_functions import build_activation
from graph_metamers.reading.functions import is_activation_module

FORMULAS = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
    "identity": lambda z: z,
}


@pytest.mark.parametrize("name", list_activation_functions())
def test_each_name_is_a_module_that_computes_its_formula(name):
    module = build_activation(name)
    z = torch.linspace(-3, 3, 13)
    assert isinstance(module, nn.Module)
    assert torch.equal(module(z), FORMULAS[name](z))
    assert torch.equal(z, torch.linspace(-3, 3, 13)), "works in place"


@pytest.mark.parametrize("name", list_activation_functions())
def test_each_is_new_and_known_as_an_activation(name):
    assert build_activation(name) is not build_activation(name)
    assert is_activation_module(build_activation(name))


def test_only_our_identity_is_an_activation():
    assert Identity.is_activation
    assert is_activation_module(Identity())


def test_an_unknown_name_suggests_the_closest():
    with pytest.raises(ParameterError, match="Did you mean 'leaky_relu'"):
        build_activation("leakyrelu")
