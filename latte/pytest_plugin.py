"""Fixtures for the tests of plugins; pytest finds them wherever latte is installed.

Nothing heavy is imported before a test asks for a fixture.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from latte.api import Context, ImageReference
    from latte.testing import StubClip, TinyRuns
    from latte.testing.doubles import EchoDescriber

pytest.register_assert_rewrite("latte.testing")


@pytest.fixture
def latte_clip() -> StubClip:
    """A deterministic CLIP of a few numbers: a whole `Backbone` that can be forked and trained."""
    from latte.testing.fixtures import stub_clip

    return stub_clip()


@pytest.fixture
def latte_context(tmp_path: Path) -> Context:
    """What a component is built with: on the CPU, its recipe in `tmp_path`, with `latte_clip`."""
    from latte.testing.fixtures import make_context

    return make_context(tmp_path)


@pytest.fixture
def latte_images(tmp_path: Path) -> list[ImageReference]:
    """Six different images of a few pixels, in `tmp_path / "images"`."""
    from latte.testing.fixtures import tiny_images

    return tiny_images(tmp_path / "images")


@pytest.fixture
def latte_runs(tmp_path: Path) -> TinyRuns:
    """Runs whole recipes about coloured squares with a tiny CLIP, below `tmp_path`."""
    from latte.testing.tiny_runs import TinyRuns

    return TinyRuns(tmp_path)


@pytest.fixture
def latte_describer(latte_context: Context) -> EchoDescriber:
    """A describer that answers with the question and the images' keys."""
    from latte.api import NoOptions
    from latte.testing.doubles import EchoDescriber

    return EchoDescriber(NoOptions(), latte_context)
