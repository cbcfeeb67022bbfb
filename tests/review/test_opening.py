"""Address of the review page, and how a browser gets it."""

from __future__ import annotations

import os
import subprocess
import sys
import webbrowser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from latte.cli.main import run_command_line
from latte.interfaces import LatteError
from latte.review.opening import (
    addresses,
    listening,
    redirecting_file,
    remove_files_of_dead_servers,
)
from tests.helpers.reviews import made_up_review

NAMES = ("cat", "dog", "bird")


@pytest.mark.parametrize("host", ["0.0.0.0", "0", "0x0", "0.0"])
def test_an_address_that_no_browser_can_open_is_refused(host: str) -> None:
    with pytest.raises(LatteError) as caught:
        listening(host, 0)
    assert caught.value.where == "--host"
    assert f"{host} stands for all addresses" in caught.value.what
    assert "leave --host out" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [("no.such.host.invalid", 0, ""), ("a" * 64, 0, ""), ("127.0.0.1", 70_000, "65535")],
)
def test_an_address_on_which_nothing_can_listen_is_refused(
    host: str, port: int, reason: str
) -> None:
    with pytest.raises(LatteError, match=f"cannot listen on {host}:{port}: .*{reason}"):
        listening(host, port)


@pytest.mark.parametrize(
    ("host", "bound", "expected"),
    [
        ("127.0.0.1", ("127.0.0.1", 8000), ("127.0.0.1:8000", "localhost:8000")),
        ("127.0.0.1", ("127.0.0.1", 80), ("127.0.0.1", "localhost")),
        ("Localhost", ("127.0.0.1", 8000), ("localhost:8000", "127.0.0.1:8000")),
        ("127.1", ("127.0.0.1", 80), ("127.1", "127.0.0.1", "localhost")),
        ("Box", ("192.168.1.20", 80), ("box", "192.168.1.20")),
    ],
)
def test_addresses_are_spelt_as_browsers_send_them(
    host: str, bound: tuple[str, int], expected: tuple[str, ...]
) -> None:
    assert addresses(host, bound) == expected


def test_a_browser_gets_a_private_file_and_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[tuple[str, int, str]] = []

    def open_(uri: str) -> bool:
        path = Path(urlsplit(uri).path)
        is_file = path.is_file()
        opened.append((uri, path.stat().st_mode & 0o777 if is_file else 0, path.read_text()))
        return True

    def run(server: object, sockets: Any) -> None:
        assert len(opened) == 1

    monkeypatch.setattr(webbrowser, "open", open_)
    monkeypatch.setattr("uvicorn.Server.run", run)
    monkeypatch.setattr("latte.cli.review._images", lambda opened: [])
    folder = made_up_review(tmp_path / "run", NAMES).run.folder.path
    files_before = {*folder.iterdir()}
    assert run_command_line(["review", str(folder)]) == 0
    ((uri, mode, page),) = opened
    url = capsys.readouterr().out.splitlines()[0].removeprefix("review: ")
    token = url.rstrip("/").rpartition("/")[2]
    assert len(token) > 20
    assert token not in uri
    assert f'url={url}"' in page
    assert mode == 0o600
    assert {*folder.iterdir()} == files_before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no advisory locks")
def test_pages_of_dead_servers_are_removed_and_others_stay(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from latte.review.opening import redirecting_file\n"
        "with redirecting_file(Path(sys.argv[1]), 'http://127.0.0.1:1/token/'):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    (dead,) = tmp_path.iterdir()
    (tmp_path / "review-my_notes.html").write_text("<p>mine")
    os.mkfifo(tmp_path / "review-00000000.html")
    files_left = {*tmp_path.iterdir()} - {dead}
    with redirecting_file(tmp_path, "http://127.0.0.1/") as alive:
        remove_files_of_dead_servers(tmp_path)
        assert {*tmp_path.iterdir()} == {*files_left, alive}


def test_a_folder_that_cannot_be_written_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    with (
        pytest.raises(LatteError, match="cannot be written") as caught,
        redirecting_file(tmp_path / "missing", "http://127.0.0.1/"),
    ):
        pass
    assert "--no-open" in str(caught.value.hint)


def test_a_damaged_file_of_answers_is_an_error_before_the_page_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("uvicorn.Server.run", lambda *arguments, **keywords: pytest.fail("it runs"))
    review = made_up_review(tmp_path / "run", NAMES)
    review.file.write_text("{}\n")
    assert run_command_line(["review", str(tmp_path / "run"), "--no-open"]) == 2
    assert "review.jsonl:1: this file is damaged" in capsys.readouterr().err
