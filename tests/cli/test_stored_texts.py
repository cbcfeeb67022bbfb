"""`latte describe --stored` and `--about` show stored texts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from latte.cli.main import run_command_line
from latte.describe.store import DescriptionStore, StoredText, request_key
from latte.io.files import digest

WriteDescriptions = Callable[..., str]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> WriteDescriptions:
    """Run `latte describe ARGUMENTS`; returns stdout, or stderr if `code` is not 0."""

    def run(*arguments: str | Path, code: int = 0) -> str:
        ended = run_command_line(["describe", *map(str, arguments)])
        captured = capsys.readouterr()
        assert ended == code, captured.out + captured.err
        assert "Traceback" not in captured.err
        return captured.err if code else captured.out

    return run


def about(
    images: list[str], text: str | None, prompt: str = "What?", by: str = "llava 1.6", **more: bool
) -> StoredText:
    layout = "single" if len(images) == 1 else "separate"
    key = request_key(images, prompt, by, layout)
    reason = None if text else "content filter"
    return StoredText(key, text, reason, by, prompt, tuple(images), layout, **more)


@pytest.fixture
def image() -> Path:
    path = Path("bird.png")
    Image.new("RGB", (8, 8), "red").save(path)
    return path


@pytest.fixture
def filled(image: Path) -> list[StoredText]:
    """Fill the cache with a text, a group's, a refusal, a failure, and another describer's text."""
    bird, other = digest(image.read_bytes()), digest("other")
    records = [
        about([bird], "A red bird on a branch."),
        about([other, bird], "Both are small birds.", "In common? " + "Be concise. " * 12),
        about([bird], None, "Where?", refused=True),
        about([bird], None, "When?"),
        about([other], "A bird.", by="phrases-1 " + "b" * 90),
    ]
    with DescriptionStore(Path("cache/descriptions")) as store:
        store.put_many(records)
    return records


def test_about_identifies_an_image_by_content(
    call: WriteDescriptions, filled: list[StoredText], image: Path
) -> None:
    shown = call("--about", image.rename("renamed.jpg"))
    for words in (
        "A red bird on a branch.",
        "[image 2 of a group of 2] In common?",
        "Both are small birds.",
        "(refused: content filter)",
        "(failed: content filter)",
        "by llava 1.6",
    ):
        assert words in shown
    assert "A bird." not in shown
    assert shown.count("\n\n") == 4


def test_about_reports_unreadable_and_unknown_images(call: WriteDescriptions, image: Path) -> None:
    assert "bird.png: no describer was asked about this image" in call("--about", image, code=2)
    assert "--about: no such file: " in call("--about", "absent.png", code=2)


def test_stored_texts_and_damage_are_counted_in_80_columns(
    call: WriteDescriptions, filled: list[StoredText]
) -> None:
    part = next(Path("cache/descriptions").iterdir())
    with part.open("ab") as file:
        file.write(b"damaged\n" + b'{"schema": 1, "key"')
    lines = call("--stored").splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "llava 1.6"
    assert lines[1].split() == ["texts", "refused", "failed", "newest", "prompt"]
    cells = [line.split() for line in lines if line.startswith("    ")]
    rows = {row[4]: row[:3] for row in cells if len(row) > 4 and row[0].isdecimal()}
    assert rows["What?"] == ["1", "0", "0"]
    assert rows["Where?"] == ["0", "1", "0"]
    assert rows["When?"] == ["0", "0", "1"]
    shown = {line[:16].strip(): line[16:].strip() for line in lines}
    assert (shown["texts"], shown["refused"], shown["failed"]) == ("3", "1", "1")
    assert shown["words per text"] == "mean 4.0, median 4, at most 6"
    assert (shown["torn last lines"], shown["unreadable lines"]) == ("1", "1")
    assert (shown["duplicates"], shown["on disk"].endswith("in 1 files")) == ("0.0%", True)


def test_an_empty_store_has_no_texts(call: WriteDescriptions) -> None:
    assert ["texts", "0"] in [line.split() for line in call("--stored").splitlines()]


def test_other_arguments_are_refused(call: WriteDescriptions, image: Path) -> None:
    about = ("--about", image)
    for arguments in (("--stored", *about), ("demo", "--stored"), ("demo", *about)):
        assert "is used without other arguments" in call(*arguments, code=2)
    assert "latte describe --stored" in call(code=2)


def test_stored_texts_are_shown_without_torch(filled: list[StoredText]) -> None:
    script = """
import sys
from latte.cli.main import run_command_line
for arguments in ("--help", "--stored", "--about bird.png"):
    assert run_command_line(["describe", *arguments.split()]) == 0, arguments
    heavy = {"torch", "open_clip", "transformers"} & {*sys.modules}
    assert not heavy, (arguments, heavy)
"""
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
