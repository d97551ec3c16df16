from __future__ import annotations

import pytest
import torch
from torch_geometric.nn import SAGEConv

import graph_metamers as gm
from graph_metamers.training import sparse_sums as module
from graph_metamers.training.sparse_sums import sparse_sums


@pytest.fixture
def karate_is_wide(monkeypatch):
    monkeypatch.setattr(module, "FEWEST_ENTRIES", 0)


def calls(monkeypatch):
    """Whether each call of a convolution was given a sparse matrix."""
    seen, whole = [], SAGEConv.forward

    def watched(self, x, edge_index, size=None):
        seen.append(edge_index.layout == torch.sparse_csr)
        return whole(self, x, edge_index, size)

    monkeypatch.setattr(SAGEConv, "forward", watched)
    return seen


@pytest.mark.parametrize("name", ["sage", "gin"])
@pytest.mark.parametrize(
    "options", [{}, {"perturbation": gm.Perturbation(kind="pgd", radius=1)}, {"drop_edge": 0.2}]
)
def test_training_is_the_same_up_to_rounding(name, options, karate, karate_is_wide, monkeypatch):
    model = gm.build_model(name, karate, dropout=0.0)
    sparse = gm.fit(model, karate, epochs=8, **options)
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
    assert not any(seen)


def test_narrow_rows_are_left_alone(karate, monkeypatch):
    seen = calls(monkeypatch)
    gm.fit(gm.build_model("sage", karate), karate, epochs=2)
    assert not any(seen)
