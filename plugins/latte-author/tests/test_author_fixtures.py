"""Pytest fixtures work in other projects, and load torch only when they are used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from latte_author.testing import StubClip
from latte_author.testing.doubles import EchoDescriber
from latte_author.testing.fixtures import described_images

from latte.api import Context, DescribeRequest, ImageReference

OTHER_PROJECT = """
import sys

def test_torch_is_not_loaded():
    assert "latte" not in sys.modules or "torch" not in sys.modules

def test_assertions_are_rewritten(latte_context):
    import latte_author.testing.describer as rewritten
    assert "@pytest_ar" in vars(rewritten)
"""


def test_the_fixtures_fit_together(
    latte_context: Context,
    latte_clip: StubClip,
    latte_images: list[ImageReference],
    latte_describer: EchoDescriber,
    tmp_path: Path,
) -> None:
    assert latte_context.frozen_clip().fingerprint == latte_clip.fingerprint
    assert len({image.read_bytes() for image in latte_images}) == 6
    (image,) = described_images(tmp_path / "one", 1)
    assert image.key in latte_describer.describe([DescribeRequest((image,), "What?")])[0]


@pytest.mark.slow
def test_fixtures_in_another_project_do_not_load_torch(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(OTHER_PROJECT)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    assert "2 passed" in ended.stdout
