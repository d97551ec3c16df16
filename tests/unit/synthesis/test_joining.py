"""Several starts at once: what comes out is what each start gives alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GAT, GCN, GIN, GraphNorm, SAGEConv, global_add_pool

import graph_metamers as gm
from graph_metamers.synthesis import joining

VARY = gm.Features(kind="continuous")


def drawn(nodes, columns=12):
    generator = torch.Generator().manual_seed(nodes)
    edges = torch.randint(nodes, (2, 3 * nodes), generator=generator)
    x = torch.randn(nodes, columns, generator=generator, dtype=torch.float64)
    return Data(x=x, edge_index=torch.cat([edges, edges.flip(0)], dim=1))


class Pooled(nn.Module):
    def __init__(self, norm=None):
        super().__init__()
        self.conv, self.norm = SAGEConv(12, 6), norm
        self.out = nn.Linear(6, 3)

    def forward(self, x, edge_index, batch=None):
        h = self.conv(x, edge_index).tanh()
        h = h if self.norm is None else self.norm(h)
        return self.out(global_add_pool(h, batch))


def model(kind):
    torch.manual_seed(1)
    made = {
        "gcn": lambda: GCN(12, 6, num_layers=2, out_channels=3),
        "gat": lambda: GAT(12, 6, num_layers=2, out_channels=3),
        "gin": lambda: GIN(12, 6, num_layers=2, out_channels=3),
        "pooled": Pooled,
    }[kind]()
    return made.double()


@pytest.mark.parametrize("vary", [VARY, gm.Features(low=-9.0, high=9.0)])
@pytest.mark.parametrize("kind", ["gcn", "gat", "gin", "pooled"])
def test_starts_at_once_go_the_way_that_they_go_alone(kind, vary):
    graph, options = drawn(20), {"vary": vary, "tolerance": 1e-3, "budget": gm.Budget(steps=12)}
    together = gm.generate_many(model(kind), graph, "output", seeds=[3, 0, 7], **options)
    for metamer in together:
        assert metamer.config["starts_at_once"] == 3
        alone = gm.generate(model(kind), graph, "output", seed=metamer.config["seed"], **options)
        assert (metamer.status, metamer.steps) == (alone.status, alone.steps)
        torch.testing.assert_close(metamer.graph.x, alone.graph.x, rtol=1e-4, atol=1e-6)
        assert [loss for _, loss in metamer.trace] == pytest.approx(
            [loss for _, loss in alone.trace], rel=1e-4
        )


def test_items_that_have_to_match_and_fixed_rows_are_kept_apart_too():
    graph = drawn(20)
    mutable = torch.arange(20) % 3 > 0
    options = {"vary": gm.Features(kind="continuous", mutable=mutable), "index": [2, 5, 9], "tolerance": 1e-5}
    found = gm.generate_many(model("gcn"), graph, "act", seeds=range(3), **options)
    network = model("gcn").requires_grad_(False)
    for metamer in found:
        assert metamer.config["starts_at_once"] == 3
        assert torch.equal(metamer.graph.x[~mutable], graph.x[~mutable])
        expected, ours = (network.convs[0](x, graph.edge_index).relu() for x in (graph.x, metamer.graph.x))
        expected, ours = expected[[2, 5, 9]], ours[[2, 5, 9]]
        error = ours - expected
        loss = float(error.square().sum() / expected.square().sum())
        assert loss == pytest.approx(metamer.activation_loss, rel=1e-6)
        assert loss <= 1e-5


def test_large_graphs_and_models_that_see_the_whole_batch_are_searched_one_after_the_other(monkeypatch):
    options = {"vary": VARY, "seeds": range(2), "budget": gm.Budget(steps=3)}
    whole = Pooled(GraphNorm(6)).double()  # without `batch`, it normalises over all copies
    assert gm.generate_many(whole, drawn(20), "output", **options)[0].config["starts_at_once"] == 1
    adam = gm.generate_many(model("gcn"), drawn(20), "output", solver="adam", **options)
    assert adam[0].config["starts_at_once"] == 1
    monkeypatch.setattr(joining, "LARGEST_POINT", 100)
    assert gm.generate_many(model("gcn"), drawn(20), "output", **options)[0].config["starts_at_once"] == 1


def test_graphs_of_a_batch_are_searched_apart_where_the_model_keeps_them_apart():
    batch = Batch.from_data_list([drawn(n) for n in (5, 9, 14)])
    apart = gm.generate(model("pooled"), batch, "output", vary=VARY, tolerance=1e-8)
    assert apart.config["blocks"] == 3
    assert apart.activation_loss <= 1e-8
    mixed = gm.generate(Pooled(GraphNorm(6)).double(), batch, "output", vary=VARY, budget=gm.Budget(steps=2))
    assert mixed.config["blocks"] == 1


def test_progress_of_starts_at_once_is_that_of_the_one_that_has_farthest_to_go():
    told, seeds = [], []
    found = gm.generate_many(
        model("gcn"),
        drawn(20),
        "act",
        vary=VARY,
        seeds=[1, 2],
        callbacks=[told.append],
        on_seed=lambda *where: seeds.append(where),
    )
    assert seeds == [(1, 1, 2), (2, 2, 2)]
    assert told[0].loss == max(metamer.trace[0][1] for metamer in found)
    assert [progress.step for progress in told] == sorted(progress.step for progress in told)
    assert told[-1].step == max(metamer.steps for metamer in found)


def test_a_start_that_has_to_begin_anew_sends_all_of_them_on_their_own_way(karate):
    seeds = []
    options = {"vary": VARY, "budget": gm.Budget(steps=90), "on_seed": lambda *where: seeds.append(where)}
    gin = gm.fit(gm.build_model("gin", karate, hidden_channels=16, seed=1), karate, epochs=60).model
    found = gm.generate_many(gin, karate.graph, "act.0", seeds=[1, 2], **options)
    assert [metamer.config["starts_at_once"] for metamer in found] == [1, 1]
    assert seeds == [(1, 1, 2), (2, 2, 2), (1, 1, 2), (2, 2, 2)]


def test_starts_that_are_stuck_or_lost_end_as_they_do_alone():
    least = float(drawn(20).x[:5, 0].sum()) - 1

    class Partly(nn.Module):
        """Nothing arrives where a gate is closed: a search that starts there is stuck."""

        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv = SAGEConv(12, 3)

        def forward(self, x, edge_index):
            return self.conv(x, edge_index) * (x[:5, 0].sum() > least)

    options = {"vary": VARY, "budget": gm.Budget(steps=30), "tolerance": 1e-7}
    graph, model = drawn(20), Partly().double()
    together = gm.generate_many(model, graph, "output", seeds=range(6), **options)
    assert len({metamer.status for metamer in together}) > 1
    for metamer in together:
        alone = gm.generate(model, graph, "output", seed=metamer.config["seed"], **options)
        assert (metamer.status, metamer.steps) == (alone.status, alone.steps)


def test_a_time_limit_is_for_each_start_so_they_are_not_joined():
    options = {"vary": VARY, "seeds": range(2), "budget": gm.Budget(steps=3, seconds=60.0)}
    assert gm.generate_many(model("gcn"), drawn(20), "output", **options)[0].config["starts_at_once"] == 1


def test_seconds_of_starts_at_once_are_shared_out():
    found = gm.generate_many(model("gcn"), drawn(20), "act", vary=VARY, seeds=range(3))
    assert found[0].config["starts_at_once"] == 3
    assert len({metamer.provenance["seconds"] for metamer in found}) == 1
