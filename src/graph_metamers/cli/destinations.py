"""Can the results be written? Asked before a long run, not after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph_metamers.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

AUDIT_MARKER = "audit.json"
METAMER_MARKER = "metamer.json"
DEMO_MARKER = "demo.json"


def require_file(path: Path | None) -> None:
    """Check that a file can be written at `path`; `None` asks for none.

    Raises
    ------
    OutputError
        If it cannot, or a folder has that name.
    """
    from graph_metamers.storage import ensure_writable  # noqa: PLC0415 (imports torch)

    if path is None:
        return
    if path.is_dir():
        raise OutputError(f"cannot write the file {path}: a folder has that name. Choose another name")
    ensure_writable(path)


def require_folder(path: Path | None, marker: str) -> None:
    """Check that a folder can be written at `path`; `None` asks for none.

    Parameters
    ----------
    path
        Where to. What is there is replaced only if it is ours.
    marker
        The file by which a folder of ours is known.

    Raises
    ------
    OutputError
        If it cannot, a file has that name, or a folder that is not ours.
    """
    from graph_metamers.storage import ensure_replaceable, ensure_writable  # noqa: PLC0415 (imports torch)

    if path is not None:
        ensure_writable(path)
        ensure_replaceable(path, marker=marker)


def require_cache(path: Path | None) -> None:
    """Check that trained observers can be kept at `path`, or where they are kept by default.

    Raises
    ------
    OutputError
        If they cannot.
    """
    from graph_metamers.storage import ensure_writable, resolve_cache  # noqa: PLC0415 (imports torch)

    ensure_writable(resolve_cache(path) / "observers")
