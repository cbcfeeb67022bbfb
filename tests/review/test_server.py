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
        return status, json.loads(reply)

    def question(self, view: str = "measure") -> Any:
        status, reply = self("GET", f"/{TOKEN}/question?view={view}")
        assert status == 200, reply
        return json.loads(reply)["question"]

    def answer(
        self, rows: list[int], kind: str, view: str = "map", label: int | None = None
    ) -> tuple[int, Any]:
        marks = [{"photo": row, "kind": kind, "class": label} for row in rows]
        return self.post("answer", view=view, marks=marks, seen=rows)


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory) -> Review:
    return made_up_review(tmp_path_factory.mktemp("review") / "run", NAMES)


@pytest.fixture(scope="module")
def client(review: Review) -> Iterator[Client]:
    with served(review) as url:
        yield Client(url)


def rows(question: Any) -> list[int]:
    return [photo["index"] for photo in question["photos"]]


def test_a_question_names_no_model_and_no_path(client: Client) -> None:
    question = client.question()
    assert set(question) == {"id", "view", "kind", "photos", "likely"}
    assert set(question["photos"][0]) == {"index", "name", "others", "doubtful"}
    assert question["likely"] == [0, 1, 2]


@pytest.mark.parametrize("path", ["/", "/state", "/wrong/state", f"/{TOKEN[:-1]}/state"])
def test_without_the_token_nothing_is_found(client: Client, path: str) -> None:
    assert client("GET", path)[0] == 404


def test_other_hosts_and_other_sites_are_refused(client: Client) -> None:
    assert client("GET", f"/{TOKEN}/state", Host="evil.example")[0] == 403
    assert client("GET", f"/{TOKEN}/state", Origin="http://evil.example")[0] == 403
    assert client("GET", f"/{TOKEN}/state", Origin="null")[0] == 403
    assert client("GET", f"/{TOKEN}/state", Origin=f"http://{client.host}")[0] == 200


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
        b"", b"[]", b"{}", b'{"marks": "1", "view": "measure", "seen": []}',
        b'{"marks": [{"photo": 1, "kind": "else"}], "view": "measure", "seen": []}',
        b'{"marks": [{"photo": 1, "kind": "none"}], "view": "else", "seen": []}',
        b'{"marks": [{"photo": 1, "kind": "none"}], "view": "map", "seen": [], "path": "/etc"}',
        b'{"marks": [{"photo": 1, "kind": "none", "path": "/etc"}], "view": "map", "seen": []}',
        b'{"marks": [{"photo": 1e99, "kind": "none"}], "view": "map", "seen": []}', b"\xff\xfe",
    ],
)  # fmt: skip
def test_bodies_that_are_no_answers_are_refused(
    client: Client, review: Review, body: bytes
) -> None:
    answers_before = review.answers()
    assert client("POST", f"/{TOKEN}/answer", body)[0] == 422
    assert review.answers() == answers_before


@pytest.mark.parametrize(
    "query", ["view=../x", "view=doubtful&skip=-1", "view=doubtful&label=a", "view=map"]
)
def test_places_that_do_not_exist_are_refused(client: Client, query: str) -> None:
    status, reply = client("GET", f"/{TOKEN}/question?{query}")
    assert status == 409
    assert json.loads(reply)["error"]["what"]


def test_unknown_rows_and_classes_and_long_bodies_are_refused(
    client: Client, review: Review
) -> None:
    answers_before = review.answers()
    assert client.answer([9999], "none")[0] == 409
    assert client.answer([1], "class", label=3)[0] == 409
    assert client.answer([1], "class", label=-1)[0] == 409
    assert client.answer([1], "class")[0] == 409
    assert client.post("withdraw")[0] == 409
    assert client("POST", f"/{TOKEN}/answer", b" " * 31_000)[0] == 413  # there are 200 photos
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
        replied = threads.submit(second_client.answer, [1], "none")
        assert begun.wait(20)
        assert client("GET", f"/{TOKEN}/image/1")[0] == 200
        assert not replied.done()
        shown.set()
        assert replied.result()[0] == 200


def test_images_that_cannot_be_shown_are_not_asked_about(tmp_path: Path) -> None:
    review = made_up_review(tmp_path / "run", NAMES)
    drawn = review.questions(TaskPlace(task="evidence"))
    unreadable, other_unreadable, readable = (next(drawn)[0] for _ in range(3))
    with served(review, without(unreadable.row, other_unreadable.row)) as url:
        question = Client(url).question("measure")
    assert rows(question) == [readable.row]
    assert {key: answer.kind for key, answer in review.answers().items()} == {
        unreadable.key: "unsure",
        other_unreadable.key: "unsure",
    }


@pytest.mark.parametrize("images", [8, 200])
def test_a_changed_folder_ends_the_task_without_answers(tmp_path: Path, images: int) -> None:
    review = made_up_review(tmp_path / "run", NAMES, images)
    with served(review, without(*range(200))) as url:
        status, reply = Client(url)("GET", f"/{TOKEN}/question?view=measure")
    error = json.loads(reply)["error"]
    assert (status, error["what"]) == (409, "the images have changed since this run")
    assert error["hint"].startswith("make the run again: latte run")
    assert review.answers() == {}


@pytest.mark.thorough
def test_a_killed_server_keeps_every_answer_that_it_confirmed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.helpers.reviews import made_up_review, served\n"
        "with served(made_up_review(Path(sys.argv[1]) / 'run', ('cat', 'dog', 'bird'))) as url:\n"
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
                    assert client.answer([row], "none", "measure")[0] == 200
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
    review = made_up_review(tmp_path / "run", NAMES)
    with (
        served(review) as url,
        served(Review(review.run)) as second_url,
        ThreadPoolExecutor() as threads,
    ):
        answered = [*threads.map(answer_twenty, (url, second_url), ("measure", "groups"))]
    assert {f"key {row}" for rows in answered for row in rows} == review.answers().keys()


def answer_twenty(url: str, view: str) -> list[int]:
    """Answer at most 20 questions of a view; return the rows of all their images."""
    client, answered = Client(url), list[int]()
    question = client.question(view)
    for _ in range(20):
        if question is None:
            break
        answered += rows(question)
        status, reply = client.answer(rows(question), "none", view)
        assert status == 200
        question = reply["next"]["question"]
    return answered


def test_a_damaged_file_of_answers_is_one_line_in_page_and_terminal(tmp_path: Path) -> None:
    review = made_up_review(tmp_path / "run", NAMES)
    printed: list[str] = []
    with served(review, report=printed.append) as url:
        client = Client(url)
        client.answer([0], "none")
        intact = review.file.read_bytes()
        for damage in (b"{}\n", b"\0" * 100):
            review.file.write_bytes(intact + damage)
            for _ in range(2):
                for status, reply in (client.answer([4], "none"), client.post("withdraw")):
                    assert status == 409
                    assert reply["error"]["where"] == f"{review.file}:2"
                    assert reply["error"]["hint"] == "correct or remove this line"
            assert review.file.read_bytes() == intact + damage
        assert {line.split(": this file is damaged")[0] for line in printed} == {f"{review.file}:2"}
        review.file.write_bytes(intact)
        assert client.answer([4], "none")[0] == 200
