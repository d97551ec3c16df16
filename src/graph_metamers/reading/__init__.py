"""Reading the layers of any model: what a model computes inside, differentiably, leaving it as it was."""

from graph_metamers.reading.binding import bind_by_name, call_model
from graph_metamers.reading.listing import Layer, default_layers, layers
from graph_metamers.reading.view import ModelView, activations

__all__ = ["Layer", "ModelView", "activations", "bind_by_name", "call_model", "default_layers", "layers"]
