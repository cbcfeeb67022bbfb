"""Twenty kills: no stored answer of a server is requested, and paid for, again.

Children of one process, which has imported everything, ask a server that counts; each is killed
with `kill -9` at another moment.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

import pytest

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="Unix alone has fork"),
]

KILLS = 20
REQUESTS = 200
CONCURRENCY = 2
BATCH = 4 * CONCURRENCY
ASKERS = f"""
import os, sys
from pathlib import Path
from latte_openai.describer import OpenAIDescriber
from latte_openai.options import OpenAIOptions
import openai.resources.chat
from latte.describe.generate import generate
from latte.describe.store import DescriptionStore
from latte_author.testing.fixtures import described_images, make_context
from tests.helpers.describe_doubles import descriptions, training_set
from tests.helpers.recorded import RecordedProgress
from latte.describe.plan import plan_requests

folder, url = Path(sys.argv[1]), sys.argv[2]
settings = {{"base_url": url, "concurrency": {CONCURRENCY}, "format": "png"}}
options = OpenAIOptions(model="m", temperature=0, **settings)

def ask():
    describer = OpenAIDescriber(options, make_context(folder))
    image = descriptions(image_prompt="What?")["image"]
    plan = plan_requests(
        training_set([0] * {REQUESTS}), {{"image": image}}, {{"openai": describer}}, seed=0
    )["openai"]
    with DescriptionStore(folder / "texts") as store:
        generate(describer, plan, store, RecordedProgress())

for line in sys.stdin:
    child = os.fork()
    if not child:
        ask()
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class QuietServer(ThreadingHTTPServer):
    """Server that expects its clients to be killed."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class CountingServer:
    """Chat server that counts requests by their answer, and reports each to its `kill`."""

    def __init__(self) -> None:
        self.paid: Counter[str] = Counter()
        self.kill: Kill | None = None
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:  # the child was killed while it sent this
                    self.close_connection = True
                    return
                text = server.answer(body)
                choice = {
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                }
                data = json.dumps({"choices": [choice]}).encode()
                try:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:  # the child was killed
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._http = QuietServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, body: bytes) -> str:
        text = f"text {sha256(body).hexdigest()[:16]}"
        with self._lock:
            self.paid[text] += 1
            if self.kill is not None:
                self.kill.request()
        return text

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class Kill:
    """Kills a process some milliseconds after a number of requests."""

    def __init__(self, process: int, requests: int, delay: float) -> None:
        self._process, self._requests, self._delay = process, requests, delay

    def request(self) -> None:
        self._requests -= 1
        if self._requests == 0:
            threading.Timer(self._delay, os.kill, (self._process, signal.SIGKILL)).start()


@contextmanager
def askers(folder: Path, url: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", ASKERS, str(folder), url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPENAI_API_KEY": "key-of-the-test"},
    )
    try:
        yield process
    finally:
        process.communicate()


def start(askers: subprocess.Popen[str]) -> int:
    assert askers.stdin is not None
    assert askers.stdout is not None
    askers.stdin.write("next\n")
    askers.stdin.flush()
    return int(askers.stdout.readline())


def stored(folder: Path) -> set[str]:
    """Return all stored texts, read without latte."""
    lines = [line for part in folder.glob("part-*.jsonl") for line in part.open("rb")]
    return {json.loads(line)["text"] for line in lines if line.endswith(b"\n")}


def test_stored_answers_are_never_paid_for_again(tmp_path: Path) -> None:
    server, random = CountingServer(), Random(0)
    with askers(tmp_path, server.url) as process:
        assert process.stdout is not None
        for _ in range(KILLS):
            child = start(process)
            stored_keys, paid = stored(tmp_path / "texts"), Counter(server.paid)
            server.kill = Kill(child, random.randint(1, 2 * BATCH), random.uniform(0, 0.02))
            status = int(process.stdout.readline())
            assert os.WIFSIGNALED(status), f"the server asked for too little: exit {status}"
            paid_now = server.paid - paid
            assert not stored_keys & paid_now.keys()
        server.kill = None
        stored_keys, paid = stored(tmp_path / "texts"), Counter(server.paid)
        start(process)
        assert int(process.stdout.readline()) == 0
    assert not stored_keys & (server.paid - paid).keys()
    server.close()
    assert stored(tmp_path / "texts") == server.paid.keys()
    assert len(server.paid) == REQUESTS
    assert server.paid.total() - REQUESTS <= KILLS * BATCH
