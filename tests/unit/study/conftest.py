from __future__ import annotations

import pytest

from graph_metamers.study import FolderStore


def small(**changes):
    """A study of seconds: four runs of models, four searches."""
    grid = {"dataset": "karate", "model": ["gcn", "sage"], "layer": "first", "seeds": [0, 1]}
    study = {"name": "small", "grid": grid, "training": {"epochs": 20}, "search": {"steps": 60}}
    grid |= changes.pop("grid", {})
    return study | changes


@pytest.fixture
def study():
    return small


@pytest.fixture
def short():
    """The same with one architecture: two models, two searches."""

    def of_one_model(**changes):
        return small(**changes | {"grid": {"model": "gcn"} | changes.get("grid", {})})

    return of_one_model


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "store")
