"""Measure every public claim, one topic after the other; exits with 1 if any fails.

What is claimed of speed and memory is judged from what `make bench` has saved, and fails without it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOPICS = (
    "digits", "cora", "evidence", "baselines", "words", "structure", "both", "exact", "fronts",
    "certificate", "distances", "zoo", "observers", "oracle", "serving", "theory_dimension",
    "theory_activations", "commands", "studies", "results", "bench", "bench_edges",
)  # fmt: skip


def main() -> None:
    folder = Path(__file__).parent
    failed = [
        topic
        for topic in TOPICS
        if subprocess.run(
            [sys.executable, "-W", "ignore", str(folder / f"{topic}.py")], check=False
        ).returncode
    ]
    print(
        f"{len(TOPICS) - len(failed)} of {len(TOPICS)} topics hold" + (f"; not: {failed}" if failed else "")
    )
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
