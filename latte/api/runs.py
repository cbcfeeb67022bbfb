"""Read finished runs, and make runs of recipes; importing this module does not load torch."""

from latte.recipe.load import read_settings
from latte.recipe.oracle import ORACLE_STATEMENT, is_oracle
from latte.recipe.shipped import find_table
from latte.report.evidence import read_evidence
from latte.results.run import Run, find_runs, open_run
from latte.run.identity import NOT_IDENTITY
from latte.run.prepared import PreparedRun, prepare_run

__all__ = [
    "NOT_IDENTITY",
    "ORACLE_STATEMENT",
    "PreparedRun",
    "Run",
    "find_runs",
    "find_table",
    "is_oracle",
    "open_run",
    "prepare_run",
    "read_evidence",
    "read_settings",
]
