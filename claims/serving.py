"""Which models and graphs are served, bad inputs, and the report in a browser: the tests that decide it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from judging import ROOT, Judge

SUITES = (
    ("one generate and one activations serve every model of the contract", ["tests/contract"]),
    ("relabelling, the reference itself, save and load, seeds", ["tests/property", "tests/unit/synthesis"]),
    ("bad inputs: one line, exit 2, nothing half-written", ["tests/cli"]),
    ("the report in headless Chromium", ["tests/report"]),
)


def main() -> None:
    judge = Judge("serving: contract, properties, bad inputs, report")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for text, folders in SUITES:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--numprocesses", "2", *folders],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        tail = ran.stdout.strip().splitlines()[-1] if ran.stdout.strip() else ran.stderr[-200:]
        passed = re.search(r"(\d+) passed", tail)
        judge.claim(f"{text}: {tail}", ran.returncode == 0 and passed is not None)
    offenders = _graph_types_outside()
    judge.claim(
        f"no branch on the type of graph object outside inputs/ and reading/: {offenders}", not offenders
    )
    judge.finish()


def _graph_types_outside() -> list[str]:
    """Modules between a graph and a metamer that ask for the type of a graph object."""
    asks = re.compile(r"isinstance\([^)]*\b(Data|HeteroData|Batch)\b")
    source = ROOT / "src" / "graph_metamers"
    allowed = ("inputs", "reading", "storage", "datasets")  # what reads and writes files has to know types
    return [
        str(path.relative_to(source))
        for path in sorted(source.rglob("*.py"))
        if path.relative_to(source).parts[0] not in allowed and asks.search(path.read_text())
    ]


if __name__ == "__main__":
    main()
