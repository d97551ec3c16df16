from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import graph_metamers as gm
from graph_metamers.checks import CheckReport, Finding

SCRIPT = "<script>alert(1)</script>"
BOLD = "<b>bold</b>"
BUDGET = gm.Budget(steps=50)


@pytest.fixture(scope="session")
def karate_fit(karate):
    return gm.fit(gm.build_model("gcn", karate, seed=0), karate, epochs=30, seed=0)


@pytest.fixture(scope="session")
def word_audit(karate, karate_fit):
    """Binary features with names, three starts; no metamer within the budget."""
    return gm.audit(karate_fit, karate, budget=BUDGET, num_starts=3, num_untrained=0)


@pytest.fixture(scope="session")
def numeric(karate):
    """Karate with continuous features that are no image."""
    x = torch.randn(karate.num_nodes, 12, generator=torch.Generator().manual_seed(0))
    graph = karate.graph.clone()
    graph.x = x
    return replace(karate, graphs=(graph,), feature_kind="continuous", feature_names=None, name="numbers")


@pytest.fixture(scope="session")
def numeric_audit(numeric):
    # One start: no intervals.
    fit = gm.fit(gm.build_model("gcn", numeric, hidden_channels=4, seed=0), numeric, epochs=30, seed=0)
    return gm.audit(fit, numeric, budget=BUDGET, num_starts=1, num_untrained=0)


@pytest.fixture(scope="session")
def image_audits(digits):
    """Two models on digits, matched at every layer."""
    fits = [
        gm.fit(gm.build_model(name, digits, seed=0), digits, epochs=40, seed=0) for name in ("gcn", "sage")
    ]
    return [gm.audit(fit, digits, budget=gm.Budget(steps=200), num_starts=3, num_untrained=1) for fit in fits]


@pytest.fixture(scope="session")
def chance_audit(numeric):
    """An untrained model: at chance."""
    audit = gm.audit(
        gm.build_model("sage", numeric, seed=3),
        numeric,
        budget=gm.Budget(steps=5),
        num_starts=2,
        num_untrained=0,
    )
    return with_at_chance(audit)


@pytest.fixture(scope="session")
def hostile_audit(karate, word_audit):
    """Every string that a user can choose tries to be markup."""
    card = replace(
        word_audit.dataset,
        name=f"karate {SCRIPT}",
        source=f"{BOLD} {SCRIPT} </textarea><img src=x onerror=alert(1)>",
        notes=(f"A note {SCRIPT} {BOLD}.", '" onmouseover="alert(1)'),
        class_names=tuple(f"{SCRIPT}{BOLD}{i}" for i in range(word_audit.dataset.num_classes)),
        feature_names=tuple(f"{BOLD}{SCRIPT}{i}" for i in range(word_audit.dataset.num_features)),
        split=f"{SCRIPT}",
    )
    names = {layer.name: f"{BOLD}{layer.depth}</script>" for layer in word_audit.layers}
    layers = tuple(
        replace(
            layer,
            name=names[layer.name],
            elsewhere={names[other]: measures for other, measures in layer.elsewhere.items()},
        )
        for layer in word_audit.layers
    )
    theory = replace(
        word_audit.theory,
        layers=tuple(replace(layer, layer=names[layer.layer]) for layer in word_audit.theory.layers),
    )
    finding = Finding("code", "warning", f"no {SCRIPT}", f"{BOLD}", f"Remove {SCRIPT}")
    return replace(
        word_audit,
        model_name=f"GCN {BOLD}{SCRIPT}",
        dataset=card,
        layers=layers,
        theory=theory,
        checks=CheckReport((finding,)),
        config={**word_audit.config, "note": SCRIPT, "model": {f"{BOLD}key": SCRIPT}},
    )


def with_at_chance(audit):
    test = replace(audit.scores.test, accuracy=audit.scores.test.chance, p_value=0.6)
    return replace(audit, scores=replace(audit.scores, test=test))
