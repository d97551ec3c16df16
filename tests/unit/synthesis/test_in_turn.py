"""Structure and features vary together."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GCN

import graph_metamers as gm
from graph_metamers.metrics.fidelity import activation_loss

BUDGET = gm.Budget(steps=600)
FEW = gm.InTurn(rewire=gm.Rewire(proposals=300))


def drawn(nodes=60, edges=150, *, words=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(nodes, (2, edges), generator=generator)
    pairs = pairs[:, pairs[0] != pairs[1]].sort(dim=0).values.unique(dim=1)
    x = torch.randn(nodes, 40, generator=generator)
    if words:
        x = (x > 1).float()
        x[x.sum(dim=1) == 0, 0] = 1
    return Data(x=x, edge_index=torch.cat([pairs, pairs.flip(0)], dim=1))


def model():
    torch.manual_seed(0)
    return GCN(40, 8, num_layers=2, out_channels=3)


def keys(graph):
    return set(map(tuple, graph.edge_index.T.tolist()))


def plain_loss(net, metamer, graph):
    net.eval()
    with torch.no_grad():
        ours, theirs = (net(g.x, g.edge_index).double() for g in (metamer.graph, graph))
    return float(activation_loss(ours, theirs))


@pytest.mark.parametrize("vary", [("features", "structure"), ["structure", gm.Features(ones="per_node")]])
def test_words_and_edges_are_others_as_many_as_before_and_the_model_sees_the_same(vary):
    net, graph = model(), drawn(words=True)
    before = graph.clone()
    metamer = gm.generate(net, graph, "output", vary=vary, solver=FEW, budget=BUDGET, tolerance=1e-4)
    found = metamer.graph
    assert not keys(found) & keys(graph)
    assert not bool(((found.x > 0) & (graph.x > 0)).any())
    assert torch.equal(found.x.sum(dim=1), graph.x.sum(dim=1))
    assert set(found.x.unique().tolist()) == {0.0, 1.0}
    for side in range(2):
        degrees = [torch.bincount(g.edge_index[side], minlength=60) for g in (found, graph)]
        assert torch.equal(*degrees)
    assert metamer.activation_loss < 0.1 * metamer.start_loss
    assert metamer.activation_loss == pytest.approx(plain_loss(net, metamer, graph), rel=1e-5)
    edges = gm.generate(
        net, graph, "output", vary="structure", solver=FEW.rewire, budget=BUDGET, tolerance=1e-4
    )
    assert metamer.activation_loss < 0.8 * edges.activation_loss
    assert torch.equal(graph.x, before.x)
    assert torch.equal(graph.edge_index, before.edge_index)
    assert metamer.steps <= BUDGET.steps
    assert metamer.config["solver"] == "in_turn"
    assert set(metamer.config["vary"]) == {"edges", "x"}


def test_numbers_are_matched_by_the_solver_for_numbers():
    net, graph = model(), drawn()
    metamer = gm.generate(net, graph, "output", vary=("features", "structure"), solver=FEW, budget=BUDGET)
    assert not keys(metamer.graph) & keys(graph)
    assert metamer.activation_loss == pytest.approx(plain_loss(net, metamer, graph), rel=1e-5)
    assert metamer.activation_loss < 0.02 * metamer.start_loss


def test_a_graph_is_as_far_as_its_nearer_part():
    graph = drawn(words=True)
    metamer = gm.generate(
        model(), graph, "output", vary=("features", "structure"), solver=FEW, budget=gm.Budget(steps=60)
    )
    x = graph.x.double()
    changed = (metamer.graph.x.double() - x).square().sum()
    chance = ((x - x.mean(dim=0)).square() + x.var(dim=0, unbiased=False)).sum()
    edges = gm.Structure().variables(graph).distance(metamer.graph, "nodes")
    nearer = min(float((changed / chance).sqrt()), edges.scaled)
    assert metamer.input_distance.scaled == pytest.approx(nearer)
    assert bool((metamer.input_distance.items <= edges.items + 1e-6).all())


def test_it_comes_back_from_a_file_and_one_seed_gives_one_graph(tmp_path):
    graph, options = drawn(words=True), {"vary": ("features", "structure"), "solver": FEW}
    one, same = (
        gm.generate(model(), graph, "output", **options, budget=gm.Budget(steps=120)) for _ in range(2)
    )
    assert torch.equal(one.graph.x, same.graph.x)
    assert torch.equal(one.graph.edge_index, same.graph.edge_index)
    one.save(tmp_path / "metamer")
    assert repr(gm.load_metamer(tmp_path / "metamer")) == repr(one)
    other = gm.generate(model(), graph, "output", **options, budget=gm.Budget(steps=120), seed=1)
    assert keys(other.graph) != keys(one.graph)


@pytest.mark.parametrize("steps", [1, 2, 9, 30])
def test_small_budgets_are_kept(steps):
    metamer = gm.generate(
        model(),
        drawn(words=True),
        "output",
        vary=("features", "structure"),
        solver=FEW,
        budget=gm.Budget(steps=steps),
    )
    assert metamer.steps <= steps
    assert metamer.activation_loss == pytest.approx(plain_loss(model(), metamer, metamer.reference), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vary": ("features",)}, r"'vary' parameter must be \('features', 'structure'\)"),
        ({"vary": ("structure", "edge_weights")}, r"'vary' parameter must be \('features', 'structure'\)"),
        ({"vary": ("features", "features")}, r"'vary' parameter must be \('features', 'structure'\)"),
        ({"solver": "lbfgs"}, "'solver' parameter must be 'in_turn' or 'auto'"),
        ({"solver": gm.Rewire()}, "'solver' parameter must be 'in_turn' or 'auto'"),
        ({"objective": "farthest"}, "'objective' parameter must be 'match'"),
        ({"index": [0]}, "'index' parameter must be left out"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    settings = {"vary": ("features", "structure"), "budget": gm.Budget(steps=20), **options}
    with pytest.raises(gm.ParameterError, match=message):
        gm.generate(model(), drawn(), "output", **settings)


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (
            True,
            {"solver": gm.InTurn(features=gm.LBFGS())},
            r"'features' parameter .*\('adam', 'word_swaps'\)",
        ),
        (True, {"solver": gm.InTurn(features=gm.NullSpace())}, "'features' parameter .* got 'null_space'"),
        (True, {"solver": gm.InTurn(features=gm.Rewire())}, "'features' parameter .* got 'rewire'"),
        (True, {"solver": gm.InTurn(features=gm.InTurn())}, "'features' parameter .* got 'in_turn'"),
        (
            False,
            {"solver": gm.InTurn(features=gm.WordSwaps())},
            r"'features' parameter .*\('adam', 'lbfgs'\)",
        ),
        (True, {"init": "permuted"}, "'init' parameter must be 'noise' or 'reference'"),
        (True, {"vary": (gm.EdgeWeights(), "structure")}, "'vary' parameter"),
        (True, {"vary": ("features", gm.Structure(protected=torch.ones(3)))}, "'protected' parameter"),
    ],
)
def test_bad_settings_of_a_pair_are_refused_before_anything_is_searched(words, options, message, monkeypatch):
    def never(*_arguments, **_options):
        raise AssertionError("a search was begun")

    monkeypatch.setattr(gm.Rewire, "solve", never)
    settings = {"vary": ("features", "structure"), **options}
    with pytest.raises(gm.ParameterError, match=message):
        gm.generate(model(), drawn(words=words), "output", **settings)


def test_settings_of_a_pair_are_checked_without_model_and_graph():
    from graph_metamers.synthesis.settings import check_search  # noqa: PLC0415

    fine = {"solver": "auto", "init": "noise", "tolerance": 1e-3, "min_distance": 0.1, "seed": 0}
    pair = ("features", "structure")
    check_search(**fine, vary=pair)
    for bad, name in (({"init": "permuted"}, "init"), ({"solver": "lbfgs"}, "solver")):
        with pytest.raises(gm.ParameterError, match=f"'{name}' parameter"):
            check_search(**{**fine, **bad}, vary=pair)
    with pytest.raises(gm.ParameterError, match="'objective' parameter"):
        check_search(**fine, objective="farthest", vary=pair)
    with pytest.raises(gm.ParameterError, match="'rewire' parameter"):
        gm.InTurn(rewire="rewire")
    with pytest.raises(gm.ParameterError, match="'features' parameter"):
        gm.InTurn(features="lbfgs")


def test_several_graphs_are_refused_and_the_solver_is_for_nothing_else():
    batch = Batch.from_data_list([drawn(20, 40), drawn(20, 40, seed=1)])
    with pytest.raises(gm.ParameterError):
        gm.generate(model(), batch, "output", vary=("features", "structure"))
    with pytest.raises(gm.ParameterError, match="unless features and edges vary"):
        gm.generate(model(), drawn(), "output", solver=gm.InTurn())


def test_sums_ahead_lower_the_loss_where_the_edges_are_others():
    net, graph = model(), drawn(words=True)
    plain = gm.InTurn(FEW.rewire, features=gm.WordSwaps())
    aiming = gm.InTurn(FEW.rewire, features=gm.WordSwaps(redirections=4))
    options = {"vary": ("features", "structure"), "budget": gm.Budget(steps=1500), "tolerance": 1e-6}
    one, other = (gm.generate(net, graph, "output", solver=s, **options) for s in (plain, aiming))
    assert other.activation_loss <= one.activation_loss


def test_a_time_limit_ends_with_what_was_found_and_callbacks_hear_of_graphs_that_may_be_the_result():
    told = []
    metamer = gm.generate(
        model(),
        drawn(words=True),
        "output",
        vary=("features", "structure"),
        budget=gm.Budget(steps=10**6, seconds=3.0),
        tolerance=1e-9,
        callbacks=[told.append],
    )
    assert metamer.status.name in ("TIME_LIMIT", "STALLED")
    assert metamer.activation_loss < 0.2 * metamer.start_loss
    assert metamer.relaxed_loss == pytest.approx(metamer.activation_loss, rel=1e-4)
    best = [progress.best_loss for progress in told]
    assert best == sorted(best, reverse=True)
    assert {progress.steps for progress in told} == {10**6}


def test_the_record_tells_of_numbers_of_ones_only_where_they_are_kept():
    options = {"vary": ("features", "structure"), "budget": gm.Budget(steps=40), "solver": FEW}
    numbers = gm.generate(model(), drawn(), "output", **options)
    assert "ones" not in numbers.config["vary"]["x"]
    words = gm.generate(model(), drawn(words=True), "output", **options)
    assert words.config["vary"]["x"]["ones"] == "per_node"
