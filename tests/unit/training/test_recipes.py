from __future__ import annotations

import os

import pytest
import torch
from torch_geometric.transforms import NormalizeFeatures

from graph_metamers.datasets import load_dataset
from graph_metamers.errors import ParameterError
from graph_metamers.models import build_model, list_models
from graph_metamers.training import evaluate, fit, list_recipes, training_recipe
from graph_metamers.training.recipes import Recipe


def test_every_architecture_has_one_for_cora():
    recipes = list_recipes()
    assert [recipe.architecture for recipe in recipes] == [info.name for info in list_models()]
    assert {recipe.dataset for recipe in recipes} == {"cora"}
    assert all(0.75 < recipe.published < 0.85 and "20" in recipe.source for recipe in recipes)


@pytest.mark.parametrize("recipe", list_recipes(), ids=lambda recipe: recipe.architecture)
def test_it_is_nothing_but_options_of_build_model_and_fit(digits, recipe):
    short = Recipe(
        architecture=recipe.architecture,
        dataset="digits",
        published=0.9,
        source="nobody",
        model_options=recipe.model_options,
        fit_options={**recipe.fit_options, "epochs": 2},
        normalize_features=recipe.normalize_features,
    )
    result = short.fit(digits, seed=3)
    by_hand = fit(
        build_model(recipe.architecture, digits, **recipe.model_options, seed=3),
        digits,
        **{**recipe.fit_options, "epochs": 2},
        transform=NormalizeFeatures() if recipe.normalize_features else None,
        seed=3,
    )
    assert result.history == by_hand.history
    assert all(
        torch.equal(a, b) for a, b in zip(result.model.parameters(), by_hand.model.parameters(), strict=True)
    )
    assert evaluate(result.model, digits, transform=short.transform) == result.scores


def test_an_alias_finds_it():
    assert training_recipe("graphsage", "cora") is training_recipe("sage", "cora")


def test_it_cannot_be_changed_by_accident():
    with pytest.raises(TypeError):
        training_recipe("gat", "cora").model_options["dropout"] = 0.0


def test_it_says_what_it_is():
    text = repr(training_recipe("gat", "cora"))
    assert text.startswith("Recipe gat on cora\n  build_model: hidden_channels=64, activation='elu'")
    assert "83.0% (Velickovic" in text


@pytest.mark.parametrize(
    ("name", "dataset", "message"),
    [("gatt", "cora", "Did you mean 'gat'"), ("gat", "digits", "'dataset' parameter must be one of 'cora'")],
)
def test_what_there_is_none_for_is_refused(name, dataset, message):
    with pytest.raises(ParameterError, match=message):
        training_recipe(name, dataset)


@pytest.mark.slow
@pytest.mark.skipif("GRAPH_METAMERS_DATA" not in os.environ, reason="needs Cora in $GRAPH_METAMERS_DATA")
@pytest.mark.parametrize("name", ["gcn", "gat"])
def test_the_quick_ones_reach_their_accuracy(name):
    recipe = training_recipe(name, "cora")
    accuracy = recipe.fit(load_dataset("cora")).scores.test.accuracy
    assert abs(accuracy - recipe.published) < 0.03  # one seed; claims/zoo.py measures the mean of five
