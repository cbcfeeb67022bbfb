"""The check of `blocks()` says what is wrong with the listed blocks."""

from __future__ import annotations

import pytest
import torch
from latte_author.testing.blocks import check_blocks

from tests.helpers.small_backbone import SmallBackbone, SmallModel

IMAGE, TEXT = ([f"{tower}.blocks.{number}" for number in range(3)] for tower in ("image", "text"))


class Listing(SmallBackbone):
    """Small backbone that lists the blocks `listed`."""

    listed: list[list[str]]

    def blocks(self) -> list[list[str]]:
        return self.listed


def checked(listed: list[list[str]]) -> None:
    backbone = Listing(SmallModel())
    backbone.listed = listed
    pixels = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    check_blocks(
        backbone,
        {
            "image": lambda: backbone.encode_images(pixels),
            "text": lambda: backbone.encode_texts(["a cat", "the dog"]),
        },
    )


@pytest.mark.parametrize("listed", [[IMAGE, TEXT], [TEXT, IMAGE], [IMAGE], [TEXT[1:]], []])
def test_blocks_of_towers_in_order_are_accepted(listed: list[list[str]]) -> None:
    checked(listed)


@pytest.mark.parametrize(
    ("listed", "sentence"),
    [
        (
            [IMAGE, [TEXT[0], TEXT[2], TEXT[1]]],
            r"lists text\.blocks\.2 before text\.blocks\.1, but the forward pass of the text tower "
            r"uses text\.blocks\.1 first",
        ),
        (
            [IMAGE[::-1], TEXT],
            r"lists image\.blocks\.2 before image\.blocks\.0, but the forward pass of the image "
            r"tower uses image\.blocks\.0 first",
        ),
        (
            [[*IMAGE, TEXT[0]]],
            r"lists image\.blocks\.0 of the image tower and text\.blocks\.0 of the text tower as "
            "blocks of one tower",
        ),
        (
            [TEXT[:1], TEXT[1:]],
            r"two lists for the text tower, which start with text\.blocks\.0 and text\.blocks\.1",
        ),
        ([IMAGE, [*TEXT, "unused"]], "lists unused, on which no feature depends"),
        ([IMAGE, ["text.block.0"]], r"lists text\.block\.0, which is not a module"),
        ([IMAGE, IMAGE], r"lists image\.blocks\.0 more than once"),
    ],
)
def test_wrong_blocks_raise_an_error_that_names_them(
    listed: list[list[str]], sentence: str
) -> None:
    with pytest.raises(AssertionError, match=sentence):
        checked(listed)
