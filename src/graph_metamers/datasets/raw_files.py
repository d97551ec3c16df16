"""Raw files of a named set: found in the data root, or downloaded and checked, or asked for in one error."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch_geometric.data import download_url

from graph_metamers.datasets.data_root import ENVIRONMENT_VARIABLE
from graph_metamers.errors import DatasetError, FileFormatError
from graph_metamers.storage import atomic_file, ensure_writable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RawFile", "ensure_raw_files"]


@dataclass(frozen=True)
class RawFile:
    """One file, and where it may be downloaded.

    Attributes
    ----------
    name
        Without folders.
    url
        Where PyTorch Geometric's loader downloads it; None if its content is not known well enough to be
        checked, so that it is never downloaded.
    sha256
        Of the published file: downloads are checked, because PyG's `download_url` does not verify
        certificates. Files that are there already are not: a repacked one may hold the same data.
    """

    name: str
    url: str | None = None
    sha256: str | None = None


def ensure_raw_files(
    root: Path, folder: str, files: Sequence[RawFile], *, title: str, hint: str = ""
) -> Path:
    """Say where the files are, after downloading those that are missing.

    Parameters
    ----------
    root
        The data root.
    folder
        Of the files, below the data root.
    files
        All that are needed.
    title
        Of the set, for messages.
    hint
        A whole sentence on how else to get the files, for messages.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    DatasetError
        If a file is missing and cannot be downloaded; names all files and the folder.
    FileFormatError
        If a download is not the published file.
    OutputError
        If a file is missing and the folder cannot be written.
    """
    place = root / folder
    for file in files:
        path = place / file.name
        if path.is_file():
            continue
        if file.url is None or file.sha256 is None:
            reason = "is not downloaded, because there is no checksum of the published file to check it by"
            raise DatasetError(_missing(path, reason, folder, files, title, hint))
        ensure_writable(path)
        try:
            _download(file.url, file.sha256, path)
        except OSError as error:
            reason = f"could not be downloaded ({error})"
            raise DatasetError(_missing(path, reason, folder, files, title, hint)) from error
    return place


def _missing(path: Path, reason: str, folder: str, files: Sequence[RawFile], title: str, hint: str) -> str:
    names = ", ".join(file.name for file in files)
    return (
        f"{title} is not on this machine: {path.name} is missing in {path.parent} and {reason}. "
        f"Put these files there: {names}. If you have them elsewhere, point --data-root or "
        f"${ENVIRONMENT_VARIABLE} to the folder that holds {folder}{'. ' if hint else ''}{hint}"
    )


def _download(url: str, sha256: str, path: Path) -> None:
    # Into a folder of its own first: a download that fails leaves no empty folders in the data root.
    with tempfile.TemporaryDirectory() as folder:
        downloaded = Path(download_url(url, folder, log=False, filename=path.name))
        found = hashlib.sha256(downloaded.read_bytes()).hexdigest()
        if found != sha256:
            raise FileFormatError(
                f"{url} gave another file than the published one (SHA-256 {found}). Try again, or get it "
                "from another place"
            )
        with atomic_file(path) as temporary:
            shutil.copyfile(downloaded, temporary)
