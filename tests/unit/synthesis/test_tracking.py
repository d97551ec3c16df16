"""TensorBoard and MLflow: what their own readers find in the files is what the search told."""

from __future__ import annotations

import sys

import pytest

import graph_metamers as gm
from graph_metamers.synthesis.tracking import TensorBoardCallback, _Tracker

BUDGET = gm.Budget(steps=30)


def search(karate, karate_model, trackers, **options):
    """Search with the callbacks; returns what they were told."""
    told = []
    gm.generate(
        karate_model, karate.graph, "act.0", budget=BUDGET, callbacks=[told.append, *trackers], **options
    )
    return told


@pytest.mark.filterwarnings("ignore")  # of TensorBoard
def test_tensorboard_reads_what_was_told(karate, karate_model, tmp_path):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with gm.TensorBoardCallback(tmp_path, "karate/act.0") as tracker:
        first = search(karate, karate_model, [tracker])
        vary = gm.Features(kind="continuous")
        second = search(karate, karate_model, [tracker], objective="farthest", tolerance=10.0, vary=vary)
        tracker.label = "another"
        search(karate, karate_model, [tracker])
    assert {path.name for path in tmp_path.iterdir()} == {"karate_act.0", "karate_act.0 2", "another"}
    for name, told in (("karate_act.0", first), ("karate_act.0 2", second)):
        events = reading.EventAccumulator(str(tmp_path / name))
        events.Reload()
        for scalar, attribute in (("activation_loss", "loss"), ("best_activation_loss", "best_loss")):
            read = [(event.step, event.value) for event in events.Scalars(scalar)]
            assert read == [(one.step, pytest.approx(getattr(one, attribute))) for one in told]
    distances = [(event.step, event.value) for event in events.Scalars("scaled_distance")]
    assert distances == [(one.step, pytest.approx(one.distance)) for one in told if one.distance is not None]
    assert distances


@pytest.mark.filterwarnings("ignore")  # of MLflow
def test_mlflow_reads_what_was_told(karate, karate_model, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow = pytest.importorskip("mlflow")
    uri = (tmp_path / "tracked").as_uri()
    with gm.MLflowCallback("karate act.0", tracking_uri=uri) as tracker:
        first = search(karate, karate_model, [tracker])
        second = search(karate, karate_model, [tracker])

    def stop(progress):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), gm.MLflowCallback("stopped", tracking_uri=uri) as tracker:
        search(karate, karate_model, [tracker, stop])
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("graph-metamers")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert {name: run.info.status for name, run in runs.items()} == {
        "karate act.0": "FINISHED",
        "karate act.0 2": "FINISHED",
        "stopped": "FAILED",
    }
    for name, told in (("karate act.0", first), ("karate act.0 2", second)):
        history = client.get_metric_history(runs[name].info.run_id, "best_activation_loss")
        assert [(one.step, one.value) for one in history] == [(one.step, one.best_loss) for one in told]


def test_a_run_that_cannot_begin_is_not_ended():
    class Broken(TensorBoardCallback):
        def __init__(self):
            _Tracker.__init__(self, "search")
            self.ended = []

        def _begin(self, name):
            raise OSError("no room")

        def _end(self, *, failed):
            self.ended.append(failed)

    broken = Broken()
    with pytest.raises(OSError, match="no room"), broken:
        broken(gm.SearchProgress(1, 10, 0.5, 0.5))
    assert broken.ended == []


@pytest.mark.parametrize(
    ("module", "make"),
    [
        ("torch.utils.tensorboard", gm.TensorBoardCallback),
        ("mlflow", lambda _: gm.MLflowCallback()),
    ],
)
def test_what_is_missing_is_said_with_how_to_get_it(monkeypatch, tmp_path, module, make):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(gm.UserError, match=r"pip install 'graph-metamers\[(tensorboard|mlflow)\]'"):
        make(tmp_path)
