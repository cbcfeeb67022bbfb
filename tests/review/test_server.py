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
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        reply = connection.getresponse()
        self.headers = reply.headers
        return reply.status, reply.read()

    def answer(self, **body: Any) -> tuple[int, bytes]:
        return self("POST", f"/{TOKEN}/answers", json.dumps(body).encode())


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory) -> Review:
    return made_up_review(tmp_path_factory.mktemp("review"), NAMES)


@pytest.fixture(scope="module")
def client(review: Review) -> Iterator[Client]:
    with served(review) as url:
        yield Client(url)


def test_a_question_names_no_model_and_no_path(client: Client) -> None:
    status, body = client("GET", f"/{TOKEN}/question?queue=evidence")
    assert status == 200
    assert set(json.loads(body)["question"]) == {"rows", "options"}


@pytest.mark.parametrize("path", ["/", "/question", "/wrong/question", f"/{TOKEN[:-1]}/question"])
def test_without_the_token_nothing_is_found(client: Client, path: str) -> None:
    assert client("GET", path)[0] == 404


def test_other_hosts_and_other_sites_are_refused(client: Client) -> None:
    assert client("GET", f"/{TOKEN}/question", Host="evil.example")[0] == 403
    assert client("GET", f"/{TOKEN}/question", Origin="http://evil.example")[0] == 403
    assert client("GET", f"/{TOKEN}/question", Origin="null")[0] == 403
    assert client("GET", f"/{TOKEN}/question", Origin=f"http://{client.host}")[0] == 200


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
        "question?queue=../x",
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
        b"", b"[]", b"{}", b'{"rows": "1", "kind": "none", "queue": "evidence"}',
        b'{"rows": [1], "kind": "else", "queue": "evidence"}',
        b'{"rows": [1], "kind": "none", "queue": "else"}',
        b'{"rows": [1], "kind": "none", "queue": "evidence", "path": "/etc"}',
        b'{"rows": [1e99], "kind": "none", "queue": "evidence"}', b"\xff\xfe",
    ],
)  # fmt: skip
def test_bodies_that_are_no_answers_are_refused(
    client: Client, review: Review, body: bytes
) -> None:
    before = review.answers()
    assert client("POST", f"/{TOKEN}/answers", body)[0] == 422
    assert review.answers() == before


def test_unknown_rows_and_classes_and_long_bodies_are_refused(
    client: Client, review: Review
) -> None:
    before = review.answers()
    assert client.answer(rows=[9999], kind="none", queue="evidence")[0] == 409
    assert client.answer(rows=[1], kind="class", label=3, queue="evidence")[0] == 409
    assert client.answer(rows=[1], kind="class", queue="evidence")[0] == 409
    assert client("POST", f"/{TOKEN}/answers", b" " * 20_000)[0] == 413
    assert review.answers() == before


def test_an_image_does_not_wait_until_an_answer_is_stored(
    client: Client, review: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, shown = threading.Event(), threading.Event()

    def answer(*given: object) -> None:
        begun.set()
        shown.wait(20)

    monkeypatch.setattr(review, "answer", answer)
    with ThreadPoolExecutor() as threads:
        body = {"rows": [1], "kind": "none", "queue": "evidence"}
        replied = threads.submit(Client(f"http://{client.host}").answer, **body)
        assert begun.wait(20)
        assert client("GET", f"/{TOKEN}/image/1")[0] == 200
        assert not replied.done()
        shown.set()
        assert replied.result()[0] == 200


def test_images_that_cannot_be_shown_are_not_asked_about(tmp_path: Path) -> None:
    review = made_up_review(tmp_path, NAMES)
    first, second, third, *_ = (one.images[0] for one in review.upcoming(3))
    with served(review, without(first.row, second.row)) as url:
        state = json.loads(Client(url)("GET", f"/{TOKEN}/question")[1])
    assert state["question"]["rows"] == [third.row]
    assert ": 2. In the estimate of the gain, such an image counts" in state["note"]
    assert {key: one.kind for key, one in review.answers().items()} == {
        first.key: "unsure",
        second.key: "unsure",
    }


def test_images_that_cannot_be_shown_get_no_answer_that_teaches(tmp_path: Path) -> None:
    review = made_up_review(tmp_path, NAMES)
    first, second, third, *_ = (one.images[0] for one in review.upcoming(3, "images"))
    with served(review, without(first.row, third.row)) as url:
        page = Client(url)
        state = json.loads(page("GET", f"/{TOKEN}/question?queue=images")[1])
        assert state["question"]["rows"] == [second.row]
        assert review.answers() == {}
        _, body = page.answer(rows=[second.row], kind="none", queue="images")
    assert json.loads(body)["question"]["rows"] not in ([first.row], [second.row], [third.row])
    assert json.loads(body)["note"].endswith("are gone or cannot be read: 2.")
    assert [*review.answers()] == [second.key]


@pytest.mark.parametrize("images", [8, 200])
def test_a_changed_folder_ends_the_task_without_answers(tmp_path: Path, images: int) -> None:
    review = made_up_review(tmp_path, NAMES, images)
    with served(review, without(*range(200))) as url:
        state = json.loads(Client(url)("GET", f"/{TOKEN}/question")[1])
    assert state["question"] is None
    assert state["note"].startswith("The images have changed since this run. Make the run again:")
    assert review.answers() == {}


def test_an_answer_about_a_sheet_is_one_line_per_image(client: Client, review: Review) -> None:
    question = json.loads(client("GET", f"/{TOKEN}/question?queue=clusters")[1])["question"]
    rows = question["rows"]
    assert len(rows) == 12
    before = len(review.file.read_text().splitlines()) if review.file.exists() else 0
    body = {"rows": rows[2:], "others": rows[:2], "kind": "class", "label": 2}
    status, _ = client.answer(**body, queue="clusters")
    assert status == 200
    lines = [json.loads(line) for line in review.file.read_text().splitlines()[before:]]
    assert [line["label"] for line in lines] == ["bird"] * 10 + [None] * 2
    assert client.answer(**body | {"others": [9999]}, queue="clusters")[0] == 409


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
                for asked in range(100):
                    if asked == 5:
                        threading.Timer(0.01 * number, process.kill).start()
                    body = client("GET", f"/{TOKEN}/question?queue=evidence")[1]
                    (row,) = json.loads(body)["question"]["rows"]
                    assert client.answer(rows=[row], kind="none", queue="evidence")[0] == 200
                    confirmed.append(row)
        assert process.returncode == -signal.SIGKILL
    assert len({*confirmed}) == len(confirmed) >= 15
    found = {
        int(key.removeprefix("key ")) for key in latest(read_answers(tmp_path / "review.jsonl"))
    }
    assert {*confirmed} <= found
    # At most one answer for each kill was written and not confirmed.
    assert len(found) <= len(confirmed) + 3


def test_two_reviewers_at_once_lose_nothing(tmp_path: Path) -> None:
    review = made_up_review(tmp_path, NAMES)
    with (
        served(review) as url,
        served(Review(review.run)) as other,
        ThreadPoolExecutor() as threads,
    ):
        answers = [*threads.map(answer_twenty, (url, other), ("evidence", "images"))]
    rows = [row for several in answers for row in several]
    assert {f"key {row}" for row in rows} == review.answers().keys()
    assert len(rows) == 40


def answer_twenty(url: str, queue: str) -> list[int]:
    """Answer 20 questions of a queue; return the rows that were asked."""
    client, rows = Client(url), []
    body = client("GET", f"/{TOKEN}/question?queue={queue}")[1]
    for _ in range(20):
        (row,) = json.loads(body)["question"]["rows"]
        rows.append(row)
        status, body = client.answer(rows=[row], kind="none", queue=queue)
        assert status == 200
    return rows


def test_a_damaged_file_of_answers_is_one_line_in_page_and_terminal(tmp_path: Path) -> None:
    review = made_up_review(tmp_path, NAMES)
    printed: list[str] = []
    with served(review, report=printed.append) as url:
        client = Client(url)
        client.answer(rows=[0], kind="none", queue="evidence")
        intact = review.file.read_bytes()
        for damage in (b"{}\n", b"\0" * 100):
            review.file.write_bytes(intact + damage)
            line = f"{review.file}:2: this file is damaged"
            for _ in range(2):
                for status, body in (
                    client("GET", f"/{TOKEN}/question"),
                    client.answer(rows=[4], kind="none", queue="evidence"),
                ):
                    assert status == 409
                    assert body.decode().startswith(line)
                    assert body.decode().endswith("; correct or remove this line")
                    assert printed[-1:] == body.decode().splitlines()
            assert review.file.read_bytes() == intact + damage
        assert len(printed) == 2
        review.file.write_bytes(intact)
        assert client("GET", f"/{TOKEN}/question")[0] == 200
