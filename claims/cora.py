"""Cora: the audit of a GCN with continuous and with binary features, checked in a fresh process."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys

from judging import ARTEFACTS, Judge, run

RECOMPUTE = """
import json, sys, pathlib
sys.path.insert(0, sys.argv[1])
from plain_pyg import recompute
print(json.dumps(recompute(pathlib.Path(sys.argv[2]))))
assert "graph_metamers" not in sys.modules
"""


def main() -> None:
    judge = Judge("cora: GCN, public split")
    root = os.environ.get("GRAPH_METAMERS_DATA")
    if root is None:
        judge.note("needs the files of Cora: set GRAPH_METAMERS_DATA to the folder that holds planetoid/")
        sys.exit(1)
    for kind in ("continuous", "binary"):
        folder = ARTEFACTS / "cora" / kind
        shutil.rmtree(folder, ignore_errors=True)
        kinds = ["--feature-kind", kind] if kind == "continuous" else []  # binary is Cora's own kind
        arguments = ["audit", "--dataset", "cora", "--model", "gcn", "--data-root", root, "--json"]
        ran = run(*arguments, *kinds, "--num-starts", "1", "--output", str(folder))
        if ran.returncode:
            judge.claim(f"{kind}: audit runs, got exit {ran.returncode}: {ran.stderr}", False)
            continue
        told = json.loads(ran.stdout)
        accuracy = told["rows"][0]["test_accuracy"]
        judge.claim(f"{kind}: test accuracy {accuracy:.3f} >= 0.79", accuracy >= 0.79)
        fresh = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", RECOMPUTE, str(ARTEFACTS.parent / "claims"), str(folder)],
            capture_output=True,
            text=True,
            check=True,
        )
        for row, stored in zip(told["rows"], json.loads(fresh.stdout), strict=True):
            name = f"{kind} {row['layer']}"
            same = math.isclose(row["activation_loss"], stored["loss"], rel_tol=1e-5, abs_tol=1e-9)
            judge.claim(
                f"{name}: reported loss {row['activation_loss']:.9e} = plain PyG's {stored['loss']:.9e}", same
            )
            figures = (
                f"loss {stored['loss']:.2e}, item loss median {stored['median']:.1e}, 95% "
                f"{stored['high']:.1e}, same prediction {stored['agreement']:.1%} "
                f"(chance {row['prediction_agreement_chance']:.1%})"
            )
            if kind == "continuous":
                judge.claim(f"{name}: {figures}; loss <= 1e-3", stored["loss"] <= 1e-3)
            else:
                told_all = {"activation_loss", "word_overlap", "prediction_agreement"} <= row.keys()
                judge.claim(f"{name}: {figures}; word overlap {stored['overlap']:.3f} reported", told_all)
                kept = stored["is_binary"] and stored["ones"][0] == stored["ones"][1]
                judge.claim(f"{name}: 0 and 1 only, {stored['ones'][0]} ones as in the reference", kept)
    judge.finish()


if __name__ == "__main__":
    main()
