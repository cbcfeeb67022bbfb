"""A review that teaches models is killed at random moments, and no saved answer is lost."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import threading
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from latte.results.answers import latest, read_answers
from latte.results.run import open_run
from tests.helpers.command_line import Latte
from tests.helpers.whole_runs import environment

pytestmark = pytest.mark.thorough

NAMES = ("red", "green", "blue")
KILLS = 3


class Page:
    """Sends requests to `latte review`, as its page does."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._path = urlsplit(url).path

    def post(self, path: str, **body: Any) -> Any:
        self._connection.request("POST", f"{self._path}{path}", json.dumps(body))
        reply = self._connection.getresponse()
        content = reply.read()
        assert reply.status == 200, content
        return json.loads(content)


def answer_until_killed(url: str, draw: random.Random, saved: dict[int, str]) -> None:
    """Give random images random classes, and use the answers; `saved` gets each saved class."""
    page = Page(url)
    with contextlib.suppress(OSError, HTTPException):
        while True:
            row, label = draw.randrange(9), draw.randrange(3)
            mark = {"row": row, "kind": "class", "label": label}
            saved.pop(row, None)  # until the server confirms, either class may be in the file
            page.post("answers", task="images", marks=[mark])
            saved[row] = NAMES[label]
            if len(saved) % 4 == 3:
                page.post("teaching")


def test_kills_of_a_teaching_review_lose_no_saved_answer(recipe: Path, latte: Latte) -> None:
    settings = ("labels=[transductive]", "prototypes=from-labeler", "train.max_steps=0")
    unused = ("describer=null", "descriptions=[]", "loss=null", "dataset.evaluation=null")
    overrides = [word for setting in (*settings, *unused) for word in ("--set", setting)]
    latte("run", str(recipe), *overrides, "--quiet")
    (folder,) = Path("runs").iterdir()
    run, saved, draw = open_run(folder), dict[int, str](), random.Random(0)
    command = [sys.executable, "-m", "latte", "review", str(folder), "--no-open"]
    for _ in range(KILLS):
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment(Path.cwd())
        ) as process:
            assert process.stdout is not None
            url = process.stdout.readline().split()[1]
            threading.Timer(draw.uniform(0.1, 3), process.kill).start()
            answer_until_killed(url, draw, saved)
        assert process.returncode == -signal.SIGKILL
        answers = latest(read_answers(run.folder.review))
        labels = {key: answer.label for key, answer in answers.items()}
        rows = {row: labels.get(key) for row, key in enumerate(run.rows.training_keys)}
        assert saved.items() <= rows.items()
    latte("review", folder, "--learn")
    (learned,) = {*Path("runs").iterdir()} - {folder}
    taught = open_run(learned).rows.pseudo_labels.adapted
    assert {row: NAMES[taught[row]] for row in saved} == saved
