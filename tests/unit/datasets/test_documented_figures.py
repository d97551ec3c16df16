"""Every figure of the table in docs/data.md, against what is loaded."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from graph_metamers.datasets import list_datasets, load_dataset
from graph_metamers.graphs import infer_feature_kind

PAGE = Path(__file__).parents[3] / "docs" / "data.md"
COLUMNS = [
    "name", "source", "nodes", "edges", "features", "classes", "feature kind", "homophily",
    "split (train / validation / test)",
]  # fmt: skip
LARGE = {"amazon_computers", "coauthor_cs"}
SPLITS = {"seeded": "seeded: 20 per class", "one per class, rest seeded": "seed 0",
          "seeded, six tenths": "seeded: 60% of the smaller class", "public": "public split",
          "ten published": "published split 0 of 10"}  # fmt: skip


def table() -> dict[str, dict[str, str]]:
    lines = PAGE.read_text(encoding="utf-8").split("## Built-in data sets")[1].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    titles, _, *rows = rows[: 2 + len(list_datasets())]
    assert titles == COLUMNS
    return {row[0].strip("`"): dict(zip(titles, row, strict=True)) for row in rows}


def test_every_set_is_in_the_table():
    assert list(table()) == [info.name for info in list_datasets()]


@pytest.mark.parametrize(
    "info",
    [pytest.param(i, id=i.name, marks=[pytest.mark.slow] * (i.name in LARGE)) for i in list_datasets()],
)
def test_the_figures_are_those_of_the_data(info):
    if info.needs_files and not os.environ.get("GRAPH_METAMERS_DATA"):
        pytest.skip("set GRAPH_METAMERS_DATA to a folder with the raw files of all sets")
    row, dataset = table()[info.name], load_dataset(info.name)
    split = dataset.split
    sizes = " / ".join(str(len(part)) for part in (split.train, split.validation, split.test))
    said, figures = row[COLUMNS[-1]].split(": ")
    named_classes = (
        ", named"
        if info.name in {"cora_ml", "amazon_computers", "coauthor_cs", "minesweeper", "csbm"}
        else ""
    )
    named_features = ", named" if info.name in {"cora_ml", "coauthor_cs", "minesweeper"} else ""
    assert row["nodes"] == str(dataset.num_nodes)
    assert row["edges"] == str(dataset.num_edges)
    assert row["features"] == f"{dataset.num_features}{named_features}"
    assert row["classes"] == f"{dataset.num_classes}{named_classes}"
    assert row["feature kind"] == dataset.feature_kind == infer_feature_kind(dataset.graph.x)
    assert row["homophily"] == f"{dataset.homophily:.3f}"
    assert figures == sizes
    assert SPLITS[said] in split.description
    assert (info.num_splits == 10) == (said == "ten published")
    assert info.summary.startswith(str(dataset.num_nodes))
    assert set(map(int, re.findall(r"(\d+) (?:key )?words", info.summary))) <= {dataset.num_features}
    assert len(dataset.class_names) == int(dataset.graph.y.max()) + 1
    if named_features:
        assert len(dataset.feature_names) == dataset.num_features
    if not named_classes and info.needs_files and info.name not in {"cora", "citeseer"}:
        assert dataset.class_names[0].endswith("class 0")
