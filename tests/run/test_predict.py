"""`latte predict`, from the command line: streams, lists of paths, interruptions, exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from latte.cli.main import run_command_line
from tests.helpers.clip_models import TINY_CLIP
from tests.helpers.exported_runs import adapted, photos, write_run
from tests.helpers.whole_runs import environment

pytestmark = pytest.mark.thorough
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    photos(tmp_path / "photos", [(40, 32)] * 5)
    return write_run(tmp_path / "animals-1a2b", adapted({"main": TINY_CLIP}), scale=7.5)


def latte(*arguments: str | Path) -> int:
    return run_command_line([str(argument) for argument in arguments])


def test_paths_from_standard_input(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "sys.stdin", io.StringIO("photos/000.png\n\nphotos/003.png\r\nabsent.jpg\n")
    )
    assert latte("predict", model, "-", "photos/001.png", "--top-k=1") == 3
    captured = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(captured.out)))
    assert [row["image"] for row in rows] == [f"photos/00{number}.png" for number in (0, 3, 1)]
    assert "skipped absent.jpg: the file cannot be read: No such file" in captured.err
    assert "predict: 4 images in" in captured.err
    assert "images left out: 1" in captured.err


@pytest.mark.parametrize("into_file", [True, False])
def test_empty_list_on_standard_input_gives_a_header_and_code_0(
    model: Path,
    into_file: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    output = ["-o", "rows.csv"] if into_file else []
    assert latte("predict", model, "-", "--top-k=2", *output) == 0
    captured = capsys.readouterr()
    written = Path("rows.csv").read_text() if into_file else captured.out
    assert written == "image,source,class_1,score_1,class_2,score_2\n"
    assert "predict: 0 images" in captured.err


def test_impossible_paths_on_standard_input_are_left_out(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(model.parent)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{'long' * 1000}\nphotos/003.png\n"))
    assert latte("predict", model, "-") == 3
    out, err = capsys.readouterr()
    assert [row["image"] for row in csv.DictReader(io.StringIO(out))] == ["photos/003.png"]
    assert "the file cannot be read: File name too long" in err
    assert latte("predict", model, "long" * 1000) == 2


def test_list_with_null_characters_is_refused(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("photos/000.png\0photos/003.png\0"))
    assert latte("predict", model, "-") == 2
    assert "write one path per line, as `find -print` does" in capsys.readouterr().err


def test_suffix_of_the_output_selects_the_format(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(model.parent)
    for name, options, begin in (
        ("labels.jsonl", (), '{"image": '),
        ("labels.ndjson", (), '{"image": '),
        ("labels.jsonl", ("--format", "csv", "--force"), "image,source,"),
        ("labels.txt", (), "image,source,"),
        ("labels.json", ("--format", "jsonl"), '{"image": '),
    ):
        assert latte("predict", model, "photos", "-o", name, *options) == 0
        assert Path(name).read_text().startswith(begin)
    capsys.readouterr()
    assert latte("predict", model, "photos", "-o", "labels.parquet") == 2
    assert "rows are not written as .parquet" in capsys.readouterr().err
    assert latte("predict", model, "photos", "--format", "xlsx") == 2
    assert "--format xlsx needs a file" in capsys.readouterr().err


def test_json_lines_about_images_that_predict_did_not_write_are_kept(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(model.parent)
    own_file = Path("own.jsonl")
    for text in ('{"image": "photos/000.png", "label": "cat"}\n', '{"image": '):
        own_file.write_text(text)
        assert latte("predict", model, "photos", "-o", "own.jsonl") == 2
        assert own_file.read_text() == text
    assert "is not overwritten" in capsys.readouterr().err
    own_file.unlink()
    for _ in range(2):
        assert latte("predict", model, "photos", "-o", "own.jsonl") == 0


def test_all_images_read_is_code_0_and_counts_are_known(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        latte("predict", model, "photos", "photos/001.png", "--format=jsonl", "-o", "o.jsonl") == 0
    )
    assert len(Path("o.jsonl").read_text().splitlines()) == 6
    assert "predict: 6 images in " in capsys.readouterr().err
    assert not [*Path().glob("*.partial")]


def test_nothing_is_loaded_for_paths_that_do_not_exist(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    assert latte("predict", model, "photo") == 2
    assert latte("predict", model, "empty") == 2
    error_output = capsys.readouterr().err
    assert "no such image or folder" in error_output
    assert "there is no image here" in error_output
    assert "loading" not in error_output


@pytest.mark.slow
def test_a_killed_process_is_continued(model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "latte", "predict", str(model), "-", "-o", "rows.csv"]
    process = subprocess.Popen(
        [*command, "--batch-size=1"], stdin=subprocess.PIPE, cwd=tmp_path, env=environment(tmp_path)
    )
    assert process.stdin is not None
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size for path in tmp_path.glob(".rows*.tmp")):
        assert time.monotonic() < deadline
        process.stdin.write(b"photos/000.png\n" * 200)
        process.stdin.flush()
    process.kill()
    process.communicate()
    error_output = subprocess.run(
        command, input="photos/000.png\n" * 2000, capture_output=True, text=True, cwd=tmp_path,
        env=environment(tmp_path), check=True,
    ).stderr  # fmt: skip
    assert ".partial are kept" in error_output
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 2001
    assert list(tmp_path.glob(".rows*")) == list(tmp_path.glob("*.partial")) == []


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGTERM, "Terminated"), (signal.SIGHUP, "Hung up")]
)
def test_stopped_command_names_its_signal_and_goes_on_from_its_rows(
    model: Path,
    number: signal.Signals,
    word: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def lines() -> Iterator[str]:
        yield from ["photos/000.png\n"] * 400
        os.kill(os.getpid(), number)
        yield "photos/001.png\n"

    monkeypatch.setattr("sys.stdin", lines())
    inherited = signal.signal(number, signal.SIG_DFL)  # nohup ignores SIGHUP
    try:
        assert latte("predict", model, "-", "-o", "rows.csv", "--quiet") == 128 + number
    finally:
        signal.signal(number, inherited)
    (partial,) = Path().glob("rows.csv.*.partial")
    assert len(partial.read_text().splitlines()) > 1
    assert capsys.readouterr().err == (
        f"{word}. Start the same command again: it goes on from the rows so far, in {partial}.\n"
    )
    monkeypatch.setattr("sys.stdin", iter(["photos/000.png\n"] * 400))
    assert latte("predict", model, "-", "-o", "rows.csv") == 0
    error_output = capsys.readouterr().err
    assert f" rows of {partial} are kept" in error_output
    assert error_output.splitlines()[-1].startswith("400 images in ")
    assert error_output.splitlines()[-1].endswith(" 1 of 4 classes")
    assert len(Path("rows.csv").read_text().splitlines()) == 401
    assert not partial.exists()


def test_output_that_cannot_be_written_is_refused_before_the_model_is_loaded(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").touch()
    Path("folder").mkdir()
    Path("rows.skipped.csv").mkdir()
    os.mkfifo("pipe")
    for options, message in {
        ("-o", "folder"): "folder: this is a folder, not a file",
        ("-o", "folder", "--force"): "name a file in it: folder/FILE",
        ("-o", "rows.csv"): "rows.skipped.csv: this is a folder, not a file",
        ("-o", "pipe", "--force"): "pipe: is a device or a pipe, not a file",
        ("-o", "file/labels.csv"): "file/labels.csv: cannot be written, because file is not a",
        ("--sort-into", "file"): "--sort-into: cannot be written, because file is not a folder",
    }.items():
        assert latte("predict", model, "-", *options) == 2
        error_output = capsys.readouterr().err
        assert message in error_output
        assert "loading" not in error_output


def test_files_that_look_like_images_are_named_with_code_3(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("photos/notes.txt").touch()
    assert latte("predict", model, "photos") == 0
    assert "warning: left out 1 other file (1 .txt)" in capsys.readouterr().err
    Path("photos/1.cr2").touch()
    Path("photos/2.psd").touch()
    assert latte("predict", model, "photos") == 3
    error_output = capsys.readouterr().err
    assert "left out 2 files (1 .cr2, 1 .psd) in image formats that are not read" in error_output
    assert "images left out: 2" in error_output
    for image in Path("photos").glob("*.png"):
        image.unlink()
    assert latte("predict", model, "photos") == 2
    assert "convert them to JPEG or PNG" in capsys.readouterr().err


@pytest.mark.parametrize("through_stdin", [True, False])
def test_pipes_devices_and_huge_files_are_not_read(
    model: Path,
    through_stdin: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    os.mkfifo("pipe.jpg")
    Path("device.jpg").symlink_to("/dev/zero")
    with Path("sparse.jpg").open("wb") as file:
        file.truncate(3 * 2**30)
    names = ["pipe.jpg", "device.jpg", "sparse.jpg", "photos/000.png"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(names)))
    assert latte("predict", model, *(["-"] if through_stdin else names)) == 3
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert captured.err.count("it is a pipe or a device") == 2
    assert "it has more than 1,073,741,824 bytes" in captured.err


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """Restore Ctrl-C, which a shell disables for background processes."""
    earlier_handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, earlier_handler)


@pytest.mark.slow
@pytest.mark.usefixtures("heeds_ctrl_c")
def test_ctrl_c_ends_a_real_process_with_its_rows(model: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "latte", "predict", str(model), "-", "-o", "rows.jsonl",
         "--format=jsonl", "--batch-size=1", "--quiet"],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env=environment(tmp_path),
    )  # fmt: skip
    assert process.stdin is not None
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size for path in tmp_path.glob(".rows*.tmp")):
        assert time.monotonic() < deadline
        process.stdin.write("photos/000.png\n" * 200)
        process.stdin.flush()
    os.kill(process.pid, signal.SIGINT)
    _, error_output = process.communicate(timeout=60)
    assert process.returncode == 130, error_output
    (partial,) = tmp_path.glob("rows.jsonl.*.partial")
    rows = partial.read_text().splitlines()
    assert list(tmp_path.glob(".rows*")) == []
    assert f"it goes on from the rows so far, in {partial.name}." in error_output
    assert all(json.loads(row)["image"] == "photos/000.png" for row in rows)
    assert not (tmp_path / "rows.jsonl").exists()


def test_sort_into_copies_each_image_into_a_folder_of_its_class(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("predict", model, "photos", "-o", "rows.csv", "--sort-into", "sorted")
    assert latte(*arguments, "--min-confidence=1") == 0
    assert "sorted into sorted: 0 by class, 0 unknown, 5 uncertain" in capsys.readouterr().err
    assert latte(*arguments) == 0
    with Path("rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        name = row["class_1"].replace('"', "_")
        copy = Path("sorted", name, Path(row["image"]).name)
        assert copy.read_bytes() == Path(row["image"]).read_bytes()
    assert len(list(Path("sorted").glob("*/*.png"))) == 10


def test_write_xmp_names_the_class_beside_each_image(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("predict", model, "photos", "-o", "rows.csv", "--write", "xmp")
    assert latte(*arguments) == 0
    assert "sidecars (XMP) written or changed: 5" in capsys.readouterr().err
    with Path("rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        sidecar = ElementTree.parse(f"{row['image']}.xmp")
        words = {word.text for word in sidecar.iter(f"{RDF}li")}
        assert words == {row["class_1"], f"latte|{row['class_1']}"}
    assert latte(*arguments) == 0
    assert "written or changed: 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--link",), "--link needs --sort-into"),
        (("--min-confidence=0.5",), "--min-confidence needs --sort-into"),
        (("--sort-into", "photos/sorted"), "is inside photos"),
    ],
)
def test_wrong_options_of_sorting_are_refused_before_the_model_is_loaded(
    options: tuple[str, ...], message: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert latte("predict", model / "absent", "photos", *options) == 2
    assert message in capsys.readouterr().err
    assert not Path("photos/sorted").exists()


def test_sort_into_a_folder_that_is_listed_on_standard_input_is_refused(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("photos\n"))
    assert latte("predict", model, "-", "--sort-into", "photos/sorted") == 2
    assert "is inside photos" in capsys.readouterr().err
