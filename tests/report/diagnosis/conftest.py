"""Fixtures of the comparison: a small recipe, and the command line in this process."""

from tests.report.comparison.conftest import latte as latte
from tests.report.comparison.conftest import squares as squares
