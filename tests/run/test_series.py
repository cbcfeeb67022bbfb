"""Series of a run: copies, crops, bursts and columns are recorded, and change no label."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from latte_author.testing import TinyRuns
from latte_author.testing.tiny_runs import SQUARES
from PIL import ExifTags, Image

from latte.registry.registry import load_registry
from latte.results.folder import RunFolder
from latte.results.run import open_run
from latte.run.reopen import evaluate_run
from tests.data.test_near_copies import detailed
from tests.helpers.recorded import RecordedProgress

pytestmark = pytest.mark.thorough

RECIPE = f"{SQUARES}labels: [frozen]\ntrain: {{max_steps: 0}}\nreporters: []\n"
OFF = "series={near_copies: false, seconds: 0}"


@pytest.fixture
def runs(tmp_path: Path) -> TinyRuns:
    """Images a to f: a copy and a crop of a, a burst, and two other pictures; four test images."""
    made = TinyRuns(tmp_path)
    folder, test = tmp_path / "images", tmp_path / "test"
    for path in [*folder.iterdir(), *test.rglob("*.png")]:
        path.unlink()
    for name, seed in (("a", 0), ("a-copy", 0), ("e", 1), ("f", 2)):
        detailed(seed).save(folder / f"{name}.png")
    detailed(0).crop((4, 3, 118, 117)).save(folder / "b.png")
    for number in range(3):
        exif = Image.Exif()
        date = f"2024:05:01 10:00:0{number}"
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = date
        picture = detailed(3).crop((20 * number, 0, 70 + 20 * number, 70))
        picture.save(folder / f"burst{number}.jpg", exif=exif)
    for number, colour in enumerate(("red", "green", "blue")):
        detailed(50 + number).save(test / colour / f"{number}.png")
    detailed(1).resize((60, 60)).save(test / "red" / "near.png")
    return made


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def evaluated(folder: Path) -> Any:
    return json.loads((folder / "results.json").read_text())["evaluate"]


def groups(folder: Path) -> set[frozenset[str]]:
    images: dict[str, set[str]] = {}
    for row in rows(folder / "data/series.csv"):
        images.setdefault(row["series"], set()).add(row["image"])
    return {frozenset(names) for names in images.values() if len(names) > 1}


def test_copies_crops_and_bursts_are_series_and_change_no_label(runs: TinyRuns) -> None:
    folder = runs.run(RECIPE)
    burst = frozenset(f"burst{number}.jpg" for number in range(3))
    assert groups(folder) == {frozenset({"a.png", "a-copy.png", "b.png"}), burst}
    origins = {row["image"]: row["origin"] for row in rows(folder / "data/series.csv")}
    assert origins["b.png"] == "copies near-copies"
    assert "burst" in origins["burst0.jpg"]
    assert origins["e.png"] == ""
    facts = evaluated(folder)["series"]
    assert (facts["series"], facts["images"], facts["largest"]) == (2, 6, 3)
    labels = rows(folder / "pseudo_labels.csv")
    numbers = tuple(int(row["series"]) for row in labels)
    assert numbers == open_run(folder).rows.series
    assert numbers == (0, 0, 0, 1, 1, 1, 2, 3)
    without = runs.run(RECIPE, OFF, output="without")
    assert groups(without) == {frozenset({"a.png", "a-copy.png"})}
    for row in labels:
        del row["series"]
    unlabelled = rows(without / "pseudo_labels.csv")
    assert [{**row, "series": ""} for row in unlabelled] == [
        {**row, "series": ""} for row in labels
    ]


def test_changed_series_repeat_no_training(runs: TinyRuns) -> None:
    folder = runs.run(RECIPE)
    before = json.loads((folder / "results.json").read_text())["stages"]
    assert runs.run(RECIPE, OFF) == folder
    after = json.loads((folder / "results.json").read_text())["stages"]
    changed = {name for name in after if after[name]["fingerprint"] != before[name]["fingerprint"]}
    assert changed == {"evaluate", "report"}


def test_near_copies_among_test_images_are_named_and_can_be_left_out(runs: TinyRuns) -> None:
    folder = runs.run(RECIPE)
    copies = evaluated(folder)["near_copies"]
    assert (copies["images"], copies["left_out"]) == (1, False)
    ((image, training_image),) = copies["examples"]
    assert image.endswith("near.png")
    assert training_image == "e.png"
    assert evaluated(folder)["models"][0]["classifier"]["images"] == 4
    assert rows(folder / "data/near_copies.csv") == [{"image": image, "training_image": "e.png"}]
    runs.run(RECIPE, "evaluate.near_copies=leave-out")
    assert evaluated(folder)["near_copies"]["left_out"]
    models = evaluated(folder)["models"]
    assert [model["classifier"]["images"] for model in models[:2]] == [3, 3]
    outcome = runs.latte("evaluate", str(folder))
    assert outcome.code == 0, outcome.err
    assert "1 labelled test image is a near-copy of training images" in outcome.out + outcome.err
    assert " 3 " in outcome.out
    outcome = runs.latte("check", str(folder / "recipe.yaml"))
    assert "near-copy of training images" in outcome.err


def test_check_says_what_counts_near_copies_until_a_run_has_counted_them(runs: TinyRuns) -> None:
    (runs.folder / "test/red/near.png").unlink()
    path = runs.folder / "recipe.yaml"
    path.write_text(RECIPE)
    line = f"near-copies of training images: `latte run {path}` counts them"
    assert line in " ".join(runs.latte("check", str(path)).err.split())
    assert "near-cop" not in runs.latte("check", str(path), "--set", OFF).err
    folder = runs.run(path.read_text())
    assert "near-cop" not in runs.latte("check", str(folder / "recipe.yaml")).err


def test_column_series_joins_images_and_empty_cells_do_not(runs: TinyRuns) -> None:
    table = runs.folder / "photos.csv"
    names = ("e.png", "f.png", "a.png", "burst0.jpg")
    cells = ("street 1", "street 1", "", "")
    lines = [f"images/{name},{cell}" for name, cell in zip(names, cells, strict=True)]
    table.write_text("\n".join(["path,series", *lines]))
    recipe = RECIPE.replace("use: folder, root: images", "use: list, root: ., images: photos.csv")
    folder = runs.run(recipe)
    assert groups(folder) == {frozenset({"images/e.png", "images/f.png"})}
    assert evaluated(folder)["series"]["origins"] == {"column": 1}


def test_column_series_of_labels_joins_images(runs: TinyRuns) -> None:
    (runs.folder / "labels.csv").write_text(
        "image,label,series\ne.png,red,7\nf.png,green,7\na.png,blue,\nburst1.jpg,,\n"
    )
    folder = runs.run(f"{RECIPE}corrections: labels.csv\n")
    assert frozenset({"e.png", "f.png"}) in groups(folder)


def test_damaged_series_file_is_named(runs: TinyRuns) -> None:
    folder = runs.run(RECIPE)
    path = RunFolder(folder).series
    for text in ("", "image,series,origin\n", "a,b\n", path.read_text().replace(",0,", ",x,")):
        path.write_text(text)
        with pytest.raises(Exception, match=r"series\.csv"):
            _ = open_run(folder).rows.series


def test_files_of_a_run_without_series_are_read(runs: TinyRuns) -> None:
    folder = runs.run(RECIPE)
    labels = folder / "pseudo_labels.csv"
    lines = [line.rpartition(",")[0] for line in labels.read_text().splitlines()]
    expected = open_run(folder).rows.pseudo_labels
    labels.write_text("\n".join(lines) + "\n")
    assert open_run(folder).rows.pseudo_labels == expected
    models, copies = evaluate_run(folder, load_registry(), RecordedProgress())
    assert models
    assert copies is not None
