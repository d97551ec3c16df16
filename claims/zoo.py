"""The zoo: six architectures against their published accuracy on Cora's public split."""

from __future__ import annotations

import os
import statistics
import sys
import time
import warnings

from judging import Judge

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch

    import graph_metamers as gm

SEEDS = range(5)
TOLERANCE = 0.015


def main() -> None:
    judge = Judge(f"zoo: six architectures, Cora's public split, seeds {SEEDS[0]} to {SEEDS[-1]}")
    if "GRAPH_METAMERS_DATA" not in os.environ:
        judge.note("needs the files of Cora: set GRAPH_METAMERS_DATA to the folder that holds planetoid/")
        sys.exit(1)
    dataset = gm.load_dataset("cora")
    sizes = [len(part) for part in (dataset.split.train, dataset.split.validation, dataset.split.test)]
    judge.claim(f"the public split: {sizes} nodes to train, validate and test on", sizes == [140, 500, 1000])
    recipes = [gm.training_recipe(info.name, "cora") for info in gm.list_models()]
    judge.claim(f"a recipe for each of the {len(recipes)} architectures", len(recipes) == 6)
    for recipe in recipes:
        _measure(judge, recipe, dataset)
    judge.finish()


def _measure(judge: Judge, recipe: gm.Recipe, dataset: gm.Dataset) -> None:
    started = time.perf_counter()
    fits = [recipe.fit(dataset, seed=seed) for seed in SEEDS]
    found = [fit.scores.test.accuracy for fit in fits]
    mean = statistics.mean(found)
    validation = statistics.mean(fit.scores.validation.accuracy for fit in fits)
    judge.claim(
        f"{recipe.architecture}: mean test accuracy {mean:.1%}, published {recipe.published:.1%}, "
        f"difference {100 * (mean - recipe.published):+.1f} points; within {100 * TOLERANCE:.1f}",
        abs(mean - recipe.published) <= TOLERANCE,
    )
    each = ", ".join(f"{accuracy:.1%}" for accuracy in found)
    judge.note(f"each seed {each}; validation {validation:.1%}; {time.perf_counter() - started:.0f} s")
    judge.note(f"published by {recipe.source}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
