"""Where raw data files live."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

__all__ = ["ENVIRONMENT_VARIABLE", "resolve_data_root"]

ENVIRONMENT_VARIABLE = "GRAPH_METAMERS_DATA"


def resolve_data_root(data_root: str | os.PathLike[str] | None = None) -> Path:
    """Say which folder holds the raw data; nothing is made or read.

    Parameters
    ----------
    data_root
        The folder, if the caller names one.

    Returns
    -------
    Path
        `data_root`, else the environment variable GRAPH_METAMERS_DATA (if not empty), else the user's cache
        folder for graph-metamers.
    """
    chosen = data_root if data_root is not None else os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(chosen or platformdirs.user_cache_dir("graph-metamers")).expanduser()
