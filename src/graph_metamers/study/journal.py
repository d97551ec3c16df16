"""What a driver did, one line at a time, in a file of its own: for counting, and for people."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path  # noqa: TC003 (it is made here)
from typing import Any


class Journal:
    """A file to which one driver adds lines; a line that a kill cuts short is not read.

    Parameters
    ----------
    folder
        Of all journals of a store.
    owner
        The driver.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{owner}.jsonl"

    def add(self, event: str, run_id: str, **details: Any) -> None:
        """Add a line: what happened to which run, and when."""
        line = {"time": time.time(), "event": event, "run_id": run_id, **details}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def read_journals(folder: Path) -> list[dict[str, Any]]:
    """Every whole line of every driver, in the order of time; `driver` names whose it is."""
    lines = []
    for path in sorted(folder.glob("*.jsonl")):
        for text in path.read_text(encoding="utf-8").split("\n")[:-1]:
            try:
                lines.append(json.loads(text) | {"driver": path.stem})
            except ValueError:  # two lines in one, after a kill in the middle of the first
                continue
    return sorted(lines, key=lambda line: line["time"])


def count_events(folder: Path, event: str) -> Counter[str]:
    """How often something happened to each run."""
    return Counter(line["run_id"] for line in read_journals(folder) if line["event"] == event)
