"""Pure functions of tensors: how good predictions are, and how far they agree."""

from __future__ import annotations

from graph_metamers.metrics.classification import (
    Accuracy,
    Agreement,
    accuracy_of,
    predicted_classes,
    prediction_agreement,
)

__all__ = ["Accuracy", "Agreement", "accuracy_of", "predicted_classes", "prediction_agreement"]
