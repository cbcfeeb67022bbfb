from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from latte.data import compiled_views as module
from latte.data import views as views_module
from latte.data.augmentation import (
    Augmentation,
    ColourChange,
    augmented_pixels,
    sample_augmentation,
)
from latte.data.batches import training_batches
from latte.data.cache import ImageCache
from latte.data.compiled_views import CompiledViews, compiled_views
from latte.data.views import TrainingView
from latte.interfaces import PixelFormat
from latte.interfaces.settings import AugmentSettings
from tests.helpers.pictures import picture, references

PLAIN = numpy.tile(numpy.arange(256, dtype=numpy.float32), (3, 1))
FORMAT = PixelFormat(size=32, mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28))

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture
def compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATTE_COMPILE_VIEWS", "1")


@pytest.fixture
def not_compiled_yet() -> Iterator[None]:
    module._verified.cache_clear()
    yield
    module._verified.cache_clear()


def compiled() -> CompiledViews:
    """Return the compiled views, whatever the environment variable says."""
    found = module._verified()
    assert found is not None
    return found


def noise(width: int, height: int, seed: int = 0) -> numpy.ndarray:
    return numpy.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=numpy.uint8)


def shown(pixels: numpy.ndarray, draw: Augmentation, size: int) -> numpy.ndarray | None:
    out = numpy.empty((3, size, size), dtype=numpy.float32)
    return out if compiled().write(pixels, draw, PLAIN, out) else None


@needs_compiler
@given(
    st.integers(30, 320),
    st.integers(1, 320),
    st.integers(22, 70),
    st.integers(0, 2**31),
    st.booleans(),
)
def test_compiled_views_have_pillows_bits(
    width: int, height: int, size: int, seed: int, smooth: bool
) -> None:
    pixels = numpy.asarray(picture(seed % 99, width, height)) if smooth else noise(width, height)
    augment = AugmentSettings(
        crop_scale=(0.3, 1.0), jitter=(0.9, 0.9, 0.9, 0.5), jitter_probability=1.0
    )
    draw = sample_augmentation(width, height, augment, Random(seed))
    view = shown(pixels, draw, size)
    if view is None:
        assert draw.box[2] < 22
    else:
        assert (view == augmented_pixels(Image.fromarray(pixels), draw, size).numpy()).all()


@needs_compiler
@pytest.mark.parametrize("change", list(ColourChange))
def test_colour_changes_have_pillows_bits(change: ColourChange) -> None:
    steps = range(0, 256, 5)
    colours = numpy.array([(r, g, b) for r in steps for g in steps for b in steps], numpy.uint8)
    colours = colours[: 374 * 374].reshape(-1, 3)
    square = numpy.resize(colours, (374, 374, 3))
    for amount in (
        (-0.5, -0.1, 0.0, 0.03, 0.5) if change is ColourChange.HUE else (0.0, 0.5, 1.0, 1.7)
    ):
        draw = Augmentation((0, 0, 374, 374), ((change, amount),))
        expected = augmented_pixels(Image.fromarray(square), draw, 374).numpy()
        view = shown(square, draw, 374)
        assert view is not None
        assert (view == expected).all()


@needs_compiler
@pytest.mark.usefixtures("compiling")
def test_training_batches_have_equal_bits_with_and_without_compiled_views(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ImageCache(references(tmp_path, 9, width=60, height=50))

    def views() -> list[torch.Tensor]:
        view = TrainingView(FORMAT, AugmentSettings(), seed=4)
        batches = [torch.arange(9)]
        return [next(iter(training_batches(cache, view, batches, epoch)))[1] for epoch in range(5)]

    compiled = views()
    monkeypatch.setenv("LATTE_COMPILE_VIEWS", "0")
    assert all(map(torch.equal, compiled, views()))


@needs_compiler
@pytest.mark.usefixtures("compiling")
def test_compiled_views_do_not_use_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled()
    monkeypatch.setattr(views_module, "augmented_pixels", None)
    out = torch.empty(3, 32, 32)
    view = TrainingView(FORMAT, AugmentSettings(), seed=4)
    view.write(noise(60, 50), 0, 0, out)
    monkeypatch.undo()
    assert torch.equal(out, view(Image.fromarray(noise(60, 50)), 0, 0))


@pytest.mark.parametrize("value", [None, "0", ""])
def test_nothing_is_compiled_without_the_environment_variable(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv("LATTE_COMPILE_VIEWS", raising=False)
    else:
        monkeypatch.setenv("LATTE_COMPILE_VIEWS", value)
    monkeypatch.setattr(module, "_verified", lambda: pytest.fail("compiled"))
    view = TrainingView(FORMAT, AugmentSettings(), seed=4)
    view.write(noise(60, 50), 0, 0, torch.empty(3, 32, 32))


@pytest.mark.usefixtures("compiling", "not_compiled_yet")
@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_without_a_working_compiler_a_warning_is_given_and_pillow_makes_the_views(
    monkeypatch: pytest.MonkeyPatch, compiler: str
) -> None:
    monkeypatch.setenv("CC", compiler)
    out = torch.empty(3, 32, 32)
    view = TrainingView(FORMAT, AugmentSettings(), seed=4)
    with pytest.warns(UserWarning, match=r"views\.c cannot be compiled here; Pillow makes"):
        view.write(noise(60, 50), 0, 0, out)
    assert torch.equal(out, view(Image.fromarray(noise(60, 50)), 0, 0))


@needs_compiler
@pytest.mark.usefixtures("compiling", "not_compiled_yet")
def test_compiled_views_that_differ_from_pillow_are_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def brighter(image: Image.Image, augmentation: Augmentation, size: int) -> torch.Tensor:
        return augmented_pixels(image, augmentation, size) + 1

    monkeypatch.setattr(module, "augmented_pixels", brighter)
    with pytest.warns(UserWarning, match="its views are not Pillow's"):
        assert compiled_views() is None
