"""Commands that write a file replace their own earlier results, and no other file."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.cli.main import run_command_line
from tests.helpers.clip_models import SIGLIP_LIKE, TINY_CLIP
from tests.helpers.comparison_folders import run_folder
from tests.helpers.exported_runs import adapted, photos, write_run

pytestmark = pytest.mark.thorough

COMMANDS = {
    "comparison.csv": ["compare", "runs", "--csv", "FILE"],
    "comparison.html": ["compare", "runs", "--html", "FILE"],
    "schema.json": ["schema", "--output", "FILE"],
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
    run_folder(tmp_path / "runs" / "animals-0")
    photos(tmp_path / "photos", [(40, 32)])
    write_run(tmp_path / "model", adapted({"main": TINY_CLIP}), scale=7.5)
    write_run(tmp_path / "sigmoid", adapted({"main": SIGLIP_LIKE}))


@pytest.mark.parametrize("name", COMMANDS)
def test_only_results_of_the_same_kind_are_replaced(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    command = [str(file) if one == "FILE" else one for one in COMMANDS[name]]
    assert run_command_line(command) == 0, capsys.readouterr().err
    assert run_command_line(command) == 0, capsys.readouterr().err
    for other in OTHERS:
        file.write_bytes(other)
        capsys.readouterr()
        assert run_command_line(command) == 2
        said = capsys.readouterr().err
        assert f"{file}: this is another kind of file, and is not overwritten" in said
        assert file.read_bytes() == other
    assert run_command_line([*command, "--force"]) == 0
    assert file.read_bytes() not in OTHERS
    file.write_bytes(b"")
    assert run_command_line(command) == 0
