"""Shell completion of recipes, runs, kinds, components and formats."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from latte.cli.shared import complete_run

MAIN = "from latte.cli.main import main; main()"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("latte run my", ["my/birds.yaml"]),
        ("latte run my/birds.", ["my/birds.yaml"]),
        ("latte run self-t", ["self-taught"]),
        ("latte predict my/birds-", ["my/birds-1a2b3c4d"]),
        ("latte components labeler", ["labeler"]),
        ("latte components tiny-c", ["tiny-caltech"]),
        ("latte components labeler froz", ["frozen"]),
        ("latte export RUN --format t", ["transformers"]),
    ],
)
def test_arguments_are_completed_without_torch(
    line: str, expected: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "my" / "birds-1a2b3c4d"
    run.mkdir(parents=True)
    for recipe in (run / "recipe.yaml", tmp_path / "my" / "birds.yaml"):
        recipe.write_text("name: birds\n")
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(f"{line}x".split()) - 1)}
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", MAIN],
        env={**os.environ, **words, "_LATTE_COMPLETE": "complete_bash"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.split() == expected
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert imported.isdisjoint({"torch", "numpy"})


def test_a_folder_with_many_images_hides_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path("runs", "birds-1a2b3c4d")
    run.mkdir(parents=True)
    (run / "recipe.yaml").touch()
    for number in range(999):
        Path(f"{number}.jpg").touch()
    assert complete_run("") == ["runs/birds-1a2b3c4d"]
    assert complete_run("./ru") == ["./runs/birds-1a2b3c4d"]
