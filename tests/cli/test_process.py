"""What only shows in a process of its own: speed of help, signals, the streams."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import graph_metamers as gm
from graph_metamers.cli.progress import show_audit, show_search, show_selftest, show_training

# A shell that starts the tests in the background makes its children deaf to Ctrl-C.
PROGRAM = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from graph_metamers.cli.main import run; sys.exit(run())"
)

SLOW_MODEL = """
import pathlib
import time
import torch
from torch_geometric.nn import GCN

calls = 0


class Slow(GCN):
    def forward(self, x, edge_index):
        global calls
        calls += 1
        if calls > 40:
            pathlib.Path("searching").touch()
            time.sleep(0.02)
        return super().forward(x, edge_index)


def make(dataset):
    return Slow(dataset.num_features, 8, num_layers=2, out_channels=dataset.num_classes)
"""


def start(*words: str, program: str = PROGRAM) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.mark.parametrize("words", [["--help"], ["audit", "--help"], ["--version"], []])
def test_help_imports_nothing_heavy(words, folder):
    heavy = {"torch", "torch_geometric", "numpy", "scipy", "sklearn", "plotly", "numba"}
    program = (
        "import sys; from graph_metamers.cli.main import run; code = run(); "
        f"print('heavy:', sorted({heavy!r} & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    process = start(*words, program=program)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 0
    assert err == "heavy: []\n"


def test_python_dash_m(folder):
    found = subprocess.run(
        [sys.executable, "-m", "graph_metamers", "nothing"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr == "graph-metamers: error: No such command 'nothing'. See 'graph-metamers --help'\n"


def test_ctrl_c_during_a_long_audit(folder):
    Path("slow.py").write_text(SLOW_MODEL)
    process = start(
        "audit", "--dataset", "karate", "--model", "slow.py:make", "--epochs", "2", "--steps", "1000000",
        "--tolerance", "0", "--observers", "none", "--output", "deep/out", "--json",
    )  # fmt: skip
    deadline = time.monotonic() + 180
    while not Path("searching").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines() == [
        "graph-metamers: ran the code in slow.py",
        "graph-metamers: interrupted; nothing half-written is left behind",
    ]
    assert sorted(path.name for path in folder.rglob("*")) == ["searching", "slow.py"]


def test_a_reader_that_goes_away_is_no_defect(folder):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        process = subprocess.run(
            [sys.executable, "-c", PROGRAM, "--help"],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert process.returncode == 1
    assert process.stderr == ""


def test_progress_is_for_terminals_only(capsys):
    with show_training("gcn", 3, quiet=False) as callbacks:
        assert callbacks == []
    with show_search("gcn", quiet=False) as (callbacks, on_search):
        assert callbacks == []
        on_search("act.0", 1, 2)
    with show_audit("gcn", quiet=False) as shown:
        assert shown == ([], None, None)
    with show_selftest(quiet=False) as on_case:
        assert on_case is None


def test_progress_at_a_terminal(monkeypatch, karate, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes any stream for a terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    model = gm.build_model("gcn", karate)
    with show_training("my gcn", 3, quiet=False) as callbacks:
        gm.fit(model, karate, epochs=3, callbacks=callbacks)
    with show_search("my gcn", quiet=False) as (callbacks, on_search):
        gm.audit(
            model,
            karate,
            layers=["act.0"],
            budget=gm.Budget(steps=3),
            callbacks=callbacks,
            on_search=on_search,
        )
    with show_audit("watched gcn", quiet=False) as (callbacks, on_search, on_observer):
        gm.audit(
            model,
            karate,
            layers=["act.0"],
            num_starts=1,
            budget=gm.Budget(steps=3),
            observers="panel",
            callbacks=callbacks,
            on_search=on_search,
            on_observer=on_observer,
        )
    with show_selftest(quiet=False) as on_case:
        on_case("identity", 7, 10, 10)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "training my gcn" in captured.err
    assert "act.0 (search 1 of 5)" in captured.err
    assert "observer" in captured.err
    assert "watched gcn, act.0 (search 1 of 1)" in captured.err
    assert "identity, seed 7" in captured.err
    assert "9/10" in captured.err
    for show in (
        show_training("my gcn", 3, quiet=True),
        show_search("my gcn", quiet=True),
        show_audit("my gcn", quiet=True),
        show_selftest(quiet=True),
    ):
        with show:
            pass
    assert capsys.readouterr().err == ""
