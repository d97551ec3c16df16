"""`graph_metamers` is what `__all__` says, and costs nothing until it is used."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import graph_metamers as gm


def test_every_public_name_can_be_imported():
    for name in gm.__all__:
        assert getattr(gm, name) is not None


def test_all_is_exactly_what_dir_shows():
    assert sorted(gm.__all__) == sorted(dir(gm))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'generat'"):
        gm.generat  # noqa: B018


def test_no_folder_or_module_hides_a_public_name():
    for module in pkgutil.walk_packages(gm.__path__, "graph_metamers."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in gm.__all__:
        assert type(getattr(gm, name)).__name__ != "module", name


def test_importing_the_package_does_not_import_torch():
    code = "import sys, graph_metamers; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", [name for name in gm.__all__ if not name.startswith("_")])
def test_every_public_name_has_a_docstring(name):
    assert getattr(gm, name).__doc__
