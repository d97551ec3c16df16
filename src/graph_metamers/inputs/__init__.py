"""What may vary about a graph, where a search starts, and how far it went."""

from graph_metamers.inputs.asking import structure_of, structure_variables, what_varies
from graph_metamers.inputs.distance import InputDistance
from graph_metamers.inputs.edge_weights import EdgeWeights
from graph_metamers.inputs.feature_values import Init
from graph_metamers.inputs.features import Features
from graph_metamers.inputs.structure import Structure, StructureVariables
from graph_metamers.inputs.variables import Variables, Vary, resolve_variables, slots_of

__all__ = [
    "EdgeWeights",
    "Features",
    "Init",
    "InputDistance",
    "Structure",
    "StructureVariables",
    "Variables",
    "Vary",
    "resolve_variables",
    "slots_of",
    "structure_of",
    "structure_variables",
    "what_varies",
]
