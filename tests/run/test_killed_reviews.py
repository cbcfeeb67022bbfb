"""A review that teaches models is killed at random moments, and no saved answer is lost."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from latte.results.answers import Answer, append_answers, latest, now, read_answers
from latte.results.run import Run, open_run
from tests.helpers.command_line import Latte
from tests.helpers.whole_runs import environment

pytestmark = pytest.mark.thorough

NAMES = ("red", "green", "blue")
SETTINGS = (
    *("labels=[self-taught]", "prototypes=from-labeler", "train.max_steps=0"),
    *("describer=null", "descriptions=[]", "loss=null", "dataset.evaluation=null"),
)
TRAINING_FREE = tuple(word for setting in SETTINGS for word in ("--set", setting))
KILLS = 3


class ReviewClient:
    """Sends requests to `latte review`, as its page does."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._path = urlsplit(url).path

    def content(self, method: str, path: str, body: Any = None) -> bytes:
        sent = None if body is None else json.dumps(body)
        self._connection.request(method, f"{self._path}{path}", sent)
        reply = self._connection.getresponse()
        content = reply.read()
        assert reply.status == 200, content
        return content

    def answer(self, row: int, label: int) -> None:
        marks = [{"photo": row, "kind": "class", "class": label}]
        self.content("POST", "answer", {"view": "map", "marks": marks, "seen": [row]})

    def state_after_fits(self) -> Any:
        """Return the state when all answers have taught and been left out in turn."""
        end = time.monotonic() + 60
        while not _is_settled(state := json.loads(self.content("GET", "state"))):
            assert time.monotonic() < end, state
            time.sleep(0.1)
        return state

    def labels(self) -> list[int]:
        content = self.content("GET", "map")
        return [label for _, _, label, _, _ in struct.iter_unpack("<HHHBB", content)]


def _is_settled(state: Any) -> bool:
    return bool(state["teaching"]["state"] == "idle" and state["settled"])


def run_folders() -> list[Path]:
    return [path.parent for path in Path("runs").glob("*/recipe.yaml")]


@contextlib.contextmanager
def reviewing(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `latte review`; the block gets the process and the page's address."""
    command = [sys.executable, "-m", "latte", "review", str(folder), "--no-open"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment(Path.cwd())
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().split()[1]
        finally:
            process.kill()


def answer_until_killed(url: str, draw: random.Random, saved: dict[int, str]) -> None:
    """Give random images random classes; `saved` gets each saved class."""
    page = ReviewClient(url)
    with contextlib.suppress(OSError, HTTPException):
        page.content("GET", "state")  # learning begins
        while True:
            row, label = draw.randrange(9), draw.randrange(3)
            saved.pop(row, None)  # until the server confirms, either class may be in the file
            page.answer(row, label)
            saved[row] = NAMES[label]
            time.sleep(0.05)


def test_kills_of_a_teaching_review_lose_no_saved_answer(recipe: Path, latte: Latte) -> None:
    latte("run", str(recipe), *TRAINING_FREE, "--quiet")
    (folder,) = Path("runs").iterdir()
    run, saved, draw = open_run(folder), dict[int, str](), random.Random(0)
    for _ in range(KILLS):
        with reviewing(folder) as (process, url):
            threading.Timer(draw.uniform(0.1, 3), process.kill).start()
            answer_until_killed(url, draw, saved)
        assert process.returncode == -signal.SIGKILL
        answers = latest(read_answers(run.folder.review))
        labels = {key: answer.label for key, answer in answers.items()}
        rows = {row: labels.get(key) for row, key in enumerate(run.rows.training_keys)}
        assert saved.items() <= rows.items()
    with reviewing(folder) as (process, url):
        page = ReviewClient(url)
        state = page.state_after_fits()
        assert state["answered"] == len(answers)
        shown = page.labels()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    (learned,) = {*run_folders()} - {folder}
    taught = open_run(learned).rows.pseudo_labels.adapted
    assert {row: NAMES[taught[row]] for row in saved} == saved
    assert shown == [*taught]


def test_finish_writes_the_labels_that_the_page_shows(recipe: Path, latte: Latte) -> None:
    latte("run", str(recipe), *TRAINING_FREE, "--set", "labels=[self-taught]", "--quiet")
    (folder,) = Path("runs").iterdir()
    with reviewing(folder) as (_, url):
        page = ReviewClient(url)
        page.content("GET", "state")
        for row in range(8):
            page.answer(row, row % 3)
        state = page.state_after_fits()
        shown = page.labels()
        finished = json.loads(page.content("POST", "finish", {}))
        assert page.labels() == shown
    (learned,) = {*run_folders()} - {folder}
    assert shown == [*open_run(learned).rows.pseudo_labels.adapted]
    assert finished["state"]["counts"] == state["counts"]
    assert learned.name in finished["results"]["commands"]["predict"]
    assert "8 answers taught the model" in finished["results"]["lines"][0]


def test_class_names_that_were_changed_survive_a_kill_and_are_in_the_run(
    recipe: Path, latte: Latte
) -> None:
    latte("run", str(recipe), *TRAINING_FREE, "--set", "labels=[self-taught]", "--quiet")
    (folder,) = Path("runs").iterdir()
    with reviewing(folder) as (process, url):
        page = ReviewClient(url)
        page.content("GET", "state")
        for row in range(6):
            page.answer(row, row % 3)
        page.content("POST", "classes", {"label": 1, "name": "leaf"})
        page.content("POST", "classes", {"label": None, "name": "purple"})
        page.answer(6, 3)
        process.kill()
    with reviewing(folder) as (process, url):
        page = ReviewClient(url)
        state = page.state_after_fits()
        assert state["classes"] == ["red", "leaf", "blue", "purple"]
        assert state["answered"] == 7
        shown = page.labels()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    (learned,) = {*run_folders()} - {folder}
    assert open_run(learned).class_names == ("red", "leaf", "blue", "purple")
    assert shown == [*open_run(learned).rows.pseudo_labels.adapted]
    assert shown[:7] == [0, 1, 2, 0, 1, 2, 3]


KILLED = """
import os, signal, sys
from latte.cli.main import run_command_line

renames = iter(range(int(sys.argv[1])))

def count(event, arguments):
    if event == "os.rename" and next(renames, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
sys.exit(run_command_line(["review", sys.argv[2], "--learn"]))
"""
"""A program that uses answers, and is killed instead of its rename of a certain number."""
BETWEEN_KILLS = 8


def save_answers(run: Run, label: str, rows: Sequence[int]) -> None:
    keys = run.rows.training_keys
    answers = [Answer(keys[row], "class", label, "images", "", now()) for row in rows]
    append_answers(run.folder.review, answers)


def test_kills_while_a_model_is_taught_again_leave_the_earlier_or_the_new_one(
    recipe: Path, latte: Latte
) -> None:
    latte("run", str(recipe), *TRAINING_FREE, "--quiet")
    (folder,) = Path("runs").iterdir()
    run = open_run(folder)
    save_answers(run, "red", [0, 1])
    save_answers(run, "green", [4])
    latte("review", folder, "--learn")
    (taught,) = (path for path in run_folders() if path != folder)
    (taught / "notes.txt").write_text("mine")
    append_answers(taught / "review.jsonl", [Answer("0", "none", None, "evidence", "", now())])
    save_answers(run, "blue", [2, 3])
    untouched_files = {
        path: path.read_bytes()
        for path in (taught / "notes.txt", taught / "review.jsonl", run.folder.review)
    }
    moved = 0
    for renames in count(step=BETWEEN_KILLS):
        command = [sys.executable, "-c", KILLED, str(renames), str(folder)]
        ended = subprocess.run(
            command, capture_output=True, check=False, env=environment(Path.cwd())
        )
        latte("predict", taught, "images", "--output", "predicted.csv", "--force")
        labels = open_run(taught).rows.pseudo_labels.adapted
        assert labels[:2] == (NAMES.index("red"),) * 2
        assert {path: path.read_bytes() for path in untouched_files} == untouched_files
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        moved += 1
    assert moved > 3
    assert labels[2:4] == (NAMES.index("blue"),) * 2
    names = {path.name for path in Path("runs").iterdir()}
    assert names == {folder.name, taught.name, "review.jsonl"}
