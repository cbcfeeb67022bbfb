"""A whole run, reviewed without a browser: answers from a file, reports."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from latte.cli.review import _picture
from latte.interfaces.progress import SilentProgress
from latte.registry.registry import load_registry
from latte.results.answers import Answer, append_answers
from latte.results.run import open_run
from latte.review.session import Review
from latte.run.reopen import training_images
from tests.helpers.command_line import Latte
from tests.helpers.html_document import parse
from tests.helpers.whole_runs import environment

pytestmark = pytest.mark.thorough

HINT = "latte review runs/squares-"


def run_of(recipe: Path, guard: str) -> list[str]:
    """Return the arguments of a run without labelled images, with this guard.

    A large learning rate makes the adapted model differ from zero-shot.
    """
    settings = ("dataset.evaluation=null", "train.optimizer.learning_rate=0.05", f"guard={guard}")
    return ["run", str(recipe), *(word for setting in settings for word in ("--set", setting))]


@pytest.mark.parametrize("strength", [0, 1])
def test_answers_meet_the_verdict_in_every_report(
    recipe: Path, latte: Latte, fixed_guard: Path, strength: int
) -> None:
    run = run_of(recipe, f"{{use: fixed, strength: {strength}}}")
    assert latte(*run).out.count(HINT) == 1
    (folder,) = Path("runs").iterdir()
    page, card = folder / "report" / "index.html", folder / "models/adapted/model" / "README.md"
    for text in (parse(page.read_text()).one("body").words, card.read_text()):
        assert f"latte review {folder}" in text

    opened = open_run(folder)
    images = training_images(folder, load_registry(), SilentProgress())
    assert _picture(Review(opened), images)(0, 64).startswith(b"\xff\xd8")
    labels = (folder / "models/adapted" if strength == 0 else folder) / "pseudo_labels.csv"
    keys = dict(zip(opened.rows.training_ids, opened.rows.training_keys, strict=True))
    with labels.open(newline="") as file:
        answers = [
            Answer(keys[row["image"]], "class", row["adapted"], "evidence", folder.name, "")
            for row in csv.DictReader(file)
        ]
    append_answers(folder / "review.jsonl", answers)
    review_counts = json.loads(latte("review", folder, "--json").out)
    assert review_counts["answered"] == review_counts["disagreements"] > 0
    gain = f"{100 * review_counts['disagreements'] / review_counts['images']:+.1f} points"
    compared = "the adapted model"
    printed = " ".join(latte("report", folder, "--quiet").out.split())
    result = parse(page.read_text()).one("body").words
    for text in (result, card.read_text().replace("\\", ""), printed):
        assert f"{compared} changes accuracy by {gain}" in text
        assert "The guard's verdict, from the images alone" in text
    assert f"{compared} changes accuracy by {gain}" in " ".join(
        latte("compare", folder).out.split()
    )
    assert "To measure the gain" not in latte(*run, "--verbose").out


def test_the_command_names_the_page_and_how_to_go_on(
    recipe: Path, latte: Latte, monkeypatch: pytest.MonkeyPatch
) -> None:
    latte("run", recipe, "--quiet")
    (folder,) = Path("runs").iterdir()
    error = latte("review", folder, "--class", "redd", code=2).err
    assert "--class" in error and 'Did you mean "red"?' in error
    monkeypatch.setattr("uvicorn.Server.run", lambda server, sockets: None)
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    page = latte("review", folder, "--class", "RED", "--no-open").out
    assert page.split()[1].endswith("/#red")
    assert f"To go on: latte review {folder}" in page
    assert opened == []
    images = recipe.parent / "images"
    printed = latte("adapt", images, "--model", "plugin:tiny", "--ask", "--quiet").out
    assert "review: http://127.0.0.1:" in printed
    assert len(opened) == 1 and opened[0].startswith("file://")


def test_no_hint_after_a_run_with_labelled_images(recipe: Path, latte: Latte) -> None:
    assert "measure the gain" not in latte("run", recipe).out


def test_damaged_answers_are_refused_without_torch(recipe: Path, latte: Latte) -> None:
    latte("run", recipe, "--quiet")
    (folder,) = Path("runs").iterdir()
    (folder / "review.jsonl").write_text("{}\n")
    program = (
        "import sys\n"
        "from latte.cli.main import run_command_line as run\n"
        f"code = run(['review', {str(folder)!r}, '--show'])\n"
        "sys.exit('torch was imported' if 'torch' in sys.modules else code != 2)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=environment(Path.cwd()),
    )
    assert ended.returncode == 0, ended.stderr
    assert "review.jsonl:1: this file is damaged" in ended.stderr
    for arguments in (["report", folder], ["compare", folder], ["review", folder, "--show"]):
        assert "review.jsonl:1: this file is damaged" in latte(*arguments, code=2).err
