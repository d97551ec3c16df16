from __future__ import annotations

import inspect
import random

import numpy as np
import pytest
import torch

import graph_metamers as gm
from graph_metamers.synthesis.repeating import SearchOptions

FEW = gm.Budget(steps=30)


def require_equal(ours: gm.Metamer, theirs: gm.Metamer) -> None:
    """Bit for bit, all but the seconds that it took."""
    assert repr(ours) == repr(theirs)
    assert ours.graph.keys() == theirs.graph.keys()
    assert all(torch.equal(ours.graph[key], theirs.graph[key]) for key in ours.graph.keys())  # noqa: SIM118 (PyG)
    assert torch.equal(ours.item_loss, theirs.item_loss)
    torch.testing.assert_close(
        ours.input_distance.items, theirs.input_distance.items, rtol=0, atol=0, equal_nan=True
    )
    for name in ("status", "activation_loss", "relaxed_loss", "start_loss", "trace", "steps", "config"):
        assert getattr(ours, name) == getattr(theirs, name), name
    ours_made, theirs_made = ({**metamer.provenance, "seconds": None} for metamer in (ours, theirs))
    assert ours_made == theirs_made


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_each_result_is_that_of_generate(digits_fit, digits, solver):
    options = {"solver": solver, "budget": FEW, "index": [3, 7, 9], "tolerance": 1e-5, "init": "permuted"}
    metamers = gm.generate_many(digits_fit.model, digits.graph, ["act.0", "output"], seeds=[5, 0], **options)
    assert len(metamers) == 2
    for seed, metamer in zip([5, 0], metamers, strict=True):
        assert metamer.config["seed"] == seed
        alone = gm.generate(digits_fit.model, digits.graph, ["act.0", "output"], seed=seed, **options)
        require_equal(metamer, alone)
    assert not torch.equal(metamers[0].graph.x, metamers[1].graph.x)


def test_eight_starts_are_the_default(karate_model, karate):
    metamers = gm.generate_many(karate_model, karate.graph, "act.0", budget=FEW)
    assert [metamer.config["seed"] for metamer in metamers] == list(range(8))
    require_equal(metamers[7], gm.generate(karate_model, karate.graph, "act.0", budget=FEW, seed=7))


def test_model_and_random_state_stay_as_they_were(karate_model, karate):
    karate_model.train()
    weights = {name: value.clone() for name, value in karate_model.state_dict().items()}
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    gm.generate_many(karate_model, karate.graph, "act.0", seeds=range(2), budget=FEW)
    assert karate_model.training
    karate_model.eval()
    assert all(torch.equal(value, weights[name]) for name, value in karate_model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]  # noqa: NPY002


def test_progress_is_told_for_every_seed(karate_model, karate):
    told = []
    metamers = gm.generate_many(
        karate_model,
        karate.graph,
        "act.0",
        seeds=(4, 2),
        budget=FEW,
        on_seed=lambda *where: told.append(where),
        callbacks=[lambda progress: told.append((progress.step, progress.loss))],
    )
    assert told == [(4, 1, 2), *metamers[0].trace, (2, 2, 2), *metamers[1].trace]


def test_seeds_may_come_from_numpy_and_from_an_iterator(karate_model, karate):
    for seeds in (np.arange(2), iter([0, 1])):
        metamers = gm.generate_many(
            karate_model, karate.graph, "act.0", seeds=seeds, budget=gm.Budget(steps=1)
        )
        assert [metamer.config["seed"] for metamer in metamers] == [0, 1]
        assert all(type(metamer.config["seed"]) is int for metamer in metamers)


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([0, 1, 0], r"all of them different, got \[0, 1, 0\]. A seed repeated"),
        ([np.int64(1), 1], "all of them different"),
        ([], "at least one integer"),
        (8, r"several integers, such as range\(8\), got 8"),
        ("01", "an integer from 0 to"),
        ([-1], "an integer from 0 to"),
        ([2**63], "an integer from 0 to"),
        ([0.5], "an integer from 0 to"),
        ([True], "an integer from 0 to"),
        (None, "several integers"),
    ],
)
def test_seeds_that_are_no_different_integers_are_refused_before_any_search(karate, seeds, message):
    with pytest.raises(gm.ParameterError, match=f"the 'seeds' parameter must be .*{message}"):
        gm.generate_many(torch.nn.Identity(), karate.graph, "no such layer", seeds=seeds)


def test_other_mistakes_are_found_before_the_first_search(karate_model, karate):
    steps = []
    with pytest.raises(gm.LayerNotFoundError):
        gm.generate_many(karate_model, karate.graph, "act.7", callbacks=[steps.append])
    with pytest.raises(gm.ParameterError, match="the 'solver' parameter"):
        gm.generate_many(karate_model, karate.graph, "act.0", solver="lbgfs", callbacks=[steps.append])
    with pytest.raises(gm.ParameterError, match="takes 'seeds', got 3"):
        gm.generate_many(karate_model, karate.graph, "act.0", seed=3, callbacks=[steps.append])
    with pytest.raises(TypeError, match="tolerence"):
        gm.generate_many(karate_model, karate.graph, "act.0", tolerence=1, callbacks=[steps.append])
    assert not steps


def test_the_options_are_the_keyword_parameters_of_generate():
    """Names and types; the one list that has to be kept in step with `generate`."""
    parameters = inspect.signature(gm.generate).parameters.values()
    expected = {p.name: p.annotation for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "seed"}
    found = {name: kind.__forward_arg__ for name, kind in SearchOptions.__annotations__.items()}
    assert found == expected
    for name in expected:
        assert f"`{name}`" in gm.generate_many.__doc__
