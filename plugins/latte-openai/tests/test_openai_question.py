"""Requests hold pixels without metadata, the question, and only the options that are set."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from latte_author.testing.fixtures import described_images
from latte_openai.options import OpenAIOptions
from latte_openai.question import chat_fields, data_url
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from latte.api import DescribedImage, DescribeRequest


def sent(image: Image.Image, **options: Any) -> Image.Image:
    return Image.open(BytesIO(sent_bytes(image, **options)))


def sent_bytes(image: Image.Image, **options: Any) -> bytes:
    url = data_url(image, OpenAIOptions(**options))
    head, _, data = url.partition(",")
    assert head == f"data:image/{options.get('format', 'jpeg')};base64"
    return b64decode(data, validate=True)


@pytest.mark.parametrize(
    ("size", "max_side", "expected"),
    [
        ((1000, 500), 672, (672, 336)),
        ((500, 1000), 100, (50, 100)),
        ((672, 3), 672, (672, 3)),
        ((5000, 2), 100, (100, 1)),
        ((30, 20), 672, (30, 20)),
        ((3000, 2000), None, (3000, 2000)),
    ],
)
def test_images_are_scaled_down_to_max_side_and_never_up(
    size: tuple[int, int], max_side: int | None, expected: tuple[int, int]
) -> None:
    assert sent(Image.new("RGB", size), max_side=max_side).size == expected


def test_png_is_lossless_and_jpeg_is_close() -> None:
    image = Image.new("RGB", (32, 32), (200, 30, 60))
    image.paste((0, 0, 255), (0, 0, 16, 32))
    assert sent(image, format="png").tobytes() == image.tobytes()
    jpeg = sent(image, quality=95)
    assert jpeg.format == "JPEG"
    colour = jpeg.getpixel((28, 16))
    assert isinstance(colour, tuple)
    assert all(abs(a - b) < 12 for a, b in zip(colour, (200, 30, 60), strict=True))


def test_quality_changes_the_size_of_a_jpeg() -> None:
    image = Image.effect_noise((64, 64), 80)
    assert len(sent_bytes(image, quality=20)) < len(sent_bytes(image, quality=95))


@pytest.mark.parametrize("encoding", ["jpeg", "png"])
def test_metadata_is_not_sent(tmp_path: Path, encoding: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = "SECRET-PLACE"
    text = PngInfo()
    text.add_text("Comment", "SECRET-PLACE")
    image = Image.new("RGB", (16, 16), "red")
    image.save(tmp_path / "a.jpg", exif=exif, comment=b"SECRET-PLACE", icc_profile=b"SECRET-PLACE")
    image.save(tmp_path / "a.png", exif=exif, pnginfo=text, icc_profile=b"SECRET-PLACE")
    for name in ("a.jpg", "a.png"):
        assert b"SECRET-PLACE" in (tmp_path / name).read_bytes()
        with Image.open(tmp_path / name) as opened:
            assert b"SECRET-PLACE" not in sent_bytes(opened, format=encoding)
            assert not sent(opened, format=encoding).info.keys() & {
                "icc_profile",
                "exif",
                "comment",
            }


def body(folder: Path, sample: int = 0, images: int = 1, **options: Any) -> dict[str, Any]:
    request = DescribeRequest(tuple(described_images(folder, images)), "What is it?", sample)
    return chat_fields(request, "llava", OpenAIOptions(**options))


def test_default_request_has_only_the_needed_fields(tmp_path: Path) -> None:
    request_body = body(tmp_path)
    assert request_body.keys() == {"model", "messages", "max_tokens", "temperature"}
    assert (request_body["model"], request_body["max_tokens"], request_body["temperature"]) == (
        "llava",
        77,
        0,
    )
    [message] = request_body["messages"]
    assert message["role"] == "user"
    assert [part["type"] for part in message["content"]] == ["image_url", "text"]
    assert message["content"][1]["text"] == "What is it?"
    assert message["content"][0]["image_url"].keys() == {"url"}


def test_images_precede_the_question_in_order(tmp_path: Path) -> None:
    content = body(tmp_path, images=3, format="png")["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url"] * 3 + ["text"]
    sizes = []
    for part in content[:3]:
        data = b64decode(part["image_url"]["url"].partition(",")[2])
        sizes.append(Image.open(BytesIO(data)).width)
    assert sizes == [12, 13, 14]


def test_options_enter_the_request(tmp_path: Path) -> None:
    request_body = body(
        tmp_path,
        system_prompt="Be brief.",
        max_tokens=None,
        temperature=None,
        top_p=0.5,
        detail="low",
        extra_body={"max_completion_tokens": 90},
    )
    assert "max_tokens" not in request_body
    assert "temperature" not in request_body
    assert (request_body["top_p"], request_body["extra_body"]) == (
        0.5,
        {"max_completion_tokens": 90},
    )
    assert request_body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert request_body["messages"][1]["content"][0]["image_url"]["detail"] == "low"


def test_seed_depends_on_the_sample_and_is_reproducible(tmp_path: Path) -> None:
    seeds = [body(tmp_path, sample, temperature=0.7)["seed"] for sample in (0, 1, 2, 0)]
    assert len({*seeds}) == 3
    assert seeds[0] == seeds[3]
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert body(tmp_path, 0, temperature=0.7, seed=1)["seed"] != seeds[0]
    assert "seed" not in body(tmp_path, 0, temperature=0.7, seed=None)


def test_each_image_of_a_request_is_opened_once(tmp_path: Path) -> None:
    opened: list[str] = []

    def picture(name: str) -> DescribedImage:
        def decode() -> Image.Image:
            opened.append(name)
            return Image.new("RGB", (8, 8))

        return DescribedImage(name, torch.ones(2), decode)

    chat_fields(DescribeRequest((picture("a"), picture("b")), "?"), "llava", OpenAIOptions())
    assert opened == ["a", "b"]
