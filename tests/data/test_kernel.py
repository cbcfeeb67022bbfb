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

from latte.data import kernel as kernel_module
from latte.data import views as views_module
from latte.data.batches import training_batches
from latte.data.cache import ImageCache
from latte.data.draws import Change, Draw, draw_view, drawn_pixels
from latte.data.kernel import ViewKernel, view_kernel
from latte.data.views import TrainingView
from latte.interfaces import PixelFormat
from latte.interfaces.settings import AugmentSettings
from tests.helpers.pictures import picture, references

PLAIN = numpy.tile(numpy.arange(256, dtype=numpy.float32), (3, 1))
FORMAT = PixelFormat(size=32, mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28))

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture
def forgotten() -> Iterator[None]:
    kernel_module._verified_kernel.cache_clear()
    yield
    kernel_module._verified_kernel.cache_clear()


def kernel() -> ViewKernel:
    found = view_kernel()
    assert found is not None
    return found


def noise(width: int, height: int, seed: int = 0) -> numpy.ndarray:
    return numpy.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=numpy.uint8)


def shown(pixels: numpy.ndarray, draw: Draw, size: int) -> numpy.ndarray | None:
    out = numpy.empty((3, size, size), dtype=numpy.float32)
    return out if kernel().write(pixels, draw, PLAIN, out) else None


@needs_compiler
def test_with_a_compiler_there_is_a_kernel_that_repeats_pillow() -> None:
    assert view_kernel() is not None


@needs_compiler
@given(
    st.integers(30, 320),
    st.integers(1, 320),
    st.integers(22, 70),
    st.integers(0, 2**31),
    st.booleans(),
)
def test_every_view_has_pillows_bits(
    width: int, height: int, size: int, seed: int, smooth: bool
) -> None:
    pixels = numpy.asarray(picture(seed % 99, width, height)) if smooth else noise(width, height)
    augment = AugmentSettings(
        crop_scale=(0.3, 1.0), jitter=(0.9, 0.9, 0.9, 0.5), jitter_probability=1.0
    )
    draw = draw_view(width, height, augment, Random(seed))
    view = shown(pixels, draw, size)
    if view is None:
        assert draw.box[2] < 22
    else:
        assert (view == drawn_pixels(Image.fromarray(pixels), draw, size).numpy()).all()


@needs_compiler
@pytest.mark.parametrize("change", list(Change))
def test_every_colour_changes_as_pillow_changes_it(change: Change) -> None:
    steps = range(0, 256, 5)
    colours = numpy.array([(r, g, b) for r in steps for g in steps for b in steps], numpy.uint8)
    colours = colours[: 374 * 374].reshape(-1, 3)
    square = numpy.resize(colours, (374, 374, 3))
    for amount in (-0.5, -0.1, 0.0, 0.03, 0.5) if change is Change.HUE else (0.0, 0.5, 1.0, 1.7):
        draw = Draw((0, 0, 374, 374), ((change, amount),))
        expected = drawn_pixels(Image.fromarray(square), draw, 374).numpy()
        view = shown(square, draw, 374)
        assert view is not None
        assert (view == expected).all()


@needs_compiler
def test_views_are_the_same_before_and_after_the_kernel_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ImageCache(references(tmp_path, 9, width=60, height=50))
    batches = [torch.arange(9)]

    def views(plain: int) -> list[torch.Tensor]:
        monkeypatch.setattr(views_module, "_VIEWS_WITHOUT_KERNEL", plain)
        view = TrainingView(FORMAT, AugmentSettings(), seed=4)
        return [next(iter(training_batches(cache, view, batches, epoch)))[1] for epoch in range(9)]

    by_pillow, mixed, by_kernel = views(10**9), views(40), views(0)
    assert all(map(torch.equal, by_pillow, by_kernel))
    assert all(map(torch.equal, by_pillow, mixed))


@needs_compiler
def test_the_kernel_is_what_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views_module, "_VIEWS_WITHOUT_KERNEL", 0)
    monkeypatch.setattr(views_module, "drawn_pixels", None)
    out = torch.empty(3, 32, 32)
    view = TrainingView(FORMAT, AugmentSettings(), seed=4)
    view.write(noise(60, 50), 0, 0, out)
    monkeypatch.undo()
    assert torch.equal(out, view(Image.fromarray(noise(60, 50)), 0, 0))


def test_a_few_views_need_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views_module, "view_kernel", lambda: pytest.fail("compiled"))
    view = TrainingView(FORMAT, AugmentSettings(), seed=4)
    for index in range(20):
        view.write(noise(60, 50), index, 0, torch.empty(3, 32, 32))


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize(
    ("variable", "value"), [("CC", "no-such-compiler"), ("CC", "false"), ("LATTE_NATIVE", "0")]
)
def test_without_a_working_compiler_pillow_makes_the_same_views(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(views_module, "_VIEWS_WITHOUT_KERNEL", 0)
    assert view_kernel() is None
    out = torch.empty(3, 32, 32)
    view = TrainingView(FORMAT, AugmentSettings(), seed=4)
    view.write(noise(60, 50), 0, 0, out)
    assert torch.equal(out, view(Image.fromarray(noise(60, 50)), 0, 0))


@needs_compiler
@pytest.mark.usefixtures("forgotten")
def test_a_kernel_that_differs_from_pillow_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def brighter(image: Image.Image, draw: Draw, size: int) -> torch.Tensor:
        return drawn_pixels(image, draw, size) + 1

    monkeypatch.setattr(kernel_module, "drawn_pixels", brighter)
    assert view_kernel() is None
