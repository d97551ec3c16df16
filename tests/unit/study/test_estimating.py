from __future__ import annotations

import pytest

from graph_metamers.study import estimate, plan, rows_of, run_study, study_config, study_status


def test_by_rule_without_a_store_and_measured_with_one(short, store):
    planned = plan(study_config(short()))
    first = estimate(planned, None, workers=1, keep="none")
    assert (first.num_runs, first.num_models, first.num_metamers) == (4, 2, 2)
    assert (first.num_finished, first.num_measured, first.num_by_rule) == (0, 0, 4)
    assert any("by the rule" in source for source in first.sources)
    run_study(short(grid={"seeds": 0}), store.path)
    second = estimate(planned, store, workers=1, keep="none")
    assert (second.num_finished, second.num_measured, second.num_by_rule) == (2, 2, 0)
    assert not any("by the rule" in source for source in second.sources)
    # The other seed's runs are expected to take what the first one's took.
    assert second.seconds == pytest.approx(sum(row["seconds"] for row in rows_of(store)))
    run_study(short(), store.path)
    done = estimate(planned, store, workers=1, keep="none")
    assert (done.num_finished, done.seconds, done.disk_bytes, done.sources) == (4, 0, 0, ())


def test_it_grows_with_what_is_asked_for(short):
    def asked(keep="none", workers=1, **changes):
        return estimate(plan(study_config(short(**changes))), None, workers=workers, keep=keep)

    first = asked()
    assert asked(grid={"seeds": range(4)}).seconds == pytest.approx(2 * first.seconds)
    assert asked(workers=2).wall_seconds == pytest.approx(first.seconds / 2)
    assert asked(training={"epochs": 200}).seconds > first.seconds
    assert asked(grid={"perturbation": {"kind": "pgd", "radius": 2}}).seconds > first.seconds
    assert asked(keep="all").disk_bytes > first.disk_bytes


def test_status_counts(short, store):
    planned = plan(study_config(short()))
    run_study(short(grid={"seeds": 0}), store.path)
    store.acquire(planned.models[-1].run_id, "someone", 60)
    found = study_status(store, planned)
    assert (found.total, found.done, found.running, found.waiting, found.failed) == (4, 2, 1, 1, 0)
    assert found.drivers == 1
    assert found.seconds == pytest.approx(sum(row["seconds"] for row in rows_of(store)))
    files = [path for path in (store.path / "runs").rglob("*") if path.is_file()]
    assert found.disk_bytes == sum(path.stat().st_size for path in files)
    assert study_status(store).total is None
    assert study_status(store).done == 2


def test_the_rule_knows_what_costs_time(short):
    def seconds(objective="match", **grid):
        study = short(grid={"seeds": 0, **grid}, search={"steps": 2000, "objective": objective})
        return estimate(plan(study_config(study)), None, workers=1, keep="none").seconds

    first = seconds(dataset="digits")
    assert seconds(dataset="digits", hidden_channels=512) > first
    assert seconds(dataset="digits", model="sage") > first  # sends 64 features along edges, not 16 channels
    assert seconds("farthest", dataset="digits") > first  # goes on behind the match
