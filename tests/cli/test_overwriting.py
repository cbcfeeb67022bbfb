"""Commands that write a file replace their own earlier results, and no other file."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.cli.main import run_command_line
from tests.helpers.clip_models import SIGLIP_LIKE, TINY_CLIP
from tests.helpers.exported_runs import adapted, photos, write_run

pytestmark = pytest.mark.thorough

COMMANDS = {
    "predictions.csv": ["predict", "model", "photos", "--output", "FILE"],
    "match.csv": ["predict", "sigmoid", "photos", "--output", "FILE"],
    "predictions.jsonl": ["predict", "model", "photos", "-o", "FILE", "--format", "jsonl"],
}
OTHERS = (
    b"name: animals\nseed: 0\n",
    b"image,label\n1.jpg,cat\n",
    b'{"image_root": "x"}\n',
    b"{\n",
    b"i",
)


@pytest.fixture(autouse=True)
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos", [(40, 32)])
    write_run(tmp_path / "model", adapted({"main": TINY_CLIP}), scale=7.5)
    write_run(tmp_path / "sigmoid", adapted({"main": SIGLIP_LIKE}))


@pytest.mark.parametrize("name", COMMANDS)
def test_only_results_of_the_same_kind_are_replaced(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    command = [str(file) if argument == "FILE" else argument for argument in COMMANDS[name]]
    assert run_command_line(command) == 0, capsys.readouterr().err
    assert run_command_line(command) == 0, capsys.readouterr().err
    for content in OTHERS:
        file.write_bytes(content)
        capsys.readouterr()
        assert run_command_line(command) == 2
        errors = capsys.readouterr().err
        assert f"{file}: this is another kind of file, and is not overwritten" in errors
        assert file.read_bytes() == content
    assert run_command_line([*command, "--force"]) == 0
    assert file.read_bytes() not in OTHERS
    file.write_bytes(b"")
    assert run_command_line(command) == 0


PREDICT = ["predict", "model", "photos", "-o", "x.csv"]
OWN_FILES = {
    "x.skipped.csv": (PREDICT, "image,reason\n1.jpg,blurred\n"),
}


@pytest.mark.parametrize("name", OWN_FILES)
def test_own_files_that_look_like_results_are_neither_replaced_nor_deleted(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, content = OWN_FILES[name]
    (tmp_path / name).write_text(content)
    assert run_command_line(command) == 2
    assert f"{name}: this is another kind of file" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == content
    assert run_command_line([*command, "--force"]) == 0


def test_a_list_of_left_out_images_is_replaced_beside_its_rows(tmp_path: Path) -> None:
    (tmp_path / "photos" / "text.jpg").write_text("no image")
    assert run_command_line(PREDICT) == 3
    listed = tmp_path / "x.skipped.csv"
    assert "text.jpg" in listed.read_text()
    assert run_command_line(PREDICT) == 3
    assert run_command_line([*PREDICT[:-1], "x.xlsx"]) == 3  # rows of all formats share the list
    (tmp_path / "photos" / "text.jpg").unlink()
    listed.write_text("image,reasons of mine\n")
    assert run_command_line(PREDICT) == 2
    listed.write_text("image,reason\n")
    assert run_command_line(PREDICT) == 0
    assert not listed.exists()
