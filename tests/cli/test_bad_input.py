"""What a user can mend: exit 2, one helpful line, no traceback, nothing new on disk."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import graph_metamers as gm

from . import own_files as own

if TYPE_CHECKING:
    from collections.abc import Callable

KARATE = ("--dataset", "karate")
GCN = (*KARATE, "--model", "gcn", "--epochs", "2", "--steps", "2")
TRAIN = ("train", *KARATE, "--model", "gcn", "--epochs", "2", "--output", "m.safetensors")


@dataclass(frozen=True)
class Case:
    """One mistake: how it comes about, and what the message has to hold."""

    name: str
    words: tuple[object, ...]
    fragments: tuple[str, ...]
    prepare: Callable[[], object] = lambda: None


def own_graph(name: str, fragment: str, prepare: Callable[[], object], file: str = "graph.npz") -> Case:
    return Case(name, ("audit", "--dataset", file, "--model", "gcn"), (file, fragment), prepare)


def parts(**changes: object) -> Callable[[], object]:
    return lambda: own.write_graph(**changes)


def edges(*values: int) -> np.ndarray:
    return np.array([values, values])


def own_model(name: str, factory: str, *fragments: str, text: str = own.OWN_MODEL) -> Case:
    words = ("layers", *KARATE, "--model", f"mine.py:{factory}")
    return Case(name, words, ("mine.py", *fragments), lambda: own.write_own_model(text))


def write_checkpoint() -> None:
    gm.save_model(gm.build_model("gcn", gm.load_dataset("karate"), hidden_channels=3), "gcn.safetensors")


def write_foreign_folder() -> None:
    Path("taken").mkdir()
    Path("taken", "thesis.txt").write_text("a year of work")


def option(*words: str, fragments: tuple[str, ...]) -> Case:
    return Case(" ".join(words), ("audit", *GCN, *words), fragments)


OWN_GRAPHS = [
    own_graph("no file", "Check the name", lambda: None),
    own_graph("x is a vector", "[num_nodes, num_features]", parts(x=np.ones(30))),
    own_graph("x has NaN", "first at node 0, feature 0", parts(x=np.full((30, 6), np.nan))),
    own_graph("float edges", "Convert it with .long()", parts(edge_index=np.ones((2, 3)))),
    own_graph("edges transposed", "[2, num_edges]", parts(edge_index=np.ones((3, 2), dtype=int))),
    own_graph("edge out of range", "[0, 30]", parts(edge_index=np.array([[0], [30]]))),
    own_graph("negative node", "[-1, -1]", parts(edge_index=edges(-1))),
    own_graph("no labels", "'y' is missing", parts(y=None)),
    own_graph("one class", "only class 0", parts(y=np.zeros(30, dtype=int))),
    own_graph("one mask", "all three", parts(train_mask=np.ones(30, dtype=bool))),
    own_graph(
        "short mask",
        "'train_mask' must be [30]",
        parts(**dict.fromkeys(("train_mask", "val_mask", "test_mask"), np.ones(29, dtype=bool))),
    ),
    own_graph("plain pickle", "could run code", own.write_plain_pickle, "plain.pt"),
    own_graph("pickle in torch file", "could run code", own.write_torch_pickle, "graph.pt"),
    own_graph("object array", "could run code", own.write_object_array),
    own_graph("zip bomb", "9.0 GiB", own.write_zip_bomb),
    own_graph("not a zip", "not a readable", lambda: Path("graph.npz").write_bytes(b"nonsense")),
    own_graph("unknown ending", ".safetensors", lambda: Path("graph.csv").touch(), "graph.csv"),
]

OPTIONS = [
    option("--layer", "act.o", fragments=("did you mean 'act.0'?",)),
    option("--epochs", "-5", fragments=("'epochs'", "at least 1", "-5")),
    option("--learning-rate", "0", fragments=("'learning_rate'",)),
    option("--weight-decay", "-1", fragments=("'weight_decay'",)),
    option("--patience", "0", fragments=("'patience'",)),
    option("--hidden-channels", "0", fragments=("'hidden_channels'",)),
    option("--num-layers", "0", fragments=("'num_layers'",)),
    option("--activation", "rellu", fragments=("Did you mean 'relu'?",)),
    option("--norm", "bach", fragments=("Did you mean 'batch'?",)),
    option("--dropout", "1.5", fragments=("'dropout'",)),
    option("--seed", "-1", fragments=("'seed'", "-1")),
    option("--split", "7", fragments=("'split'", "7")),
    option("--solver", "sgd", fragments=("'solver'", "'lbfgs'")),
    option("--objective", "furthest", fragments=("'objective'", "'farthest'")),
    option("--init", "zeros", fragments=("'init'", "'noise'")),
    option("--vary", "structures", fragments=("'vary'", "Did you mean 'structure'?")),
    option("--vary", "structure", "--objective", "farthest", fragments=("'objective'", "where edges vary")),
    option("--vary", "structure", "--solver", "adam", fragments=("'solver'", "'rewire'")),
    option("--observers", "panels", fragments=("'observers'", "Did you mean 'panel'?")),
    option("--steps", "0", fragments=("'steps'",)),
    option("--seconds", "-1", fragments=("'seconds'",)),
    option("--tolerance", "nan", fragments=("'tolerance'", "nan")),
    option("--min-distance", "-1", fragments=("'min_distance'",)),
    option("--feature-kind", "colour", fragments=("'feature_kind'", "continuous", "colour")),
    option("--feature-kinds", "binary", fragments=("No such option", "audit --help")),
    option("--epochs", "many", fragments=("--epochs", "audit --help")),
    Case(
        "binary digits",
        ("audit", "--dataset", "digits", "--model", "gcn", "--feature-kind", "binary"),
        ("'feature_kind'", "'bounded' or wider"),
    ),
    Case("layer twice", ("generate", *GCN, "--layer", "act.0", "--layer", "act.0"), ("different", "act.0")),
    Case("no layer", ("generate", *GCN), ("--layer", "generate --help")),
    Case("no data set", ("audit", "--model", "gcn"), ("--dataset", "audit --help")),
    Case("no seeds", ("selftest", "--seeds", "0"), ("'seeds'", "at least 1")),
    Case("negative seed", ("selftest", "--seed", "-1"), ("'seed'", "-1")),
    Case("unknown verb", ("adit",), ("adit",)),
    Case("unknown data set", ("audit", "--dataset", "digitz", "--model", "gcn"), ("Did you mean 'digits'?",)),
    Case("unknown model", ("audit", *KARATE, "--model", "gcnn"), ("Did you mean 'gcn'?",)),
]

MODEL_FILES = [
    Case("no checkpoint", ("layers", *KARATE, "--model", "no.safetensors"), ("no such file",)),
    Case(
        "corrupt checkpoint",
        ("audit", *KARATE, "--model", "bad.safetensors"),
        ("bad.safetensors", "damaged"),
        lambda: Path("bad.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00nonsense"),
    ),
    Case(
        "pickled model",
        ("audit", *KARATE, "--model", "plain.pt"),
        ("plain.pt", ".safetensors"),
        own.write_plain_pickle,
    ),
    Case(
        "another data set's model",
        ("audit", "--dataset", "graph.npz", "--model", "gcn.safetensors"),
        ("[6, 3]", "[34, 4]"),
        lambda: (write_checkpoint(), own.write_graph()),
    ),
    Case(
        "a saved model's width",
        ("layers", *KARATE, "--model", "gcn.safetensors", "--hidden-channels", "8"),
        ("'hidden_channels'", "its file decides"),
        write_checkpoint,
    ),
    Case(
        "a saved model's training",
        ("audit", *KARATE, "--model", "gcn.safetensors", "--epochs", "8"),
        ("'epochs'", "not trained"),
        write_checkpoint,
    ),
    Case(
        "a saved model's weights",
        ("audit", *KARATE, "--model", "gcn.safetensors", "--weights", "gcn.safetensors"),
        ("'weights'",),
        write_checkpoint,
    ),
    Case(
        "weights of another width",
        ("audit", *KARATE, "--model", "gcn", "--weights", "gcn.safetensors"),
        ("must have shape", "another width"),
        write_checkpoint,
    ),
    Case(
        "weights of another model",
        ("audit", *KARATE, "--model", "mine.py:without", "--weights", "w.safetensors"),
        ("w.safetensors", "got none for"),
        lambda: (own.write_own_model(), save_file({"other": torch.ones(2)}, "w.safetensors")),
    ),
    Case(
        "train what is trained", (*TRAIN, "--weights", "gcn.safetensors"), ("must", "shape"), write_checkpoint
    ),
    Case("no model file", ("layers", *KARATE, "--model", "no.py:make"), ("cannot read no.py",)),
    own_model("no factory named", "", "path/to/file.py:factory"),
    own_model("missing factory", "build", "no 'build'", "with_data"),
    own_model("factory is a number", "number", "must be a function", "int"),
    own_model("factory wants more", "needs_two", "one, two"),
    own_model("factory fails", "fails", "RuntimeError: first line second line", "(line 50)"),
    Case(
        "forward wants more",
        ("layers", *KARATE, "--model", "mine.py:AsksForMore"),
        ("AsksForMore", "'positions'"),
        own.write_own_model,
    ),
    Case(
        "own model of another width",
        ("audit", "--dataset", "graph.npz", "--model", "mine.py:without"),
        ("cannot be run on graph", "takes 34 features, and was given", "(line 12)"),
        lambda: (own.write_own_model(), own.write_graph()),
    ),
    own_model("factory gives a number", "no_module", "torch.nn.Module", "int"),
    own_model("not Python", "make", "invalid syntax", text="def make(:\n"),
    own_model("file fails", "make", "ModuleNotFoundError", text="import no_such_package\n"),
    own_model("file exits", "make", "SystemExit", text="import sys\nsys.exit(0)\n"),
]

BELOW_A_FILE = "file/out"
PLACES = [
    Case("audit below a file", ("audit", *GCN, "-o", BELOW_A_FILE), ("file is a file",)),
    Case("generate below a file", ("generate", *GCN, "--layer", "act.0", "-o", BELOW_A_FILE), ("is a file",)),
    Case("train below a file", (*TRAIN[:-1], f"{BELOW_A_FILE}.safetensors"), ("file is a file",)),
    Case("demo below a file", ("demo", "-o", BELOW_A_FILE), ("file is a file",)),
    Case("report below a file", ("report", "audit", "-o", BELOW_A_FILE), ("file is a file",)),
    Case("cache below a file", ("audit", *GCN, "--cache", BELOW_A_FILE), ("file is a file",)),
    Case("audit over a file", ("audit", *GCN, "-o", "file"), ("a file has that name",)),
    Case("audit over a thesis", ("audit", *GCN, "-o", "taken"), ("not empty", "'audit.json'")),
    Case("demo over a thesis", ("demo", "-o", "taken"), ("not empty", "'demo.json'")),
    Case("generate over a thesis", ("generate", *GCN, "--layer", "act.0", "-o", "taken"), ("not empty",)),
    Case("train over a folder", (*TRAIN[:-1], "folder.safetensors"), ("a folder has that name",)),
    Case("train to another ending", (*TRAIN[:-1], "model.pt"), (".safetensors", "model.pt")),
    Case("report of nothing", ("report", "-o", "r.html"), ("AUDIT_DIR", "report --help")),
    Case("report of no folder", ("report", "nowhere", "-o", "r.html"), ("audit.json", "No such file")),
    Case("report of a thesis", ("report", "taken", "-o", "r.html"), ("audit.json", "No such file")),
    Case(
        "report of a damaged audit",
        ("report", "audit", "-o", "r.html"),
        ("audit.json is not a JSON file",),
        own.write_audit,
    ),
]


def prepare_places() -> None:
    Path("file").touch()
    Path("folder.safetensors").mkdir()
    write_foreign_folder()


@pytest.mark.parametrize("case", OWN_GRAPHS + OPTIONS + MODEL_FILES + PLACES, ids=lambda case: case.name)
def test_one_line_says_how_to_mend_it(case, call, snapshot):
    prepare_places()
    case.prepare()
    before = snapshot()
    outcome = call(*case.words)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("graph-metamers: error: ")
    assert outcome.err.count("\n") == 1
    assert outcome.err.endswith("\n")
    assert "Traceback" not in outcome.err
    for fragment in case.fragments:
        assert fragment in outcome.err
    assert snapshot() == before


def test_names_are_different():
    names = [case.name for case in OWN_GRAPHS + OPTIONS + MODEL_FILES + PLACES]
    assert len(names) == len(set(names)) >= 70


def test_without_a_network_the_files_are_named(call, folder, monkeypatch):
    # Outside the tests the network fails with an OSError; the guard of the tests raises another.
    def no_network(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("graph_metamers.datasets.raw_files.download_url", no_network)
    outcome = call("audit", "--dataset", "cora", "--model", "gcn", "--data-root", "data", "-o", "out")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "ind.cora.allx" in outcome.err
    assert "--data-root" in outcome.err
    assert not [path for path in folder.rglob("*") if path.is_file()]
    assert not Path("out").exists()


def test_a_message_with_control_characters_stays_one_harmless_line(call):
    outcome = call("audit", "--dataset", "a\x1b[31m\nb", "--model", "gcn")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "\x1b" not in outcome.err


@pytest.mark.parametrize("write", [own.write_plain_pickle, own.write_object_array])
def test_the_traps_would_have_worked(write, folder):
    path = write()
    if path.suffix == ".pt":
        pickle.loads(path.read_bytes())  # noqa: S301 (what is never done elsewhere)
    else:
        np.load(path, allow_pickle=True)["y"]
    assert Path("executed").exists()
