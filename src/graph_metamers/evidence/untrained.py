"""The same architecture with new random weights: what of a result was there before any training."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from graph_metamers.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

RESET = "reset_parameters"


def untrained_copy(model: nn.Module, *, seed: int) -> nn.Module:
    """A copy of a model whose every part has drawn its weights anew.

    Parameters
    ----------
    model
        Any module; not touched.
    seed
        Of the new weights. The global random state is not touched.

    Raises
    ------
    ModelError
        If the model cannot be copied, a parameter belongs to no module with a `reset_parameters`, or these
        leave one as it was.

    Notes
    -----
    Modules are reset from the innermost outwards, so that one that initialises its parts in a way of its own
    has the last word.
    """
    left = parameters_without_reset(model)
    if left:
        shown = ", ".join(left[:3]) + (", ..." if len(left) > 3 else "")
        raise ModelError(
            f"every parameter must belong to a module with a method {RESET}(), got none for {shown}; give "
            "the module that owns it one that draws its weights anew"
        )
    try:
        fresh = copy.deepcopy(model)
    except Exception as error:  # a module of the user's may raise anything
        raise ModelError(f"the model must be one that can be copied, got {error!r}") from error
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        for module in reversed(list(fresh.modules())):
            reset = getattr(module, RESET, None)
            if callable(reset):
                _reset(reset)
    same = [
        name
        for (name, old), new in zip(model.named_parameters(), fresh.parameters(), strict=True)
        if old.numel() > 1 and bool((old != old.flatten()[0]).any()) and torch.equal(old, new)
    ]
    if same:
        raise ModelError(f"{RESET}() must draw every parameter anew, got the same values again for {same[0]}")
    return fresh.eval()


def _reset(reset: Callable[[], object]) -> None:
    try:
        reset()
    except Exception as error:  # a module of the user's may raise anything
        raise ModelError(f"{RESET}() must work without arguments, got {error!r}") from error


def parameters_without_reset(model: nn.Module) -> list[str]:
    """Names of the parameters that no module's `reset_parameters` draws anew.

    A module is taken to reset the parameters of its own and of its parts.
    """
    resetting = [name for name, module in model.named_modules() if callable(getattr(module, RESET, None))]
    if "" in resetting:
        return []
    return [
        name
        for name, _ in model.named_parameters()
        if not any(name.startswith(f"{prefix}.") for prefix in resetting)
    ]
