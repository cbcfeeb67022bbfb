"""Moved to latte.interfaces.settings; this shim goes away."""

from latte.interfaces.settings import (
    AugmentSettings,
    BackboneSettings,
    EvaluateSettings,
    GeneralSettings,
    LearnerSettings,
    OptimizerSettings,
    TrainSettings,
)

__all__ = [
    "AugmentSettings",
    "BackboneSettings",
    "EvaluateSettings",
    "GeneralSettings",
    "LearnerSettings",
    "OptimizerSettings",
    "TrainSettings",
]
