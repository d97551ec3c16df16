from __future__ import annotations

import pytest

from graph_metamers.datasets import load_dataset


@pytest.fixture(scope="session")
def digits():
    return load_dataset("digits")
