from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

import graph_metamers as gm
from graph_metamers.errors import ParameterError
from graph_metamers.inputs import Features, what_varies
from graph_metamers.models import GNN, load_model
from graph_metamers.storage import to_number
from graph_metamers.study import FolderStore, connect, plan, rows_of, run_plan, run_study, study_config
from graph_metamers.study import computing as computing_module
from graph_metamers.study import executors as executors_module
from graph_metamers.study.executors import InProcess, completion_of
from graph_metamers.study.graph_codec import decode_graph
from graph_metamers.study.journal import count_events, read_journals
from graph_metamers.study.run_store import RunRecord
from graph_metamers.study.table import TABLE, read_parquet, without_volatile
from graph_metamers.study.tasks import Task


def test_the_second_time_nothing_is_computed(short, store):
    first = run_study(short(), store.path)
    assert (first.total, first.computed, first.found) == (4, 4, 0)
    assert first.is_whole
    written, journal = (store.path / TABLE).read_bytes(), read_journals(store.path / "journal")
    again = run_study(short(), store.path)
    assert (again.computed, again.found) == (0, 4)
    assert read_journals(store.path / "journal") == journal
    assert (store.path / TABLE).read_bytes() == written
    assert list(store.live_leases()) == []


def test_what_is_added_to_a_study_is_all_that_is_computed(short, store):
    run_study(short(grid={"seeds": 0}), store.path)
    tally = run_study(short(), store.path)
    assert (tally.found, tally.computed) == (2, 2)


def test_rows_are_what_the_functions_of_the_package_say(short, store):
    run_study(short(grid={"model": "gcn", "seeds": 1}), store.path)
    model_row, row = rows_of(store)
    dataset = gm.load_dataset("karate")
    fit = gm.fit(gm.build_model("gcn", dataset, seed=1), dataset, epochs=20, seed=1)
    assert model_row["test_accuracy"] == row["test_accuracy"] == fit.scores.test.accuracy
    assert model_row["best_epoch"] == fit.best_epoch
    vary = gm.Features(kind="binary")
    metamer = gm.generate(fit.model, dataset.graph, "act.0", vary=vary, budget=gm.Budget(60), seed=0)
    assert row["status"] == metamer.status.value
    assert row["activation_loss"] == metamer.activation_loss
    assert row["input_distance"] == metamer.input_distance.scaled
    assert row["prediction_agreement"] == pytest.approx(metamer.prediction_agreement.share)
    report = gm.gates(metamer, gm.null_distribution(fit.model, dataset.graph, "act.0"), vary=vary)
    assert row["passing_share"] == pytest.approx(report.shares()["passes"])
    assert {"passing_share_chance", "visible_distance", "visible_distance_chance"} <= set(row)


def test_an_audit_finds_the_same(short, store):
    run_study(short(grid={"model": "gcn", "seeds": 1}, search={"steps": 60}), store.path)
    row = rows_of(store)[1]
    dataset = gm.load_dataset("karate")
    fit = gm.fit(gm.build_model("gcn", dataset, seed=1), dataset, epochs=20, seed=1)
    (audited,) = gm.audit(fit, dataset, layers=["act.0"], num_starts=1, budget=gm.Budget(60)).rows()
    for name in ("activation_loss", "passing_share", "visible_distance", "prediction_agreement"):
        assert row[name] == pytest.approx(audited[name])
        assert row[f"{name}_chance"] == pytest.approx(audited[f"{name}_chance"])


def test_a_block_model_is_judged_by_its_oracle_and_label_propagation_stands_behind(short, store):
    grid = {"dataset": "csbm", "layer": "output", "label_propagation": ["none", "behind"], "seeds": 0}
    run_study(short(grid=grid), store.path)
    dataset = gm.load_dataset("csbm")
    fit = gm.fit(gm.build_model("gcn", dataset, seed=0), dataset, epochs=20, seed=0)
    models = {"none": fit.model, "behind": gm.WithLabelPropagation(fit.model, dataset).eval()}
    rows = [row for row in rows_of(store) if row["kind"] == "metamer"]
    assert {row["label_propagation"] for row in rows} == set(models)
    for row in rows:
        model = models[row["label_propagation"]]
        vary = gm.Features(kind="continuous")
        metamer = gm.generate(model, dataset.graph, "output", vary=vary, budget=gm.Budget(60), seed=0)
        (expected,) = gm.oracle_figures(dataset, [[metamer]], vary=vary).rows()
        assert row["activation_loss"] == metamer.activation_loss
        assert row["excess"] == pytest.approx(expected["excess"], nan_ok=True)
        assert row["bayes_changed_by_noise"] == pytest.approx(expected["denominator"], nan_ok=True)
        assert row["test_accuracy"] == gm.evaluate(model, dataset).test.accuracy


def test_a_model_is_trained_and_searched_with_label_propagation_before_it(short, store):
    run_study(short(grid={"layer": "all", "label_propagation": "before", "seeds": 0}), store.path)
    trained, *rows = rows_of(store)
    dataset = gm.load_dataset("karate")
    config = replace(gm.build_model("gcn", dataset).config, in_channels=34 + dataset.num_classes)
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        model = gm.WithLabelPropagation(GNN(config), dataset, place="before")
    fit = gm.fit(model, dataset, epochs=20, seed=0)
    assert trained["test_accuracy"] == fit.scores.test.accuracy
    assert [row["layer"] for row in rows] == ["act.0", "output"]
    for row, layer in zip(rows, ("model.act.0", "output"), strict=True):
        vary = gm.Features(kind="binary")
        metamer = gm.generate(fit.model, dataset.graph, layer, vary=vary, budget=gm.Budget(60), seed=0)
        assert row["activation_loss"] == metamer.activation_loss


def test_other_data_where_a_run_is_computed_are_no_result_of_it(study):
    planned = plan(study_config(study(grid={"model": "gcn", "seeds": 0})))
    (run,) = planned.models
    elsewhere = replace(run, data_fingerprint="0" * 64)
    found = completion_of(Task(elsewhere, None, 1))
    assert found.outcome is None
    assert found.problem.startswith("RunFailedError: karate must have the fingerprint 0000")


def test_words_may_become_any_numbers(short, store):
    run_study(short(grid={"seeds": 0}, search={"steps": 60, "feature_kind": "continuous"}), store.path)
    row = rows_of(store)[1]
    dataset = gm.load_dataset("karate")
    model = gm.fit(gm.build_model("gcn", dataset, seed=0), dataset, epochs=20, seed=0).model
    vary = gm.Features(kind="continuous")
    metamer = gm.generate(model, dataset.graph, "act.0", vary=vary, budget=gm.Budget(60), seed=0)
    assert row["activation_loss"] == metamer.activation_loss
    assert row["input_distance"] == metamer.input_distance.scaled


def test_structure(short, store):
    grid = {"model": "gcn", "vary": "structure", "layer": "output", "seeds": 0}
    run_study(short(grid=grid, search={"steps": 5, "proposals": 20}), store.path, keep="all")
    (found,) = plan(study_config(short(grid=grid, search={"steps": 5, "proposals": 20}))).metamers
    row = rows_of(store, [found.run_id])[0]
    dataset = gm.load_dataset("karate")
    graph = decode_graph(store.read_file(found.run_id, "graph.npz"), what_varies("structure", dataset.graph))
    kept = set(map(tuple, graph.edge_index.T.tolist())) & set(map(tuple, dataset.graph.edge_index.T.tolist()))
    union = 2 * dataset.num_edges - len(kept)
    assert row["edge_overlap"] == pytest.approx(len(kept) / union)
    assert row["solver"] == "rewire"


@pytest.mark.parametrize(
    ("dataset", "kind"), [("karate", "binary"), pytest.param("digits", "bounded", marks=pytest.mark.slow)]
)
def test_kept_graphs_are_those_of_the_rows(short, store, dataset, kind):
    raw = short(
        grid={"dataset": dataset, "model": "gcn", "seeds": 0, "search_seeds": [0, 1]},
        training={"epochs": 10},
        search={"steps": 30},
    )
    run_study(raw, store.path, keep="all")
    data = gm.load_dataset(dataset)
    for run in plan(study_config(raw)).metamers:
        content = store.read_file(run.run_id, "graph.npz")
        graph = decode_graph(content, what_varies(Features(kind=kind), data.graph))
        path = store.path / "model.safetensors"
        path.write_bytes(store.read_file(run.parent.run_id, "model.safetensors"))
        model = load_model(path)
        target, found = (gm.activations(model, g, ["act.0"])["act.0"].double() for g in (data.graph, graph))
        loss = float((found - target).square().sum() / target.square().sum())
        recorded = to_number(store.read(run.run_id).values["activation_loss"])
        assert loss == pytest.approx(recorded, rel=1e-3)
        dense = data.graph.x.numel() * (1 / 8 if kind == "binary" else 4)
        assert len(content) < dense + 2000


def test_the_best_of_several_searches_is_kept(short, store):
    raw = short(grid={"search_seeds": [0, 1, 2], "seeds": 0})
    run_study(raw, store.path, keep="best")
    planned = plan(study_config(raw))
    for model in planned.models:
        searches = [run for run in planned.metamers if run.parent is model]
        rows = {run.run_id: rows_of(store, [run.run_id])[0] for run in searches}
        kept = [run_id for run_id in rows if store.file_names(run_id)]
        merit = {
            i: (row["is_metamer"], row["passing_share"], -row["activation_loss"], i)
            for i, row in rows.items()
        }
        assert kept == [max(merit, key=merit.get)]


def test_a_run_that_fails_is_recorded_and_blocks_its_searches(short, store):
    raw = short(training={"epochs": 20, "learning_rate": 1e30})
    tally = run_study(raw, store.path)
    assert len(tally.failed) == 2
    assert len(tally.blocked) == 2
    assert not tally.is_whole
    assert all("the loss must stay finite" in row["error"] for row in rows_of(store))
    again = run_study(raw, store.path)
    assert (again.computed, again.found) == (0, 2)
    assert run_study(raw, store.path, retry_failed=True).computed == 2


def test_of_two_drivers_that_try_failures_again_one_does(short, store):
    planned = plan(study_config(short()))
    run = planned.models[0]
    assert not store.remove_failed(run.run_id)  # there is no result
    for error in ("RunFailedError: x", None):
        lease = store.acquire(run.run_id, "someone", 60)
        store.finish(lease, RunRecord(run.run_id, run.identity, {}, error, {}), {})
        assert store.remove_failed(run.run_id) == (error is not None)
        assert store.is_finished(run.run_id) == (error is None)
    # Another driver may have removed it, or computed it anew, between the look and the removal.
    whole, seen = store.read, []
    store.read = lambda run_id: seen.append(run_id) or replace(whole(run_id), error="RunFailedError: old")
    assert not store.remove_failed(run.run_id)
    assert seen
    assert store.is_finished(run.run_id)


def test_the_table_is_read_with_duckdb(short, store):
    run_study(short(), store.path)
    views = connect(store)
    rows = rows_of(store)
    assert views.sql("SELECT count(*) FROM runs").fetchall() == [(len(rows),)]
    counts = views.sql("SELECT (SELECT count(*) FROM models), (SELECT count(*) FROM failures)").fetchall()
    assert counts == [(2, 0)]
    ((mean,),) = views.sql("SELECT avg(passing_share) FROM metamers").fetchall()
    expected = [row["passing_share"] for row in rows if row["kind"] == "metamer"]
    assert mean == pytest.approx(sum(expected) / len(expected))


def test_an_observer_of_other_features_is_another_one(short, store, monkeypatch):
    # One after the other in one process, at one layer of one model.
    made, whole = [], computing_module.observer
    monkeypatch.setattr(computing_module, "_last_observer", None)
    monkeypatch.setattr(
        computing_module, "observer", lambda *args, **options: made.append(1) or whole(*args, **options)
    )
    for kind, expected in (("own", 1), ("continuous", 2)):
        study = short(grid={"seeds": 0, "search_seeds": [0, 1]}, search={"steps": 20, "feature_kind": kind})
        run_study(study, store.path)
        assert len(made) == expected  # one for both searches


def test_a_defect_leaves_no_result_and_is_tried_again(short, store, monkeypatch):
    whole = executors_module.compute

    def broken(task, dataset=None):
        if task.run.kind == "metamer" and task.run.case["seed"] == 1:
            raise ZeroDivisionError("a defect")
        return whole(task, dataset)

    monkeypatch.setattr(executors_module, "compute", broken)
    tally = run_study(short(), store.path)
    assert tally.computed == 3
    assert len(tally.lost) == 1
    assert all("ZeroDivisionError: a defect" in problem for problem in tally.lost.values())
    monkeypatch.undo()
    again = run_study(short(), store.path)
    assert (again.computed, again.found, again.lost) == (1, 3, {})


def test_the_lease_of_a_dead_driver_is_taken_over(short, store):
    planned = plan(study_config(short()))
    dead = store.acquire(planned.models[0].run_id, "dead", 1.5)
    tally = run_plan(planned, store, InProcess(), lease_seconds=30)
    assert tally.computed == 4
    assert store.read(dead.run_id).manifest["lease_generation"] == 2
    assert set(count_events(store.path / "journal", "finished").values()) == {1}


def test_a_driver_that_was_taken_for_dead_does_not_overwrite(short, store):
    planned = plan(study_config(short(grid={"model": "gcn", "seeds": 0})))
    other = FolderStore(store.path)

    class Stalled(InProcess):
        """Sleeps through its lease before the first result, while another driver does all the work."""

        def completed(self, timeout):
            found = super().completed(timeout)
            if not other.is_finished(planned.models[0].run_id):
                for lease in list(other.live_leases()):
                    path = store.path / "leases" / f"{lease.run_id}.{lease.generation}"
                    path.write_text(path.read_text().replace(str(lease.expires), "0.0"))
                run_plan(planned, other, InProcess())
            return found

    tally = run_plan(planned, store, Stalled(), lease_seconds=1000)
    assert (tally.computed, tally.found) == (0, 2)
    assert set(count_events(store.path / "journal", "finished").values()) == {1}
    assert sum(count_events(store.path / "journal", "refused").values()) == 1


def test_an_interrupted_driver_gives_its_leases_back(short, store):
    class Interrupted(InProcess):
        def completed(self, timeout):
            raise KeyboardInterrupt

    planned = plan(study_config(short()))
    with pytest.raises(KeyboardInterrupt):
        run_plan(planned, store, Interrupted())
    assert list(store.live_leases()) == []
    assert run_plan(planned, store, InProcess()).computed == 4


def test_long_runs_keep_their_lease(short, store):
    planned = plan(study_config(short(grid={"model": "gcn", "seeds": 0})))

    class Slow(InProcess):
        def completed(self, timeout):
            time.sleep(1.0)
            assert store.acquire(next(iter(store.live_leases())).run_id, "greedy", 60) is None
            return super().completed(timeout)

    assert run_plan(planned, store, Slow(), lease_seconds=0.4).computed == 2


def test_the_table_has_what_the_rows_have(short, store):
    run_study(short(), store.path)
    rows = rows_of(store)
    names = {name for row in rows for name in row}
    for written, row in zip(read_parquet(store.path / TABLE), rows, strict=True):
        assert set(written) == names
        for name in names:
            expected = row.get(name)
            same = written[name] == expected or (expected != expected and written[name] != written[name])  # noqa: PLR0124
            assert same, name
    assert all("seconds" not in row and "run_id" in row for row in without_volatile(rows))


@pytest.mark.slow
def test_the_callers_threads_and_randomness_are_left_alone(short, store):
    torch.set_num_threads(1)
    before = torch.get_rng_state()
    run_study(short(grid={"model": "gcn", "seeds": 0}, threads=2), store.path)
    assert torch.get_num_threads() == 1
    assert torch.equal(torch.get_rng_state(), before)
    assert {row["torch_threads"] for row in rows_of(store)} == {2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"executor": "locl"}, "Did you mean 'local'"),
        ({"workers": 2}, "1 in-process"),
        ({"executor": "local", "workers": 0}, "at least 1"),
        ({"address": "auto"}, "left out without executor='ray'"),
        ({"keep": "most"}, "one of 'none', 'best', 'all'"),
        ({"lease_seconds": 0}, "at least 0.1"),
    ],
)
def test_options_out_of_range_are_refused(short, store, options, message):
    with pytest.raises(ParameterError, match=message):
        run_study(short(), store.path, **options)
    assert list(store.finished()) == []


def test_everything_that_a_training_may_have_goes_together(short, store):
    together = {
        "seeds": 0,
        "activation": "elu",
        "residual": True,
        "drop_edge": 0.2,
        "perturbation": [{"kind": kind, "radius": 2} for kind in ("pgd", "random")],
        "label_propagation": ["before", "behind"],
        "layer": "output",
    }
    tally = run_study(short(grid=together, training={"epochs": 3}, search={"steps": 5}), store.path)
    assert (tally.computed, tally.is_whole) == (8, True)
    trained = {row["perturbation"] for row in rows_of(store) if row["kind"] == "model"}
    assert {label.split()[0] for label in trained} == {"pgd", "random"}
