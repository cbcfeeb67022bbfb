"""Rows of a killed `latte predict` are taken only for images with the content they were made of."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy
import pytest
from PIL import Image

from latte.cli.main import run_command_line
from tests.helpers.clip_models import TINY_CLIP
from tests.helpers.exported_runs import adapted, write_run
from tests.helpers.whole_runs import environment

pytestmark = pytest.mark.thorough

MODEL = "animals-1a2b"
PHOTOS = 200
BATCHES = "--batch-size=8"
KEPT = 20
"""Least number of rows that reach the disk before the process is killed."""
FIRST = Path("photos/000.bmp")


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, two folders of images, and the rows of a killed process."""
    folder = tmp_path_factory.mktemp("killed")
    write_photos(folder / "photos", seed=0)
    write_photos(folder / "others", seed=1)
    write_run(folder / MODEL, adapted({"main": TINY_CLIP}), scale=7.5)
    with killed_predict(folder) as wait_for_rows:
        wait_for_rows()
    return folder


@pytest.fixture
def folder(killed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `killed` as working folder, where all rows are newer than all images."""
    for part in (MODEL, "photos", "others"):
        shutil.copytree(killed / part, tmp_path / part)
    time.sleep(0.05)  # the clock of a file system is coarse
    (rows,) = killed.glob(".rows*.tmp")
    shutil.copy(rows, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_photos(folder: Path, seed: int) -> None:
    """Write images of noise with the same names and sizes for every seed."""
    random = numpy.random.default_rng(seed)
    folder.mkdir()
    for number in range(PHOTOS):
        values = random.integers(0, 256, (8, 8, 3), dtype=numpy.uint8)
        Image.fromarray(values).save(folder / f"{number:03}.bmp")


@contextmanager
def killed_predict(folder: Path) -> Iterator[Callable[[], None]]:
    """Yield a function that waits for more rows on the disk; end the process with SIGKILL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "latte", "predict", MODEL, "-", "-o", "rows.csv", BATCHES],
        stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder, env=environment(folder),
    )  # fmt: skip
    assert process.stdin is not None
    stdin, rows_size = process.stdin, 0
    paths = "".join(f"photos/{number:03}.bmp\n" for number in range(PHOTOS)).encode()

    def wait_for_rows() -> None:
        nonlocal rows_size
        stdin.write(paths)
        stdin.flush()
        deadline = time.monotonic() + 240
        while (size := sum(file.stat().st_size for file in folder.glob(".rows*.tmp"))) <= rows_size:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        rows_size = size

    try:
        yield wait_for_rows
    finally:
        process.kill()
        process.communicate()


def predict(output: str) -> list[dict[str, str]]:
    assert run_command_line(["predict", MODEL, "photos", "-o", output, BATCHES]) == 0
    with Path(output).open(newline="") as file:
        return list(csv.DictReader(file))


def assert_rows_of_one_call() -> None:
    """Check the rows; images that are encoded in another batch may differ by rounding."""
    for row, expected in zip(predict("rows.csv"), predict("whole.csv"), strict=True):
        scores = [float(row.pop(name)) for name in sorted(row) if name.startswith("score_")]
        assert scores == pytest.approx(
            [float(expected.pop(name)) for name in sorted(expected) if name.startswith("score_")],
            abs=1e-5,
        )
        assert row == expected


def exchange_folder() -> None:
    Path("photos").rename("before")
    Path("others").rename("photos")


def link_elsewhere() -> None:
    Path("photos").rename("before")
    Path("photos").symlink_to("others")


def overwrite_image() -> None:
    FIRST.write_bytes(Path("others/000.bmp").read_bytes())


def overwrite_image_and_set_its_times_back() -> None:
    status = FIRST.stat()
    overwrite_image()
    os.utime(FIRST, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (FIRST.stat().st_size, FIRST.stat().st_ino) == (status.st_size, status.st_ino)


def put_a_copy_of_another_image_in_its_place() -> None:
    status = FIRST.stat()
    FIRST.unlink()
    overwrite_image()
    os.utime(FIRST, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert FIRST.stat().st_mtime_ns == status.st_mtime_ns


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("change", "number"),
    [
        (exchange_folder, KEPT),
        (link_elsewhere, KEPT),
        (overwrite_image, 1),
        (overwrite_image_and_set_its_times_back, 1),
        (put_a_copy_of_another_image_in_its_place, 1),
    ],
)
def test_rows_of_changed_images_are_not_taken(
    change: Callable[[], None], number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    change()
    assert_rows_of_one_call()
    changed = re.search(r"(\d+) images? changed since the earlier call", capsys.readouterr().err)
    assert changed
    assert int(changed[1]) >= number


@pytest.mark.parametrize(
    "change",
    [
        overwrite_image,
        overwrite_image_and_set_its_times_back,
        put_a_copy_of_another_image_in_its_place,
    ],
)
def test_row_of_an_image_that_changed_before_its_row_reached_the_disk_is_not_taken(
    change: Callable[[], None], folder: Path
) -> None:
    (rows,) = folder.glob(".rows*.tmp")
    change()
    later = time.time_ns() + 10**9
    os.utime(rows, ns=(later, later))
    assert_rows_of_one_call()


def test_image_that_changes_during_the_first_call_gets_a_new_row(folder: Path) -> None:
    for rows in folder.glob(".rows*.tmp"):
        rows.unlink()
    with killed_predict(folder) as wait_for_rows:
        wait_for_rows()
        overwrite_image()
        wait_for_rows()
    assert_rows_of_one_call()


@pytest.mark.usefixtures("folder")
def test_rows_of_untouched_images_are_taken_and_the_file_is_that_of_one_call(
    capsys: pytest.CaptureFixture[str],
) -> None:
    predict("rows.csv")
    error_output = capsys.readouterr().err
    kept_rows = re.search(r"(\d+) rows of rows\.csv\.\w+\.partial are kept", error_output)
    assert kept_rows
    assert KEPT <= int(kept_rows[1]) < PHOTOS
    assert "changed since" not in error_output
    predict("whole.csv")
    assert Path("rows.csv").read_bytes() == Path("whole.csv").read_bytes()
