"""Names and weight tags of open_clip, read without importing it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

READ = """
import sys
from latte.backbone import names
tables = (
    {name: names.model_config(name) for name in names.model_names()},
    {name: names.weight_tags(name) for name in names.model_names()},
    names.pretrained()._PRETRAINED,
)
assert not {"torch", "open_clip", "safetensors.torch"} & {*sys.modules}
assert names.model_config("ViT-B-33") is None
assert "ViT-B-32" in tables[0]
"""
SAME = """
import open_clip
from open_clip.pretrained import _PRETRAINED
assert tables[0] == {name: open_clip.get_model_config(name) for name in open_clip.list_models()}
assert tables[2] == _PRETRAINED
assert names.pretrained()._PRETRAINED is _PRETRAINED
import huggingface_hub, safetensors.torch
"""
OTHER_LAYOUT = """
from pathlib import Path
names._package_folder = lambda: Path(sys.argv[1])
names._loaded_alone.cache_clear()
assert "openai" in names.weight_tags("ViT-B-32")
assert "open_clip" in sys.modules
assert names.model_config("ViT-B-32")["embed_dim"] == 512
"""


def succeeds(code: str, *arguments: str) -> None:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_tables_are_read_without_torch() -> None:
    succeeds(READ)


@pytest.mark.thorough
def test_tables_are_those_of_open_clip_which_is_imported_if_its_layout_is_another(
    tmp_path: Path,
) -> None:
    succeeds(READ + OTHER_LAYOUT + SAME, str(tmp_path))
