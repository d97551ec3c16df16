"""Each verb does what it says, in text and as JSON."""

from __future__ import annotations

import functools
import inspect
import os
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

import graph_metamers as gm
from graph_metamers.auditing import audit_files
from graph_metamers.cli import destinations, options
from graph_metamers.cli.main import run
from graph_metamers.datasets.files import GRAPH_FILE_SUFFIXES
from graph_metamers.errors import RunFailedError
from graph_metamers.evidence import selftest_runs
from graph_metamers.synthesis import metamer_files

from . import own_files as own

KARATE = ("--dataset", "karate")
SHORT = ("--epochs", "30", "--steps", "60")
# A search that any model passes: what is asked here is the command line, not the search.
EASY = ("--tolerance", "10", "--min-distance", "0")


@pytest.mark.parametrize(
    ("group", "functions"),
    [
        (options.DataOptions, [gm.load_dataset]),
        (options.ModelOptions, [gm.build_model]),
        (options.TrainingOptions, [gm.fit]),
        (options.SearchOptions, [gm.generate, gm.audit, gm.Budget]),
    ],
)
def test_every_option_is_a_python_argument_with_the_same_default(group, functions):
    parameters = {
        name: parameter
        for function in functions
        for name, parameter in inspect.signature(function).parameters.items()
    }
    # Which data set, which model and which weights: in Python these are objects, or another name. Steps are
    # part of a budget, and its default is not the same in all verbs.
    for field in fields(group):
        if field.name not in {"dataset", "model", "weights", "steps"}:
            assert parameters[field.name].default == field.default


def test_folders_are_known_by_what_is_written_into_them():
    assert destinations.AUDIT_MARKER == audit_files.MARKER
    assert destinations.METAMER_MARKER == metamer_files.MARKER


def test_datasets_and_models_are_listed(call):
    assert "karate" in call("datasets").out
    assert [row["name"] for row in call("datasets", "--json").json] == [d.name for d in gm.list_datasets()]
    assert "gin" in call("models").out
    assert [row["name"] for row in call("models", "--json").json] == [m.name for m in gm.list_models()]


def test_the_list_of_data_sets_says_how_many_splits_each_brings(call):
    header, *lines = call("datasets").out.splitlines()
    assert "splits" in header
    shown = {line.split()[0]: line for line in lines if line.strip()}
    for info in gm.list_datasets():
        assert str(info.num_splits) in re.split(r"\s{2,}", shown[info.name])


def test_the_help_names_every_kind_of_graph_file(call):
    assert all(suffix in call("audit", "--help").out for suffix in GRAPH_FILE_SUFFIXES)


def test_version_and_bare_call(call):
    assert call("--version").out == f"{gm.__version__}\n"
    bare = call()
    assert bare.code == 0
    assert "demo" in bare.out


def test_layers(call):
    words = ("layers", *KARATE, "--model", "gcn")
    listed = call(*words, "--json").json
    assert [layer["name"] for layer in listed if layer["is_default"]] == ["act.0", "output"]
    assert "34 x 16" in call(*words).out


def test_check_of_a_sound_model(call):
    outcome = call("check", *KARATE, "--model", "gcn", "--json")
    assert outcome.code == 0
    assert outcome.json == {"ok": True, "findings": [], "accuracy": None}
    assert "0 errors, 0 warnings" in call("check", *KARATE, "--model", "gcn", "--layer", "act.0").out


def test_check_is_a_gate(call):
    own.write_own_model(
        "from torch_geometric.nn import GCN\ndef make():\n    return GCN(34, 8, 2, 4, cached=True)\n"
    )
    words = ("check", *KARATE, "--model", "mine.py:make")
    outcome = call(*words, "--json")
    assert outcome.code == 1
    assert outcome.json["findings"][0]["code"] == "cached-convolution"
    text = call(*words)
    assert text.code == 1
    assert "cached-convolution" in text.out


def test_check_flags_a_loaded_model_at_chance(call):
    gm.save_model(gm.build_model("gcn", gm.load_dataset("karate")), "raw.safetensors")
    outcome = call("check", *KARATE, "--model", "raw.safetensors", "--json")
    assert [finding["code"] for finding in outcome.json["findings"]] == ["at-chance"]
    assert outcome.code == 0


def test_train_saves_what_audit_loads(call):
    words = ("train", *KARATE, "--model", "sage", "--epochs", "30", "-o", "sage.safetensors")
    outcome = call(*words, "--json")
    assert outcome.code == 0
    assert outcome.err == ""
    assert outcome.json["files"] == {"model": "sage.safetensors"}
    assert outcome.json["model"]["architecture"] == "sage"
    first = Path("sage.safetensors").read_bytes()
    text = call(*words)
    assert "test accuracy" in text.out
    assert text.out.splitlines()[-1] == "sage.safetensors"
    assert Path("sage.safetensors").read_bytes() == first
    audit = call("audit", *KARATE, "--model", "sage.safetensors", "--steps", "5", "--json").json
    assert audit["scores"] == outcome.json["scores"]
    assert audit["config"]["training"] is None


def test_audit_end_to_end(call, folder):
    words = (
        "audit",
        *KARATE,
        "--model",
        "gcn",
        *SHORT,
        "--layer",
        "act.0",
        "--num-starts",
        "2",
        "--output",
        "out",
    )
    outcome = call(*words, "--json")
    assert outcome.code == 0
    assert outcome.err == ""
    said = outcome.json
    assert set(said) == {
        "verdict", "rows", "cross_layer_rows", "baseline_rows", "observers", "scores", "controls",
        "findings", "config", "provenance", "files",
    }  # fmt: skip
    assert [row["layer"] for row in said["rows"]] == ["act.0"]
    assert [row["kind"] for row in said["observers"]["kind_rows"]] == [
        "itself", "twin", "architecture", "features", "edges",
    ]  # fmt: skip
    assert said["config"]["training"]["epochs"] == 30
    assert said["config"]["search"]["steps"] == 60
    assert said["files"] == {"audit": "out", "nodes": "out/nodes.csv", "report": "out/report.html"}
    assert len(Path("out/nodes.csv").read_text(encoding="utf-8").splitlines()) == 1 + 2 * 34
    assert "karate" in Path("out/report.html").read_text(encoding="utf-8")
    loaded = gm.load_audit("out")
    assert [row["activation_loss"] for row in loaded.rows()] == [said["rows"][0]["activation_loss"]]

    text = call(*words, "--name", "My [net]", "--quiet")
    assert text.code == 0
    assert text.out.startswith(gm.verdict(gm.load_audit("out"))[0])
    assert "My [net]" in text.out
    assert "prediction" in text.out
    assert "computing time" in text.out
    assert "Observers shown what was found for My [net], right on the 15 test nodes" in text.out
    assert "other architectures" in text.out
    assert text.out.splitlines()[-1] == "out/report.html"
    assert sorted(path.name for path in folder.iterdir()) == ["out"]

    report = call("report", "out", "out", "--output", "both.html", "--json")
    assert report.json == {"files": {"report": "both.html"}}
    assert Path("both.html").stat().st_size > 1000
    assert call("report", "out", "--output", "one.html").out == "one.html\n"


def test_audit_keeps_nothing_without_output(call, folder):
    outcome = call("audit", *KARATE, "--model", "gcn", "--epochs", "1", "--steps", "2")
    assert outcome.code == 0
    assert "AT CHANCE" in outcome.out
    assert not list(folder.iterdir())


def test_an_audit_without_observers(call, tmp_path):
    words = ("audit", *KARATE, "--model", "gcn", "--epochs", "1", "--steps", "2", "--observers", "none")
    said = call(*words, "--cache", tmp_path / "own", "--json")
    assert "observers" not in said.json
    assert "Observers" not in call(*words).out
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize("factory", ["with_data", "without"])
def test_audit_of_a_model_of_ones_own(call, factory, folder):
    file = own.write_own_model()
    outcome = call(
        "audit", *KARATE, "--model", f"mine.py:{factory}", *SHORT, "--layer", "inner.act", "--json"
    )
    assert outcome.code == 0
    assert outcome.err == "graph-metamers: ran the code in mine.py\n"
    assert [row["model"] for row in outcome.json["rows"]] == ["Wrapped"]
    assert list(folder.iterdir()) == [folder / file]


def test_weights_of_a_model_of_ones_own(call):
    own.write_own_model()
    model = ("--model", "mine.py:with_data")
    trained = call("train", *KARATE, *model, "--epochs", "20", "-o", "w.safetensors", "--json").json
    words = ("audit", *KARATE, *model, "--weights", "w.safetensors", "--steps", "2", "--json")
    assert call(*words).json["scores"] == trained["scores"]


@pytest.mark.parametrize("factory", ["without", "lazy"])
def test_a_seed_decides_the_weights_of_a_model_of_ones_own(call, factory):
    own.write_own_model()
    state = torch.get_rng_state()
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        words = ("train", *KARATE, "--model", f"mine.py:{factory}", "--epochs", "1", "--seed", seed)
        assert call(*words, "-o", f"{name}.safetensors").code == 0
    a, b, c = (Path(f"{name}.safetensors").read_bytes() for name in "abc")
    assert a == b != c
    assert torch.equal(torch.get_rng_state(), state)


def test_a_lazy_model_of_ones_own_is_audited(call):
    own.write_own_model()
    outcome = call("audit", *KARATE, "--model", "mine.py:lazy", "--epochs", "2", "--steps", "2", "--json")
    assert outcome.code == 0
    assert [row["layer"] for row in outcome.json["rows"]] == ["output"]


def test_generate_saves_a_metamer(call):
    words = ("generate", *KARATE, "--model", "gcn", *SHORT, *EASY, "--layer", "act.0", "--layer", "output")
    outcome = call(*words, "-o", "found", "--json")
    assert outcome.code == 0
    assert outcome.json["is_metamer"] is True
    assert outcome.json["layer"] == ["act.0", "output"]
    assert gm.load_metamer("found").activation_loss == outcome.json["activation_loss"]
    text = call(*words, "-o", "found")
    assert text.out.startswith("Metamer(")
    assert text.out.splitlines()[-1] == "found"


def test_generate_that_finds_none_fails_after_saving(call):
    words = ("generate", *KARATE, "--model", "gcn", *SHORT, "--tolerance", "0", "--layer", "act.0")
    outcome = call(*words, "-o", "found")
    assert outcome.code == 1
    assert outcome.err == ""
    assert outcome.out.startswith("NotAMetamer(")
    assert not gm.load_metamer("found").is_metamer
    assert call(*words, "--json").json["is_metamer"] is False


def test_an_own_graph_is_trained_and_audited(call):
    own.write_graph()
    outcome = call("audit", "--dataset", "graph.npz", "--model", "gin", "--num-layers", "3", *SHORT, "--json")
    assert outcome.code == 0
    assert outcome.json["config"]["model"]["num_layers"] == 3


def test_a_run_that_fails_is_told_in_one_line(call, monkeypatch):
    def diverge(*_: object, **__: object) -> None:
        raise RunFailedError("the loss must stay finite, got nan")

    monkeypatch.setattr(gm, "fit", diverge, raising=False)
    outcome = call("train", *KARATE, "--model", "gcn", "-o", "m.safetensors")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "graph-metamers: error: the loss must stay finite, got nan\n"


def test_a_defect_of_ours_shows_its_traceback(folder, monkeypatch):
    def break_down(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(gm, "list_datasets", break_down, raising=False)
    with pytest.raises(ZeroDivisionError):
        run(["datasets"])


def test_a_failed_report_does_not_lose_the_audit(folder, monkeypatch):
    def break_down(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(gm, "write_report", break_down, raising=False)
    with pytest.raises(ZeroDivisionError):
        run(["audit", *KARATE, "--model", "gcn", "--epochs", "1", "--steps", "1", "--output", "out"])
    assert gm.load_audit("out").layers


def test_objective_is_passed_on(call):
    short = ("--epochs", "20", "--steps", "40", "--feature-kind", "bounded")
    asked = ("--objective", "farthest", "--json")
    found = call("generate", *KARATE, *short, *EASY, "--model", "gcn", "--layer", "act.0", *asked).json
    assert found["config"]["objective"] == "farthest"
    assert found["steps"] > 1  # the loss was met at once, and the search went on
    audited = call("audit", *KARATE, *short, *EASY, "--model", "gcn", "--num-starts", "1", *asked).json
    assert audited["config"]["search"]["objective"] == "farthest"
    assert {row["objective"] for row in audited["rows"]} == {"farthest"}


@pytest.fixture
def small_demo(monkeypatch, karate):
    """The demo on a small graph, with short searches."""
    short = functools.partial(gm.audit, budget=gm.Budget(steps=20))
    monkeypatch.setattr(gm, "load_dataset", lambda *_, **__: karate, raising=False)
    monkeypatch.setattr(gm, "audit", short, raising=False)


@pytest.mark.slow
def test_a_failed_demo_leaves_nothing(folder, monkeypatch, small_demo):
    def break_down(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(gm, "write_report", break_down, raising=False)
    with pytest.raises(ZeroDivisionError):
        run(["demo", "--quiet"])
    assert not list(folder.iterdir())


def test_demo_on_a_small_graph(call, small_demo):
    outcome = call("demo", "--json", "-o", "here")
    assert outcome.code == 0
    assert {row["model"] for audit in outcome.json["audits"] for row in audit["rows"]} == {
        "GCN",
        "GraphSAGE",
        "GIN",
    }
    assert gm.load_audit("here/graphsage").model_name == "GraphSAGE"
    said = call("demo", "-o", "here").out.splitlines()
    assert said[-1] == "here/report.html"
    assert len(said) <= 40  # it fits on a screen


@pytest.mark.slow
def test_demo(call):
    report = Path(os.environ.get("GRAPH_METAMERS_REPORT", "graph-metamers-demo/report.html"))
    if not report.is_file():  # else `make demo` has just written it
        outcome = call("demo")
        assert outcome.code == 0
        assert outcome.err == ""
        assert outcome.out.splitlines()[-1] == str(report)
    for name in ("gcn", "graphsage", "gin"):
        audit = gm.load_audit(report.parent / name)
        assert audit.scores.test.accuracy > 0.9
        assert audit.layers[0].metamer.is_metamer
    assert report.stat().st_size < 8e6


@pytest.fixture
def without_files(monkeypatch, tmp_path):
    """What needs files is skipped: it takes seconds."""
    monkeypatch.setenv("GRAPH_METAMERS_DATA", str(tmp_path))


@pytest.mark.usefixtures("without_files")
def test_selftest(call):
    outcome = call("selftest", "--seeds", "1", "--seed", "4", "--json")
    assert outcome.code == 0
    assert outcome.err == ""
    said = outcome.json
    expected = gm.selftest(seeds=[4])
    assert said["ok"] is True
    assert said["results"] == expected.rows()
    assert said["cases"] == expected.summary()
    assert set(said) == {"ok", "message", "cases", "results", "skipped", "provenance"}
    assert said["skipped"] == dict(expected.skipped)

    text = call("selftest", "--seeds", "2")
    assert text.code == 0
    assert text.err == ""
    assert text.out.splitlines()[-1] == gm.selftest(seeds=[0, 1]).message
    assert text.out.count("2 of 2") == len(expected.results)
    assert "MISSED" not in text.out
    assert text.out.count(": skipped, ") == 2


@pytest.mark.usefixtures("without_files")
def test_selftest_is_a_gate(call, monkeypatch):
    def accept_nothing(candidate, null, **options):
        report = gm.gates(candidate, null, **options)
        return replace(report, closer=torch.zeros_like(report.closer))

    monkeypatch.setattr(selftest_runs, "gates", accept_nothing)
    text = call("selftest", "--seeds", "1")
    assert text.code == 1
    *table, message = text.out.splitlines()
    assert "\n".join(table).count("0 of 1") == 4
    assert "MISSED" in message
    outcome = call("selftest", "--seeds", "1", "--json", "--quiet")
    assert outcome.code == 1
    assert outcome.json["ok"] is False
    assert [row["case"] for row in outcome.json["cases"] if not row["right"]] == [
        "ignored columns", "duplicated columns", "ignored edges", "null space",
    ]  # fmt: skip
