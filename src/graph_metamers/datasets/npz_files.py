"""NumPy archives from anywhere: no pickled objects, no sizes that the file does not have."""

from __future__ import annotations

import math
import zipfile
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy

from graph_metamers.datasets.zip_limits import ensure_within_limit
from graph_metamers.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["read_npz"]

_HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npz(
    path: Path, *, required: Collection[str] | None = None, optional: Collection[str] = ()
) -> dict[str, NDArray[np.generic]]:
    """Read arrays of an .npz file.

    The header of each array is checked against the size of its member before anything is allocated.

    Parameters
    ----------
    path
        A file of `numpy.savez` or `numpy.savez_compressed`.
    required
        Read these only, and refuse a file that lacks one; None reads all arrays.
    optional
        Beside `required`, read these too if they are there and hold no Python objects.

    Returns
    -------
    dict of str to array
        Numbers and text, in the byte order of this machine.

    Raises
    ------
    FileFormatError
        If the file is no archive of arrays, lacks a required one, holds Python objects in what is read, is
        damaged, or is too large unpacked.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            ensure_within_limit(archive, path)
            members = archive.infolist() if required is None else _chosen(archive, required, optional)
            for member in members:
                _check_member(archive, member)
        with np.load(path, allow_pickle=False) as arrays:
            names = [member.filename.removesuffix(".npy") for member in members]
            return {name: _native(arrays[name]) for name in names}
    except FileFormatError:
        raise
    except (
        OSError,
        ValueError,
        KeyError,
        RuntimeError,
        NotImplementedError,
        EOFError,
        zipfile.BadZipFile,
    ) as error:
        raise FileFormatError(f"{path} is not a readable .npz file: {error}") from error


def _chosen(
    archive: zipfile.ZipFile, required: Collection[str], optional: Collection[str]
) -> list[zipfile.ZipInfo]:
    """Raise ValueError if a required array is not there; leave out optional ones of Python objects."""
    members = {member.filename: member for member in archive.infolist()}
    missing = [name for name in required if f"{name}.npy" not in members]
    if missing:
        raise ValueError(f"it has no array {', '.join(missing)}")
    chosen = [members[f"{name}.npy"] for name in required]
    for name in optional:
        member = members.get(f"{name}.npy")
        if member is not None:
            with archive.open(member) as file:
                if not _read_header(file, member.filename)[1].hasobject:
                    chosen.append(member)
    return chosen


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Raise ValueError unless the member is an array of plain values of exactly the size it declares."""
    if not member.filename.endswith(".npy"):
        raise ValueError(f"{member.filename!r} in it is not an array")
    with archive.open(member) as file:
        shape, dtype = _read_header(file, member.filename)
        header_size = file.tell()
    if dtype.hasobject or dtype.names is not None:
        raise ValueError(
            f"{member.filename!r} holds Python objects or records, which are not loaded because unpickling "
            "could run code; save plain numbers or text"
        )
    declared = header_size + math.prod(shape) * dtype.itemsize
    if declared != member.file_size or any(size < 0 for size in shape):
        raise ValueError(
            f"{member.filename!r} declares {declared} bytes {list(shape)} and has {member.file_size}"
        )


def _read_header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = npy.read_magic(file)
    if version not in _HEADER_READERS:
        raise ValueError(f"{name!r} has the unknown format version {version}")
    shape, _, dtype = _HEADER_READERS[version](file)
    return shape, dtype


def _native(array: NDArray[np.generic]) -> NDArray[np.generic]:
    # torch refuses the other byte order.
    return array.astype(array.dtype.newbyteorder("="), copy=False)
