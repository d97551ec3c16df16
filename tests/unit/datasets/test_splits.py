from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graph_metamers.datasets import Split, seeded_split, split_that_fits
from graph_metamers.errors import DatasetError, ParameterError


def split_of(y: torch.Tensor, seed: int = 0, **changes: int) -> Split:
    arguments = {"train_per_class": 3, "num_validation": 4} | changes
    generator = torch.Generator().manual_seed(seed)
    return seeded_split(y, generator=generator, description="test", **arguments)


Y = torch.arange(40) % 4


def test_every_class_trains_alike_and_nothing_is_lost():
    split = split_of(Y)
    assert torch.bincount(Y[split.train]).tolist() == [3, 3, 3, 3]
    assert len(split.validation) == 4
    everything = torch.cat([split.train, split.validation, split.test])
    assert everything.sort().values.tolist() == list(range(40))


def test_one_seed_gives_one_split_and_leaves_the_global_state():
    before = torch.get_rng_state()
    first, second, other = split_of(Y, 1), split_of(Y, 1), split_of(Y, 2)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.train, second.train)
    assert torch.equal(first.test, second.test)
    assert not torch.equal(first.train, other.train)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_per_class": 11}, "'train_per_class' parameter must be in 1..10"),
        ({"train_per_class": 0}, "'train_per_class'"),
        ({"num_validation": 0}, "'num_validation'"),
        ({"num_validation": 28}, r"'num_validation' parameter must be in 1\.\.27"),
    ],
)
def test_impossible_sizes_are_refused(changes, message):
    with pytest.raises(ParameterError, match=message):
        split_of(Y, **changes)


@given(st.lists(st.integers(0, 5), min_size=14, max_size=80), st.integers(0, 3))
def test_a_split_that_fits_is_a_partition(labels, seed):
    y = torch.tensor(labels)
    split = split_that_fits(y, seed=seed)
    everything = torch.cat([split.train, split.validation, split.test])
    assert everything.sort().values.tolist() == list(range(len(y)))
    assert set(y[split.train].tolist()) == set(labels)
    assert min(len(split.train), len(split.validation), len(split.test)) >= 1


def test_large_classes_give_twenty_and_the_description_says_so():
    split = split_that_fits(torch.arange(2000) % 4, seed=7)
    assert len(split.train) == 80
    assert split.description == "seeded: 20 per class, 500 validation, rest test, seed 7"


def test_a_small_class_gives_what_it_can():
    y = torch.cat([torch.zeros(100, dtype=torch.int64), torch.ones(6, dtype=torch.int64)])
    split = split_that_fits(y, seed=0)
    assert torch.bincount(y[split.train]).tolist() == [20, 3]
    assert "up to 20 per class" in split.description


def test_too_few_items_are_refused():
    with pytest.raises(DatasetError, match="3 items of 2 classes are too few"):
        split_that_fits(torch.tensor([0, 1, 1]), seed=0)


def test_a_split_is_disjoint_and_int64():
    a, b = torch.tensor([0, 1]), torch.tensor([1, 2])
    with pytest.raises(ParameterError, match="'validation' parameter must be disjoint from 'train'"):
        Split(a, b, torch.tensor([3]), "x")
    with pytest.raises(ParameterError, match="int64"):
        Split(a.float(), b, b, "x")
