"""Read finished runs, make runs, and label frozen features; importing this loads no torch."""

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

__all__ = [
    "NOT_IDENTITY",
    "ORACLE_STATEMENT",
    "FrozenLabels",
    "FrozenMethod",
    "LabelledFeatures",
    "PreparedRun",
    "Run",
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
]
