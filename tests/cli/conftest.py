"""Run the command line in this process, and look at what it left behind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from graph_metamers.cli.main import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """What one call of the command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one strict JSON document."""
        return json.loads(self.out, parse_constant=pytest.fail)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty working folder, in which no data are found but the built-in ones."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("GRAPH_METAMERS_DATA", str(tmp_path / "no-data"))
    monkeypatch.setenv("COLUMNS", "120")
    return work


@pytest.fixture
def call(folder, capsys) -> Callable[..., Outcome]:
    """Call the command with words; paths are relative to `folder`."""

    def call_with(*words: object) -> Outcome:
        capsys.readouterr()
        code = run([str(word) for word in words])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call_with


@pytest.fixture
def snapshot(folder) -> Callable[[], dict[str, Any]]:
    """Everything on disk below the working folder's parent: names, and what files hold."""

    def take() -> dict[str, Any]:
        found = folder.parent.rglob("*")
        return {str(path): path.read_bytes() if path.is_file() else None for path in found}

    return take
