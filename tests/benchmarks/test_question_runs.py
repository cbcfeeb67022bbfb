"""Captions of the simulated describer, and runs of `benchmarks questions --captions`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from latte_author.testing import StubClip
from latte_benchmarks.folder_cells import CELLS
from latte_tiny.dataset import IMAGES
from PIL import Image

from benchmarks.folder_files import draw_files, number
from benchmarks.folder_sets import read_plans
from benchmarks.question_runs import (
    CaptionDescriber,
    CaptionOptions,
    captions_recipe,
    choices_recipe,
    run_accuracy,
)
from latte.interfaces import Context, DescribedImage, DescribeRequest
from tests.helpers.labelled_sets import split_of

CLASSES, IMAGES_PER_CLASS = 6, 10
NAMES = ("cat", "dog", "bird")


def captions(folder: Path, right: float, groups: Sequence[Sequence[int]]) -> list[str]:
    """Return the captions of groups of images; image i is of class i % 3."""
    labels = {f"image {row}": row % 3 for row in range(300)}
    truth = {"names": NAMES, "template": "a {class}.", "labels": labels, "right": right, "draw": 0}
    (folder / "truth.json").write_text(json.dumps(truth))
    context = Context(folder, folder, "cpu", 0, StubClip)
    features = torch.ones(16) / 4

    def shown(row: int) -> DescribedImage:
        return DescribedImage(f"image {row}", features, lambda: Image.new("RGB", (1, 1)))

    requests = [DescribeRequest(tuple(map(shown, rows)), "") for rows in groups]
    return CaptionDescriber(CaptionOptions(truth="truth.json"), context).describe(requests)


def test_captions_name_the_right_class_as_often_as_the_describer_is_right(tmp_path: Path) -> None:
    texts = captions(tmp_path, 0.8, [[row] for row in range(300)])
    right = sum(text == f"a photo of a {NAMES[row % 3]}." for row, text in enumerate(texts))
    assert 220 <= right <= 260
    assert {*texts} == {f"a photo of a {name}." for name in NAMES}


def test_a_group_is_described_by_its_most_frequent_class(tmp_path: Path) -> None:
    assert captions(tmp_path, 1.0, [[0, 1, 4, 7], [2, 5, 3]]) == [
        "a photo of a dog.",
        "a photo of a bird.",
    ]


@pytest.mark.thorough
def test_runs_find_two_exchanged_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    split = split_of(tmp_path, "few", range(CLASSES))
    numbered = number(read_plans([f"few={split}:{IMAGES}"], [], IMAGES_PER_CLASS))
    drawn = draw_files(numbered, "few", CELLS[0], seed=0)
    first_name, second_name, *other_names = drawn.names
    drawn = replace(drawn, names=(second_name, first_name, *other_names))
    for place, recipe in enumerate((choices_recipe(80), captions_recipe(len(drawn.own)))):
        own_accuracy, _ = run_accuracy(tmp_path / str(place), drawn, recipe, 0.99, 0)
        assert own_accuracy > 85  # zero-shot: at most 67
