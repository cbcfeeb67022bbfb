from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

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
    Box,
    ColourChange,
    augmented_pixels,
    sample_augmentation,
)
from latte.data.batches import training_batches
from latte.data.cache import ImageCache
from latte.data.compiled_views import (
    ENTRY_POINT_GROUP,
    CompiledViews,
    ViewWriter,
    compiled_views,
)
from latte.data.views import TrainingView, normalise
from latte.interfaces import PixelFormat
from latte.interfaces.settings import AugmentSettings
from tests.helpers.pictures import picture, references

PLAIN = numpy.tile(numpy.arange(256, dtype=numpy.float32), (3, 1))
FORMAT = PixelFormat(size=32, mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28))


@pytest.fixture(scope="module")
def compiled() -> CompiledViews:
    """Views of the installed latte-views."""
    if not entry_points(group=ENTRY_POINT_GROUP):
        pytest.skip("latte-views is not installed")
    views = compiled_views()
    assert views is not None
    return views


@pytest.fixture
def nothing_cached() -> Iterator[None]:
    module._verified.cache_clear()
    yield
    module._verified.cache_clear()


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, nothing_cached: None) -> Callable[..., None]:
    """Return a function that installs `load` in place of latte-views; without it, nothing."""

    def installed(*load: Callable[[], Any]) -> None:
        entries = [SimpleNamespace(dist=SimpleNamespace(name="latte-views"), load=lambda: load[0])]
        monkeypatch.setattr(module, "entry_points", lambda group: entries if load else [])

    return installed


def pillow_writer() -> ViewWriter:
    """Return a writer with Pillow's bits."""

    def write(
        pixels: numpy.ndarray,
        box: Box,
        changes: Sequence[tuple[int, float]],
        lookup: numpy.ndarray,
        out: numpy.ndarray,
        *,
        tall_first: bool,
    ) -> bool:
        kinds = [ColourChange(kind) for kind, _ in changes]
        # The smallest share of a turn that is rounded to the same step.
        amounts = [
            ((amount + 0.5) if amount < 128 else amount - 256.5) / 255
            if kind is ColourChange.HUE
            else amount
            for kind, (_, amount) in zip(kinds, changes, strict=True)
        ]
        draw = Augmentation(box, tuple(zip(kinds, amounts, strict=True)))
        values = augmented_pixels(Image.fromarray(pixels), draw, out.shape[-1]).numpy()
        out[:] = numpy.take_along_axis(lookup, values.reshape(3, -1), 1).reshape(out.shape)
        return True

    return write


def brighter_writer() -> ViewWriter:
    """Return a writer whose values are too high by one."""
    write = pillow_writer()

    def brighter(*arguments: Any, tall_first: bool) -> bool:
        written = write(*arguments, tall_first=tall_first)
        arguments[-1][:] += 1
        return written

    return brighter


def missing_library() -> ViewWriter:
    raise OSError("its library is missing")


def noise(width: int, height: int, seed: int = 0) -> numpy.ndarray:
    return numpy.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=numpy.uint8)


def shown(
    compiled: CompiledViews, pixels: numpy.ndarray, draw: Augmentation, size: int
) -> numpy.ndarray | None:
    out = numpy.empty((3, size, size), dtype=numpy.float32)
    return out if compiled.write(pixels, draw, PLAIN, out) else None


@given(
    st.integers(30, 320),
    st.integers(1, 320),
    st.integers(22, 70),
    st.integers(0, 2**31),
    st.booleans(),
)
def test_compiled_views_have_pillows_bits(
    compiled: CompiledViews, width: int, height: int, size: int, seed: int, smooth: bool
) -> None:
    pixels = numpy.asarray(picture(seed % 99, width, height)) if smooth else noise(width, height)
    augment = AugmentSettings(
        crop_scale=(0.3, 1.0), jitter=(0.9, 0.9, 0.9, 0.5), jitter_probability=1.0
    )
    draw = sample_augmentation(width, height, augment, Random(seed))
    view = shown(compiled, pixels, draw, size)
    if view is None:
        assert draw.box[2] < 22
    else:
        assert (view == augmented_pixels(Image.fromarray(pixels), draw, size).numpy()).all()


@pytest.mark.parametrize("change", list(ColourChange))
def test_colour_changes_have_pillows_bits(compiled: CompiledViews, change: ColourChange) -> None:
    steps = range(0, 256, 5)
    colours = numpy.array([(r, g, b) for r in steps for g in steps for b in steps], numpy.uint8)
    colours = colours[: 374 * 374].reshape(-1, 3)
    square = numpy.resize(colours, (374, 374, 3))
    for amount in (
        (-0.5, -0.1, 0.0, 0.03, 0.5) if change is ColourChange.HUE else (0.0, 0.5, 1.0, 1.7)
    ):
        draw = Augmentation((0, 0, 374, 374), ((change, amount),))
        expected = augmented_pixels(Image.fromarray(square), draw, 374).numpy()
        view = shown(compiled, square, draw, 374)
        assert view is not None
        assert (view == expected).all()


def test_training_batches_have_equal_bits_with_and_without_compiled_views(
    compiled: CompiledViews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ImageCache(references(tmp_path, 9, width=60, height=50))

    def batches() -> list[torch.Tensor]:
        view = TrainingView(FORMAT, AugmentSettings(), seed=4)
        indices = [torch.arange(9)]
        return [next(iter(training_batches(cache, view, indices, epoch)))[1] for epoch in range(5)]

    with_compiled = batches()
    monkeypatch.setattr(views_module, "compiled_views", lambda: None)
    assert all(map(torch.equal, with_compiled, batches()))


@pytest.mark.parametrize("installed", [True, False])
def test_views_in_8_bits_are_those_before_normalisation(
    compiled: CompiledViews, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    monkeypatch.setattr(views_module, "compiled_views", lambda: compiled if installed else None)
    out = torch.empty(3, 32, 32, dtype=torch.uint8)
    TrainingView(FORMAT, AugmentSettings(), seed=4).write(noise(60, 50), 0, 0, out)
    assert torch.equal(normalise(out[None], FORMAT)[0], pillows_view())


def test_compiled_views_do_not_use_pillow(
    compiled: CompiledViews, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views_module, "augmented_pixels", None)
    out = written_view()
    monkeypatch.undo()
    assert torch.equal(out, pillows_view())


def written_view() -> torch.Tensor:
    out = torch.empty(3, 32, 32)
    TrainingView(FORMAT, AugmentSettings(), seed=4).write(noise(60, 50), 0, 0, out)
    return out


def pillows_view() -> torch.Tensor:
    return TrainingView(FORMAT, AugmentSettings(), seed=4)(Image.fromarray(noise(60, 50)), 0, 0)


@pytest.mark.filterwarnings("error")
def test_without_latte_views_pillow_makes_the_views_and_nothing_warns(
    install: Callable[..., None],
) -> None:
    install()
    assert compiled_views() is None
    assert torch.equal(written_view(), pillows_view())


@pytest.mark.filterwarnings("error")
def test_an_installed_writer_with_pillows_bits_makes_the_views(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(pillow_writer)
    assert compiled_views() is not None
    monkeypatch.setattr(views_module, "augmented_pixels", None)
    out = written_view()
    monkeypatch.undo()
    assert torch.equal(out, pillows_view())


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (brighter_writer, "its views differ from those of the installed Pillow"),
        (missing_library, "its library is missing"),
        (lambda: lambda *_, **__: False, "its views differ"),
        (lambda: None, "'NoneType' object is not callable"),
    ],
)
def test_a_broken_library_gives_one_warning_and_pillows_views(
    install: Callable[..., None], load: Callable[[], Any], reason: str
) -> None:
    install(load)
    with pytest.warns(UserWarning) as warned:
        views = [written_view() for _ in range(3)]
    assert [str(warning.message).partition(":")[0] for warning in warned] == [
        "latte-views is not used"
    ]
    assert reason in str(warned[0].message)
    assert all(torch.equal(view, pillows_view()) for view in views)
