"""What an audit says of who notices: every word of the rule in a sentence, with what bears it out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import graph_metamers as gm
from graph_metamers.auditing.mattering import is_blind, judgements
from graph_metamers.evidence.excess import ScaledExcess
from graph_metamers.evidence.measures import described_measure
from graph_metamers.evidence.panel_report import PanelReport, Sight
from graph_metamers.report.labels import title

STARTS = 5
ALL_PASS = ([0.9, 0.95, 0.93, 0.97, 0.96], [0.0, 0.01, 0.0, 0.02, 0.0])
LAYER = "output"


@pytest.fixture(scope="module")
def unasked(digits_fit, digits):
    audit = gm.audit(digits_fit, digits, layers=[LAYER], num_starts=STARTS, num_untrained=0)
    layer = audit.layers[0]
    measures = dict(layer.measures) | {"passing_share": described_measure("passing_share", *ALL_PASS)}
    return replace(audit, layers=(replace(layer, measures=measures),))


def sight(audit, name, kind, share_lost):
    """An observer who is right on the whole reference, and wrong on about that share of what was found."""
    right = audit.labels.clone()
    found = []
    for start in range(STARTS):
        lost = torch.rand(len(right), generator=torch.Generator().manual_seed(start)) < share_lost
        found.append(torch.where(lost, (right + 1) % 10, right))
    unrelated = (right + 1).repeat(STARTS, 1) % 10
    return Sight(name, kind, {}, right, unrelated, {LAYER: torch.stack(found)})


def asked(audit, **shares):
    """The audit with observers: `kind=share of nodes that five of them lose`."""
    sights = [sight(audit, "the model itself", "itself", shares.pop("itself", 0.0))]
    for kind, share in shares.items():
        sights += [sight(audit, f"{kind} {place}", kind, share + 0.002 * place) for place in range(5)]
    judged = torch.arange(len(audit.labels) // 2, len(audit.labels))
    return replace(audit, observers=PanelReport(tuple(sights), audit.labels, judged, (LAYER,)))


def with_oracle(audit, flipped, by_noise):
    """The audit with an oracle: counts of 100 matched nodes for each start."""
    counts = [np.array([row], dtype=np.int64) for row in ([100] * STARTS, flipped, by_noise)]
    found = ScaledExcess("features", (LAYER,), "conditional", 0.03, 200, *counts, unconverged=3)
    return replace(audit, oracle={LAYER: found})


def said(audit):
    return " ".join(gm.verdict(audit))


def test_where_nobody_was_asked_nothing_is_said_of_seeing(unasked):
    assert "still mean the same is not measured here" in said(unasked)
    assert "see" not in said(unasked).replace("seeds", "")
    assert not is_blind(unasked)
    assert "cannot see" not in title([unasked])


def test_cannot_see_comes_with_those_who_can(unasked):
    audit = asked(unasked, architecture=0.5, twin=0.0, features=0.0, edges=0.0)
    assert judgements(audit)[LAYER].word == "cannot see"
    text = said(audit)
    assert f"{audit.model_name} cannot see the changed features at every audited layer" in text
    assert "other architectures fall from 100% (4" in text
    assert "trained with other seeds it does not see them either" in text
    assert "still mean the same was asked of other classifiers" in text
    assert title([audit]) == f"What {audit.model_name} cannot see in digits"
    assert "cannot see" not in title([audit, unasked])
    (advised,) = [sentence for sentence in gm.advice([audit]) if "beside" in sentence]
    assert advised.startswith("Run architecture 4 beside")  # who loses most


def test_twins_that_notice_say_that_it_is_this_one_training(unasked):
    text = said(asked(unasked, architecture=0.5, twin=0.5))
    assert "so this comes of this one training" in text


def test_what_all_networks_share_is_not_called_blindness(unasked):
    audit = asked(unasked, architecture=0.0, features=0.5, edges=0.0)
    text = said(audit)
    assert "no other network that was asked notices the change" in text
    assert "a classifier that reads features alone falls from 100% (" in text
    assert "cannot see" not in text
    assert "cannot see" not in title([audit])


def test_what_nobody_notices_is_not_shown_to_matter(unasked):
    text = said(asked(unasked, architecture=0.0, features=0.0, edges=0.0))
    assert "nobody who was asked notices the change" in text
    assert "that it matters is not shown" in text


@pytest.mark.parametrize("shares", [{"architecture": 0.05}, {"architecture": 0.5, "itself": 0.5}])
def test_what_the_numbers_do_not_decide_is_open(unasked, shares):
    audit = asked(unasked, **shares)
    assert "matters is open:" in said(audit)
    assert "cannot see" not in said(audit)


def test_the_oracle_has_the_last_word(unasked):
    blind = with_oracle(asked(unasked, architecture=0.0), [40, 42, 38, 41, 40], [50, 52, 49, 51, 50])
    assert "cannot see at every audited layer that the truth has changed" in said(blind)
    assert "a scaled excess of 0.7" in said(blind)
    right = with_oracle(asked(unasked, architecture=0.5), [0] * STARTS, [50, 52, 49, 51, 50])
    assert "other architectures notice, but the oracle does not show excess" in said(right)
    assert "cannot see" not in said(right)


def test_an_audit_with_an_oracle_is_saved_and_loaded(unasked, tmp_path):
    audit = with_oracle(asked(unasked, architecture=0.5), [40, 42, 38, 41, 40], [50, 52, 49, 51, 50])
    audit.save(tmp_path / "audit")
    loaded = gm.load_audit(tmp_path / "audit")
    assert loaded.oracle[LAYER].rows() == audit.oracle[LAYER].rows()
    assert gm.verdict(loaded) == gm.verdict(audit)


def test_directed_edges_have_no_oracle():
    dataset = gm.load_dataset("csbm", num_nodes=60, p=0.1, q=0.03)
    model = gm.build_model("gcn", dataset, hidden_channels=8)
    options = {"layers": [LAYER], "num_starts": 1, "num_untrained": 0, "budget": gm.Budget(steps=5)}
    for directed, expected in ((True, set()), (False, {LAYER})):
        vary = gm.Structure(directed=directed)
        audit = gm.audit(model, dataset, vary=vary, solver=gm.Rewire(proposals=20), **options)
        assert set(audit.oracle) == expected


def test_data_with_a_known_truth_are_judged_by_the_oracle():
    dataset = gm.load_dataset("csbm", seed=0)
    fit = gm.fit(gm.build_model("gcn", dataset, hidden_channels=8, seed=0), dataset, epochs=50, seed=0)
    audit = gm.audit(fit, dataset, layers=[LAYER], num_starts=2, num_untrained=0)
    again = gm.oracle_figures(dataset, [gm.generate_many(fit.model, dataset.graph, LAYER, seeds=range(2))])
    assert audit.oracle[LAYER].rows() == again.rows()
