from __future__ import annotations

import pytest
import torch
from torch_geometric.nn import ChebConv, GINConv, SAGEConv

import graph_metamers as gm
from graph_metamers.training import sparse_sums as module
from graph_metamers.training.sparse_sums import sparse_sums


@pytest.fixture
def karate_is_wide(monkeypatch):
    monkeypatch.setattr(module, "FEWEST_ENTRIES", 0)


def calls(monkeypatch):
    """Whether each call of a convolution was given a sparse matrix."""
    seen = []
    for kind in (SAGEConv, GINConv):

        def watched(self, x, edge_index, size=None, whole=kind.forward):
            seen.append(edge_index.layout == torch.sparse_csr)
            return whole(self, x, edge_index, size)

        monkeypatch.setattr(kind, "forward", watched)
    return seen


@pytest.mark.parametrize("name", ["sage", "gin", "cheb", "sgc"])
@pytest.mark.parametrize(
    "options", [{}, {"perturbation": gm.Perturbation(kind="pgd", radius=1)}, {"drop_edge": 0.2}]
)
def test_training_is_the_same_up_to_rounding(name, options, karate, karate_is_wide, monkeypatch):
    model, made, whole = gm.build_model(name, karate, dropout=0.0), [], module._as_rows
    monkeypatch.setattr(module, "_as_rows", lambda matrix: made.append(1) or whole(matrix))
    sparse = gm.fit(model, karate, epochs=8, **options)
    assert made
    monkeypatch.setattr(module, "FEWEST_ENTRIES", 2**60)
    dense = gm.fit(model, karate, epochs=8, **options)
    for one, other in zip(sparse.history, dense.history, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-3)
    for one, other in zip(sparse.model.parameters(), dense.model.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-3)


def test_nothing_stays_on_the_model(karate, karate_is_wide, monkeypatch):
    seen = calls(monkeypatch)
    model = gm.build_model("sage", karate)
    fitted = gm.fit(model, karate, epochs=2).model
    assert seen
    assert all(seen)
    seen.clear()
    fitted(karate.graph.x, karate.graph.edge_index)
    assert seen == [False, False]
    with pytest.raises(KeyboardInterrupt), sparse_sums(model):
        raise KeyboardInterrupt
    assert not any(one._forward_pre_hooks for one in (*model.modules(), *fitted.modules()))


def test_edges_that_are_there_twice_count_twice(karate, karate_is_wide, monkeypatch):
    model = gm.build_model("sage", karate)
    x, edge_index = (
        karate.graph.x,
        torch.cat([karate.graph.edge_index, karate.graph.edge_index[:, :5]], dim=1),
    )
    expected = model.eval()(x, edge_index)
    seen = calls(monkeypatch)
    with sparse_sums(model):
        assert torch.equal(model(x, edge_index), expected)
        assert seen == [False, False]
        model(x, karate.graph.edge_index)
    assert seen == [False, False, True, True]


def test_edges_that_are_perturbed_need_their_messages(karate, karate_is_wide, monkeypatch):
    seen = calls(monkeypatch)
    change = gm.Perturbation(kind="pgd", on="edges", radius=0.1)
    gm.fit(gm.build_model("sage", karate), karate, epochs=2, perturbation=change)
    assert seen
    assert not any(seen)


def test_narrow_rows_are_left_alone(karate, monkeypatch):
    seen = calls(monkeypatch)
    gm.fit(gm.build_model("sage", karate), karate, epochs=2)
    assert seen
    assert not any(seen)


@pytest.mark.parametrize(
    "options", [{"flow": "target_to_source"}, {"aggr": "max"}, {"aggr": ["mean", "sum"]}]
)
def test_other_ways_to_aggregate_are_left_alone(options, karate, karate_is_wide):
    conv = SAGEConv(karate.num_features, 4, **options)
    expected = conv(karate.graph.x, karate.graph.edge_index)
    with sparse_sums(conv):
        assert torch.equal(conv(karate.graph.x, karate.graph.edge_index), expected)


def test_weights_that_are_learned_or_change_are_not_frozen(karate, karate_is_wide):
    conv, x, edge_index = ChebConv(karate.num_features, 4, K=3), karate.graph.x, karate.graph.edge_index
    weight = torch.rand(edge_index.shape[1])
    with sparse_sums(conv):
        found = [conv(x, edge_index, weight), conv(x, edge_index, 2 - weight)]
        learned = weight.clone().requires_grad_()
        conv(x, edge_index, learned).sum().backward()
    assert learned.grad.abs().sum() > 0
    assert "propagate" not in vars(conv)
    for one, given in zip(found, (weight, 2 - weight), strict=True):
        assert torch.allclose(one, conv(x, edge_index, given), atol=1e-6)
    with pytest.raises(KeyboardInterrupt), sparse_sums(conv):
        raise KeyboardInterrupt
    assert "propagate" not in vars(conv)


def test_a_models_own_message_passing_stays(karate, karate_is_wide):
    conv = ChebConv(karate.num_features, 4, K=3)
    own = conv.propagate = lambda edge_index, x, norm, size=None: torch.zeros_like(x)
    with sparse_sums(conv):
        assert conv.propagate is own
    assert conv.propagate is own


def test_whoever_looks_at_messages_sees_them(karate, karate_is_wide):
    conv, seen = SAGEConv(karate.num_features, 4), []
    conv.register_message_forward_hook(lambda *_: seen.append(1))
    with sparse_sums(conv):
        conv(karate.graph.x, karate.graph.edge_index)
    assert seen == [1]


def test_the_matrix_is_that_of_the_call(karate, karate_is_wide):
    """Edges that change in place, more nodes, another precision: each is its own matrix."""
    conv = SAGEConv(karate.num_features, 4)
    x, edge_index = karate.graph.x, karate.graph.edge_index.clone()
    more = torch.cat([x, x[:3]])
    with sparse_sums(conv):
        first = conv(x, edge_index)
        edge_index.copy_(edge_index.roll(1, dims=0)[:, torch.randperm(edge_index.shape[1])])
        edge_index[:, 0] = torch.tensor([9, 9])
        changed = conv(x, edge_index)
        longer = conv(more, edge_index)
        wide = conv.double()(x.double(), edge_index)
    assert torch.allclose(first, conv.float()(x, karate.graph.edge_index), atol=1e-6)
    assert torch.allclose(changed, conv(x, edge_index), atol=1e-6)
    assert not torch.allclose(changed, first, atol=1e-3)
    assert torch.allclose(longer, conv(more, edge_index), atol=1e-6)
    assert torch.allclose(wide, conv.double()(x.double(), edge_index), atol=1e-12)
