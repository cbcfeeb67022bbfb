"""The lines of the page on encoders turn a `.pth` file into a folder that latte reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from latte_author.testing.fixtures import make_context

timm = pytest.importorskip("timm")
encoders = pytest.importorskip("latte_encoders.timm_models")

PAGE = Path(__file__).parents[2] / "docs" / "encoders.md"


def test_three_lines_make_an_encoder_of_a_pth_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from latte_encoders.files import EncoderOptions

    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    weights = timm.create_model("resnet18", num_classes=10).state_dict()
    torch.save(weights, "weights.pth")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in code.splitlines() if line and "import" not in line]) == 3
    exec(code, {})
    encoder = encoders.TimmEncoder(
        EncoderOptions(model="my-encoder"), make_context(tmp_path)
    ).load()
    assert encoder.embedding_width == 512
    side = encoder.pixel_format.size
    features = encoder.encode_images(torch.ones(1, 3, side, side))
    assert torch.allclose(features.norm(dim=1), torch.ones(1), atol=1e-5)
