"""What all tests share: one thread, repeatable random examples, and a few small real models."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import settings

import graph_metamers as gm
from graph_metamers.evidence import panel_plans

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=25)
settings.load_profile("ci")
torch.set_num_threads(1)  # small tensors: more threads than free cores make them many times slower


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """A cache of the tests' own: nobody's trained observers are read, and none are left behind.

    Observers are trained for few epochs: no test asks how good they are.
    """

    def fit_briefly(*arguments, **options):
        return gm.fit(*arguments, **{**options, "epochs": min(20, options.get("epochs", 20))})

    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAPH_METAMERS_CACHE", str(folder))
        patch.setattr(panel_plans, "fit", fit_briefly)
        yield folder


@pytest.fixture(scope="session")
def digits() -> gm.Dataset:
    return gm.load_dataset("digits")


@pytest.fixture(scope="session")
def digits_fit(digits):
    """A GCN that has learned the digits."""
    return gm.fit(gm.build_model("gcn", digits), digits)


@pytest.fixture(scope="session")
def karate() -> gm.Dataset:
    return gm.load_dataset("karate")


@pytest.fixture(scope="session")
def karate_model(karate):
    return gm.fit(gm.build_model("gcn", karate), karate, epochs=50).model


@pytest.fixture(scope="session")
def edge_audit(karate, karate_model) -> gm.Audit:
    """Edges vary: short searches, one layer with a metamer of its own and one without."""
    return gm.audit(
        karate_model,
        karate,
        vary="structure",
        num_starts=3,
        solver=gm.Rewire(proposals=100),
        budget=gm.Budget(steps=30),
        num_untrained=1,
        name="GCN",
    )


@pytest.fixture(scope="session")
def both_audit(karate, karate_model) -> gm.Audit:
    """Features and edges vary together: short searches, two starts."""
    return gm.audit(
        karate_model,
        karate,
        vary=("features", "structure"),
        num_starts=2,
        solver=gm.InTurn(rewire=gm.Rewire(proposals=50)),
        budget=gm.Budget(steps=60),
        name="GCN",
    )


@pytest.fixture(scope="session")
def cora() -> gm.Dataset:
    if "GRAPH_METAMERS_DATA" not in os.environ:
        pytest.skip("needs the files of Cora: set GRAPH_METAMERS_DATA to the folder that holds planetoid/")
    return gm.load_dataset("cora")
