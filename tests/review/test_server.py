"""The local server refuses other hosts, other sites, other paths, and impossible answers."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from latte.results.answers import latest, read_answers
from latte.review.session import Review
from latte.review.tasks import TaskPlace
from tests.helpers.limits import LIMITS, largest_file
from tests.helpers.reviews import TOKEN, made_up_review, served, without

NAMES = ("cat", "dog", "bird")


class Client:
    """Sends requests to one served review."""

    def __init__(self, url: str) -> None:
        self.host = urlsplit(url).netloc

    def __call__(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        connection = HTTPConnection(self.host, timeout=20)
        headers_sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, headers_sent)
        reply = connection.getresponse()
        self.headers = reply.headers
        return reply.status, reply.read()

    def post(self, path: str, **body: Any) -> tuple[int, Any]:
        """Return the status and the decoded reply to a body that is sent as JSON."""
        status, reply = self("POST", f"/{TOKEN}/{path}", json.dumps(body).encode())
        return status, json.loads(reply) if status == 200 else reply.decode()

    def question(self, task: str = "evidence", **place: Any) -> Any:
        status, state = self.post("question", task=task, **place)
        assert status == 200
        return state["question"]

    def answer(
        self, rows: list[int], kind: str, task: str, label: int | None = None
    ) -> tuple[int, Any]:
        marks = [{"row": row, "kind": kind, "label": label} for row in rows]
        return self.post("answers", task=task, marks=marks)


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory) -> Review:
    return made_up_review(tmp_path_factory.mktemp("review"), NAMES)


@pytest.fixture(scope="module")
def client(review: Review) -> Iterator[Client]:
    with served(review) as url:
        yield Client(url)


def rows(question: Any) -> list[int]:
    return [image["row"] for image in question["images"]]


def test_a_question_names_no_model_and_no_path(client: Client) -> None:
    question = client.question()
    assert set(question) == {"images", "options"}
    assert set(question["images"][0]) == {"row", "name", "others"}
    assert question["options"] == [0, 1, 2]


@pytest.mark.parametrize("path", ["/", "/about", "/wrong/about", f"/{TOKEN[:-1]}/about"])
def test_without_the_token_nothing_is_found(client: Client, path: str) -> None:
    assert client("GET", path)[0] == 404


def test_other_hosts_and_other_sites_are_refused(client: Client) -> None:
    assert client("GET", f"/{TOKEN}/about", Host="evil.example")[0] == 403
    assert client("GET", f"/{TOKEN}/about", Origin="http://evil.example")[0] == 403
    assert client("GET", f"/{TOKEN}/about", Origin="null")[0] == 403
    assert client("GET", f"/{TOKEN}/about", Origin=f"http://{client.host}")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "image/../page.py",
        "image/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "image/9999",
        "image/-1",
        "../x",
        "server.py",
        "image//etc/passwd",
    ],
)
def test_no_path_reaches_the_file_system(client: Client, path: str) -> None:
    status, body = client("GET", f"/{TOKEN}/{path}")
    assert status == 404
    assert b"root:" not in body


def test_pages_forbid_frames_scripts_of_others_and_caching(client: Client) -> None:
    status, _ = client("GET", f"/{TOKEN}/")
    assert status == 200
    policy = client.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert client.headers["cache-control"] == "no-store"
    assert client.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b'{"marks": "1", "task": "evidence"}',
        b'{"marks": [{"row": 1, "kind": "else"}], "task": "evidence"}',
        b'{"marks": [{"row": 1, "kind": "none"}], "task": "else"}',
        b'{"marks": [{"row": 1, "kind": "none"}], "task": "evidence", "path": "/etc"}',
        b'{"marks": [{"row": 1, "kind": "none", "path": "/etc"}], "task": "evidence"}',
        b'{"marks": [{"row": 1e99, "kind": "none"}], "task": "evidence"}', b"\xff\xfe",
    ],
)  # fmt: skip
def test_bodies_that_are_no_answers_are_refused(
    client: Client, review: Review, body: bytes
) -> None:
    answers_before = review.answers()
    assert client("POST", f"/{TOKEN}/answers", body)[0] == 422
    assert review.answers() == answers_before


@pytest.mark.parametrize(
    "place",
    [{}, {"task": "../x"}, {"task": "images", "skip": -1}, {"task": "images", "label": "a"}],
)
def test_places_that_do_not_exist_are_refused(client: Client, place: dict[str, Any]) -> None:
    assert client.post("question", **place)[0] == 422


def test_unknown_rows_and_classes_and_long_bodies_are_refused(
    client: Client, review: Review
) -> None:
    answers_before = review.answers()
    assert client.answer([9999], "none", "evidence")[0] == 409
    assert client.answer([1], "class", "evidence", 3)[0] == 409
    assert client.answer([1], "class", "evidence", -1)[0] == 409
    assert client.answer([1], "class", "evidence")[0] == 409
    assert client.post("undo", time="")[0] == 409
    assert client("POST", f"/{TOKEN}/answers", b" " * 20_000)[0] == 413
    assert review.answers() == answers_before


def test_an_image_does_not_wait_until_an_answer_is_stored(
    client: Client, review: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, shown = threading.Event(), threading.Event()

    def save(*_: object) -> str:
        begun.set()
        shown.wait(20)
        return ""

    monkeypatch.setattr(review, "save", save)
    with ThreadPoolExecutor() as threads:
        second_client = Client(f"http://{client.host}")
        replied = threads.submit(second_client.answer, [1], "none", "evidence")
        assert begun.wait(20)
        assert client("GET", f"/{TOKEN}/image/1")[0] == 200
        assert not replied.done()
        shown.set()
        assert replied.result()[0] == 200


def test_images_that_cannot_be_shown_are_not_asked_about(tmp_path: Path) -> None:
    review = made_up_review(tmp_path, NAMES)
    drawn = review.questions(TaskPlace(task="evidence"))
    unreadable, other_unreadable, readable = (next(drawn)[0] for _ in range(3))
    with served(review, without(unreadable.row, other_unreadable.row)) as url:
        state = Client(url).post("question", task="evidence")[1]
    assert rows(state["question"]) == [readable.row]
    assert ": 2. In the estimate of the gain, such an image counts" in state["note"]
    assert {key: answer.kind for key, answer in review.answers().items()} == {
        unreadable.key: "unsure",
        other_unreadable.key: "unsure",
    }


@pytest.mark.parametrize("images", [8, 200])
def test_a_changed_folder_ends_the_task_without_answers(tmp_path: Path, images: int) -> None:
    review = made_up_review(tmp_path, NAMES, images)
    with served(review, without(*range(200))) as url:
        state = Client(url).post("question", task="evidence")[1]
    assert state["question"] is None
    assert state["note"].startswith("The images have changed since this run. Make the run again:")
    assert review.answers() == {}


def test_the_answers_about_a_sheet_are_one_line_per_image(client: Client, review: Review) -> None:
    sheet = rows(client.question("clusters"))
    assert len(sheet) == 12
    lines_before = len(review.file.read_text().splitlines()) if review.file.exists() else 0
    marks = [
        {"row": row, "kind": "class", "label": 2} if number > 1 else {"row": row, "kind": "unsure"}
        for number, row in enumerate(sheet)
    ]
    status, state = client.post("answers", task="clusters", marks=marks)
    assert status == 200
    lines = [json.loads(line) for line in review.file.read_text().splitlines()[lines_before:]]
    assert [line["label"] for line in lines] == [None] * 2 + ["bird"] * 10
    assert {line["time"] for line in lines} == {state["time"]}
    assert client.answer([*sheet, 9999], "unsure", "clusters")[0] == 409


def test_undo_takes_back_a_sheet_and_asks_about_it_again(client: Client) -> None:
    question = client.question("clusters")
    state = client.answer(rows(question), "none", "clusters")[1]
    assert client.question("clusters") != question
    status, undone = client.post("undo", time=state["time"])
    assert status == 200
    assert (undone["task"], undone["question"]) == ("clusters", question)


@pytest.mark.thorough
def test_a_killed_server_keeps_every_answer_that_it_confirmed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.helpers.reviews import made_up_review, served\n"
        "with served(made_up_review(Path(sys.argv[1]), ('cat', 'dog', 'bird'))) as url:\n"
        "    print(url, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    confirmed: list[int] = []
    for number in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            client = Client(process.stdout.readline().strip())
            with contextlib.suppress(OSError, HTTPException):
                for answered_count in range(100):
                    if answered_count == 5:
                        threading.Timer(0.01 * number, process.kill).start()
                    (row,) = rows(client.question())
                    assert client.answer([row], "none", "evidence")[0] == 200
                    confirmed.append(row)
        assert process.returncode == -signal.SIGKILL
    assert len({*confirmed}) == len(confirmed) >= 15
    stored_keys = {
        int(key.removeprefix("key ")) for key in latest(read_answers(tmp_path / "review.jsonl"))
    }
    assert {*confirmed} <= stored_keys
    # At most one answer for each kill was written and not confirmed.
    assert len(stored_keys) <= len(confirmed) + 3


def test_two_reviewers_at_once_lose_nothing(tmp_path: Path) -> None:
    review = made_up_review(tmp_path, NAMES)
    with (
        served(review) as url,
        served(Review(review.run)) as second_url,
        ThreadPoolExecutor() as threads,
    ):
        answered = [*threads.map(answer_twenty, (url, second_url), ("evidence", "clusters"))]
    assert {f"key {row}" for rows in answered for row in rows} == review.answers().keys()


def answer_twenty(url: str, task: str) -> list[int]:
    """Answer at most 20 questions of a task; return the rows of all their images."""
    client, answered = Client(url), list[int]()
    question = client.question(task)
    for _ in range(20):
        if question is None:
            break
        answered += rows(question)
        status, state = client.answer(rows(question), "none", task)
        assert status == 200
        question = state["question"]
    return answered


@LIMITS
def test_answers_on_a_full_disk_are_one_line_and_can_be_given_again(tmp_path: Path) -> None:
    review = made_up_review(tmp_path, NAMES)
    printed: list[str] = []
    with served(review, report=printed.append) as url:
        client = Client(url)
        client.answer([0], "none", "evidence")
        intact = review.file.read_bytes()
        with largest_file(len(intact) + 100):
            status, reply = client.answer([3, 4], "none", "images")
        assert (status, printed) == (409, [reply])
        assert reply.startswith(f"{review.file}: cannot be written: file too large; free some")
        assert review.file.read_bytes() == intact
        assert client.answer([3, 4], "none", "images")[0] == 200
    assert review.answers().keys() == {"key 0", "key 3", "key 4"}


def test_a_damaged_file_of_answers_is_one_line_in_page_and_terminal(tmp_path: Path) -> None:
    review = made_up_review(tmp_path, NAMES)
    printed: list[str] = []
    with served(review, report=printed.append) as url:
        client = Client(url)
        client.answer([0], "none", "evidence")
        intact = review.file.read_bytes()
        for damage in (b"{}\n", b"\0" * 100):
            review.file.write_bytes(intact + damage)
            line = f"{review.file}:2: this file is damaged"
            for _ in range(2):
                for status, reply in (
                    client.post("question", task="evidence"),
                    client.answer([4], "none", "evidence"),
                ):
                    assert status == 409
                    assert reply.startswith(line)
                    assert reply.endswith("; correct or remove this line")
                    assert printed[-1:] == reply.splitlines()
            assert review.file.read_bytes() == intact + damage
        assert len(printed) == 2
        review.file.write_bytes(intact)
        assert client.post("question", task="evidence")[0] == 200
