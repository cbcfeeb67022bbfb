"""The measurement `series` makes copies, and counts those that are joined."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks import series
from tests.data.test_near_copies import detailed


def test_copies_of_each_kind_differ_from_their_original() -> None:
    image = detailed(0)
    for kind, change in series.KINDS.items():
        copy = change(image, random.Random(0))
        assert copy.mode == "RGB"
        assert copy.size != image.size or copy.tobytes() != image.tobytes(), kind


def test_cost_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    series.main(["--images", "300"])
    assert "300 images: near-copies" in capsys.readouterr().out


@pytest.mark.thorough
def test_recall_and_joined_pairs_are_printed_by_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(12):
        detailed(number).save(photos / f"{number:02}.png")
    Image.open(photos / "03.png").resize((60, 60)).save(photos / "copy.png")
    threads = torch.get_num_threads()
    series.main(
        [
            *("--choose", str(photos), "--judge", str(photos), "--copied", "4"),
            *("--out", str(tmp_path / "out"), "--pictures"),
        ]
    )
    torch.set_num_threads(threads)
    printed = capsys.readouterr().out
    assert "chosen on 1 folders" in printed
    assert "  crop          100.0 % of 4 joined" in printed
    assert "  mirrored        0.0 % of 4 joined" in printed
    assert "own images   1 pairs joined" in printed
    assert [*(tmp_path / "out").glob("*photos.png")]
