"""The README's two commands on a fresh clone: exit codes, times, and a second time without a network."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from judging import ROOT, Judge

OFFLINE = ["unshare", "--map-root-user", "--net"]  # a network namespace of its own has no network


def main() -> None:
    judge = Judge("commands: fresh clone, fresh virtual environment, then again without a network")
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        environment = {k: v for k, v in os.environ.items() if k not in ("GRAPH_METAMERS_DATA", "VIRTUAL_ENV")}
        environment["XDG_CACHE_HOME"] = f"{folder}/cache"
        for prefix, how in (([], "fresh clone"), (OFFLINE, "second time, no network")):
            demo, _ = _make(judge, [*prefix, "make", "demo"], clone, environment, how)
            seconds = re.findall(r"comput\w* (?:took|time:?)?\s*([\d.]+) s", demo)
            judge.claim(
                f"make demo, {how}: computing {seconds} s <= 120", bool(seconds) and float(seconds[-1]) <= 120
            )
            report = Path(demo.strip().splitlines()[-1].strip())
            path = report if report.is_absolute() else clone / report
            judge.claim(f"make demo, {how}: the last line is the report's path: {report}", path.is_file())
            _, took = _make(judge, [*prefix, "make", "test"], clone, environment, how)
            judge.claim(f"make test, {how}: {took:.0f} s < 300", took < 300)
        started = time.monotonic()
        subprocess.run([clone / ".venv/bin/graph-metamers", "--help"], capture_output=True, check=True)
        took = time.monotonic() - started
        judge.claim(f"graph-metamers --help: {took:.2f} s <= 1", took <= 1)
    judge.finish()


def _make(
    judge: Judge, command: list[str], clone: Path, environment: dict[str, str], how: str
) -> tuple[str, float]:
    started = time.monotonic()
    ran = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    took = time.monotonic() - started
    tail = ran.stdout.strip().splitlines()[-1:]
    judge.claim(
        f"{' '.join(command[-2:])}, {how}: exit {ran.returncode}, {took:.0f} s in all; {tail}",
        ran.returncode == 0,
    )
    if ran.returncode:
        print(ran.stdout[-3000:], ran.stderr[-3000:])
    return ran.stdout, took


if __name__ == "__main__":
    main()
