from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from graph_metamers.storage import resolve_cache


def test_the_argument_goes_before_the_variable_and_that_before_the_users_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAPH_METAMERS_CACHE", str(tmp_path / "variable"))
    assert resolve_cache(tmp_path / "argument") == tmp_path / "argument"
    assert resolve_cache() == tmp_path / "variable"
    for value in ("", None):
        monkeypatch.setenv("GRAPH_METAMERS_CACHE", "") if value == "" else monkeypatch.delenv(
            "GRAPH_METAMERS_CACHE"
        )
        assert resolve_cache() == Path(platformdirs.user_cache_dir("graph-metamers"))


@pytest.mark.parametrize("argument", ["~/kept", Path("~/kept")])
def test_the_home_folder_is_understood(argument):
    assert resolve_cache(argument) == Path.home() / "kept"
