"""Untrained copies are searched once: what was found in them is kept."""

from __future__ import annotations

import pytest

import graph_metamers as gm
from graph_metamers.evidence.control_runs import ControlRuns
from graph_metamers.evidence.controls import BASELINE_MEASURES


@pytest.mark.slow
def test_untrained_copies_are_searched_once_for_one_architecture(karate, tmp_path, monkeypatch):
    options = {
        "layers": ["act.0"], "num_starts": 2, "num_untrained": 2, "budget": gm.Budget(steps=15),
        "observers": "panel",
    }  # fmt: skip
    fit = gm.fit(gm.build_model("gcn", karate), karate, epochs=5)

    def found(model=fit, **others):
        (baselines,) = gm.audit(model, karate, cache=tmp_path, **options | others).baselines
        return next(one for one in baselines if one.name == "random_weights")

    first = found()
    (kept,) = (tmp_path / "controls").iterdir()
    searched = []
    real = ControlRuns._searched
    monkeypatch.setattr(ControlRuns, "_searched", lambda *at: searched.append(at) or real(*at))
    again = found()
    assert not searched
    for measure in BASELINE_MEASURES:
        assert again.values(measure) == pytest.approx(first.values(measure), nan_ok=True)
    # Other settings, another architecture, or a file that is not what it says: searched again.
    found(tolerance=0.5)
    found(gm.fit(gm.build_model("sage", karate), karate, epochs=5))
    assert len(searched) == 4
    kept.write_text(kept.read_text().replace("act.0", "act.1"))
    assert found().values("activation_loss") == first.values("activation_loss")
    assert len(searched) == 6
    kept.write_text("{")
    assert found().values("activation_loss") == first.values("activation_loss")
    # A model of the user's own, a mask, a clock or no cache: never kept.
    files = set((tmp_path / "controls").iterdir())
    found(budget=gm.Budget(steps=15, seconds=60))
    found(transform=lambda graph: graph)
    gm.audit(fit, karate, cache=tmp_path, **options | {"observers": "none"})
    assert set((tmp_path / "controls").iterdir()) == files
