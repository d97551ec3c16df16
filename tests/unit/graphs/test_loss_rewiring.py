"""Rewiring on a layer's own error, against the error computed anew."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

from graph_metamers.graphs import loss_rewiring_kernel as kernel
from graph_metamers.graphs import set_matching_kernel
from graph_metamers.graphs.loss_rewiring import LayerSums, LossRewirer, SecondSums
from graph_metamers.graphs.neighbour_lists import NeighbourLists
from graph_metamers.graphs.rewiring import nearest_senders, shuffled
from graph_metamers.graphs.set_matching import Schedule

NODES, WIDTH, UNITS = 40, 4, 3


def lists_of(loops: int = 0) -> NeighbourLists:
    pairs = np.array(list(nx.barabasi_albert_graph(NODES, 2, seed=0).edges)).T
    own = np.tile(np.arange(loops), (2, 1))
    edge_index = np.concatenate([pairs, pairs[::-1], own], axis=1)
    return NeighbourLists.of(edge_index, NODES, directed=False)


def layer_of(lists: NeighbourLists, *, slope: float, two_steps: bool, alike: bool = False) -> LayerSums:
    random = np.random.default_rng(0)
    rest, vectors = random.normal(size=(2, NODES, WIDTH))
    factors = random.uniform(0.5, 1.5, NODES)
    one = LayerSums(rest, vectors, factors, slope, np.zeros((NODES, WIDTH)), None)
    if not two_steps:
        return LayerSums(rest, vectors, factors, slope, one.at(lists, lists.neighbours), None)
    base, sent = random.normal(size=(NODES, UNITS)), random.normal(size=(WIDTH, UNITS))
    own = 0.7 * sent if alike else random.normal(size=(WIDTH, UNITS))
    keep, receive, send = random.uniform(0.5, 1.5, (3, NODES))
    second = SecondSums(base, keep, own, receive, send, sent, np.zeros((NODES, UNITS)))
    blank = LayerSums(rest, vectors, factors, slope, second.target, second)
    target = blank.at(lists, lists.neighbours)
    second = SecondSums(base, keep, own, receive, send, sent, target)
    return LayerSums(rest, vectors, factors, slope, target, second)


def rewirer_of(layer, lists, *, near: bool, rule="forbid", penalty=0.0):
    neighbours, edges = shuffled(lists, seed=1, reference_edges=rule)
    if near:
        senders = nearest_senders(layer.vectors.astype(np.float32), lists.graphs)
    else:
        senders = np.empty((NODES, 0), dtype=np.int32)
    return LossRewirer(
        layer,
        lists,
        seed=2,
        neighbours=neighbours,
        edges=edges,
        near=senders,
        reference_edges=rule,
        penalty=penalty,
    )


CASES = [
    (slope, steps, alike)
    for slope in (0.0, 0.2, 1.0)
    for steps, alike in ((False, False), (True, False), (True, True))
]


@pytest.mark.parametrize(("slope", "two_steps", "alike"), CASES)
def test_what_the_loop_keeps_is_what_the_new_graph_has(slope, two_steps, alike, monkeypatch):
    """Every swap is taken; sums, messages and residuals are then those computed from the lists."""
    lists = lists_of(loops=2)
    layer = layer_of(lists, slope=slope, two_steps=two_steps, alike=alike)
    kept = {}
    name = "rewire_two_steps" if two_steps else "rewire_one_step"
    original = getattr(kernel, name)

    def noted(*arguments):
        kept["sums"], kept["residuals"], kept["messages"] = arguments[0], arguments[4], arguments[5]
        kept["gathered"], kept["squares"] = arguments[13], arguments[14]
        return original(*arguments)

    monkeypatch.setattr(kernel, name, noted)
    rewirer = rewirer_of(layer, lists, near=True)
    for _ in rewirer.anneal(Schedule(3000, 1e9, 1e9)):
        pass
    assert rewirer.accepted > 500
    assert kept["sums"] == pytest.approx(layer.sums_at(lists, rewirer.neighbours), abs=1e-9)
    if two_steps:
        assert kept["residuals"] == pytest.approx(
            layer.at(lists, rewirer.neighbours) - layer.target, abs=1e-9
        )
        messages = layer.hidden(layer.sums_at(lists, rewirer.neighbours)) @ layer.second.sent
        assert kept["messages"] == pytest.approx(messages, abs=1e-9)
        receive, owners = layer.second.receive, lists.owners
        gathered, squares = np.zeros_like(messages), np.zeros(NODES)
        np.add.at(gathered, owners, (receive[:, None] * kept["residuals"])[rewirer.neighbours])
        np.add.at(squares, owners, receive[rewirer.neighbours] ** 2)
        assert kept["gathered"] == pytest.approx(gathered, abs=1e-9)
        assert kept["squares"] == pytest.approx(squares, abs=1e-9)


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_what_a_swap_is_said_to_change_is_what_it_changes(slope, alike):
    """Behind two steps; also where two of the four are joined or send to the same, and edges are doubled."""
    pairs = np.array(list(nx.barabasi_albert_graph(NODES, 2, seed=0).edges)).T
    edge_index = np.concatenate([pairs, pairs[::-1], pairs[:, :9], pairs[::-1, :9], [[0, 1], [0, 1]]], axis=1)
    lists = NeighbourLists.of(edge_index, NODES, directed=False)
    layer = layer_of(lists, slope=slope, two_steps=True, alike=alike)
    second, neighbours = layer.second, shuffled(lists, seed=1)[0]
    owners, twins, random = lists.owners, lists.twins_of(neighbours), np.random.default_rng(0)
    sums, residuals = layer.sums_at(lists, neighbours), layer.at(lists, neighbours) - layer.target
    maps = np.ascontiguousarray(np.concatenate([second.sent, second.own], axis=1).T)
    gathered, squares, senders = np.empty_like(residuals), np.empty(NODES), np.zeros(NODES, dtype=np.int64)
    for node in range(NODES):
        kernel.gather(lists.starts, neighbours, second.receive, residuals, node, gathered, squares)
    known = (residuals, layer.hidden(sums) @ second.sent, second.keep, second.receive, second.send)
    z, changes = np.empty((4, WIDTH)), np.empty(WIDTH)
    mapped, steps = np.empty((4, 2 * UNITS)), np.empty((4, UNITS))
    tried = twice = 0
    for s, t in random.choice(lists.active, (400, 2)):
        a, b, c, d = owners[s], neighbours[s], owners[t], neighbours[t]
        if len({a, b, c, d}) < 4:
            continue
        nodes, losing, getting = (a, b, c, d), (b, a, d, c), (d, c, b, a)
        for q in range(4):
            v = nodes[q]
            parts = (sums, layer.vectors, layer.factors[v], slope, maps, v, losing[q], getting[q])
            kernel.step_of_node(*parts, z, changes, mapped, q)
        once = kernel.change_felt_once(
            *known, gathered, squares, nodes, losing, getting, mapped, UNITS, steps
        )
        missing = kernel.change_felt_twice(
            lists.starts, neighbours, second.receive, second.send, nodes, losing, mapped, steps, senders
        )
        swapped = neighbours.copy()
        swapped[[s, t, twins[s], twins[t]]] = d, b, c, a
        wanted = layer.error(lists, swapped) - layer.error(lists, neighbours)
        assert once + missing == pytest.approx(wanted, rel=1e-9, abs=1e-9)
        assert not senders.any()
        tried, twice = tried + 1, twice + (abs(missing) > 1e-9)
    assert tried > 200
    assert twice > 100


@pytest.mark.parametrize(("slope", "two_steps", "alike"), CASES)
def test_without_temperature_the_error_only_falls(slope, two_steps, alike):
    lists = lists_of()
    layer = layer_of(lists, slope=slope, two_steps=two_steps, alike=alike)
    rewirer = rewirer_of(layer, lists, near=False)
    errors = [rewirer.error, *(rewirer.error for _ in rewirer.anneal(Schedule(4000, 0.0, 0.0), chunk=400))]
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(errors))
    assert errors[-1] < 0.7 * errors[0]


@pytest.mark.parametrize("two_steps", [False, True])
def test_without_temperature_error_and_charges_only_fall_together(two_steps):
    """Swaps that take edges of the reference away may raise the error by what these cost."""
    lists = lists_of()
    layer = layer_of(lists, slope=0.0, two_steps=two_steps)
    penalty = 0.5 * layer.error(lists, shuffled(lists, seed=0)[0]) / NODES
    rewirer = rewirer_of(layer, lists, near=False, rule="charge", penalty=penalty)
    rewirer.neighbours[:], rewirer.edges[:] = lists.neighbours, lists.edges  # all charges, and no error
    rewirer._twins[:] = lists.twins

    def common() -> float:
        return lists.kept(rewirer.neighbours) * len(lists.active) / 2

    costs, errors = [rewirer.error + penalty * common()], [rewirer.error]
    for _ in rewirer.anneal(Schedule(4000, 0.0, 0.0), chunk=100):
        costs.append(rewirer.error + penalty * common())
        errors.append(rewirer.error)
    assert errors[0] == pytest.approx(0)
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(costs))
    assert max(errors) > 0
    assert costs[-1] < costs[0]


def test_what_partners_feel_at_once():
    """A node with another neighbour and one that loses what the other gains, each by its own factor."""
    random = np.random.default_rng(0)
    errors, messages = random.normal(size=(2, 4, UNITS))
    receive, send = random.uniform(0.5, 1.5, (2, 4))
    gain = send[3] * messages[3] - send[1] * messages[1]
    after = np.square(errors[0] + receive[0] * gain) + np.square(errors[2] - receive[2] * gain)
    wanted = float((after - np.square(errors[0]) - np.square(errors[2])).sum())
    assert kernel.change_at_partners(errors, messages, receive, send, 0, 1, 2, 3) == pytest.approx(wanted)


def test_changes_are_accepted_as_often_as_metropolis_does():
    state = np.array([3], dtype=np.uint64)
    most = np.array([set_matching_kernel.most_accepted(state, 2.0) for _ in range(20_000)])
    for change in (0.1, 1.0, 4.0):
        assert (most >= change).mean() == pytest.approx(np.exp(-change / 2), abs=0.015)
    assert set_matching_kernel.most_accepted(state, 0.0) == 0


@pytest.mark.parametrize("rule", ["forbid", "free"])
@pytest.mark.parametrize("two_steps", [False, True])
def test_degrees_stay_and_no_edge_is_doubled(two_steps, rule):
    lists = lists_of(loops=2)
    layer = layer_of(lists, slope=0.0, two_steps=two_steps)
    rewirer = rewirer_of(layer, lists, near=True, rule=rule)
    for _ in rewirer.anneal(Schedule(5000, 1.0, 0.01)):
        pass
    before, after = (
        lists.edge_index(*pair)
        for pair in ((lists.neighbours, lists.edges), (rewirer.neighbours, rewirer.edges))
    )
    edges = set(map(tuple, after.T))
    assert len(edges) == after.shape[1]
    assert edges == {(b, a) for a, b in edges}
    assert np.array_equal(np.bincount(after[1]), np.bincount(before[1]))
    assert {(a, b) for a, b in edges if a == b} == {(0, 0), (1, 1)}
    if rule == "forbid":
        common = edges & set(map(tuple, before.T))
        assert len(common) <= 4 + 2  # loops, and what no swap could move


@pytest.mark.parametrize("two_steps", [False, True])
def test_protected_edges_and_graphs_of_a_batch_stay(two_steps):
    """Two graphs without an edge between them; nodes that send nearly the same are in both."""
    half = np.array(list(nx.barabasi_albert_graph(NODES // 2, 2, seed=0).edges)).T
    pairs = np.concatenate([half, half + NODES // 2], axis=1)
    edge_index = np.concatenate([pairs, pairs[::-1]], axis=1)
    fixed = np.isin(np.arange(edge_index.shape[1]) % pairs.shape[1], [0, 5, 40])
    graphs = np.repeat([0, 1], NODES // 2)
    lists = NeighbourLists.of(edge_index, NODES, directed=False, fixed=fixed, graphs=graphs)
    layer = layer_of(lists, slope=0.0, two_steps=two_steps)
    rewirer = rewirer_of(layer, lists, near=True, rule="free")
    for _ in rewirer.anneal(Schedule(5000, 1e9, 1e9)):
        pass
    after = lists.edge_index(rewirer.neighbours, rewirer.edges)
    assert rewirer.accepted > 500
    assert np.array_equal(graphs[after[0]], graphs[after[1]])
    assert np.array_equal(after[:, fixed], edge_index[:, fixed])
    assert np.array_equal(np.bincount(after[1]), np.bincount(edge_index[1]))


def test_the_same_seed_gives_the_same_graph():
    lists = lists_of()
    layer = layer_of(lists, slope=0.0, two_steps=True)
    first, second = (rewirer_of(layer, lists, near=True) for _ in range(2))
    for rewirer in (first, second):
        for _ in rewirer.anneal(Schedule(2000, 1.0, 0.01)):
            pass
    assert np.array_equal(first.neighbours, second.neighbours)


def test_other_chunks_change_nothing_but_rounding():
    lists = lists_of()
    layer = layer_of(lists, slope=0.0, two_steps=True)
    rewirer = rewirer_of(layer, lists, near=True)
    done = list(rewirer.anneal(Schedule(1000, 1.0, 0.01), chunk=300))
    assert done == [300, 600, 900, 1000]


class Clock:
    """Time that passes with proposals only, each taking longer while it is hot."""

    def __init__(self, rewirer: LossRewirer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.timings = 100.0, []
        original = rewirer._run

        def timed(timing):
            first, count, whole, *_ = timing
            self.timings.append(timing)
            self.now += count * (2e-5 if first < whole / 2 else 1e-5)
            return original(timing)

        monkeypatch.setattr(rewirer, "_run", timed)
        monkeypatch.setattr("graph_metamers.graphs.loss_rewiring.time.monotonic", lambda: self.now)

    def temperatures(self) -> list[float]:
        """At both ends of every chunk."""
        ends = [(timing, at) for timing in self.timings for at in (timing[0], timing[0] + timing[1])]
        return [hot * (cold / hot) ** (at / whole) for (_first, _count, whole, hot, cold), at in ends]


@pytest.mark.parametrize("proposals", [60_000, 100_000_000])
def test_within_a_time_limit_it_ends_cold_and_in_time(proposals, monkeypatch):
    """As much of a schedule as fits: all of it, or what the clock allows."""
    lists = lists_of()
    layer = layer_of(lists, slope=0.0, two_steps=False)
    rewirer = rewirer_of(layer, lists, near=False)
    clock, seconds = Clock(rewirer, monkeypatch), 5.0
    done = list(rewirer.anneal_within(Schedule(proposals, 1.0, 0.001), seconds))
    temperatures = clock.temperatures()
    assert temperatures[0] == 1.0
    assert temperatures[-1] == pytest.approx(0.001, rel=0.02)
    assert all(after <= before * 1.01 for before, after in pairwise(temperatures))
    assert done == sorted(done)
    if proposals < 100_000:
        assert done[-1] == proposals
    else:
        assert 0.97 * seconds < clock.now - 100 < 1.03 * seconds


def test_a_time_limit_that_is_over_ends_it_at_once():
    """Proposals that compile the kernel are made, and one more chunk."""
    lists = lists_of()
    rewirer = rewirer_of(layer_of(lists, slope=0.0, two_steps=False), lists, near=False)
    assert len(list(rewirer.anneal_within(Schedule(10**9, 1.0, 0.1), 0.0))) <= 2
