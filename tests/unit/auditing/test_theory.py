"""What an audit computes without a search, against the functions it comes from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import graph_metamers as gm
from graph_metamers.auditing.theory import describe_theory, restored_theory, theory_of
from graph_metamers.metrics import partial_rank_correlation
from graph_metamers.storage import to_jsonable


@pytest.fixture(scope="module")
def model(karate):
    return gm.build_model("gcn", karate, hidden_channels=4, seed=0)


def test_means_are_those_of_the_functions(model, karate, monkeypatch):
    monkeypatch.setattr("graph_metamers.auditing.theory.MOST_FOR_ACTIVATIONS", 100)
    theory = theory_of(model, karate, ["act.0", "output"])
    counted = gm.local_metamer_dimension(model, karate.graph, ["act.0", "output"])
    assert [layer.layer for layer in theory.layers] == ["act.0", "output"]
    assert not theory.refusals
    for layer in theory.layers:
        every = counted[layer.layer]
        assert layer.num_nodes == karate.num_nodes
        assert layer.rank == pytest.approx(float(every.rank.double().mean()))
        assert layer.inputs == pytest.approx(float(every.inputs.double().mean()))
        assert layer.unseen == pytest.approx(float(every.share.mean()))
        assert layer.least_rank == int(every.rank.min()) <= layer.rank <= layer.largest_rank
    first, last = theory.layers
    change = gm.volume_change(model, karate.graph, "act.0").summary()
    assert first.activations[0].name == "relu"
    assert first.activations[0].closed == pytest.approx(change["inactive"])
    assert first.activations[0].dimension_gain == pytest.approx(change["dimension_gain"])
    assert last.activations == ()
    assert last.full_rank is None
    visibility = gm.feature_visibility(model, karate.graph)
    assert theory.features.gains == pytest.approx(visibility.gain.tolist())


def test_it_is_the_same_from_disk(model, karate):
    theory = theory_of(model, karate, ["act.0", "output"])
    assert restored_theory(to_jsonable(describe_theory(theory))) == theory
    assert restored_theory(None) is None


def test_a_failure_of_an_activation_function_is_named_and_not_passed_over(model, karate, monkeypatch):
    def fails(*_args, **_options):
        raise gm.ModelError("planted")

    monkeypatch.setattr("graph_metamers.auditing.theory.volume_change", fails)
    theory = theory_of(model, karate, ["act.0", "output"])
    assert theory.refusals == ("act.0: planted",)
    assert [layer.layer for layer in theory.layers] == ["output"]


def test_activation_functions_are_asked_about_at_random_nodes(model, karate, monkeypatch):
    from graph_metamers.auditing import theory as module  # noqa: PLC0415

    asked, original = [], module.volume_change

    def noted(*args, index, **options):
        asked.append(index.tolist())
        return original(*args, index=index, **options)

    monkeypatch.setattr(module, "volume_change", noted)
    (layer,) = theory_of(model, karate, ["act.0"], seed=3).layers
    assert layer.num_asked == len(set(asked[0])) == module.MOST_FOR_ACTIVATIONS
    assert max(asked[0]) >= module.MOST_FOR_ACTIVATIONS  # not just the first ones


def test_what_cannot_be_computed_is_named(karate):
    class Largest(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin = torch.nn.Linear(karate.num_features, 4)

        def forward(self, x, edge_index):
            return self.lin(x / x.norm(dim=1, keepdim=True).clamp(min=1))

    theory = theory_of(Largest(), karate, ["output"])
    assert theory.features is None
    assert any(refusal.startswith("features: ") for refusal in theory.refusals)
    assert theory.layers[0].rank <= 4


def test_audits_have_it_and_keep_it(karate, model, tmp_path):
    fit = gm.fit(model, karate, epochs=5, seed=0)
    audit = gm.audit(fit, karate, budget=gm.Budget(steps=5), num_starts=1)
    bare = tuple(replace(layer, predicted=None) for layer in audit.theory.layers)
    names = [layer.name for layer in audit.layers]
    assert replace(audit.theory, layers=bare) == theory_of(fit.model, karate, names)
    audit.save(tmp_path / "audit")
    assert gm.load_audit(tmp_path / "audit").theory == audit.theory


def test_a_random_choice_of_nodes_is_looked_at_where_there_are_many(karate, model, monkeypatch):
    from graph_metamers.auditing import theory as module  # noqa: PLC0415

    monkeypatch.setattr(module, "MOST_NODES", 7)
    first, again, other = (theory_of(model, karate, ["act.0"], seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert first.layers[0].num_nodes == 7
    assert replace(first, refusals=()) == first


def test_predictions_are_compared_with_what_every_start_found(karate, model):
    searched = gm.audit(
        model,
        karate,
        layers=["act.0", "output"],
        vary=gm.Features(kind="continuous"),
        num_starts=2,
        tolerance=1e-2,
    )
    degrees = torch.bincount(karate.graph.edge_index[1], minlength=karate.num_nodes)
    for layer, audited in zip(searched.theory.layers, searched.layers, strict=True):
        shares = gm.free_shares(model, karate.graph, layer.layer, tolerance=1e-2).shares
        moved = [start.gates.distance.visible_items for start in audited.starts]
        expected = [partial_rank_correlation(shares, distances, degrees) for distances in moved]
        assert layer.predicted.correlations == pytest.approx(expected)
        assert layer.predicted.num_nodes == karate.num_nodes
        assert layer.predicted.mean_share == pytest.approx(float(shares.mean()))


def test_where_nodes_read_too_much_nothing_is_predicted_and_it_is_said(karate, model, monkeypatch):
    monkeypatch.setattr("graph_metamers.auditing.theory.WORK", 1.0)
    moved = {"act.0": [torch.rand(karate.num_nodes)]}
    theory = theory_of(model, karate, ["act.0"], moved=moved, tolerance=1e-3)
    assert theory.layers[0].predicted is None
    assert "free_shares() computes it" in theory.refusals[0]


def test_spectra_are_quantiles_of_singular_values(karate, model):
    (layer,) = theory_of(model, karate, ["act.0"]).layers
    values = gm.local_metamer_dimension(model, karate.graph, "act.0").singular_values
    values = values[values[:, 0] > 0]  # the others see nothing
    shares = (values / values[:, :1]).numpy()
    assert np.array(layer.spectrum) == pytest.approx(np.quantile(shares, [0.1, 0.5, 0.9], axis=0).T)
