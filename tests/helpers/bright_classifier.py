"""Classifiers for tests, in the role of a plugin's: they compare the brightness of pixels."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from latte.api import ImageClassifier, PixelFormat
from latte.registry.registry import Registry
from latte.registry.spec import ClassifierSpec, Plugin


class Brightness(ImageClassifier):
    """Two classes, whose probabilities are the brightness and the rest."""

    class_names = ("dark", "bright")
    pixel_format = PixelFormat(8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def probabilities(self, pixels: Tensor) -> Tensor:
        bright = pixels.float().mean(dim=(1, 2, 3)) / 255
        return torch.stack([1 - bright, bright], dim=1)


class Negative(Brightness):
    def probabilities(self, pixels: Tensor) -> Tensor:
        return -super().probabilities(pixels)


class Twins(Brightness):
    class_names = ("dark", "dark")


def open_bright(folder: Path, device: str) -> ImageClassifier:
    return Brightness()


def open_negative(folder: Path, device: str) -> ImageClassifier:
    return Negative()


def open_twins(folder: Path, device: str) -> ImageClassifier:
    return Twins()


def open_nothing(folder: Path, device: str) -> ImageClassifier:
    return None  # type: ignore[return-value]


def open_failing(folder: Path, device: str) -> ImageClassifier:
    raise RuntimeError("no such layer")


def registry() -> Registry:
    """Return a registry with the package latte-bright, and a disabled package latte-off."""
    specs = tuple(
        ClassifierSpec(name, f"{__name__}:open_{name}", "compares brightness")
        for name in ("bright", "negative", "twins", "nothing", "failing")
    )
    bright = Plugin("latte_bright", "latte-bright", "1.0", "ok", classifiers=specs)
    off = Plugin("latte_off", "latte-off", "1.0", "disabled", error="use it again: enable it")
    return Registry((bright, off))


def write_folder(folder: Path, opened_by: object = "latte-bright/bright") -> Path:
    """Write a folder that `opened_by` opens; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "classifier.json").write_text(json.dumps({"opened_by": opened_by}))
    return folder
