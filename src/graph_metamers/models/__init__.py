"""The model zoo: small graph neural networks with readable layers, and checkpoints for them.

Every activation function is a module of its own, every width and depth is free, and each model is built from
one `ModelConfig`. Models of your own need nothing from here but, if you like, `load_weights`.
"""

from __future__ import annotations

from graph_metamers.models.activation_functions import Identity, list_activation_functions
from graph_metamers.models.checkpoint import load_model, load_weights, save_model
from graph_metamers.models.config import ModelConfig
from graph_metamers.models.convolutions import ModelInfo, list_models
from graph_metamers.models.gnn import GNN, ClassificationTask, build_model

__all__ = [
    "GNN",
    "ClassificationTask",
    "Identity",
    "ModelConfig",
    "ModelInfo",
    "build_model",
    "list_activation_functions",
    "list_models",
    "load_model",
    "load_weights",
    "save_model",
]
