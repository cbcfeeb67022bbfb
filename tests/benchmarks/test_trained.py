"""Recipes that train on drawn folders: what is drawn, what is counted, and the command."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from latte_benchmarks.folder_cells import CELL, NO_CLASS
from latte_tiny.dataset import IMAGES

from benchmarks import trained
from benchmarks.__main__ import main as benchmark
from benchmarks.folder_rows import Row
from benchmarks.folder_sets import read_plans
from benchmarks.trained import TELLING, own_gain, recipe_for, unseen_gain
from benchmarks.trained_draws import UNSEEN_IMAGES, Drawn, NumberedSets, draw_files, number
from benchmarks.trained_summary import cells_table, judged, totals
from latte.interfaces import ClassAccuracy, Evaluation, Interval
from tests.helpers.labelled_sets import split_of

pytestmark = pytest.mark.thorough

ROW = Row("plugin:tiny", "birds", "Zipf 1", 0, "demo", 200, 200, 4.0, -2.0, math.nan)
TAKEN = replace(
    ROW, method=judged("demo"), own=0.0, unseen=0.0, strength=0.0, signals={"score": 0.4}
)


@pytest.fixture
def numbered(tmp_path: Path) -> NumberedSets:
    sets = {"three": (3, 8, 21), "two": (4, 9)}
    plans = [f"{name}={split_of(tmp_path, name, one)}:{IMAGES}" for name, one in sets.items()]
    return number(read_plans(plans, [], None))


def test_a_draw_has_its_own_and_unseen_images_apart(numbered: NumberedSets) -> None:
    drawn = draw_files(numbered, "three", CELL["Zipf 1"], 0, 9)
    own, unseen = ({path for path, _ in some} for some in (drawn.own, drawn.unseen))
    assert len(own) == len(drawn.own) <= 9
    assert 0 < len(unseen) == len(drawn.unseen) <= UNSEEN_IMAGES
    assert not own & unseen
    assert all(path.is_file() for path in own | unseen)
    assert float(drawn.mix.sum()) == pytest.approx(1.0)
    assert all(drawn.mix[label] > 0 for _, label in drawn.unseen)
    again = draw_files(numbered, "three", CELL["Zipf 1"], 0, 9)
    assert (again.own, again.unseen) == (drawn.own, drawn.unseen)


def test_images_of_no_class_come_from_the_other_set(numbered: NumberedSets) -> None:
    drawn = draw_files(numbered, "three", CELL["30 % of no class"], 0, 200)
    lent = {path for path, label in drawn.own if label == NO_CLASS}
    own = {*numbered.files[: len(numbered.sets["three"].train)]}
    assert lent
    assert not lent & own
    assert {path for path, label in drawn.own if label != NO_CLASS} <= own


def test_class_names_that_do_not_occur_are_written_too(
    numbered: NumberedSets, tmp_path: Path
) -> None:
    drawn = draw_files(numbered, "three", CELL["5 % of the names"], 0, 200)
    dataset = drawn.write(tmp_path / "draw")
    written = (tmp_path / "draw" / dataset["classes"]).read_text(encoding="utf-8").splitlines()
    assert tuple(written) == drawn.names
    assert len({label for _, label in drawn.own}) < len(written) == 5


def evaluation(*classes: tuple[int, int]) -> Evaluation:
    """Return the evaluation of classes given as (images, correct)."""
    counts = tuple(ClassAccuracy(correct, images) for images, correct in classes)
    share = Interval(0.5, 0.5, 0.5)
    return Evaluation(sum(one.images for one in counts), share, 0.5, 0.5, counts, None)


def test_gain_on_unseen_images_weighs_recalls_by_the_mix() -> None:
    mix = torch.tensor([0.6, 0.2, 0.2], dtype=torch.float64)
    drawn = Drawn(("a", "b", "c"), "{class}", [], [], mix)
    before, after = evaluation((4, 2), (2, 2), (0, 0)), evaluation((4, 3), (2, 1), (0, 0))
    assert unseen_gain(before, after, drawn) == pytest.approx(100 * (0.6 * 0.25 - 0.2 * 0.5) / 0.8)


def test_gain_on_own_images_leaves_images_of_no_class_out(tmp_path: Path) -> None:
    path = tmp_path / "pseudo_labels.csv"
    path.write_text(
        "image,zero_shot,adapted,confidence\n1,a,b,0.5\n2,a,a,0.5\n3,b,a,0.5\n4,a,b,0.5\n"
    )
    labels = {"1": 1, "2": 0, "3": NO_CLASS, "4": 1}
    assert own_gain(path, labels, ("a", "b")) == pytest.approx(200 / 3)


def test_latteclip_has_as_many_steps_per_epoch_as_the_demo() -> None:
    assert recipe_for("demo", {}, 199, 0)["train"] == {"batch_size": 50}
    assert recipe_for("reclip", {}, 199, 0)["train"] == {"max_epochs": 1}
    assert all(cell in CELL for cell in TELLING)


def test_tables_set_the_candidate_beside_what_the_verdict_leaves() -> None:
    rows = [ROW, TAKEN]
    assert cells_table(rows, ["demo", "flyp"], "unseen").splitlines()[2:] == [
        "| Zipf 1 | -2.0 → +0.0 (0.40; kept) | – |"
    ]
    rows += [replace(ROW, draw=1, unseen=3.0), replace(TAKEN, draw=1, unseen=3.0, strength=1.0)]
    assert "| -" not in cells_table(rows, ["demo"], "unseen").splitlines()[2]
    assert "+0.5 → +1.5 (0.40; 1 adapted, 1 kept)" in cells_table(rows, ["demo"], "unseen")
    assert totals(rows, ["demo", "flyp"], "unseen").splitlines()[2:] == [
        "| demo | 2 | +0.5 → +1.5 | -2.0 → +0.0 | 1 → 0 |"
    ]


def test_command_writes_two_rows_per_run_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trained, "TELLING", ("50 images", "30 % of no class"))
    out = tmp_path / "out"
    split = split_of(tmp_path, "three", (3, 8, 21))
    common = ["trained", "--set", f"three={split}:{IMAGES}", "--images-per-class", "4"]
    common += ["--images", "10", "--out", str(out), "--recipes"]
    benchmark([*common, "adapt"])
    first = (out / "rows.csv").read_text(encoding="utf-8")
    benchmark([*common, "adapt"])
    assert (out / "rows.csv").read_text(encoding="utf-8") == first
    rows = [*csv.DictReader(first.splitlines())]
    candidate, taken = rows  # no other set lends images of no class
    assert (candidate["method"], taken["method"]) == ("adapt", judged("adapt"))
    assert candidate["cell"] == taken["cell"] == "50 images"
    assert candidate["own"] == taken["full"]
    assert taken["strength"]
    assert not candidate["strength"]
    assert not any((out / "runs").iterdir())
    assert (out / "summary.md").read_text(encoding="utf-8") in capsys.readouterr().out
