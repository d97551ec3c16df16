"""Where what was computed once is kept for the next run."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

__all__ = ["CACHE_VARIABLE", "resolve_cache"]

CACHE_VARIABLE = "GRAPH_METAMERS_CACHE"


def resolve_cache(cache: str | os.PathLike[str] | None = None) -> Path:
    """Say which folder is the cache; nothing is made or read.

    Parameters
    ----------
    cache
        The folder, if the caller names one.

    Returns
    -------
    Path
        `cache`, else the environment variable GRAPH_METAMERS_CACHE (if not empty), else the user's cache
        folder for graph-metamers.
    """
    chosen = cache if cache is not None else os.environ.get(CACHE_VARIABLE)
    return Path(chosen or platformdirs.user_cache_dir("graph-metamers")).expanduser()
