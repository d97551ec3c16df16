"""Print a claim with its figure and PASS or FAIL, and keep count."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ARTEFACTS = ROOT / "artefacts"
COMMAND = [sys.executable, "-m", "graph_metamers"]
RECOMPUTE = """
import sys, importlib, json, pathlib
sys.path.insert(0, sys.argv[1])
judge = getattr(importlib.import_module(sys.argv[2]), sys.argv[3])
print(json.dumps(judge(*map(pathlib.Path, sys.argv[4:]))))
assert "graph_metamers" not in sys.modules
"""


class Judge:
    """Collects claims about one topic; its exit code is 1 if any failed."""

    def __init__(self, topic: str) -> None:
        self._failed = 0
        print(f"== {topic}", flush=True)

    def claim(self, text: str, holds: bool) -> None:
        """Print one claim, with its figure in the text."""
        self._failed += not holds
        print(f"{'PASS' if holds else 'FAIL'}  {text}", flush=True)

    def note(self, text: str) -> None:
        """Print a figure that is reported but has no bound."""
        print(f"      {text}", flush=True)

    def finish(self) -> None:
        """Leave with the verdict as exit code."""
        sys.exit(1 if self._failed else 0)


def run(*arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    environment = {**os.environ, **options}
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, cwd=ROOT, env=environment, check=False
    )


def recomputed(module: str, function: str, *folders: Path) -> Any:
    """What a function of a module of these claims says of saved files, without graph-metamers."""
    command = [sys.executable, "-W", "ignore", "-c", RECOMPUTE, str(ROOT / "claims"), module, function]
    fresh = subprocess.run([*command, *map(str, folders)], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(fresh.stdout)
