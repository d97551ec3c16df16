"""Tapes against the functions that they were recorded from, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.nn import ChebConv, GATConv, GCNConv, GINConv, SAGEConv, TAGConv

from graph_metamers.replay import NotReplayable, record

EDGES = torch.tensor([[0, 1, 1, 2, 3, 3, 0, 4], [1, 0, 2, 1, 2, 3, 4, 0]])
CONVS = {
    "gcn": lambda: GCNConv(6, 5),
    "sage mean": lambda: SAGEConv(6, 5),
    "sage max": lambda: SAGEConv(6, 5, aggr="max"),
    "gat": lambda: GATConv(6, 5, heads=2),
    "gin": lambda: GINConv(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 5))),
    "cheb": lambda: ChebConv(6, 5, K=3),
    "tag": lambda: TAGConv(6, 5, K=2),
}


def with_gradient(module):
    def function(point):
        leaf = point.detach().view(5, 6).requires_grad_()
        value = module(leaf, EDGES).relu().square().sum()
        (gradient,) = torch.autograd.grad(value, leaf)
        return value.detach(), gradient

    return function


def names(tape):
    return [getattr(step.function, "__name__", str(step.function)) for step in tape.steps]


@pytest.mark.parametrize("name", CONVS)
def test_a_tape_computes_value_and_gradient_of_a_convolution(name):
    torch.manual_seed(0)
    module = CONVS[name]().double().eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    function = with_gradient(module)
    first, *others = (torch.randn(30, dtype=torch.float64) for _ in range(3))
    tape = record(function, first)
    for point in (first, *others):
        for ours, theirs in zip(tape(point), function(point), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["gcn", "sage mean", "gin", "cheb", "tag"])
def test_fixed_coefficients_become_sparse_products_forwards_and_backwards(name):
    module = CONVS[name]().eval()
    tape = record(with_gradient(module), torch.randn(30))
    called = names(tape)
    assert called.count("mm") >= 2
    assert not any(
        word in text for text in called for word in ("scatter", "index_add", "gather", "index_select")
    )


def test_writing_into_new_and_own_tensors_is_repeated_as_it_was():
    def function(point):
        total = torch.zeros(4)
        total[1:] += point[:3]
        copy = point.clone()
        copy.mul_(2)
        return [total + copy, point + 1]

    with pytest.raises(NotReplayable, match="not new"):  # through a view: nobody knows who else sees it
        record(function, torch.randn(4))

    def plain(point):
        total = torch.zeros(4)
        total.add_(point)
        copy = point.clone()
        copy.mul_(2)
        return [total + copy, point + 1]

    tape, point = record(plain, torch.randn(4)), torch.randn(4)
    for _ in range(2):
        for ours, theirs in zip(tape(point), plain(point), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda x: [x + torch.randn(3)], "random"),
        (lambda x: [x if x.sum() > 0 else -x], "decides what happens"),
        (lambda x: [x[x > 0]], "shape depends"),
        (lambda x: [x.nonzero()], "shape depends"),
        (lambda x: [torch.ones(3)], "does not depend"),
    ],
)
def test_what_is_no_fixed_list_of_operations_is_refused(function, why):
    with pytest.raises(NotReplayable, match=why):
        record(function, torch.tensor([1.0, 2.0, 3.0]))


def test_a_constant_that_is_written_into_later_is_refused():
    constant = torch.ones(3)

    def function(point):
        first = point * constant
        constant.add_(1)
        return [first]

    with pytest.raises(NotReplayable, match="written into later"):
        record(function, torch.ones(3))


def test_what_no_result_needs_is_not_computed():
    tape = record(lambda x: [x.sin().cos() * 0 + x, x.exp()][1:], torch.ones(3))
    assert len(tape.steps) == 1


def test_messages_that_are_changed_in_place_are_not_taken_for_what_was_gathered():
    source, target = EDGES
    weights = torch.arange(1.0, 9.0).unsqueeze(1)

    def function(point):
        rows = point.view(5, 6)
        messages = rows.index_select(0, source)
        messages.mul_(weights)
        return [torch.zeros(5, 6).index_add(0, target, messages)]

    tape = record(function, torch.randn(30))
    for _ in range(3):
        point = torch.randn(30)
        torch.testing.assert_close(tape(point)[0], function(point)[0])


def test_an_operation_without_a_result_is_refused():
    def function(point):
        torch._foreach_add_([point.clone()], 1.0)
        return [point + 1]

    with pytest.raises(NotReplayable, match="has no result"):
        record(function, torch.ones(3))
