"""The built-in backbone fulfils the contract of backbones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from latte.testing import BackboneContract
from latte.testing.tiny_runs import write_tiny_clip

pytestmark = pytest.mark.thorough


class TestOpenClip(BackboneContract):
    component = "open_clip"
    options: ClassVar[dict[str, Any]] = {"model": "local-dir:clip"}

    def write_files(self, folder: Path) -> None:
        if not (folder / "clip").exists():
            write_tiny_clip(folder / "clip")
