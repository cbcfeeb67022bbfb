"""`latte adapt --ask-model` asks a server about images, once for each question."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

import pytest
from latte_author.testing import TinyRuns
from latte_author.testing.tiny_runs import write_square
from openai_double import Behaviour, ChatRequest, ChatServer, Reply, chat_server, said, wrong
from PIL import Image, ImageColor

pytestmark = pytest.mark.thorough

pytest.importorskip("latte_questions")
COLOURS = ("red", "green", "blue")
KEY = "sk-proj-Qq9876543210_secret"
PHOTOS, QUESTIONS = 60, 30
CONCURRENCY = 16
"""Largest number of questions that are in flight at a kill: the describer's default."""


@pytest.fixture
def runs(latte_runs: TinyRuns, monkeypatch: pytest.MonkeyPatch) -> TinyRuns:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for number in range(PHOTOS):
        colour = COLOURS[number % 3]
        write_square(latte_runs.folder / "photos" / f"{number:02}.png", colour, number % 18)
        # A corner of its own, so that no photo is a copy of another one.
        path = latte_runs.folder / "photos" / f"{number:02}.png"
        photo = Image.open(path)
        photo.paste((4 * number, 0, 0), (0, 0, 3, 3))
        photo.save(path)
    return latte_runs


def options(url: str, *more: str) -> list[str]:
    model = ("--model", "local-dir:clip", "--ask-model", "chooser", "--ask-url", url)
    return ["adapt", "photos", "--classes", ",".join(COLOURS), *model, "--quiet", *more]


def adapt(runs: TinyRuns, url: str, *more: str) -> tuple[int, str]:
    """Return the exit code, and all that the command printed."""
    outcome = runs.latte(*options(url, "--questions", str(QUESTIONS), *more))
    return outcome.code, " ".join(f"{outcome.out} {outcome.err}".split())


def record(runs: TinyRuns) -> dict[str, Any]:
    (path,) = (runs.folder / "adapted").glob("*/results.json")
    return dict(json.loads(path.read_text()))


def chosen(request: ChatRequest) -> Reply:
    """Choose the colour in the middle of the image, or none of these."""
    data = request.content[0]["image_url"]["url"].partition(",")[2]
    red, green, blue = Image.open(io.BytesIO(b64decode(data))).convert("RGB").getpixel((36, 33))  # type: ignore[misc]
    near = {
        colour: sum(
            abs(mine - other)
            for mine, other in zip((red, green, blue), ImageColor.getrgb(colour), strict=True)
        )
        for colour in COLOURS
    }
    offers = re.findall(r"^\(?([A-Z])[.:)]+ (.+?)\.?$", request.prompt, flags=re.MULTILINE)
    letters = {name: letter for letter, name in offers}
    return said(letters.get(min(near, key=near.__getitem__), letters["none of these"]))


def bodies(server: ChatServer) -> list[str]:
    """The questions: image and prompt, whatever the form of the answer."""
    return [json.dumps(request.body["messages"], sort_keys=True) for request in server.asked]


def test_answers_of_a_server_label_the_images_and_are_in_the_record(runs: TinyRuns) -> None:
    with chat_server(chosen) as server:
        code, printed = adapt(runs, server.url, "--yes")
        assert code == 0, printed
        asked = set(bodies(server))
        assert len(asked) == QUESTIONS
        host = server.url.removeprefix("http://").removesuffix("/v1")
        assert f"chooser gets at most 30 images, and the class names, to {host}" in printed
        assert adapt(runs, server.url, "--yes")[0] == 0
        assert set(bodies(server)) == asked
        assert all(request.headers["Authorization"] == f"Bearer {KEY}" for request in server.asked)
    train = record(runs)["train"]
    assert sum(counts["questions"] for counts in train["questions"]) == QUESTIONS
    shown = {json.loads(body)[0]["content"][0]["image_url"]["url"] for body in asked}
    assert train["sent_images"] == len(shown)
    assert record(runs)["source"]["values"]["describers"][0]["base_url"] == server.url
    assert not [p for p in runs.folder.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()]


def test_stored_answers_teach_another_method(runs: TinyRuns) -> None:
    with chat_server(chosen) as server:
        assert adapt(runs, server.url, "--yes")[0] == 0
    (path,) = (runs.folder / "adapted").glob("*/model_answers.jsonl")
    answers = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(answers) > 10
    assert all("chooser" in answer["by"] and answer["time"] for answer in answers)
    assert all(0 < answer["reliability"] < 1 for answer in answers)
    recipe = """\
dataset: {use: folder, root: photos, classes: [red, green, blue]}
backbone: {model: "local-dir:clip"}
labels: [self-taught]
prototypes: from-labeler
train: {max_steps: 0}
"""
    plain, taught = runs.run(recipe), runs.run(recipe, f"corrections={path}")
    files = [
        (run / "models/adapted/prototypes.safetensors").read_bytes() for run in (plain, taught)
    ]
    assert files[0] != files[1]


def test_without_consent_nothing_is_sent_or_written(runs: TinyRuns) -> None:
    with chat_server(chosen) as server:
        code, printed = adapt(runs, server.url)
    assert code == 2
    assert "at most 30 images" in printed
    assert "--yes" in printed
    assert server.asked == []
    assert not (runs.folder / "adapted").exists()


def test_a_killed_run_asks_no_answered_question_again(runs: TinyRuns) -> None:
    processes: list[subprocess.Popen[bytes]] = []

    def killing(request: ChatRequest) -> Reply:
        if len(server.asked) == 22:
            processes[0].send_signal(signal.SIGKILL)
        return chosen(request)

    with chat_server(killing) as server:
        processes.append(started(runs, options(server.url, "--questions", "30", "--yes")))
        assert processes[0].wait(timeout=120) == -signal.SIGKILL
        before = bodies(server)
        server.behaviour = chosen
        server.asked.clear()
        code, printed = adapt(runs, server.url, "--yes")
        assert code == 0, printed
        after = bodies(server)
    assert len({*before, *after}) == QUESTIONS
    assert len({*before} & {*after}) <= CONCURRENCY
    assert not {*before[:8]} & {*after}, "the control questions were answered before the kill"


def started(runs: TinyRuns, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "latte", *arguments],
        cwd=runs.folder,
        env={**os.environ, "LATTE_CACHE": str(runs.folder / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_a_rejected_key_stops_with_one_line(runs: TinyRuns) -> None:
    with chat_server(lambda _: wrong(401, f"Incorrect API key provided: {KEY}")) as server:
        code, printed = adapt(runs, server.url, "--yes")
    assert code == 2
    assert "rejects the key in OPENAI_API_KEY" in printed
    assert KEY not in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("behaviour", [lambda _: said("perhaps a bird?"), lambda _: said("A")])
def test_garbled_and_thoughtless_answers_are_ignored(runs: TinyRuns, behaviour: Behaviour) -> None:
    with chat_server(behaviour) as server:
        code, printed = adapt(runs, server.url, "--yes")
    assert code == 0, printed
    assert len(set(bodies(server))) == 8, "nothing is asked after failed control questions"
    assert "The describer is ignored" in record(runs)["train"]["reliability"]
