"""A limit for archives, so that a small file cannot fill the memory when it is unpacked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph_metamers.errors import FileFormatError

if TYPE_CHECKING:
    import zipfile
    from pathlib import Path

__all__ = ["MAX_UNPACKED_BYTES", "ensure_within_limit"]

MAX_UNPACKED_BYTES = 8 * 2**30
"""8 GiB: a dense float32 matrix of 500 000 nodes and 4000 features."""


def ensure_within_limit(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse an archive whose members are larger than `MAX_UNPACKED_BYTES` together.

    Python's reader stops at the sizes that an archive declares, so a false declaration gains nothing.

    Raises
    ------
    FileFormatError
        If they are.
    """
    total = sum(member.file_size for member in archive.infolist())
    if total > MAX_UNPACKED_BYTES:
        raise FileFormatError(
            f"{path} would take {total / 2**30:.1f} GiB unpacked; the limit is {MAX_UNPACKED_BYTES // 2**30} "
            "GiB. Save a smaller graph"
        )
