"""Digits: accuracy, activation loss and item loss of three models over three seeds, from saved audits."""

from __future__ import annotations

import json
import shutil

import torch
from judging import ARTEFACTS, Judge, run
from plain_pyg import recompute, test_accuracy
from safetensors.torch import load_file
from torch_geometric.nn.models import LabelPropagation

import graph_metamers as gm

ACCURACY = {"gcn": 0.95, "sage": 0.95, "gin": 0.90}


def main() -> None:
    judge = Judge("digits: three models, seeds 0, 1, 2, figures recomputed by plain PyTorch Geometric")
    for seed in range(3):
        split = gm.load_dataset("digits", seed=seed).split
        for model, least in ACCURACY.items():
            folder = ARTEFACTS / "digits" / f"{model}-{seed}"
            shutil.rmtree(folder, ignore_errors=True)
            ran = run(
                "audit", "--dataset", "digits", "--model", model, "--seed", str(seed), "--output", str(folder)
            )
            if ran.returncode:
                judge.claim(
                    f"{model} seed {seed}: audit runs, got exit {ran.returncode}: {ran.stderr}", False
                )
                continue
            accuracy = test_accuracy(folder, split.test)
            judge.claim(f"{model} seed {seed}: test accuracy {accuracy:.4f} >= {least}", accuracy >= least)
            for row in recompute(folder):
                name = f"{model} seed {seed} {row['layer']}"
                judge.claim(
                    f"{name}: activation loss {row['loss']:.2e} <= 1e-3 "
                    f"(item loss: median {row['median']:.1e}, 95% {row['high']:.1e})",
                    row["loss"] <= 1e-3,
                )
                within = f"{name}: item loss <= 1e-2 for {row['within']:.1%} of the nodes"
                if model == "gin":
                    judge.note(f"{within}, same prediction {row['agreement']:.1%}")
                else:
                    judge.claim(
                        f"{within} (>= 95%), same prediction {row['agreement']:.1%}", row["within"] >= 0.95
                    )
        control = _label_propagation(ARTEFACTS / "digits" / f"gcn-{seed}", split)
        stored = json.loads((ARTEFACTS / "digits" / f"gcn-{seed}" / "audit.json").read_text())["controls"]
        reported = stored["label propagation"]["accuracy"]
        judge.claim(
            f"label propagation without features, seed {seed}: {control:.4f}, as reported ({reported:.4f})",
            abs(control - reported) < 1e-9,
        )
    judge.finish()


def _label_propagation(folder, split) -> float:
    reference = load_file(folder / "reference.safetensors")
    spread = LabelPropagation(num_layers=50, alpha=0.9)
    predicted = spread(reference["y"], reference["edge_index"], mask=split.train).argmax(dim=1)
    return float((predicted == reference["y"])[split.test].double().mean())


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
