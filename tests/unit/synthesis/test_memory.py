"""A search that cannot fit is refused with figures; what a solver says it needs is about what it takes."""

from __future__ import annotations

import pytest
import torch

import graph_metamers as gm
from graph_metamers.synthesis import memory
from graph_metamers.synthesis.memory import free_bytes, require_memory


@pytest.mark.parametrize(
    "solver", [gm.LBFGS(), gm.Adam(), gm.WordSwaps(), gm.NullSpace(), gm.StraightThrough()]
)
def test_a_search_that_does_not_fit_is_refused_with_both_figures(solver):
    huge = torch.empty(1).expand(10**13)
    with pytest.raises(
        gm.ParameterError, match=rf"GiB of memory that are free, got '{solver.name}, which needs"
    ):
        require_memory(solver, huge)
    require_memory(solver, torch.empty(10))


def test_nothing_is_refused_where_the_system_does_not_say_what_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "missing")
    assert free_bytes() is None
    require_memory(gm.LBFGS(), torch.empty(1).expand(10**13))


def test_lbfgs_needs_what_its_pairs_and_copies_take():
    point = torch.empty(1000)
    assert gm.LBFGS(5).memory(point) == (10 + 8) * 4000
    assert gm.LBFGS(10).memory(point) > gm.LBFGS(5).memory(point)
