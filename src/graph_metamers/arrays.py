"""From tensors to numpy, which has no bfloat16."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    import numpy as np


def array_of(values: torch.Tensor) -> np.ndarray[Any, Any]:
    """The same numbers for numpy, without gradients; bfloat16 as float32, which holds every one of them.

    Parameters
    ----------
    values
        Of any shape and device.
    """
    values = values.detach().cpu()
    array: np.ndarray[Any, Any] = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    return array
