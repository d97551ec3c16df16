"""Training: from a model and a data set to a trained copy of the model and how good it is."""

from __future__ import annotations

from graph_metamers.training.fitting import fit
from graph_metamers.training.perturbing import Perturbation
from graph_metamers.training.recipes import Recipe, list_recipes, training_recipe
from graph_metamers.training.results import FitConfig, FitResult, TrainingStep
from graph_metamers.training.scoring import Scores, evaluate

__all__ = [
    "FitConfig",
    "FitResult",
    "Perturbation",
    "Recipe",
    "Scores",
    "TrainingStep",
    "evaluate",
    "fit",
    "list_recipes",
    "training_recipe",
]
