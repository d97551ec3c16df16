"""Writing files and folders so that a reader sees the old one or the new one, never half of one.

Everything is first written to a hidden sibling and then renamed. This guards against a process that is
killed at any point; it does not call `fsync`, so it does not guard against a loss of power.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from graph_metamers.errors import OutputError, ParameterError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

__all__ = ["atomic_directory", "atomic_file", "ensure_replaceable", "ensure_writable"]


def ensure_writable(path: str | os.PathLike[str]) -> None:
    """Check that `path` can be created or replaced; call it before a long run, not after.

    Nothing is left behind: the nearest folder that exists is tried with a nameless temporary file, because
    permission bits alone lie on read-only and virtual file systems.

    Parameters
    ----------
    path
        The file or folder that will be written. Its parents need not exist yet.

    Raises
    ------
    OutputError
        If the nearest existing parent is not a folder or nothing can be created in it.
    """
    target = Path(path).resolve()
    parent = next((folder for folder in target.parents if folder.exists()), target.parent)
    if not parent.is_dir():
        raise OutputError(f"cannot write {target}: {parent} is a file, not a folder. Choose another place")
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: nothing can be created in {parent} ({error.strerror}). "
            "Choose another place, or change its permissions"
        ) from error


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file under a temporary name and rename it when the block ends well.

    Parameters
    ----------
    path
        Where the file shall be. Missing parent folders are made; an existing file is replaced; a symbolic
        link is followed.

    Yields
    ------
    Path
        A name beside `path`, with the same ending, that does not exist yet: write there. It is deleted if
        the block ends with any exception, `KeyboardInterrupt` included, and `path` then stays as it was.

    Raises
    ------
    OutputError
        Before the block runs, if `path` is a folder or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_file(Path(folder) / "a.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     (Path(folder) / "a.txt").read_text()
    'whole'
    """
    target = Path(path).resolve()
    if target.is_dir():
        raise OutputError(f"cannot write the file {target}: a folder has that name. Choose another name")
    _prepare_parent(target)
    temporary = _sibling(target)
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: str | os.PathLike[str], *, marker: str) -> Iterator[Path]:
    """Fill a folder under a temporary name and let it take the place of `path` when the block ends well.

    An existing folder is replaced as a whole, so nothing of an earlier run survives among the new files.
    Replacing takes two renames; a process killed exactly between them leaves the old folder beside `path`
    under a hidden name that ends in its own, and nothing is lost.

    Parameters
    ----------
    path
        Where the folder shall be. Missing parents are made.
    marker
        The name of a file that tells a folder of ours from any other. An existing, non-empty `path` is
        replaced only if it holds that file. It is created empty if the block did not write it.

    Yields
    ------
    Path
        An empty folder beside `path`. It is deleted if the block ends with any exception.

    Raises
    ------
    OutputError
        Before the block runs, if `path` is a file, is a non-empty folder without `marker`, or cannot be
        written.
    ParameterError
        If `marker` is not a plain file name.
    """
    if Path(marker).name != marker or marker in {"", ".."}:
        raise ParameterError("marker", "a plain file name", marker)
    target = Path(path).resolve()
    ensure_replaceable(target, marker=marker)
    _prepare_parent(target)
    temporary = _sibling(target)
    _make(temporary)
    try:
        yield temporary
        (temporary / marker).touch()
        # A second time: the block may have run for hours.
        ensure_replaceable(target, marker=marker)
        _take_place(temporary, target)
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


def ensure_replaceable(path: str | os.PathLike[str], *, marker: str) -> None:
    """Check that a folder may be written at `path`: it is free, empty, or holds our `marker`.

    Raises
    ------
    OutputError
        If it is a file, or a folder of someone else's.
    """
    target = Path(path)
    if not target.exists():
        return
    if not target.is_dir():
        raise OutputError(f"cannot write the folder {target}: a file has that name. Choose another name")
    if any(target.iterdir()) and not (target / marker).is_file():
        raise OutputError(
            f"cannot replace the folder {target}: it is not empty and has no file {marker!r}, "
            "so it was not written by graph-metamers. Choose another folder, or empty this one"
        )


def _prepare_parent(target: Path) -> None:
    ensure_writable(target)
    _make(target.parent)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder} ({error.strerror}). Choose another place"
        ) from error


def _sibling(target: Path) -> Path:
    # The ending stays: numpy and others choose or add it by themselves.
    return target.with_name(f".{secrets.token_hex(6)}.{target.name}")


def _take_place(temporary: Path, target: Path) -> None:
    """Rename `temporary` to `target`; put the old folder back if that fails."""
    if not target.exists():
        temporary.rename(target)
        return
    old = _sibling(target)
    target.rename(old)
    try:
        temporary.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old)
