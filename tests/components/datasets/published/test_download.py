from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from latte.components.datasets.published.download import ATTEMPTS, RemoteFile, download
from latte.interfaces import LatteError
from tests.helpers.dataset_server import Server
from tests.helpers.recorded import RecordedProgress

DATA = random.Random(0).randbytes(3_000_000)
MD5 = hashlib.md5(DATA).hexdigest()


@pytest.fixture(autouse=True)
def archive(server: Server) -> None:
    server.files["data.zip"] = DATA


def get(server: Server, folder: Path, md5: str | None = MD5, name: str = "data.zip") -> Path:
    file = RemoteFile(server.url(name), name, md5)
    return download(file, folder, RecordedProgress(), wait=lambda _: None)


def test_a_download_is_whole_or_absent(server: Server, tmp_path: Path) -> None:
    assert get(server, tmp_path / "new").read_bytes() == DATA
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["data.zip"]
    assert server.requests == [None]


def test_download_resumes_after_a_cut(server: Server, tmp_path: Path) -> None:
    server.cuts = [1_000_000, 500_000]
    assert get(server, tmp_path).read_bytes() == DATA
    assert server.requests == [None, "bytes=1000000-", "bytes=1500000-"]


def test_download_resumes_after_a_killed_process(server: Server, tmp_path: Path) -> None:
    server.cuts = [2_000_000]
    server.stall.set()
    program = (
        "import sys; from pathlib import Path\n"
        "from latte.components.datasets.published.download import RemoteFile\n"
        "from latte.components.datasets.published.download import download\n"
        "from latte.interfaces.progress import SilentProgress\n"
        "download(RemoteFile(sys.argv[1], 'data.zip', None), Path(sys.argv[2]), SilentProgress())"
    )
    arguments = [sys.executable, "-c", program, server.url("data.zip"), str(tmp_path)]
    part = tmp_path / "data.zip.part"
    with subprocess.Popen(arguments, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (part.is_file() and part.stat().st_size):
            time.sleep(0.01)
        process.kill()
    written = part.stat().st_size
    assert 0 < written < len(DATA)
    assert not (tmp_path / "data.zip").exists()
    assert get(server, tmp_path).read_bytes() == DATA
    assert server.requests == [None, f"bytes={written}-"]


def test_unfinished_download_resumes_in_the_next_call(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.zip.part").write_bytes(DATA[:2_000_000])
    assert get(server, tmp_path).read_bytes() == DATA
    assert server.requests == ["bytes=2000000-"]


def test_complete_part_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.zip.part").write_bytes(DATA)
    assert get(server, tmp_path).read_bytes() == DATA
    assert server.requests == [f"bytes={len(DATA)}-"]


def test_too_long_part_is_deleted(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.zip.part").write_bytes(DATA + b"more")
    assert get(server, tmp_path).read_bytes() == DATA
    assert server.requests == [f"bytes={len(DATA) + 4}-", None]


def test_a_server_without_ranges_sends_it_all_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "data.zip.part").write_bytes(b"something else, and longer than nothing")
    assert get(server, tmp_path).read_bytes() == DATA


def test_server_errors_are_retried(server: Server, tmp_path: Path) -> None:
    server.failures = [503, 500]
    assert get(server, tmp_path).read_bytes() == DATA


def test_a_wrong_checksum_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    with pytest.raises(LatteError, match=f"has the checksum {MD5}, not 0000") as caught:
        get(server, tmp_path, md5="0" * 32)
    assert "It was deleted" in str(caught.value)
    assert [*tmp_path.iterdir()] == []


def test_without_a_checksum_the_length_counts(server: Server, tmp_path: Path) -> None:
    server.cuts = [10]
    assert get(server, tmp_path, md5=None).read_bytes() == DATA


def test_existing_file_is_verified_and_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.zip").write_bytes(DATA)
    assert get(server, tmp_path).read_bytes() == DATA
    (tmp_path / "data.zip").write_bytes(b"own copy, of another kind")
    with pytest.raises(LatteError, match="Delete it and run the command"):
        get(server, tmp_path)
    assert (tmp_path / "data.zip").is_file(), "a file of the user is his to delete"
    assert server.requests == []


def test_missing_file_is_not_retried(server: Server, tmp_path: Path) -> None:
    with pytest.raises(LatteError, match="cannot be downloaded: 404") as caught:
        get(server, tmp_path, name="gone.zip")
    assert "put a copy of gone.zip into the dataset's folder" in str(caught.value)
    assert len(server.requests) == 1


def test_silent_server_fails_after_all_attempts(server: Server, tmp_path: Path) -> None:
    server.cuts = [0] * 100
    with pytest.raises(LatteError, match="goes on where it stopped"):
        get(server, tmp_path)
    assert len(server.requests) == ATTEMPTS


def test_only_http_addresses_are_allowed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    file = RemoteFile((tmp_path / "secret").as_uri(), "copy", None)
    with pytest.raises(LatteError, match="is no web address"):
        download(file, tmp_path / "data", RecordedProgress())
