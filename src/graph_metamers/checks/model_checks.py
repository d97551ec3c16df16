"""Is the model one whose activations mean something?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from graph_metamers.checks.findings import Finding
from graph_metamers.randomness import generator_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graph_metamers.inputs import Variables
    from graph_metamers.reading import ModelView


def check_modules(model: nn.Module) -> Iterator[Finding]:
    """Look at the modules and weights of a model without running it."""
    for name, module in model.named_modules():
        if getattr(module, "cached", False) is True:
            yield Finding(
                "cached-convolution",
                "error",
                "a convolution must compute its normalisation for every graph it is given",
                f"{type(module).__name__}(cached=True) at {name!r}, which would return the first graph's "
                "result for any other and so fake a perfect metamer",
                "Build it with cached=False; weights are not affected.",
            )
    yield from _check_numbers(model)
    training = [
        name for name, module in model.named_modules() if module.training and _acts_in_training(module)
    ]
    if training:
        yield Finding(
            "train-mode",
            "warning",
            "a model is read in eval mode",
            f"train mode, with {', '.join(map(repr, training))}, which behave differently there",
            "Metamers are generated in eval mode and the mode is restored; call model.eval() to see "
            "the same.",
        )


def check_behaviour(view: ModelView, variables: Variables, names: Sequence[str]) -> Iterator[Finding]:
    """Run the model twice, and look at its activations and at where gradients go. Call inside `borrow`."""
    point = variables.start("reference", generator_for("check", 0)).requires_grad_()
    changed = variables.relaxed(point)
    taps = view.taps(changed, names)
    with torch.no_grad():
        again = view.taps(changed, names)
    for name, tap in taps.items():
        if not bool(torch.isfinite(tap.value).all()):
            yield Finding(
                "non-finite-activations",
                "error",
                f"activations at {name!r} must be finite numbers",
                "NaN or infinite ones",
                "Scale the features, or look for a division by zero in the model.",
            )
        elif not torch.allclose(tap.value, again[name].value, rtol=1e-4, atol=1e-6):
            yield Finding(
                "not-deterministic",
                "error",
                f"activations at {name!r} must be the same for the same graph",
                "different ones in two runs in eval mode",
                "Give dropout its mode: F.dropout(x, p, training=self.training).",
            )
        elif not bool(tap.value.any()):
            yield Finding(
                "dead-layer",
                "error",
                f"activations at {name!r} must not all be zero",
                "only zeros: every unit is dead, and any graph would match",
                "Choose another layer, or train the model again.",
            )
        elif not _gradient_arrives(tap.value, point):
            yield Finding(
                "no-gradient",
                "error",
                f"the gradient of {name!r} must reach the features that may vary",
                "no gradient",
                "Look for .detach(), torch.no_grad(), .data, rounding or argmax before this layer, or for a "
                "model that does not use these features.",
            )


def _check_numbers(model: nn.Module) -> Iterator[Finding]:
    for name, weight in model.named_parameters():
        values = weight.detach()
        if values.is_floating_point() and values.layout == torch.strided and not values.isfinite().all():
            yield Finding(
                "non-finite-weights",
                "error",
                "weights must be finite numbers",
                f"{int((~values.isfinite()).sum())} NaN or infinite entries in {name!r}",
                "The training diverged: train again with a smaller learning rate.",
            )
    for name, value in model.named_buffers():
        if value.is_floating_point() and value.layout == torch.strided and not value.isfinite().all():
            yield Finding(
                "non-finite-buffer",
                "warning",
                "buffers should be finite numbers, unless they are masks",
                f"{int((~value.isfinite()).sum())} NaN or infinite entries in {name!r}",
                "If it is a running statistic, the training diverged: train again with a smaller learning "
                "rate.",
            )


def _acts_in_training(module: nn.Module) -> bool:
    rates = [getattr(module, "dropout", 0.0)]  # how PyTorch Geometric's convolutions call it
    if isinstance(module, nn.modules.dropout._DropoutNd):
        rates.append(module.p)
    drops = any(isinstance(rate, int | float) and not isinstance(rate, bool) and rate > 0 for rate in rates)
    return drops or isinstance(module, nn.modules.batchnorm._BatchNorm)


def _gradient_arrives(activation: torch.Tensor, point: torch.Tensor) -> bool:
    if not activation.requires_grad:
        return False
    (gradient,) = torch.autograd.grad(activation.square().sum(), point, allow_unused=True, retain_graph=True)
    return gradient is not None and bool(gradient.any())
