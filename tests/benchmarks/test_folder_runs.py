"""Recipes that train, run on the files of drawn folders."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from latte_benchmarks.folder_cells import CELL, NO_CLASS
from latte_tiny.dataset import IMAGES

from benchmarks.__main__ import main as benchmark
from benchmarks.folder_files import NumberedSets, draw_files, number
from benchmarks.folder_sets import read_plans
from tests.helpers.labelled_sets import split_of

pytestmark = pytest.mark.thorough


@pytest.fixture
def numbered(tmp_path: Path) -> NumberedSets:
    sets = {"three": (3, 8, 21), "two": (4, 9)}
    plans = [f"{name}={split_of(tmp_path, name, labels)}:{IMAGES}" for name, labels in sets.items()]
    return number(read_plans(plans, [], None))


def test_a_draw_has_its_own_and_unseen_images_apart(numbered: NumberedSets) -> None:
    drawn = draw_files(numbered, "three", CELL["Zipf 1"], 0)
    own_paths, unseen_paths = ({path for path, _ in some} for some in (drawn.own, drawn.unseen))
    assert len(own_paths) == len(drawn.own)
    assert 0 < len(unseen_paths) == len(drawn.unseen)
    assert not own_paths & unseen_paths
    assert all(path.is_file() for path in own_paths | unseen_paths)
    redrawn = draw_files(numbered, "three", CELL["Zipf 1"], 0)
    assert (redrawn.own, redrawn.unseen) == (drawn.own, drawn.unseen)


def test_images_of_no_class_come_from_the_other_set(numbered: NumberedSets) -> None:
    drawn = draw_files(numbered, "three", CELL["30 % of no class"], 0)
    lent = {path for path, label in drawn.own if label == NO_CLASS}
    own_set_files = {*numbered.files[: len(numbered.sets["three"].train)]}
    assert lent
    assert not lent & own_set_files
    assert {path for path, label in drawn.own if label != NO_CLASS} <= own_set_files


def test_class_names_that_do_not_occur_are_written_too(
    numbered: NumberedSets, tmp_path: Path
) -> None:
    drawn = draw_files(numbered, "three", CELL["5 % of the names"], 0)
    dataset = drawn.write(tmp_path / "draw")
    written = (tmp_path / "draw" / dataset["classes"]).read_text(encoding="utf-8").splitlines()
    assert tuple(written) == drawn.names
    assert len({label for _, label in drawn.own}) < len(written) == 5


def test_training_recipe_is_a_method_that_the_guard_judges(tmp_path: Path) -> None:
    split, out = split_of(tmp_path, "three", (3, 8, 21)), tmp_path / "out"
    benchmark(
        [
            *("folders", "--set", f"three={split}:{IMAGES}", "--images-per-class", "6"),
            *("--cells", "all names", "--draws", "1", "--methods", "zero-shot"),
            *("--method", "flyp=recipes/flyp.yaml", "--out", str(out)),
        ]
    )
    zero_shot, trained = csv.DictReader((out / "rows.csv").read_text().splitlines())
    assert (zero_shot["method"], trained["method"]) == ("zero-shot", "flyp")
    assert trained["images"] == zero_shot["images"] == "18"
    assert trained["outcome"] in {"cannot tell", "kept zero-shot"}
    assert trained["full"]
    assert float(trained["own"]) == float(trained["full"]) * float(trained["strength"])
    assert not any((out / "runs").iterdir())
