from __future__ import annotations

from pathlib import Path

import pytest

from latte.interfaces import Backbone, Context


def _no_clip() -> Backbone:
    raise AssertionError("datasets never need the CLIP")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(
        base_dir=tmp_path,
        cache_dir=tmp_path / "cache",
        device="cpu",
        seed=0,
        frozen_clip=_no_clip,
    )
