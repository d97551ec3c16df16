"""That the hint reaches the machine code, and changes nothing."""

from __future__ import annotations

import platform

import numpy as np
import pytest
from numba import njit

from graph_metamers.graphs.prefetching import prefetch


@njit
def read_after_asking(array, places):
    total = 0.0
    for place in places:
        prefetch(array, place)
    for place in places:
        total += array[place]
    return total


@pytest.mark.parametrize("kind", [np.float32, np.int64])
def test_what_was_asked_for_is_read_and_stays(kind):
    array = np.arange(1000).astype(kind)
    before, places = array.copy(), np.random.default_rng(0).integers(1000, size=50)
    assert read_after_asking(array, places) == before[places].sum()
    assert np.array_equal(array, before)


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="names an instruction of x86")
def test_it_is_an_instruction_of_the_processor():
    read_after_asking(np.zeros(3), np.arange(3))
    assert any("prefetcht0" in code for code in read_after_asking.inspect_asm().values())
