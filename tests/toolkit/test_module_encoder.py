"""Encoders of one torch module: modules that give no features, and damaged folders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from latte_author.testing import StubEncoder
from torch import nn

from latte.api import LatteError, ModuleEncoder, PixelFormat

GREY = (0.5, 0.5, 0.5)


def build(architecture: Mapping[str, Any]) -> nn.Module:
    return StubEncoder(int(architecture["width"])).module


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Identity(), r"Identity returns shape \(1, 3, 8, 8\) for a batch of images"),
        (nn.GRU(8, 4), "does not accept images of 8 x 8 pixels"),
        (nn.Linear(5, 2), "does not accept images of 8 x 8 pixels"),
    ],
)
def test_a_module_without_a_row_per_image_is_refused(module: nn.Module, message: str) -> None:
    with pytest.raises(LatteError, match=message):
        ModuleEncoder(module, PixelFormat(8, GREY, GREY), {})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", 10**6),
        ("size", 0),
        ("short_side", 10**6),
        ("short_side", 1),
        ("resize_mode", "stretch"),
        ("mean", [0.5]),
    ],
)
def test_an_absurd_pixel_format_of_a_saved_encoder_is_refused(
    key: str, value: object, tmp_path: Path
) -> None:
    StubEncoder().save(tmp_path)
    path = tmp_path / "encoder.json"
    config = json.loads(path.read_text())
    config["pixel_format"][key] = value
    path.write_text(json.dumps(config))
    with pytest.raises(LatteError, match="this encoder is damaged") as caught:
        ModuleEncoder.load(tmp_path, build, "cpu")
    assert caught.value.where == str(tmp_path)


@pytest.mark.parametrize("damage", ["missing weights", "cut weights", "other architecture", "text"])
def test_a_damaged_folder_is_refused(damage: str, tmp_path: Path) -> None:
    StubEncoder().save(tmp_path)
    config, weights = tmp_path / "encoder.json", tmp_path / "encoder.safetensors"
    match damage:
        case "missing weights":
            weights.unlink()
        case "cut weights":
            weights.write_bytes(weights.read_bytes()[:-8])
        case "other architecture":
            config.write_text(config.read_text().replace('"width": 6', '"width": 7'))
        case "text":
            config.write_text("[" * 10_000)
    with pytest.raises(LatteError, match="this encoder is damaged"):
        ModuleEncoder.load(tmp_path, build, "cpu")


def test_a_saved_encoder_keeps_its_short_side(tmp_path: Path) -> None:
    pixel_format = PixelFormat(8, GREY, GREY, short_side=10)
    encoder = ModuleEncoder(build({"width": 6}), pixel_format, {"width": 6})
    encoder.save(tmp_path)
    saved = ModuleEncoder.load(tmp_path, build, "cpu")
    assert (saved.pixel_format, saved.fingerprint) == (pixel_format, encoder.fingerprint)
    assert encoder.fingerprint != StubEncoder().fingerprint
    assert torch.equal(
        saved.encode_images(torch.ones(1, 3, 8, 8)), encoder.encode_images(torch.ones(1, 3, 8, 8))
    )
