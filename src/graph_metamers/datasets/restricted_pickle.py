"""Reading the pickles of the Planetoid files without letting them run anything.

A pickle is a program: it may import any function and call it. The unpickler here knows the few names that
those files need, resolves them from a table of its own, and never imports on a file's behalf.
"""

from __future__ import annotations

import collections
import copyreg
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from graph_metamers.errors import FileFormatError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["load_restricted"]

_RECONSTRUCT = np.empty(0).__reduce__()[0]
"""NumPy's own constructor of arrays; its module has moved between versions, the array always knows it."""

_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("scipy.sparse.csr", "csr_matrix"): sparse.csr_matrix,
    ("scipy.sparse._csr", "csr_matrix"): sparse.csr_matrix,
    ("collections", "defaultdict"): collections.defaultdict,
    ("__builtin__", "list"): list,
    ("builtins", "list"): list,
    ("__builtin__", "object"): object,
    ("builtins", "object"): object,
    ("copy_reg", "_reconstructor"): copyreg._reconstructor,  # type: ignore[attr-defined]
    ("copyreg", "_reconstructor"): copyreg._reconstructor,  # type: ignore[attr-defined]
}


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no data file needs")
        return _ALLOWED[module, name]


def load_restricted(path: Path) -> Any:
    """Read a pickle of lists, dicts, NumPy arrays and CSR matrices.

    Parameters
    ----------
    path
        A pickle written by Python 2 or 3.

    Returns
    -------
    object
        Untrusted in its content: the caller checks types and shapes.

    Raises
    ------
    FileFormatError
        If the file cannot be read, is no pickle, is cut off, or asks for any other name; nothing in it has
        been run then.
    """
    try:
        with path.open("rb") as file:
            return _RestrictedUnpickler(file, encoding="latin1").load()
    except OSError as error:
        raise FileFormatError(f"cannot read {path}: {error.strerror}") from error
    # A damaged pickle can fail in any way at all: wrong arguments, missing attributes, impossible sizes.
    except Exception as error:
        raise FileFormatError(f"{path} is not a Planetoid file: {error}. Delete it to get it anew") from error
