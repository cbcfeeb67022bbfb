"""Files, folders, answers and stored texts survive a power loss once they are promised."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy
import pytest
import torch
from PIL import Image

from latte.data.disk_cache import DiskStore
from latte.describe.store import DescriptionStore, StoredText
from latte.evaluate.predictions import ClassScore, Prediction
from latte.export.folder import whole_folder
from latte.interfaces import Backbone, Classifier
from latte.io.files import make_folder, write_text
from latte.models.adapted import Adapted, Member
from latte.models.saved_model import save_adapted
from latte.predict.rows_file import RowsFile
from latte.predict.sorting import Sorter
from latte.results.answers import Answer, append_answers, read_answers
from latte.results.folder import ModelFolder, RunFolder
from latte.results.metrics_log import MetricsLog, read_metrics
from latte.train.checkpoint import load_checkpoint, save_checkpoint
from tests.helpers.power_loss import Disk


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


def test_atomic_write_leaves_the_old_or_the_new_text(root: Path, tmp_path: Path) -> None:
    write_text(root / "file.txt", "old")
    disk = Disk(root)
    with disk.watched():
        write_text(root / "file.txt", "new text")
        disk.promise("new text")
        write_text(root / "below" / "second.txt", "second")
        disk.promise("second")
    seen = set()
    for image in disk.images(tmp_path / "left"):
        text = (image.path / "file.txt").read_text()
        second_file = image.path / "below" / "second.txt"
        seen.add(text)
        assert text in ({"new text"} if image.promised else {"old", "new text"}), image
        assert not second_file.exists() or (text, second_file.read_text()) == (
            "new text",
            "second",
        ), image
        assert second_file.exists() or "second" not in image.promised, image
    assert seen == {"old", "new text"}


def test_predictions_are_whole_or_absent(root: Path, tmp_path: Path) -> None:
    rows = [Prediction(f"{number}.jpg", (ClassScore("cat", 1.0, 0),)) for number in range(9)]
    disk = Disk(root)
    with disk.watched():
        RowsFile(root / "rows.csv", "csv").write(rows)
        disk.promise("written")
    for image in disk.images(tmp_path / "left"):
        table = image.path / "rows.csv"
        assert table.exists() or not image.promised, image
        assert not table.exists() or len(table.read_text().splitlines()) == 10, image


def test_folder_that_replaces_another_is_complete(root: Path, tmp_path: Path) -> None:
    disk = Disk(root)
    with disk.watched():
        with whole_folder(root / "exported", replace=False) as temporary:
            (temporary / "inner").mkdir()
            (temporary / "inner" / "weights").write_bytes(bytes(100))
            (temporary / "config").write_text("{}")
        disk.promise("exported")
    for image in disk.images(tmp_path / "left"):
        folder = image.path / "exported"
        assert folder.exists() or not image.promised, image
        if folder.exists():
            assert (folder / "inner" / "weights").read_bytes() == bytes(100), image
            assert (folder / "config").read_text() == "{}", image


def answer(number: int) -> Answer:
    return Answer(f"key-{number}", "class", "red", "evidence", "run", "2026-01-01")


def test_given_answers_survive(root: Path, tmp_path: Path) -> None:
    disk = Disk(root)
    path = root / "review.jsonl"
    with disk.watched():
        for number in range(3):
            append_answers(path, [answer(number)])
            disk.promise(answer(number))
    for image in disk.images(tmp_path / "left"):
        left = read_answers(image.path / "review.jsonl")
        assert tuple(left[: len(image.promised)]) == image.promised, image


def test_stored_texts_survive(root: Path, tmp_path: Path) -> None:
    """A request whose answer was stored is never sent, and paid, again."""
    disk = Disk(root)
    folder = root / "cache" / "descriptions"
    with disk.watched(), DescriptionStore(folder) as store:
        pixels = DiskStore(root / "cache" / "images", 2**20, print)  # it makes `cache`
        assert pixels.put("pixels", numpy.zeros((2, 2, 3), numpy.uint8))
        for batch in ("ab", "cd"):
            store.put_many([StoredText(key, f"text of {key}") for key in batch])
            disk.promise(batch)
    for image in disk.images(tmp_path / "left"):
        with DescriptionStore(image.path / "cache" / "descriptions") as left:
            keys = "".join(image.promised)
            assert all(left.get(key) == f"text of {key}" for key in keys), image
            assert left.skipped_lines == 0, image


def test_sorted_copies_survive(root: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (4, 4)).save(photo)
    disk = Disk(root)
    with disk.watched():
        row = Prediction(str(photo), (ClassScore("cat", 1.0, 0),))
        list(Sorter(root / "sorted", ["cat"]).write([row]))
        disk.promise("sorted")
    for image in disk.images(tmp_path / "left"):
        copy = image.path / "sorted" / "cat" / "photo.png"
        assert copy.exists() or not image.promised, image
        assert not copy.exists() or copy.read_bytes() == photo.read_bytes(), image


def test_checkpoint_survives_with_the_rows_of_its_steps(root: Path, tmp_path: Path) -> None:
    disk = Disk(root)
    with disk.watched():
        log = MetricsLog(root / "metrics.jsonl", 0)
        for step in range(1, 5):
            log.append([{"event": "step", "step": step, "epoch": 0}])
            save_checkpoint(root / "checkpoints", step, [], [])
            disk.promise(step)
    for image in disk.images(tmp_path / "left"):
        step = load_checkpoint(image.path / "checkpoints", [], [])
        assert step >= len(image.promised), image
        rows = read_metrics(image.path / "metrics.jsonl") if step else []
        assert [row["step"] for row in rows][:step] == list(range(1, step + 1)), image


def test_saved_model_is_complete(root: Path, tmp_path: Path) -> None:
    def save(folder: Path) -> None:
        (folder / "weights").write_bytes(bytes(100))

    backbone = cast(Backbone, SimpleNamespace(save=save))
    member = Member("learner", backbone, Classifier(torch.eye(2), torch.arange(2)))
    disk = Disk(root)
    with disk.watched():
        save_adapted(ModelFolder(root / "adapted"), Adapted(("cat", "dog"), (member,)))
        disk.promise("saved")
    for image in disk.images(tmp_path / "left"):
        if image.promised:
            folder = ModelFolder(image.path / "adapted")
            assert (folder.backbone / "weights").read_bytes() == bytes(100), image
            assert folder.prototypes.stat().st_size > 100, image


def test_new_run_folder_survives(root: Path, tmp_path: Path) -> None:
    disk = Disk(root)
    run = RunFolder(root / "runs" / "birds")
    with disk.watched(), run.lock():
        write_text(run.path / "recipe.yaml", "seed: 0")
        disk.promise("written")
    for image in disk.images(tmp_path / "left"):
        recipe = image.path / "runs" / "birds" / "recipe.yaml"
        assert recipe.exists() or not image.promised, image


def test_no_file_of_a_run_is_lost_when_it_moves_aside(root: Path, tmp_path: Path) -> None:
    run = RunFolder(root / "run")
    files = {"results.json": "new", "recipe.yaml": "new", "models/weights": "new"}
    for name, text in files.items():
        write_text(run.path / name, text)
    write_text(run.previous / "notes.txt", "own")
    disk = Disk(root)
    with disk.watched():
        run.move_aside(wanted=True)
        disk.promise("moved")
        with run.lock():
            write_text(run.path / "results.json", "newer")
            disk.promise("newer")
    for image in disk.images(tmp_path / "left"):
        left = RunFolder(image.path / "run")
        left.move_aside(wanted=False)
        places = [left.path, left.previous]
        if (left.path / "results.json").exists() and image.promised:
            assert (left.path / "results.json").read_text() == "newer", image
            (left.path / "results.json").unlink()
        assert "newer" not in image.promised or left.path.exists(), image
        held = [{name for name in files if (place / name).exists()} for place in places]
        assert sorted(map(len, held)) == [0, len(files)], image
        assert held[1] or not image.promised, image
        assert not held[1] or (left.previous / "results.json").read_text() == "new", image
        assert (left.previous / "notes.txt").read_text() == "own", image


def test_layer_drops_what_was_not_synced(root: Path, tmp_path: Path) -> None:
    """Without this, no test of this file could fail."""
    disk = Disk(root)
    with disk.watched():
        (root / "temporary").write_text("content")
        (root / "temporary").rename(root / "file")
        make_folder(root / "folder")
        (root / "folder" / "inner").write_text("content")
    left = set()
    for image in disk.images(tmp_path / "left"):
        files = sorted(path for path in image.path.rglob("*") if path.is_file())
        left.add(" ".join(f"{path.name}={path.read_text()}" for path in files))
    possible = {"", "temporary=", "temporary=con", "file=", "file=con", "file= inner="}
    assert possible <= left
    assert not any("content" in files for files in left)
