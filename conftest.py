"""Settings of every test in the repository, the plugins' own included."""

import gc
import os
import sys
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings

# Models in tests are far too small for several threads; set before anything imports torch, and
# inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Without compiled files each of several hundred processes would compile latte and the tests again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# On a busy machine any example may take long: tests say what is right, benchmarks what is fast.
settings.register_profile("latte", deadline=None)
settings.load_profile("latte")


@pytest.fixture(scope="session", autouse=True)
def _no_pauses() -> Iterator[None]:
    """Send failed requests to describers again at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latte.describe.generate.FIRST_PAUSE", 0.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Check only that each `fsync` gets an open file; `tests.helpers.power_loss` sees its order.

    A run waits for the disk about 90 times, nearly as long as it computes. Processes that tests
    start wait as for a user.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)
        yield


@pytest.fixture(scope="session", autouse=True)
def _tokens_once() -> Iterator[None]:
    """Tokenize each text once, if a test has imported open_clip."""
    with pytest.MonkeyPatch.context() as patch:
        if "open_clip.tokenizer" in sys.modules:
            from tests.helpers.shared_tokens import share_tokens

            share_tokens(patch)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without searching for garbage: imported modules and tests stay alive."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
