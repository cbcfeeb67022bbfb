"""The warning for too few images per class name, and the limit of a quick look."""

from __future__ import annotations

import pytest

from latte.data.few_images import quick_look, warn_of_few


def test_fewer_than_three_images_per_name_give_a_warning_with_advice() -> None:
    assert warn_of_few(150, 100) == (
        "150 images for 100 class names (1.5 per name): remove names that cannot occur, or add "
        "images; with so few, adapting helps less"
    )


@pytest.mark.parametrize("images", [300, 301, 10_000])
def test_three_images_per_name_give_no_warning(images: int) -> None:
    assert warn_of_few(images, 100) is None
    assert warn_of_few(images, 100, all_images=20_000) is None


def test_warning_about_limit_names_the_smallest_sensible_limit() -> None:
    assert warn_of_few(200, 100, all_images=5_000) == (
        "200 images for 100 names is 2 per name; results at this size say little about the whole "
        "folder; use --limit 300 or more"
    )
    assert "leave --limit out" in str(warn_of_few(200, 100, all_images=300))


def test_warning_about_a_small_folder_does_not_mention_the_limit() -> None:
    assert warn_of_few(50, 100, all_images=150) == warn_of_few(150, 100)


@pytest.mark.parametrize(
    ("images", "names", "limit"),
    [
        (1000, 10, 200),
        (1000, 66, 200),
        (1000, 67, 300),
        (5000, 1000, 3000),
        (250, 67, None),
        (200, 5, None),
    ],
)
def test_quick_look_has_three_images_per_name(images: int, names: int, limit: int | None) -> None:
    assert quick_look(images, names) == limit
