"""Promises of every built-in dataset."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

from latte.components import latte_components
from latte.interfaces import ImageReference


def test_image_reference_has_no_field_for_a_label() -> None:
    # `path` is a property made of `_path`.
    names = [field.name for field in dataclasses.fields(ImageReference)]
    assert names == ["id", "_path", "span", "series"]
    assert ImageReference.__slots__ == ("id", "_path", "span", "series")


def test_image_reference_reads_a_span_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "shard.tar").write_bytes(b"0123456789")
    assert ImageReference("a", tmp_path / "shard.tar", (2, 3)).read_bytes() == b"234"
    assert ImageReference("b", tmp_path / "shard.tar").read_bytes() == b"0123456789"


def test_listing_images_and_checking_options_needs_no_torch() -> None:
    targets = [
        spec.target.partition(":")[0] for spec in latte_components() if spec.kind == "dataset"
    ]
    script = f"import sys, importlib\nfor name in {targets!r}: importlib.import_module(name)\n"
    script += "assert 'torch' not in sys.modules and 'PIL' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
    assert len(targets) == 3
