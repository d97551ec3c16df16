"""Rewiring against brute force, and what must stay whatever is swapped."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest

import graph_metamers as gm
from graph_metamers.graphs import rewiring
from graph_metamers.graphs import rewiring_draws_kernel as draws
from graph_metamers.graphs.neighbour_lists import NeighbourLists
from graph_metamers.graphs.rewiring import (
    NEAREST,
    Rewirer,
    RewiringProblem,
    SumModel,
    aligned,
    nearest_senders,
    shuffled,
)
from graph_metamers.graphs.set_matching import Schedule


def both_ways(graph):
    pairs = np.array(list(graph.edges()), dtype=np.int64).reshape(-1, 2)
    return np.concatenate([pairs, pairs[:, ::-1]]).T


def drawn(nodes=30, edges=60, seed=0, *, directed=False):
    graph = nx.gnm_random_graph(nodes, edges, seed=seed, directed=directed)
    edge_index = np.array(list(graph.edges())).T if directed else both_ways(graph)
    return NeighbourLists.of(edge_index, nodes, directed=directed), edge_index


def problem_of(lists, seed=0, hops=2, rule="free"):
    generator = np.random.default_rng(seed)
    vectors = [generator.normal(size=(lists.num_nodes, 3 + hop)) for hop in range(hops)]
    weights = generator.uniform(0.1, 2, size=(lists.num_nodes, hops))
    return RewiringProblem(lists, vectors, weights, rule)


def run(problem, proposals=20_000, hottest=0.0, coldest=0.0, seed=0):
    rewirer = Rewirer(problem, seed=seed)
    for _ in rewirer.anneal(Schedule(proposals, hottest, coldest)):
        pass
    return rewirer


def keys(edge_index, nodes):
    return edge_index[1] * nodes + edge_index[0]


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("rule", ["free", "charge", "forbid"])
def test_degrees_stay_and_no_edge_is_doubled_or_becomes_a_loop(directed, rule):
    lists, before = drawn(directed=directed)
    rewirer = run(problem_of(lists, rule=rule), hottest=10.0, coldest=1.0)
    after = lists.edge_index(rewirer.neighbours, rewirer.edges)
    n = lists.num_nodes
    assert rewirer.accepted > 100
    for side in range(2):
        assert np.array_equal(np.bincount(before[side], minlength=n), np.bincount(after[side], minlength=n))
    assert len(np.unique(keys(after, n))) == after.shape[1]
    assert (after[0] != after[1]).all()
    if not directed:
        assert set(keys(after, n)) == set(keys(after[::-1], n))
        assert np.array_equal(rewirer._twins, lists.twins_of(rewirer.neighbours))
    if rule == "forbid":
        back = Rewirer(
            problem_of(lists, rule=rule), seed=5, neighbours=rewirer.neighbours, edges=rewirer.edges
        )
        for _ in back.anneal(Schedule(20_000)):
            assert lists.kept(back.neighbours) <= lists.kept(rewirer.neighbours)


def test_self_loops_doubled_and_protected_edges_stay():
    edge_index = np.array([[0, 1, 2, 3, 4, 5, 0, 6, 6, 7, 7], [1, 0, 3, 2, 5, 4, 0, 7, 7, 6, 6]])
    fixed = np.zeros(11, dtype=bool)
    fixed[0] = True  # 0 - 1, and so 1 - 0
    lists = NeighbourLists.of(edge_index, 8, directed=False, fixed=fixed)
    neighbours, edges = shuffled(lists, seed=0, rounds=200)
    after = lists.edge_index(neighbours, edges)
    kept = [0, 1, 6, 7, 8, 9, 10]
    assert np.array_equal(after[:, kept], edge_index[:, kept])
    assert lists.active.size == 4


def test_a_pure_descent_ends_where_no_swap_is_better():
    lists, _ = drawn(12, 20)
    problem = problem_of(lists, hops=1)
    start, edges = shuffled(lists, seed=1)
    rewirer = Rewirer(problem, seed=0, neighbours=start, edges=edges)
    for _ in rewirer.anneal(Schedule(100_000)):
        pass
    now = lists.edge_index(rewirer.neighbours, rewirer.edges)
    pairs = {tuple(sorted(pair)) for pair in now.T.tolist()}
    least = rewirer.cost
    for (a, b), (c, d) in itertools.permutations([*pairs, *((q, p) for p, q in pairs)], 2):
        if len({a, b, c, d}) < 4 or {tuple(sorted((a, d))), tuple(sorted((c, b)))} & pairs:
            continue
        swapped = (pairs - {tuple(sorted((a, b))), tuple(sorted((c, d)))}) | {
            tuple(sorted((a, d))),
            tuple(sorted((c, b))),
        }
        graph = nx.Graph(list(swapped))
        cost = brute_cost(problem, graph)
        assert cost >= least - 1e-4 * problem.unit


def brute_cost(problem, graph):
    lists = problem.lists
    reference = nx.Graph(list(zip(lists.owners.tolist(), lists.neighbours.tolist(), strict=True)))
    total = 0.0
    for hop, vectors in enumerate(problem.vectors):
        for node in range(lists.num_nodes):
            now = sum((vectors[u] for u in graph.adj.get(node, ())), np.zeros(vectors.shape[1]))
            before = sum((vectors[u] for u in reference.adj.get(node, ())), np.zeros(vectors.shape[1]))
            total += problem.weights[node, hop] * np.square(now - before).sum()
    return total


def test_the_cost_is_that_of_brute_force():
    lists, _ = drawn(12, 20)
    problem = problem_of(lists)
    neighbours, edges = shuffled(lists, seed=3)
    now = lists.edge_index(neighbours, edges)
    assert problem.cost(neighbours) == pytest.approx(brute_cost(problem, nx.Graph(now.T.tolist())))
    assert problem.cost(lists.neighbours) == 0


@pytest.mark.parametrize("widths", [(0,), (3, 0), (0, 3), (2, 0, 3)])
def test_a_hop_without_directions_costs_nothing(widths):
    (lists, _), random = drawn(), np.random.default_rng(0)
    vectors = [random.normal(size=(30, width)) for width in widths]
    weights = random.random((30, len(widths)))
    used = [place for place, width in enumerate(widths) if width]
    problem = RewiringProblem(lists, vectors, weights)
    rewirer = run(problem, 2000)
    without = 0.0
    if used:
        without = RewiringProblem(lists, [vectors[p] for p in used], weights[:, used]).cost(
            rewirer.neighbours
        )
    assert problem.cost(rewirer.neighbours) == pytest.approx(without)
    changed = shuffled(lists, seed=0)[0]
    assert (problem.cost(changed) > 0) == bool(used)


def test_annealing_finds_the_graph_of_least_cost_on_six_nodes():
    reference = nx.path_graph(6)
    lists = NeighbourLists.of(both_ways(reference), 6, directed=False)
    problem = problem_of(lists, hops=1, rule="forbid")
    degrees = dict(reference.degree())
    pairs = list(itertools.combinations(range(6), 2))
    others = (nx.Graph(list(chosen)) for chosen in itertools.combinations(pairs, 5))
    allowed = [
        graph
        for graph in others
        if {v: graph.degree(v) if v in graph else 0 for v in range(6)} == degrees
        and not any(graph.has_edge(*edge) for edge in reference.edges())
    ]
    least = min(brute_cost(problem, graph) for graph in allowed)
    neighbours, edges = shuffled(lists, seed=0, reference_edges="forbid", rounds=500)
    assert lists.kept(neighbours) == 0
    rewirer = Rewirer(problem, seed=0, neighbours=neighbours, edges=edges)
    costs = [rewirer.cost for _ in rewirer.anneal(Schedule(20_000, 10.0, 0.01), chunk=1000)]
    assert min(costs) == pytest.approx(least)


def test_attributes_go_with_their_edge():
    lists, before = drawn()
    neighbours, edges = shuffled(lists, seed=4)
    after = lists.edge_index(neighbours, edges)
    half = before.shape[1] // 2
    for column in range(half):  # both directions of one edge keep the two columns of one edge
        assert {*after[:, column]} == {*after[:, column + half]}


def test_one_seed_gives_one_graph_and_a_continued_search_is_consistent():
    lists, _ = drawn()
    one, other = (run(problem_of(lists), seed=3, hottest=1.0, coldest=0.1) for _ in range(2))
    assert np.array_equal(one.neighbours, other.neighbours)
    assert not np.array_equal(
        one.neighbours, run(problem_of(lists), seed=4, hottest=1.0, coldest=0.1).neighbours
    )


def test_an_edge_without_its_reverse_is_refused_where_edges_have_no_direction():
    with pytest.raises(gm.ParameterError, match="'directed' parameter must be True"):
        NeighbourLists.of(np.array([[0, 1], [1, 2]]), 3, directed=False)


@pytest.mark.parametrize("directed", [False, True])
def test_residuals_that_swaps_have_moved_are_those_of_the_lists(directed):
    lists, _ = drawn(directed=directed)
    problem = problem_of(lists)
    rewirer = run(problem, proposals=5_000, hottest=10.0, coldest=1.0)
    assert rewirer.accepted > 100
    expected = problem.residuals(rewirer.neighbours)
    np.testing.assert_allclose(rewirer._rows[:, 0], expected, atol=1e-4)
    rewirer._rows[:, 0] = 7
    rewirer.go_back(rewirer.neighbours, rewirer.edges)  # so that they are summed anew before the next chunk
    for _ in rewirer.anneal(Schedule(1)):
        pass
    np.testing.assert_allclose(rewirer._rows[:, 0], problem.residuals(rewirer.neighbours), atol=1e-6)


def test_lists_that_are_changed_between_chunks_are_summed_anew():
    lists, _ = drawn()
    problem = problem_of(lists)
    rewirer = Rewirer(problem, seed=0)
    for done in rewirer.anneal(Schedule(4_000, 10.0, 1.0), chunk=1000):
        if done == 2000:
            rewirer.go_back(lists.neighbours, lists.edges)
    np.testing.assert_allclose(rewirer._rows[:, 0], problem.residuals(rewirer.neighbours), atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 2, 3), (5, 2, 3), (100, 2, 32)])
def test_rows_begin_with_a_line_of_the_cache(shape):
    rows = aligned(shape)
    assert rows.shape == shape
    assert rows.ctypes.data % 128 == 0
    assert not rows.any()


def model_of(lists, seed=0, widths=(3, 4)):
    generator = np.random.default_rng(seed)
    n, total = lists.num_nodes, sum(widths)
    roots = [generator.normal(size=(n, k, k)) for k in widths]
    curvatures = [root @ root.transpose(0, 2, 1) / 10 for root in roots]
    return SumModel(
        generator.normal(size=(n, total)).astype(np.float32),
        generator.normal(size=(n, total)).astype(np.float32),
        np.concatenate([c.reshape(n, -1) for c in curvatures], axis=1).astype(np.float32),
        np.cumsum([0, *widths]).astype(np.int64),
    ), curvatures


def modelled(model, curvatures, lists, neighbours, slopes):
    """The model of other neighbours, and its slopes there, from matrices node by node."""
    sums = np.zeros_like(model.vectors, dtype=np.float64)
    np.add.at(sums, lists.owners, model.vectors[neighbours].astype(np.float64))
    np.subtract.at(sums, lists.owners, model.vectors[lists.neighbours].astype(np.float64))
    value, after = float((slopes * sums).sum()), slopes.astype(np.float64).copy()
    for matrices, first, last in zip(curvatures, model.hops[:-1], model.hops[1:], strict=True):
        curved = np.einsum("nij,nj->ni", matrices, sums[:, first:last])
        value += float((curved * sums[:, first:last]).sum())
        after[:, first:last] += 2 * curved
    return value, after


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("most", [1, 10_000])
def test_swaps_lower_the_model_of_the_loss_as_matrices_tell(directed, most):
    lists, _ = drawn(directed=directed)
    model, curvatures = model_of(lists)
    slopes = model.slopes.copy()
    rewirer = Rewirer(problem_of(lists), seed=0)
    made = rewirer.improve(model, proposals=20_000, most=most)
    value, after = modelled(model, curvatures, lists, rewirer.neighbours, slopes)
    assert value < 0
    assert 0 < made <= most
    np.testing.assert_allclose(model.slopes, after, atol=1e-3)
    held = np.bincount(rewirer.neighbours, minlength=lists.num_nodes)  # out-degrees; lists keep the others
    assert np.array_equal(held, np.bincount(lists.neighbours, minlength=lists.num_nodes))
    pairs = np.sort(rewirer.neighbours + lists.owners * lists.num_nodes)
    assert (np.diff(pairs) > 0).all()
    if most > 1:
        assert rewirer.improve(model, proposals=20_000, most=most) == 0
    rewirer.go_back(lists.neighbours, lists.edges)
    assert np.array_equal(rewirer.neighbours, lists.neighbours)
    assert np.array_equal(np.sort(rewirer._twins), np.sort(lists.twins))


def test_protected_edges_stay_whoever_is_offered_as_a_partner():
    _, edge_index = drawn(60, 150)
    half = np.random.default_rng(0).random(150) < 0.5
    fixed = np.concatenate([half, half])
    lists = NeighbourLists.of(edge_index, 60, directed=False, fixed=fixed)
    rewirer = run(problem_of(lists), proposals=200 * len(lists.active), hottest=1.0, coldest=0.1)
    assert rewirer.accepted > 0
    found = lists.edge_index(rewirer.neighbours, rewirer.edges)
    assert np.array_equal(found[:, fixed], edge_index[:, fixed])


@pytest.mark.parametrize("nodes", [5, 200])
def test_nearest_senders_are_those_of_brute_force(nodes):
    vectors = np.random.default_rng(0).normal(size=(nodes, 6))
    distances = np.square(vectors[:, None] - vectors[None]).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    expected = np.argsort(distances, axis=1)[:, : min(NEAREST, nodes - 1)]
    assert np.array_equal(nearest_senders(vectors), expected)


def test_in_large_graphs_the_nearest_are_so_in_the_strongest_directions(monkeypatch):
    monkeypatch.setattr(rewiring, "ALL_DIRECTIONS", 100)
    generator = np.random.default_rng(1)
    strong, weak = generator.normal(size=(200, 4)), 1e-3 * generator.normal(size=(200, 6))
    turned = np.linalg.qr(generator.normal(size=(10, 10)))[0]
    found = nearest_senders(np.concatenate([strong, weak], axis=1) @ turned)
    shared = [len({*a} & {*b}) / NEAREST for a, b in zip(found, nearest_senders(strong), strict=True)]
    assert np.mean(shared) > 0.97


def lists_of(edge_index, nodes):
    starts = np.full((nodes, nodes), False)
    starts[edge_index[1], edge_index[0]] = True
    return starts


@pytest.mark.parametrize("directed", [False, True])
def test_every_swap_changes_the_list_of_a_node_that_is_wanted(directed):
    lists, before = drawn(directed=directed)
    chosen = np.arange(30) < 3
    lists = lists.restricted(chosen)
    begun = set()
    for seed in range(300):
        swapped = run(problem_of(lists), proposals=1, hottest=1e6, coldest=1e6, seed=seed)
        after = lists.edge_index(swapped.neighbours, swapped.edges)
        changed = (lists_of(before, 30) != lists_of(after, 30)).any(axis=1)
        assert changed.sum() == swapped.accepted * (2 if directed else 4)
        assert changed[chosen].any() == changed.any()
        begun |= {*np.flatnonzero(changed[chosen]).tolist()}
    assert begun == {0, 1, 2}


@pytest.mark.parametrize("directed", [False, True])
def test_all_neighbours_of_one_node_can_be_exchanged_and_few_others_are(directed):
    lists, before = drawn(directed=directed)
    node = int(np.bincount(before[1]).argmax())
    one = lists.restricted(np.arange(30) == node)
    neighbours, edges = shuffled(one, seed=0, reference_edges="forbid", rounds=200)
    first, last = one.starts[node : node + 2]
    assert not set(neighbours[first:last]) & set(lists.neighbours[first:last])
    after = one.edge_index(neighbours, edges)
    for side in range(2):
        assert np.array_equal(*(np.bincount(g[side], minlength=30) for g in (before, after)))
    assert len(np.unique(keys(after, 30))) == after.shape[1]


def test_a_restricted_search_finds_the_two_neighbours_whose_sum_is_nearest():
    lists, edge_index = drawn(40, 60)
    node = int(np.flatnonzero(np.bincount(edge_index[1], minlength=40) == 2)[0])
    problem = problem_of(lists.restricted(np.arange(40) == node), hops=1, rule="forbid")
    problem.weights[np.arange(40) != node] = 0
    first = lists.starts[node]
    before = lists.neighbours[first : first + 2]
    degrees = np.bincount(edge_index[1], minlength=40)
    others = [u for u in range(40) if u != node and u not in before and degrees[u]]
    wanted = problem.vectors[0][before].sum(axis=0)
    least = min(
        problem.weights[node, 0] * np.square(problem.vectors[0][[u, v]].sum(axis=0) - wanted).sum()
        for u, v in itertools.combinations(others, 2)
    )
    rewirer = Rewirer(problem, seed=0)
    rewirer.neighbours, rewirer.edges = shuffled(problem.lists, seed=1, reference_edges="forbid")
    rewirer.go_back(rewirer.neighbours, rewirer.edges)
    costs = [rewirer.cost for _ in rewirer.anneal(Schedule(100_000, 3.0, 0.001), chunk=1000)]
    assert costs[-1] == pytest.approx(least, rel=1e-5)


def test_the_unit_and_the_proposals_are_those_of_the_lists_that_are_wanted():
    lists, _ = drawn()
    one = lists.restricted(np.arange(30) == 4)
    problem = problem_of(one, hops=1)
    length = np.square(problem.vectors[0]).sum(axis=1).mean()
    assert problem.unit == pytest.approx(problem.weights[4, 0] * length)
    assert lists.proposals(10, 50) == 10 * len(lists.active)
    assert one.proposals(10, 50) == max(50, 10 * len(one.wanted))
    assert one.proposals(10, 10**9) == 10 * len(lists.active)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("rounds", [20, 200])
def test_swaps_stay_within_a_graph_whatever_the_order_of_nodes(directed, rounds):
    _, edge_index = drawn(60, 400, directed=directed)
    graphs = np.random.default_rng(0).integers(3, size=60)
    edge_index = edge_index[:, graphs[edge_index[0]] == graphs[edge_index[1]]]
    lists = NeighbourLists.of(edge_index, 60, directed=directed, graphs=graphs)
    rewirer = run(problem_of(lists), proposals=rounds * len(lists.active), hottest=10.0, coldest=1.0)
    after = lists.edge_index(rewirer.neighbours, rewirer.edges)
    assert rewirer.accepted > 100
    assert np.array_equal(graphs[after[0]], graphs[after[1]])
    assert np.array_equal(graphs[after[0]], graphs[edge_index[0]])  # each column in its graph
    changed = (after != edge_index).any(axis=0)
    assert np.bincount(graphs[after[0][changed]], minlength=3).min() > 0
    model, _ = model_of(lists)
    assert rewirer.improve(model, proposals=20_000, most=50) > 0
    after = lists.edge_index(rewirer.neighbours, rewirer.edges)
    assert np.array_equal(graphs[after[0]], graphs[after[1]])


def test_nearest_senders_of_several_graphs_are_those_of_each():
    generator = np.random.default_rng(0)
    graphs = np.repeat([1, 0, 2, 3], [50, 40, 5, 1])
    generator.shuffle(graphs)
    vectors = generator.normal(size=(96, 6))
    found = nearest_senders(vectors, graphs)
    assert found.shape == (96, NEAREST)
    for graph in range(4):
        nodes = np.flatnonzero(graphs == graph)
        alone = nodes[nearest_senders(vectors[nodes])] if len(nodes) > 1 else nodes[:, None]
        for row, node in enumerate(nodes):
            assert set(found[node]) == set(alone[row])


def assert_valid(rewirer, lists, edge_index, fixed):
    after, n = lists.edge_index(rewirer.neighbours, rewirer.edges), lists.num_nodes
    found = keys(after, n)
    assert len(np.unique(found)) == len(found)
    assert np.array_equal(np.sort(found), np.sort(keys(after[::-1], n)))
    assert np.array_equal(np.bincount(after[1], minlength=n), np.bincount(edge_index[1], minlength=n))
    assert np.array_equal(after[:, fixed], edge_index[:, fixed])
    assert np.array_equal(rewirer._twins, lists.twins_of(rewirer.neighbours))
    residuals, vectors = np.zeros((n, 4)), rewirer._rows[:, 1].astype(np.float64)
    np.add.at(residuals, after[1], vectors[after[0]])
    np.subtract.at(residuals, edge_index[1], vectors[edge_index[0]])
    assert rewirer.cost == pytest.approx(np.square(residuals).sum())


# Partners are from parts of the large graph, and from all of the small one.
@pytest.mark.parametrize("nodes", [300, pytest.param(60_000, marks=pytest.mark.slow)])
def test_edges_that_take_turns_stay_valid_and_come_as_near(nodes, monkeypatch):
    """Some edges protected, some nodes wanted, partners near or any."""
    generator = np.random.default_rng(0)
    ends = generator.integers(nodes, size=(2, 5 * nodes))
    pairs = np.stack(np.divmod(np.unique(nodes * ends[0] + ends[1]), nodes))
    pairs = pairs[:, pairs[0] < pairs[1]]
    edge_index = np.concatenate([pairs, pairs[::-1]], axis=1)
    protected = generator.random(pairs.shape[1]) < 0.01
    fixed = np.concatenate([protected, protected])
    whole = NeighbourLists.of(edge_index, nodes, directed=False, fixed=fixed)
    vectors = generator.normal(size=(nodes, 4)).astype(np.float32)
    is_small = nodes < 1000
    for lists in (whole, whole.restricted(np.arange(nodes) < 0.99 * nodes)):
        neighbours, edges = shuffled(lists, seed=1, reference_edges="forbid")
        problem = RewiringProblem(lists, [vectors], np.ones((nodes, 1)), "forbid")
        schedule = Schedule((200 if is_small else 10) * len(lists.wanted) + 1000, 1.0, 0.001)
        costs = {}
        for fewest in (0, 10**9):
            monkeypatch.setattr(rewiring, "IN_TURN_FROM", fewest)
            rewirer = Rewirer(problem, seed=0, neighbours=neighbours, edges=edges)
            assert rewirer._in_turn(schedule) == (fewest == 0)
            for _ in rewirer.anneal(schedule, chunk=1_000_000):
                pass
            assert_valid(rewirer, lists, edge_index, fixed)
            costs[fewest] = rewirer.cost
        assert costs[0] == pytest.approx(costs[10**9], rel=0.15 if is_small else 0.02)
        assert costs[0] != costs[10**9]
        assert costs[0] < 0.5 * problem.cost(neighbours)


def test_edges_take_turns_in_long_annealings_of_large_single_graphs(monkeypatch):
    lists, _ = drawn()
    rewirer, slots = Rewirer(problem_of(lists), seed=0), len(lists.wanted)
    for wanted, fewest, schedule in (
        (True, slots, Schedule(8 * slots, 1.0, 0.1)),
        (False, slots + 1, Schedule(8 * slots, 1.0, 0.1)),
        (False, slots, Schedule(8 * slots - 1, 1.0, 0.1)),
        (False, slots, Schedule(8 * slots)),  # a random graph is drawn
    ):
        monkeypatch.setattr(rewiring, "IN_TURN_FROM", fewest)
        assert rewirer._in_turn(schedule) == wanted
    halves = NeighbourLists.of(
        np.array([[0, 1, 2, 3], [1, 0, 3, 2]]), 4, directed=False, graphs=np.array([0, 0, 1, 1])
    )
    monkeypatch.setattr(rewiring, "IN_TURN_FROM", 0)
    assert not Rewirer(problem_of(halves), seed=0)._in_turn(Schedule(100, 1.0, 0.1))


def drawn_in_turn(lists, count, number, near, state):
    slots = np.empty((3, count), dtype=np.int64)
    known = (lists.starts, lists.twins, lists.owners, lists.wanted, lists.pools[0])
    may_move = np.ones(len(lists.owners), dtype=np.bool_)
    draws.draw_in_turn.py_func(slots, count, number, 0.3, *known, may_move, near, state)
    return slots


@pytest.mark.parametrize("nodes", [20, 8])
def test_in_turn_every_pair_of_slots_is_drawn_as_often(nodes, monkeypatch):
    """Also where only the lists of some nodes are wanted; then from either end of an edge."""
    monkeypatch.setattr(draws, "PART", 5)
    lists = drawn(20, 20)[0].restricted(np.arange(20) < nodes)
    slots, size, turns = len(lists.wanted), len(lists.active), 2000
    none, state = np.empty((20, 0), dtype=np.int32), np.array([1], dtype=np.uint64)
    counts, ends = np.zeros((size, size), dtype=np.int64), 0
    for number in range(0, turns * slots, 64):
        found = drawn_in_turn(lists, 64, number, none, state)
        assert np.array_equal(found[0], lists.wanted[np.arange(number, number + 64) % slots])
        np.add.at(counts, (found[0], found[2]), 1)
        ends += found[1].sum()
    expected = turns / size
    assert np.abs(counts[lists.wanted] - expected).max() < 5 * np.sqrt(expected)
    assert ends / (turns * slots) == pytest.approx(0.5 if nodes < 20 else 0, abs=0.02)
    one_turn = drawn_in_turn(lists, 8, 0, none, state)[2]
    if nodes == 20:  # near each other in the lists
        assert np.ptp((one_turn - one_turn[0] + size // 2) % size) < 8 + 2 * 5


def test_in_turn_three_of_four_partners_send_nearly_the_same():
    lists, _ = drawn(20, 40)
    state, near = np.array([1], dtype=np.uint64), np.full((20, 1), 7, dtype=np.int32)
    slots = len(lists.wanted)
    found = [drawn_in_turn(lists, slots, turn * slots, near, state) for turn in range(4)]
    of_seven = np.array([lists.owners[one[2]] == 7 for one in found])
    assert (of_seven.sum(axis=0) >= 3).all()  # whatever the slot: it is another turn when any edge is drawn
