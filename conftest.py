"""Settings of every test in the repository, the plugins' own included."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Models in tests are far too small for several threads; set before anything imports torch, and
# inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# On a busy machine any example may take long: tests say what is right, benchmarks what is fast.
settings.register_profile("latte", deadline=None)
settings.load_profile("latte")


@pytest.fixture(scope="session", autouse=True)
def _no_pauses() -> Iterator[None]:
    """Send failed requests to describers again at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latte.describe.generate.FIRST_PAUSE", 0.0)
        yield
