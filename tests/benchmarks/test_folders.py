"""The matrix of folders: rows on disk, their summary, and the command."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from latte_benchmarks.folder_cells import Folder, LabelledImages
from latte_tiny.dataset import IMAGES

from benchmarks import folders
from benchmarks.__main__ import main as benchmark
from benchmarks.folder_methods import FolderLabels
from benchmarks.folder_rows import COLUMNS, FolderRow, RowFile
from benchmarks.folder_sets import SetPlan, SubsetPlan, capped, read_plans
from benchmarks.folder_summary import (
    differences_table,
    gains_table,
    large_losses,
    losses_of_adapted,
    missed_gains,
    summary,
)
from latte.interfaces import ImageReference, LabelledImage, LatteError, Verdict
from tests.helpers.labelled_sets import split_of

pytestmark = pytest.mark.thorough

ROW = FolderRow("tiny", "birds", "all names", 0, "re-estimated", 120, 100, 2.0, 1.5, 0.25)
SIGNALS = {
    **{"lead": 2.0, "changed": 0.3},
    **{"agreement": 0.6, "agreement of zero-shot": 0.5},
}
JUDGED = replace(ROW, method="m", full=4.0, strength=0.5, outcome="cannot tell", signals=SIGNALS)


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    RowFile(tmp_path, {"sets": ["birds"]}).add([ROW, JUDGED])
    assert RowFile(tmp_path, {"sets": ["birds"]}).rows == [ROW, JUDGED]


def test_a_row_that_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    file = RowFile(tmp_path, {})
    file.add([ROW])
    full_text = file.path.read_bytes()
    file.add([JUDGED])
    file.path.write_bytes(file.path.read_bytes()[:-20])
    reopened = RowFile(tmp_path, {})
    assert reopened.rows == [ROW]
    assert file.path.read_bytes() == full_text
    reopened.add([JUDGED])
    assert RowFile(tmp_path, {}).rows == [ROW, JUDGED]


def test_rows_of_other_settings_are_refused_with_what_changed(tmp_path: Path) -> None:
    RowFile(tmp_path, {"sets": ["birds"], "images_per_class": 5})
    with pytest.raises(LatteError, match=r"other settings \(images_per_class\)[^\n]*\n.*--out"):
        RowFile(tmp_path, {"sets": ["birds"], "images_per_class": 6})


def test_a_file_that_is_not_of_rows_is_refused_with_its_line(tmp_path: Path) -> None:
    file = RowFile(tmp_path, {})
    file.path.write_text(",".join(COLUMNS) + "\n" + "x," * (len(COLUMNS) - 1) + "{}\n")
    with pytest.raises(LatteError, match=r"rows.csv:2: is not a file of rows"):
        RowFile(tmp_path, {})


def answers_of(
    own_labels: Sequence[int], test: Sequence[int], full: Sequence[int] | None = None
) -> FolderLabels:
    verdict = Verdict(0.5, "why", {"lead": 2.0}) if full else None
    full_labels = torch.tensor(full) if full else None
    return FolderLabels(
        torch.tensor(own_labels), torch.tensor(test), verdict, full_labels, torch.tensor(own_labels)
    )


def test_gains_count_own_images_of_a_class_and_weigh_unseen_ones_by_the_mix() -> None:
    texts = torch.eye(2)
    own_images = LabelledImages(texts[[0, 0, 0, 0, 1]], torch.tensor([0, 0, 0, 1, -1]))
    test = LabelledImages(texts[[0, 0, 0, 0, 1, 1]], torch.tensor([0, 0, 0, 0, 0, 1]))
    folder = Folder(
        ("a", "b"), texts, 10.0, own_images, test, torch.tensor([0.75, 0.25]), lambda names: -texts
    )
    method = answers_of([0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0], full=[0, 0, 0, 1, 0])
    (row,) = folders.rows_of(
        folder, {"m": lambda folder: method}, ("tiny", "birds", "all names", 3)
    )
    assert (row.images, row.counted) == (5, 4)
    assert row.own == pytest.approx(0.0)  # one more right, one more wrong, of four
    assert row.full == pytest.approx(25.0)
    # Class a: 4 of 5 right before, 5 of 5 after. Class b: 1 of 1 before, none after.
    assert row.unseen == pytest.approx(100 * (0.75 * 0.2 - 0.25 * 1.0))
    assert row.balanced == pytest.approx(100 * (0.2 - 1.0) / 2)
    assert (row.strength, row.outcome, row.signals["lead"]) == (0.5, "cannot tell", 2.0)


def test_a_large_loss_is_more_than_five_points_and_more_than_three_images() -> None:
    losses = [(100, -6.0), (50, -6.0), (1000, -4.0), (20, -25.0), (20, -15.0)]
    rows = [replace(ROW, counted=counted, own=own_gain) for counted, own_gain in losses]
    assert [large_losses([row]) for row in rows] == [1, 0, 0, 1, 0]


def test_verdicts_are_judged_by_losses_of_adapted_and_by_missed_gains() -> None:
    rows = [
        replace(JUDGED, own=-2.0),  # adapted, loses two images
        replace(JUDGED, own=-2.0, counted=50),  # a single image
        replace(JUDGED, own=0.0, strength=0.0),  # kept, misses 4 points
        replace(JUDGED, own=0.0, strength=0.0, full=-20.0),
        replace(JUDGED, own=3.0),
    ]
    lost, missed = losses_of_adapted(rows), missed_gains(rows)
    assert (lost.hits, lost.folders) == (1, 3)
    assert (missed.hits, missed.folders) == (3, 4)
    assert math.isnan(lost.low)
    assert str(losses_of_adapted([])) == "0 of 0"


def test_intervals_are_bootstrapped_over_sets_not_folders() -> None:
    good = [replace(JUDGED, set="good", draw=draw, own=5.0) for draw in range(50)]
    bad = [replace(JUDGED, set="bad", draw=draw, own=-5.0) for draw in range(50)]
    losses = losses_of_adapted([*good, *bad])
    assert (losses.hits, losses.folders) == (50, 100)
    assert (losses.low, losses.high) == (0.0, 1.0)


def test_differences_pair_the_folders_of_a_method_and_a_rival() -> None:
    rows = [
        replace(ROW, set=name, method=method, own=own_gain)
        for name, method, own_gain in (
            *(("birds", "m", 5.0), ("birds", "rival", 2.0)),
            *(("cats", "m", 1.0), ("cats", "rival", 0.0)),
        )
    ]
    assert differences_table([*rows, replace(ROW, method="m", draw=1)], "m", ["rival", "x"]) == (
        "| `m` minus | rival | x |\n| --- | --- | --- |\n"
        "| all names | +2.0 (+1.0 to +3.0) | – |\n| all | +2.0 (+1.0 to +3.0) | – |"
    )


def test_table_gives_mean_worst_and_share_of_losing_draws() -> None:
    rows = [
        replace(ROW, draw=draw, own=own_gain) for draw, own_gain in enumerate([4.0, -2.0, 1.0, 1.0])
    ]
    assert gains_table(rows, ["re-estimated", "stata"], "own").splitlines()[2:] == [
        "| all names | +1.0 (-2.0, 25%) | – |"
    ]


def test_summary_leaves_small_and_meaningless_folders_out_of_means_alone() -> None:
    rows = [
        ROW,
        replace(ROW, draw=1, images=99, own=-50.0),
        replace(ROW, cell="shuffled names", own=-40.0),
    ]
    (line,) = [
        text_line
        for text_line in summary(rows, ["re-estimated"]).splitlines()
        if text_line.startswith("| re-est")
    ]
    assert line == "| re-estimated | +2.0 | +2.0 (all names) | 2 of 3 |"


def test_summary_compares_confidence_and_probability_of_none_by_their_areas() -> None:
    rows = [
        replace(ROW, foreign=0.8, none=0.9, called_none=0.1),
        replace(ROW, draw=1, called_none=0.3),
    ]
    assert "| re-estimated | 0.80 | 0.90 | 0.20 |" in summary(rows, ["re-estimated"])
    assert "called none" not in summary([ROW], ["re-estimated"])


def test_sets_and_subsets_are_read_from_their_options() -> None:
    plans = read_plans(["a=x.json:photos", "b=y.json:.:a {class}: seen"], ["c=a:5:1"], 7)
    assert plans.wholes == (
        SetPlan("a", Path("x.json"), Path("photos")),
        SetPlan("b", Path("y.json"), Path(), "a {class}: seen"),
    )
    assert plans.subsets == (SubsetPlan("c", "a", 5, 1),)
    assert read_plans([], [], None).wholes[0].split == IMAGES / "split.json"


@pytest.mark.parametrize(
    ("sets", "subsets", "message"),
    [
        (["a"], [], r"NAME=SPLIT:ROOT\[:TEMPLATE\]"),
        (["a=x.json"], [], r"NAME=SPLIT:ROOT"),
        (["a=x:y", "a=z:y"], [], 'two sets are called "a"'),
        (["birds=x:y"], ["c=bird:5:1"], 'Did you mean "birds"'),
        (["a=x:y"], ["c=a:few:1"], "whole numbers"),
        (["a=x:y"], ["c=a:0:1"], "whole numbers"),
    ],
)
def test_malformed_sets_are_refused(sets: list[str], subsets: list[str], message: str) -> None:
    with pytest.raises(LatteError, match=message):
        read_plans(sets, subsets, None)


def test_files_of_features_are_sets_too() -> None:
    plans = read_plans([], [], None, [Path("birds.safetensors")])
    assert plans.names == ("birds",)
    with pytest.raises(LatteError, match='two sets are called "birds"'):
        read_plans(["birds=x:y"], [], None, [Path("birds.safetensors")])


def test_images_are_capped_class_by_class_in_their_order() -> None:
    images = [
        LabelledImage(ImageReference(f"{row:03}.jpg", Path(f"{row:03}.jpg")), row % 3)
        for row in range(60)
    ]
    capped_images = capped(images, 4)
    assert [image.label for image in capped_images].count(1) == 4
    assert len(capped_images) == 12
    assert [labelled.image.id for labelled in capped_images] == sorted(
        labelled.image.id for labelled in capped_images
    )
    assert capped_images == capped(images, 4)
    assert capped(images, None) == images


def test_command_draws_what_is_missing_and_writes_rows_and_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, split = tmp_path / "out", split_of(tmp_path, "three", (3, 8, 21))
    common = ["folders", "--set", f"three={split}:{IMAGES}", "--images-per-class", "4"]
    common += ["--cells", "25 images,Zipf 1", "--methods", "zero-shot,re-estimated"]
    common += ["--out", str(out)]
    benchmark([*common, "--draws", "1"])
    rows_of_first_run = (out / "rows.csv").read_text(encoding="utf-8")
    benchmark([*common, "--draws", "2"])
    text = (out / "rows.csv").read_text(encoding="utf-8")
    assert text.startswith(rows_of_first_run)
    rows = [*csv.DictReader(text.splitlines())]
    assert len({(row["cell"], row["draw"], row["method"]) for row in rows}) == len(rows) == 8
    assert {float(row["own"]) for row in rows if row["method"] == "zero-shot"} == {0.0}
    assert (out / "summary.md").read_text(encoding="utf-8") in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["folders", "--cells", "Zipf 3"], 'there is no cell "Zipf 3"'),
        (["folders", "--methods", "re-estimatd"], 'Did you mean "re-estimated"'),
        (["folders", "--method", "mine"], "is not NAME=RECIPE"),
        (["folders", "--set", "a=absent.json:."], "absent.json"),
        (
            ["folders", "--method", "demo=recipes/demo.yaml", "--features", "birds.safetensors"],
            "demo.yaml trains, which needs images",
        ),
    ],
)
def test_mistakes_exit_with_2_and_no_traceback(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        benchmark([*arguments, "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
