from __future__ import annotations

import subprocess
import sys
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from latte.data import images
from latte.data.images import MAX_PIXELS, UnreadableImageError, decode_image, open_image
from latte.interfaces import ImageReference
from tests.helpers.pictures import encoded, picture

LOSSLESS = ["PNG", "BMP", "PPM", "TIFF"]
FORMATS = [*LOSSLESS, "JPEG", "WEBP", "GIF"]
SAMPLES = [encoded(picture(), form) for form in FORMATS]


def reason(data: bytes) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        decode_image(data)
    assert "\n" not in caught.value.reason
    return caught.value.reason


def values(image: Image.Image) -> list[int]:
    """Return the grey values of an RGB image with equal channels."""
    red, green, blue = (numpy.asarray(channel).ravel().tolist() for channel in image.split())
    assert red == green == blue
    return red


@pytest.mark.parametrize("form", LOSSLESS)
def test_lossless_formats_decode_exactly(form: str) -> None:
    decoded = decode_image(encoded(picture(), form))
    assert decoded.mode == "RGB"
    assert decoded.tobytes() == picture().tobytes()


def test_large_jpeg_is_decoded_at_reduced_size() -> None:
    data = encoded(picture(width=800, height=600), "JPEG", quality=95)
    small = decode_image(data, at_least=140)
    assert small.size == (200, 150)
    pixels = numpy.asarray(small, dtype=float)
    expected = numpy.asarray(decode_image(data).reduce(4), dtype=float)
    assert numpy.abs(pixels - expected).mean() < 3


@pytest.mark.parametrize("form", FORMATS)
def test_other_images_ignore_the_reduced_size(form: str) -> None:
    data = encoded(picture(), form)
    assert decode_image(data, at_least=29).tobytes() == decode_image(data).tobytes()


NO_AVIF = pytest.mark.skipif("AVIF" not in Image.OPEN, reason="Pillow before 11.3 reads no AVIF")


@pytest.mark.parametrize("form", ["JPEG", "WEBP", pytest.param("AVIF", marks=NO_AVIF)])
def test_lossy_formats_decode_closely(form: str) -> None:
    decoded = numpy.asarray(decode_image(encoded(picture(), form, quality=95)), dtype=float)
    assert numpy.abs(decoded - numpy.asarray(picture(), dtype=float)).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_exif_orientation_is_applied(form: str, orientation: int) -> None:
    upright = picture(width=4, height=3)
    turns = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.ROTATE_90, Image.Transpose.FLIP_TOP_BOTTOM],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.ROTATE_90, Image.Transpose.FLIP_LEFT_RIGHT],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = upright
    for turn in turns.get(orientation, []):
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode_image(encoded(stored, form, exif=exif))
    assert decoded.size == upright.size
    assert decoded.tobytes() == upright.tobytes()


@pytest.mark.parametrize("exif", [b"Exif\0\0 nonsense", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"])
def test_damaged_exif_leaves_the_pixels_alone(exif: bytes) -> None:
    plain = decode_image(encoded(picture(), "JPEG"))
    assert decode_image(encoded(picture(), "JPEG", exif=exif)).tobytes() == plain.tobytes()


def test_heic_without_its_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    message = reason(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert "pip install 'latte-clip[heif]'" in message


def test_heic_is_decoded_with_its_package() -> None:
    import pillow_heif as heif

    buffer = BytesIO()
    heif.from_pillow(picture(width=64, height=48)).save(buffer, quality=95)
    decoded = decode_image(buffer.getvalue())
    assert decoded.size == (64, 48)
    expected = numpy.asarray(picture(width=64, height=48), dtype=float)
    assert numpy.abs(numpy.asarray(decoded, dtype=float) - expected).mean() < 6
    assert reason(buffer.getvalue()[:200])


def test_name_that_no_file_can_have_is_unreadable() -> None:
    with pytest.raises(UnreadableImageError, match="null"):
        open_image(ImageReference("a", Path("a\0.jpg")))


def test_cmyk_is_converted() -> None:
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    pixel = decode_image(encoded(red, "JPEG", quality=100)).getpixel((3, 3))
    assert pixel == (255, 0, 0)


@pytest.mark.parametrize("alpha", [0, 10])
def test_transparent_pixels_keep_their_stored_colour(alpha: int) -> None:
    image = picture()
    image.putalpha(Image.new("L", image.size, alpha))
    assert decode_image(encoded(image)).tobytes() == picture().tobytes()


def test_a_palette_with_transparency_keeps_its_colours() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([250, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    decoded = decode_image(encoded(image, transparency=b"\x00\x80"))
    assert [decoded.getpixel((x, 0)) for x in range(2)] == [(250, 20, 30), (40, 50, 60)]
    assert decoded.info == {}


def test_grey_with_alpha_becomes_grey() -> None:
    for alpha in (0, 3):
        data = encoded(Image.new("LA", (1, 1), (77, alpha)))
        assert decode_image(data).getpixel((0, 0)) == (77, 77, 77)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
@pytest.mark.parametrize(
    ("stored", "expected"), [([0, 257, 128 * 257, 65535], [0, 1, 128, 255]), ([200] * 4, [1] * 4)]
)
def test_sixteen_bit_grey_is_scaled_by_its_largest_value_and_not_clipped(
    form: str, stored: list[int], expected: list[int]
) -> None:
    grey = numpy.array([stored], dtype=numpy.uint16)
    assert values(decode_image(encoded(Image.fromarray(grey), form))) == expected


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ([0, 100, 255], [0, 100, 255]),
        ([0, 32896, 65535], [0, 128, 255]),
        ([-100, -20, 100], [0, 102, 255]),
        ([0, 1_000_000, 4_000_000], [0, 64, 255]),
        ([-5, -5, -5], [0, 0, 0]),
    ],
)
def test_32_bit_grey_is_scaled_from_its_range(stored: list[int], expected: list[int]) -> None:
    image = Image.fromarray(numpy.array([stored], dtype=numpy.int32))
    assert values(decode_image(encoded(image, "TIFF"))) == expected


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ([0.0, 0.25, 1.0], [0, 64, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([float("nan"), float("inf"), 1.0], [0, 0, 255]),
    ],
)
def test_float_grey_is_scaled_from_its_range(stored: list[float], expected: list[int]) -> None:
    image = Image.fromarray(numpy.array([stored], dtype=numpy.float32))
    assert values(decode_image(encoded(image, "TIFF"))) == expected


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_first_frame_of_an_animation_is_decoded(form: str) -> None:
    red_frame, blue_frame = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    data = encoded(red_frame, form, save_all=True, append_images=[blue_frame], lossless=True)
    assert decode_image(data).getpixel((4, 4)) == (255, 0, 0)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_tiny_and_extreme_sizes_decode(size: tuple[int, int]) -> None:
    assert decode_image(encoded(Image.new("RGB", size))).size == size


def test_content_decides_the_format_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(picture(), "PNG"))
    assert open_image(ImageReference("photo.jpg", path)).tobytes() == picture().tobytes()


@pytest.mark.parametrize("form", FORMATS)
def test_truncated_files_have_a_reason(form: str) -> None:
    data = encoded(picture(), form)
    assert reason(data[: len(data) // 2]).startswith(("damaged", "not an image"))


def test_text_file_is_rejected() -> None:
    assert reason(b"hello, this is text") == (
        "not an image of a known format (starts with b'hello, this ')"
    )


def test_postscript_is_never_run() -> None:
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    assert reason(script).startswith("not an image")


def png_header_of(width: int, height: int) -> bytes:
    header = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    chunk = (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT" + zlib.crc32(b"IDAT").to_bytes(4, "big")


@pytest.mark.parametrize("side", [10_001, 13_000, 100_000])
def test_decompression_bombs_are_rejected_by_their_header(side: int) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    assert reason(png_header_of(side, side)).endswith("make it smaller")
    assert limit == Image.MAX_IMAGE_PIXELS
    assert MAX_PIXELS == 100_000_000


@pytest.mark.parametrize("at_least", [None, 12])
def test_large_jpeg_is_decoded_at_half_its_size(
    monkeypatch: pytest.MonkeyPatch, at_least: int | None
) -> None:
    data = encoded(picture().resize((64, 48)), "JPEG")
    full_size = decode_image(data).size
    monkeypatch.setattr(images, "MAX_PIXELS", 64 * 48 - 1)
    assert (full_size, decode_image(data, 60).size) == ((64, 48), (32, 24))
    assert decode_image(data, at_least).size == ((32, 24) if at_least is None else (16, 12))
    assert reason(encoded(picture().resize((64, 48)))).endswith("make it smaller")
    monkeypatch.setattr(images, "MAX_JPEG_PIXELS", 64 * 48 - 1)
    assert reason(data).startswith("64 x 48 pixels, more than the 3,071")


def test_jpeg_above_the_limit_of_pillow_is_decoded() -> None:
    data = encoded(Image.new("L", (13_500, 13_300), 88), "JPEG", quality=10)
    decoded = decode_image(data, 224)
    assert decoded.size == (1688, 1663)
    assert decoded.getpixel((800, 800)) == (88, 88, 88)


@given(st.binary(max_size=400))
def test_random_bytes_never_crash(data: bytes) -> None:
    with pytest.raises(UnreadableImageError):
        decode_image(data)


mutations = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=8)


@settings(max_examples=300)
@given(st.sampled_from(SAMPLES), mutations, st.integers(0, 2**16))
def test_mutated_files_decode_or_have_a_reason(
    sample: bytes, changes: list[tuple[int, int]], end: int
) -> None:
    data = bytearray(sample)
    for position, value in changes:
        data[position % len(data)] = value
    try:
        assert decode_image(bytes(data[: 1 + end % len(data)])).mode == "RGB"
    except UnreadableImageError as error:
        assert error.reason


def test_pillow_does_not_warn() -> None:
    image = Image.new("P", (2, 2))
    image.putpalette([1, 2, 3, 4, 5, 6])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode_image(encoded(image, transparency=b"\x00\x80"))
        reason(png_header_of(10_001, 10_001))
    assert caught == []


def test_pillow_writes_nothing_to_stderr(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png_header_of(10_001, 10_001))
    script = (
        "import sys\nfrom pathlib import Path\nfrom latte.data.images import decode_image\n"
        "try: decode_image(Path(sys.argv[1]).read_bytes())\n"
        "except Exception as error: print(error.reason)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "bomb.png")], capture_output=True, text=True
    )
    assert done.stdout.startswith("10001 x 10001 pixels")
    assert done.stderr == ""
