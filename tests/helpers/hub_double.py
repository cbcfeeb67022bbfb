"""A loopback server with the part of the Hugging Face hub's protocol that `huggingface_hub` uses.

Repositories are created, files are uploaded in a commit or as large files (git-lfs), and revisions
are listed and downloaded. Xet storage is not spoken: the client is told to leave it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from latte.io.hub import THREAD

TOKEN = "hf_goodgoodgoodgoodgood"
Files = dict[str, bytes]


@dataclass
class Repository:
    """Files per commit, in order; the last commit is the branch `main`."""

    private: bool
    commits: dict[str, Files] = field(default_factory=dict)

    def commit(self, files: Files) -> str:
        parts = [str(len(self.commits)).encode(), *(p.encode() + d for p, d in files.items())]
        sha = hashlib.sha1(b"\0".join(parts)).hexdigest()
        self.commits[sha] = files
        return sha

    def sha(self, revision: str) -> str | None:
        if revision == "main":
            return [*self.commits][-1] if self.commits else "0" * 40
        return revision if revision in self.commits else None

    @property
    def files(self) -> Files:
        return [*self.commits.values()][-1] if self.commits else {}


class Hub(ThreadingHTTPServer):
    """The server: its repositories, what it was asked, and the faults that it shows."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.large: Files = {}
        self.requests: list[str] = []
        self.received = b""
        """All that was sent to the server: each body, with decoded content of files."""
        self.statuses: dict[str, int] = {}
        """Status of answers to requests that begin like a key, as in `POST /api/repos`."""
        self.longer: dict[str, int] = {}
        """Number of bytes by which a file is longer than the server says."""
        self.broken: set[str] = set()
        """Files that cannot be downloaded."""
        self.silent_at: str | None = None
        """Beginning of requests that get no answer."""
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, name: str, files: Files, *, private: bool = False) -> str:
        repository = self.repositories.setdefault(name, Repository(private))
        return repository.commit(files)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that stops waiting closes its connection


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def handle_request(self) -> None:
        line = f"{self.command} {self.path}"
        self.server.requests.append(line)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self._chunks()
        self.server.received += body
        if self.server.silent_at is not None and line.startswith(self.server.silent_at):
            self.server.ended.wait()
            self.close_connection = True
            return
        for start, status in self.server.statuses.items():
            if line.startswith(start):
                self.answer(status, {"error": "refused by the test"})
                return
        token = self.headers.get("Authorization")
        if token not in (None, f"Bearer {TOKEN}"):
            self.refuse(401, "", "Invalid credentials in Authorization header")
            return
        self.route(urlsplit(self.path), body, is_known=token is not None)

    def do_GET(self) -> None:
        self.handle_request()

    def do_HEAD(self) -> None:
        self.handle_request()

    def do_POST(self) -> None:
        self.handle_request()

    def do_PUT(self) -> None:
        self.handle_request()

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def route(self, url: Any, body: bytes, *, is_known: bool) -> None:
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        match parts:
            case ["api", "repos", "create"]:
                self.create(json.loads(body), is_known=is_known)
            case ["api", "validate-yaml"]:
                self.answer(200, {"errors": [], "warnings": []})
            case ["large", oid]:
                self.server.large[oid] = body
                self.answer(200, {})
            case [owner, name, "info", "lfs", "objects", "batch"]:
                self.batch(json.loads(body))
            case ["api", "models", owner, name, *rest]:
                self.about(f"{owner}/{name}", rest, url, body, is_known=is_known)
            case [owner, name, "resolve", revision, *path]:
                self.resolve(f"{owner}/{name}", revision, "/".join(path), is_known=is_known)
            case _:
                self.refuse(404, "EntryNotFound")

    def repository(self, name: str, *, is_known: bool) -> Repository | None:
        found = self.server.repositories.get(name)
        if found is None or (found.private and not is_known):
            self.refuse(404 if is_known else 401, "RepoNotFound")
            return None
        return found

    def create(self, asked: dict[str, Any], *, is_known: bool) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if not is_known:
            self.refuse(401, "")
        elif name in self.server.repositories:
            self.answer(409, {"error": "You already created this model repo"})
        else:
            private = asked.get("private") or asked.get("visibility") == "private"
            self.server.repositories[name] = Repository(bool(private))
            self.answer(200, {"url": f"{self.server.url}/{name}"})

    def batch(self, asked: dict[str, Any]) -> None:
        objects = [
            {**item, "actions": {"upload": {"href": f"{self.server.url}/large/{item['oid']}"}}}
            for item in asked["objects"]
        ]
        self.answer(200, {"objects": objects, "transfer": "basic"})

    def about(self, name: str, rest: list[str], url: Any, body: bytes, *, is_known: bool) -> None:
        repository = self.repository(name, is_known=is_known)
        if repository is None:
            return
        match rest:
            case ["preupload", _]:
                self.preupload(json.loads(body))
            case ["commit", _]:
                self.commit(repository, body)
            case ["tree", revision, *_]:
                files = repository.commits.get(repository.sha(revision) or "", {})
                self.answer(200, [self.entry(path, data) for path, data in files.items()])
            case [] | ["revision", _]:
                self.info(name, repository, rest[1] if rest else "main", url)
            case _:
                self.refuse(404, "EntryNotFound")

    def info(self, name: str, repository: Repository, revision: str, url: Any) -> None:
        sha = repository.sha(revision)
        if sha is None:
            self.refuse(404, "RevisionNotFound")
            return
        has_sizes = "blobs" in parse_qs(url.query)
        siblings = [
            {"rfilename": path, **({"size": len(data)} if has_sizes else {})}
            for path, data in repository.commits.get(sha, {}).items()
        ]
        about = {"_id": "1", "id": name, "modelId": name, "tags": [], "private": repository.private}
        self.answer(200, {**about, "sha": sha, "siblings": siblings})

    def preupload(self, asked: dict[str, Any]) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
            }
            for file in asked["files"]
        ]
        self.answer(200, {"files": files})

    def commit(self, repository: Repository, body: bytes) -> None:
        files = dict(repository.files)
        for line in body.splitlines():
            step = json.loads(line)
            path, value = step["value"].get("path"), step["value"]
            if step["key"] == "file":
                files[path] = base64.b64decode(value["content"])
                self.server.received += files[path]
            elif step["key"] == "lfsFile":
                files[path] = self.server.large[value["oid"]]
            elif step["key"] == "deletedFile":
                del files[path]
        sha = repository.commit(files)
        url = f"{self.server.url}/owner/name/commit/{sha}"
        self.answer(200, {"success": True, "commitOid": sha, "commitUrl": url})

    def entry(self, path: str, data: bytes) -> dict[str, Any]:
        return {"type": "file", "path": path, "size": len(data), "oid": _oid(data)}

    def resolve(self, name: str, revision: str, path: str, *, is_known: bool) -> None:
        repository = self.repository(name, is_known=is_known)
        if repository is None:
            return
        sha = repository.sha(revision)
        data = repository.commits.get(sha or "", {}).get(path)
        if sha is None or data is None:
            self.refuse(404, "EntryNotFound" if sha else "RevisionNotFound")
            return
        if path in self.server.broken:
            self.refuse(403, "")
            return
        longer = self.server.longer.get(path, 0) if self.command == "GET" else 0
        headers = {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        self.send(200, data + b"x" * longer, headers)

    def refuse(self, status: int, code: str, message: str = "") -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message}
        given = {name: value for name, value in headers.items() if value}
        self.send(status, json.dumps({"error": message or code}).encode(), given)

    def answer(self, status: int, value: Any) -> None:
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


def _oid(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    """Run the server until the block ends."""
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()
            server.server_close()
            for left in threading.enumerate():
                if left.name == THREAD:  # it shares a client with the next test
                    left.join()


def variables(hub: Hub, place: Path, token: str | None = TOKEN) -> dict[str, str]:
    """Return the environment of a process that uses the server, with its cache in `place`."""
    return {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(place),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **({} if token is None else {"HF_TOKEN": token}),
    }


def use_hub(patch: pytest.MonkeyPatch, hub: Hub, place: Path, token: str | None = TOKEN) -> None:
    """Let this process use the server, with its cache in `place`: it read its variables earlier."""
    from huggingface_hub import constants

    sleep = time.sleep
    patch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))  # between retries
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        patch.delenv(name, raising=False)
    for name, value in variables(hub, place, token).items():
        patch.setenv(name, value)
    patch.setattr(constants, "ENDPOINT", hub.url)
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    url = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
    patch.setattr(constants, "HF_HUB_CACHE", str(place / "hub"))
    patch.setattr(constants, "HF_TOKEN_PATH", str(place / "token"))
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
