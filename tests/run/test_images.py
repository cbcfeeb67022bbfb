"""The images of a run with a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.whole_runs import run

pytestmark = pytest.mark.thorough


def lists_of_images(folder: Path) -> list[str]:
    return [(folder / f"data/{name}.jsonl").read_text() for name in ("training", "evaluation")]


def test_a_limit_draws_the_same_images_for_every_seed(recipe: Path) -> None:
    folders = [run(recipe, f"seed={seed}", limit=5, until="data")[0] for seed in (0, 1, 2)]
    assert len({*folders}) == 3
    first_lists, *other_lists = map(lists_of_images, folders)
    assert other_lists == [first_lists, first_lists]
    assert [len(images.splitlines()) for images in first_lists] == [5, 5]
    other_limit, _, _ = run(recipe, limit=6, until="data")
    assert first_lists[0] not in lists_of_images(other_limit)[0]
