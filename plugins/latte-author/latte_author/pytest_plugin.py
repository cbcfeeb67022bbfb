"""Pytest fixtures for tests of plugins; pytest finds them whenever latte is installed.

torch is imported only when a test uses a fixture.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from latte.api import Context, ImageReference
    from latte_author.testing import StubClip, TinyRuns
    from latte_author.testing.doubles import EchoDescriber

pytest.register_assert_rewrite("latte_author.testing")


@pytest.fixture
def latte_clip() -> StubClip:
    """Return a small deterministic CLIP: a complete `Backbone` that can be forked and trained."""
    from latte_author.testing import StubClip

    return StubClip()


@pytest.fixture
def latte_context(tmp_path: Path) -> Context:
    """Return a `Context` on the CPU, with a `StubClip` and with `tmp_path` as recipe folder."""
    from latte_author.testing.fixtures import make_context

    return make_context(tmp_path)


@pytest.fixture
def latte_images(tmp_path: Path) -> list[ImageReference]:
    """Return six different images of about 15 x 10 pixels, in `tmp_path / "images"`."""
    from latte_author.testing.fixtures import tiny_images

    return tiny_images(tmp_path / "images")


@pytest.fixture
def latte_runs(tmp_path: Path) -> TinyRuns:
    """Return a runner of recipes in `tmp_path`, on images of coloured squares with a tiny CLIP."""
    from latte_author.testing.tiny_runs import TinyRuns

    return TinyRuns(tmp_path)


@pytest.fixture
def latte_describer(latte_context: Context) -> EchoDescriber:
    """Return a describer whose texts are the prompt and the keys of the images."""
    from latte.api import NoOptions
    from latte_author.testing.doubles import EchoDescriber

    return EchoDescriber(NoOptions(), latte_context)
