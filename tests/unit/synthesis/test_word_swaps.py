from __future__ import annotations

import itertools
import math
import statistics
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import GCN, GINConv, GraphSAGE, HeteroConv, SAGEConv

import graph_metamers as gm
from graph_metamers.metrics.fidelity import activation_loss
from graph_metamers.synthesis.solvers import word_descent
from graph_metamers.synthesis.solvers.search import Search
from graph_metamers.synthesis.solvers.word_descent import WordDescent

QUICK = gm.Budget(steps=40)


def words_graph(seed: int = 0, n: int = 40, num_words: int = 60, share: float = 0.15) -> Data:
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(n, num_words, generator=generator) < share).float()
    edges = torch.randint(n, (2, 3 * n), generator=generator)
    return Data(x=x, edge_index=torch.cat([edges, edges.flip(0)], dim=1))


def network(kind=GCN, num_words: int = 60) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(num_words, 8, num_layers=2, out_channels=4)


GRAPH, MODEL = words_graph(), network()


@pytest.mark.parametrize("kind", [GCN, GraphSAGE])
@pytest.mark.parametrize("layer", ["act", "output"])
@pytest.mark.parametrize("ones", ["total", "per_node"])
def test_words_are_swapped_and_the_loss_is_that_of_the_model(kind, layer, ones):
    model = network(kind)
    metamer = gm.generate(model, GRAPH, layer, vary=gm.Features(ones=ones), solver="word_swaps", budget=QUICK)
    x = metamer.graph.x
    assert ((x == 0) | (x == 1)).all()
    assert torch.equal(x.sum(dim=1), GRAPH.x.sum(dim=1))
    assert not (x * GRAPH.x).any()
    with torch.no_grad():
        h, changed = (gm.activations(model, graph, layer)[layer] for graph in (GRAPH, metamer.graph))
    assert metamer.activation_loss == pytest.approx(float(activation_loss(changed, h)), rel=1e-4)
    assert metamer.relaxed_loss == pytest.approx(metamer.activation_loss, rel=1e-3, abs=1e-9)
    assert metamer.activation_loss < metamer.start_loss / 5
    assert torch.equal(metamer.graph.edge_index, GRAPH.edge_index)


def test_auto_takes_it_for_binary_features_and_for_no_others():
    assert gm.generate(MODEL, GRAPH, "act", budget=QUICK).config["solver"] == "word_swaps"
    continuous = gm.Features(kind="continuous")
    assert gm.generate(MODEL, GRAPH, "act", vary=continuous, budget=QUICK).config["solver"] == "lbfgs"
    with pytest.raises(gm.ParameterError, match="'lbfgs' or 'adam' where features are not 0 or 1"):
        gm.generate(MODEL, GRAPH, "act", vary=continuous, solver="word_swaps")


def test_one_seed_gives_one_result_and_another_seed_another():
    first, second, other = (
        gm.generate(MODEL, GRAPH, "output", solver="word_swaps", budget=QUICK, seed=seed, tolerance=0.0)
        for seed in (0, 0, 1)
    )
    assert torch.equal(first.graph.x, second.graph.x)
    assert first.trace == second.trace
    assert not torch.equal(first.graph.x, other.graph.x)


@pytest.mark.parametrize("steps", [1, 2, 9, 15, 33])
def test_the_budget_counts_every_evaluation(steps):
    solver = gm.WordSwaps(proposals=50)
    metamer = gm.generate(MODEL, GRAPH, "act", solver=solver, budget=gm.Budget(steps=steps), tolerance=0.0)
    assert metamer.steps == steps
    assert metamer.status is gm.Status.MAX_STEPS


def test_the_best_words_that_were_seen_are_returned():
    told = []
    metamer = gm.generate(
        MODEL, GRAPH, "output", solver="word_swaps", budget=QUICK, tolerance=0.0, callbacks=[told.append]
    )
    assert metamer.relaxed_loss == min(loss for _, loss in metamer.trace)
    assert [progress.step for progress in told] == [step for step, _ in metamer.trace]
    assert len(told) > 15


def test_the_descent_lowers_what_annealing_alone_reaches():
    # Over several starts: which words it takes, and so how far it comes, hangs on rounding.
    budgets = [gm.Budget(steps=14), gm.Budget(steps=150)]  # 3 probes and 10 reports come before it
    annealed, descended = (
        [
            gm.generate(
                MODEL, GRAPH, "output", solver="word_swaps", budget=budget, tolerance=0.0, seed=seed
            ).activation_loss
            for seed in range(4)
        ]
        for budget in budgets
    )
    ratios = [after / before for after, before in zip(descended, annealed, strict=True)]
    assert max(ratios) < 1
    assert statistics.geometric_mean(ratios) < 0.7


@pytest.fixture
def heats(monkeypatch):
    """What every heat did: losses before, while hot and after; words before and after; stiffness after."""
    original, seen = WordDescent._reheat, []

    def watched(self, cold):
        (slot,) = self._slots.values()
        items, first = slot.annealer.items, len(self._search._trace)
        status, after = original(self, cold)
        hot = [loss for _, loss in self._search._trace[first:]]
        told = SimpleNamespace(before=cold.loss, hot=hot, after=after.loss, old=items)
        told.new, told.counts = slot.annealer.items, slot.features(items).sum(dim=1)
        told.stiffness = (cold.stiffness["x"], slot.stiffness.copy())
        seen.append(told)
        return status, after

    monkeypatch.setattr(WordDescent, "_reheat", watched)
    return seen


def swapped(graph, model, steps=2000, **options):
    options = {"solver": "word_swaps", "tolerance": 0.0, "budget": gm.Budget(steps=steps), **options}
    return gm.generate(model, graph, "act", **options)


def test_where_the_descent_gets_slow_words_are_heated_as_long_as_it_pays(heats, monkeypatch):
    monkeypatch.setattr(word_descent, "TOO_HOT", math.inf)
    graph = words_graph(n=60)
    heated = swapped(graph, network())
    befores = [heat.before for heat in heats]
    assert heats
    for before, following in itertools.pairwise(befores):  # one descent lies between two heats: it had to pay
        assert following < before * (1 - word_descent.SLOW)
    for heat in heats:
        assert max(heat.hot) > heat.before  # it was hot
        assert not np.array_equal(heat.old, heat.new)
        assert torch.equal(heat.counts, graph.x.sum(dim=1))
    assert heated.relaxed_loss <= min(befores)
    assert torch.equal(heated.graph.x.sum(dim=1), graph.x.sum(dim=1))
    assert not (heated.graph.x * graph.x).any()


def test_heat_under_which_nodes_disturb_each_other_is_given_up(heats, monkeypatch):
    monkeypatch.setattr(word_descent, "TOO_HOT", 0.0)
    swapped(words_graph(n=60), network())
    (heat,) = heats  # and there is no second one
    assert len(heat.hot) == 1
    assert np.array_equal(heat.old, heat.new)
    assert np.array_equal(*heat.stiffness)


def test_words_and_stiffness_come_back_where_heat_did_not_pay(heats, monkeypatch):
    monkeypatch.setattr(word_descent, "TOO_HOT", math.inf)
    monkeypatch.setattr(word_descent, "HOTTEST", 1e6)
    monkeypatch.setattr(word_descent, "COOLEST", 1e5)  # it ends as hot as it began
    put_back, original = [], WordDescent._put_back

    def watched(self, point, *, stiffness=False):
        found = original(self, point, stiffness=stiffness)
        (slot,) = self._slots.values()
        if stiffness:
            put_back.append((point, slot.annealer.items, slot.stiffness.copy()))
        return found

    monkeypatch.setattr(WordDescent, "_put_back", watched)
    swapped(words_graph(n=60), network())
    (heat,) = heats
    ((point, items, stiffness),) = put_back
    assert point.loss == heat.before
    assert np.array_equal(items, heat.old)
    assert np.array_equal(stiffness, heat.stiffness[0])
    assert not np.array_equal(heat.stiffness[1], heat.stiffness[0])


def test_too_little_is_left_for_heat(heats):
    swapped(words_graph(n=60), network(), steps=60)
    assert not heats


def test_a_time_limit_may_come_while_it_is_hot(monkeypatch):
    monkeypatch.setattr(word_descent, "TOO_HOT", math.inf)
    original, hot = Search.is_late.fget, []
    monkeypatch.setattr(Search, "is_late", property(lambda self: bool(hot) or original(self)))
    reheat = WordDescent._reheat

    def late(self, cold):
        hot.append(1)
        return reheat(self, cold)

    monkeypatch.setattr(WordDescent, "_reheat", late)
    graph = words_graph(n=60)
    metamer = swapped(graph, network(), budget=gm.Budget(steps=2000, seconds=1000))
    assert metamer.status is gm.Status.TIME_LIMIT
    assert metamer.relaxed_loss == min(loss for _, loss in metamer.trace)
    assert torch.equal(metamer.graph.x.sum(dim=1), graph.x.sum(dim=1))


def test_column_sums_are_kept_on_request():
    solver = gm.WordSwaps(column_sums="kept")
    metamer = gm.generate(MODEL, GRAPH, "act", solver=solver, budget=QUICK)
    x = metamer.graph.x
    for dim in (0, 1):
        assert torch.equal(x.sum(dim=dim), GRAPH.x.sum(dim=dim))
    assert (x * GRAPH.x).sum() < 0.02 * GRAPH.x.sum()
    assert metamer.activation_loss < 0.1


def test_reference_words_may_be_charged_or_free():
    overlap = {}
    for choice in ("free", "charge"):
        solver = gm.WordSwaps(reference_words=choice, penalty=1e6)
        x = gm.generate(MODEL, GRAPH, "act", solver=solver, budget=QUICK).graph.x
        overlap[choice] = int((x * GRAPH.x).sum())
    assert overlap["free"] > 0
    assert overlap["charge"] == 0


def test_a_node_with_most_of_the_words_keeps_only_those_that_it_must():
    graph = words_graph()
    graph.x[3, :50] = 1
    graph.x[3, 50:] = 0
    x = gm.generate(MODEL, graph, "act", solver="word_swaps", budget=QUICK).graph.x
    overlap = (x * graph.x).sum(dim=1)
    assert overlap[3] == 40
    assert overlap.sum() == 40
    assert torch.equal(x.sum(dim=1), graph.x.sum(dim=1))


def test_frozen_words_and_nodes_out_of_reach_stay():
    mutable = torch.ones(1, 60, dtype=torch.bool)
    mutable[0, :20] = False
    vary = gm.Features(mutable=mutable)
    metamer = gm.generate(MODEL, GRAPH, "act", vary=vary, index=[0], solver="word_swaps", budget=QUICK)
    x = metamer.graph.x
    assert torch.equal(x[:, :20], GRAPH.x[:, :20])
    assert torch.equal(x.sum(dim=1), GRAPH.x.sum(dim=1))
    near = torch.zeros(40, dtype=torch.bool)
    near[0] = True
    near[GRAPH.edge_index[0, GRAPH.edge_index[1] == 0]] = True
    assert torch.equal(x[~near], GRAPH.x[~near])
    assert not torch.equal(x[near], GRAPH.x[near])
    assert metamer.activation_loss < metamer.start_loss / 5


def test_several_layers_and_several_node_types_are_matched_together():
    graph = HeteroData()
    for name, seed in (("paper", 0), ("author", 1)):
        graph[name].x = words_graph(seed).x
    graph["author", "writes", "paper"].edge_index = GRAPH.edge_index
    graph["paper", "by", "author"].edge_index = GRAPH.edge_index.flip(0)

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            with torch.random.fork_rng():
                torch.manual_seed(0)
                convs = {relation: SAGEConv((60, 60), 6) for relation in graph.edge_types}
            self.conv = HeteroConv(convs)

        def forward(self, x_dict, edge_index_dict):
            return self.conv(x_dict, edge_index_dict)["paper"].relu()

    metamer = gm.generate(Two(), graph, "output", solver="word_swaps", budget=gm.Budget(steps=60))
    for name in ("paper", "author"):
        x = metamer.graph[name].x
        assert torch.equal(x.sum(dim=1), graph[name].x.sum(dim=1))
        assert not (x * graph[name].x).any()
    assert metamer.activation_loss < 0.02
    both = gm.generate(MODEL, GRAPH, ["act", "output"], solver="word_swaps", budget=QUICK)
    assert both.activation_loss < both.start_loss / 20


@given(
    seed=st.integers(0, 10**6), n=st.integers(2, 12), num_words=st.integers(2, 10), share=st.floats(0, 1),
)  # fmt: skip
def test_counts_hold_on_any_graph(seed, n, num_words, share):
    graph = words_graph(seed, n, num_words, share)
    graph.x[0, 0] = 1
    model = network(num_words=num_words)
    solver = gm.WordSwaps(proposals=20)
    metamer = gm.generate(model, graph, "output", solver=solver, budget=gm.Budget(steps=25))
    x = metamer.graph.x
    assert torch.equal(x.sum(dim=1), graph.x.sum(dim=1))
    least = (2 * graph.x.sum(dim=1) - num_words).clamp(min=0)  # more words than others are left
    assert torch.equal((x * graph.x).sum(dim=1), least)


@pytest.mark.parametrize(
    "options",
    [{"proposals": -1}, {"reference_words": "never"}, {"penalty": -1.0}, {"column_sums": "both"}],
)
def test_bad_options_are_refused(options):
    with pytest.raises(gm.ParameterError):
        gm.WordSwaps(**options)


@pytest.mark.slow
def test_cora_beats_straight_through_with_as_many_evaluations(cora):
    model = gm.fit(gm.build_model("gcn", cora, hidden_channels=64), cora, epochs=100).model
    losses = {}
    for solver in (gm.WordSwaps(proposals=300), gm.Adam(0.3)):
        metamer = gm.generate(
            model, cora.graph, "act.0", vary=gm.Features(ones="per_node"), solver=solver,
            budget=gm.Budget(steps=80), tolerance=0.0,
        )  # fmt: skip
        losses[solver.name] = metamer.activation_loss
    assert losses["word_swaps"] < 1e-2
    assert losses["word_swaps"] < losses["adam"] / 3


def test_in_a_star_the_errors_of_the_leaves_cancel_in_the_hub():
    # Matched one by one, the leaves leave the hub the sum of their errors: what annealing alone comes to.
    graph = words_graph(n=61)
    graph.edge_index = torch.stack([torch.arange(1, 61), torch.zeros(60, dtype=torch.long)])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GINConv(nn.Sequential(nn.Linear(60, 8)))
    losses = [
        gm.generate(
            model, graph, "nn", index=[0], solver="word_swaps", budget=gm.Budget(steps=steps), tolerance=0.0
        ).activation_loss
        for steps in (14, 100)
    ]
    assert losses[1] < losses[0] / 100
