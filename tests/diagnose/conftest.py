"""A small recipe, and the command line in this process."""

from tests.compare.conftest import latte as latte
from tests.compare.conftest import squares as squares
