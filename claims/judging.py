"""Print a claim with its figure and PASS or FAIL, and keep count."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ARTEFACTS = ROOT / "artefacts"
COMMAND = [sys.executable, "-m", "graph_metamers"]


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
