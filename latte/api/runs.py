"""Read finished runs, make runs, and label frozen features; importing this loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latte.io.first_use import at_first_use
from latte.models.run_posterior import read_posterior
from latte.recipe.settings import read_settings
from latte.recipe.shipped import find_table
from latte.results.oracle import ORACLE_STATEMENT, is_oracle
from latte.results.run import Run, find_runs, open_run
from latte.results.run_answers import read_evidence
from latte.run.frozen import FrozenLabels, FrozenMethod, frozen_method, frozen_method_of
from latte.run.frozen_features import LabelledFeatures, labelled_features, load_clip
from latte.run.identity import NOT_IDENTITY
from latte.run.prepared import PreparedRun, prepare_run
from latte.run.run_images import RunImages, run_images, training_view

if TYPE_CHECKING:
    from latte.predict.image_predictor import ClassifierPredictor as ClassifierPredictor
    from latte.predict.image_predictor import ImagePredictor as ImagePredictor
    from latte.predict.opened import open_model as open_model

_AT_FIRST_USE = {
    "ClassifierPredictor": "latte.predict.image_predictor",
    "ImagePredictor": "latte.predict.image_predictor",
    "open_model": "latte.predict.opened",
}

__all__ = [
    "NOT_IDENTITY",
    "ORACLE_STATEMENT",
    "FrozenLabels",
    "FrozenMethod",
    "LabelledFeatures",
    "PreparedRun",
    "Run",
    "RunImages",
    "find_runs",
    "find_table",
    "frozen_method",
    "frozen_method_of",
    "is_oracle",
    "labelled_features",
    "load_clip",
    "open_run",
    "prepare_run",
    "read_evidence",
    "read_posterior",
    "read_settings",
    "run_images",
    "training_view",
    *_AT_FIRST_USE,
]

if not TYPE_CHECKING:
    __getattr__ = at_first_use(__name__, _AT_FIRST_USE)


def __dir__() -> list[str]:
    return [*__all__]
