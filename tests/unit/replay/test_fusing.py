"""What is joined on a tape: that it happens, that it computes the same, and when it must not happen."""

from __future__ import annotations

import pytest
import torch

from graph_metamers.replay import record

NODES, WIDE, NARROW = 7, 6, 3
SOURCES, TARGETS = torch.randint(NODES, (2, 20), generator=torch.Generator().manual_seed(0))
DEGREES = torch.bincount(TARGETS, minlength=NODES).clamp(min=1).double()[:, None]
SHORTER = torch.randn(WIDE, NARROW, dtype=torch.float64)


def summed(x):
    return x.new_zeros(x.shape).index_add(0, TARGETS, x.index_select(0, SOURCES))


def read_twice(x):
    sent = summed(x)
    return sent / DEGREES * sent


def matrix_of(tape):
    return [step for step in tape.steps if getattr(step.function, "__name__", "") == "mm"]


def recorded(function, columns=WIDE):
    x = torch.randn(NODES, columns, dtype=torch.float64)
    tape = record(lambda argument: [function(argument)], x)
    other = torch.randn_like(x)
    torch.testing.assert_close(tape(other)[0], function(other), rtol=1e-12, atol=1e-12)
    return tape


@pytest.mark.parametrize(
    ("function", "operations"),
    [
        (lambda x: summed(x) / DEGREES, 1),
        (lambda x: summed(x) / DEGREES.expand(NODES, WIDE), 1),
        (lambda x: summed(x / DEGREES), 1),
        (lambda x: DEGREES * summed(2.0 * x), 2),  # a number of Python is no tensor
        (lambda x: summed(x) + x, 1),
        (lambda x: x * torch.tensor([1.5]).double() + summed(x) / DEGREES, 1),
        (lambda x: summed(x) @ SHORTER + x @ SHORTER, 3),
    ],
)
def test_neighbours_become_one_operation(function, operations):
    assert len(recorded(function).steps) == operations


def test_sparse_products_are_taken_where_rows_are_narrow():
    for function, columns in (
        (lambda x: summed(x) @ SHORTER, WIDE),
        (lambda x: summed(x @ SHORTER.T), NARROW),
    ):
        tape = recorded(function, columns)
        (product,) = matrix_of(tape)
        assert tape.kinds[product.outputs[0]].shape == (NODES, NARROW)
    bias = torch.randn(NARROW, dtype=torch.float64)
    tape = recorded(lambda x: torch.addmm(bias, summed(x), SHORTER))
    assert tape.kinds[matrix_of(tape)[0].outputs[0]].shape == (NODES, NARROW)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: summed(x) * torch.arange(1.0, WIDE + 1).double(),  # columns, not rows
        lambda x: summed(x) * x,
        lambda x: torch.add(summed(x), x, alpha=2),
        lambda x: summed(x).mul_(2.0) + x,
        read_twice,
    ],
)
def test_what_looks_alike_is_left_as_it_is(function):
    tape = recorded(function)
    assert len(tape.steps) > 1


def test_what_is_returned_stays_though_it_could_be_joined():
    x = torch.randn(NODES, WIDE, dtype=torch.float64)

    def both(argument):
        sent = summed(argument)
        return [sent, sent / DEGREES]

    tape = record(both, x)
    for ours, theirs in zip(tape(x + 1), both(x + 1), strict=True):
        torch.testing.assert_close(ours, theirs)
