"""Data sets: the built-in ones by name, a user's own graph by file, each with its split and its origin."""

from __future__ import annotations

from graph_metamers.datasets.block_model import ContextualBlockModel
from graph_metamers.datasets.catalog import DatasetInfo, list_datasets, load_dataset
from graph_metamers.datasets.data_root import resolve_data_root
from graph_metamers.datasets.dataset import Dataset
from graph_metamers.datasets.splits import Split, seeded_split, split_that_fits

__all__ = [
    "ContextualBlockModel",
    "Dataset",
    "DatasetInfo",
    "Split",
    "list_datasets",
    "load_dataset",
    "resolve_data_root",
    "seeded_split",
    "split_that_fits",
]
