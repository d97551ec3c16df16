"""What a result was made with: enough to make it again, nothing that tells whose machine it was."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch_geometric

from graph_metamers import __version__

if TYPE_CHECKING:
    from graph_metamers.types import Json

__all__ = ["environment"]


def environment() -> dict[str, Json]:
    """Name the versions and the kind of machine; never a host, a user or a folder.

    Returns
    -------
    dict
        `graph_metamers`, `python`, `torch`, `torch_geometric` and `numpy` (versions), `platform` (operating
        system and processor architecture) and `torch_threads` (it changes sums in their last digits).

    Examples
    --------
    >>> sorted(environment())
    ['graph_metamers', 'numpy', 'platform', 'python', 'torch', 'torch_geometric', 'torch_threads']
    """
    return {
        "graph_metamers": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torch_geometric": str(torch_geometric.__version__),
        "numpy": np.__version__,
        # Not platform.platform(): a kernel's release string can carry the name of the machine.
        "platform": f"{platform.system()} {platform.machine()}",
        "torch_threads": torch.get_num_threads(),
    }
