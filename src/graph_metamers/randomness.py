"""Random generators that share no stream with the user's own."""

from __future__ import annotations

import hashlib

import torch


def generator_for(purpose: str, seed: int) -> torch.Generator:
    """A generator on the CPU for one purpose and seed.

    Features that a user drew after `torch.manual_seed(0)` are exactly the first numbers of a plain generator
    with seed 0: a search with that seed would start at the reference. The stream is therefore that of a hash
    of purpose and seed, which also keeps different purposes of one seed apart.

    Parameters
    ----------
    purpose
        What the numbers are for, `start`.
    seed
        The user's seed.
    """
    digest = hashlib.sha256(f"graph_metamers/{purpose}/{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
