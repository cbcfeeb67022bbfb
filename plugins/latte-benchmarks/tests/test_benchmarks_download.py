"""Downloads by torchvision are complete and verified, or absent."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmark_server import Server
from latte_benchmarks import download as module
from latte_benchmarks.download import RemoteFile, download, remote_files
from latte_benchmarks.facts import all_facts, find_facts

from latte.api import LatteError

DATA = random.Random(0).randbytes(3_000_000)
MD5 = hashlib.md5(DATA).hexdigest()


@pytest.fixture(autouse=True)
def archive(server: Server) -> None:
    server.files["data.zip"] = DATA


def get(server: Server, folder: Path, md5: str | None = MD5, name: str = "data.zip") -> Path:
    return download(RemoteFile(server.url(name), name, md5), folder)


def test_a_download_is_complete_and_alone_in_its_folder(server: Server, tmp_path: Path) -> None:
    assert get(server, tmp_path / "new").read_bytes() == DATA
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["data.zip"]


def test_a_wrong_checksum_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    with pytest.raises(LatteError, match="cannot be downloaded: File not found or corrupted"):
        get(server, tmp_path, md5="0" * 32)
    assert [*tmp_path.iterdir()] == []


def test_a_cut_download_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    server.cut = 1_000_000
    with pytest.raises(LatteError, match="cannot be downloaded") as caught:
        get(server, tmp_path)
    assert f"put a copy of data.zip into {tmp_path}" in str(caught.value)
    assert [*tmp_path.iterdir()] == []


def test_a_missing_file_is_an_error_with_its_address(server: Server, tmp_path: Path) -> None:
    with pytest.raises(LatteError, match=r"gone.zip: cannot be downloaded: HTTP Error 404"):
        get(server, tmp_path, name="gone.zip")


def test_a_silent_server_is_an_error(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.3)
    server.cut, server.is_silent = 1_000_000, True
    with pytest.raises(LatteError, match="cannot be downloaded: timed out"):
        get(server, tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_a_killed_download_starts_again(server: Server, tmp_path: Path) -> None:
    server.cut, server.is_silent = 2_000_000, True
    program = (
        "import sys; from pathlib import Path\n"
        "from latte_benchmarks.download import RemoteFile, download\n"
        "download(RemoteFile(sys.argv[1], 'data.zip', None), Path(sys.argv[2]))"
    )
    arguments = [sys.executable, "-c", program, server.url("data.zip"), str(tmp_path)]
    part = tmp_path / ".downloading" / "data.zip"
    with subprocess.Popen(arguments, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (part.is_file() and part.stat().st_size):
            time.sleep(0.01)
        process.kill()
    assert 0 < part.stat().st_size < len(DATA)
    server.cut, server.is_silent = None, False
    assert get(server, tmp_path, md5=None).read_bytes() == DATA
    assert [path.name for path in tmp_path.iterdir()] == ["data.zip"]


def test_existing_file_is_verified_and_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.zip").write_bytes(DATA)
    assert get(server, tmp_path).read_bytes() == DATA
    (tmp_path / "data.zip").write_bytes(b"own copy, of another kind")
    with pytest.raises(LatteError, match="delete it and run the command"):
        get(server, tmp_path)
    assert (tmp_path / "data.zip").is_file(), "a file of the user is his to delete"
    assert server.requests == []


def test_torchvision_has_addresses_and_checksums_of_eight_datasets() -> None:
    downloads = {
        facts.name: remote_files(facts) for facts in all_facts().values() if facts.torchvision
    }
    assert len(downloads) == 8
    for name, files in downloads.items():
        assert all(file.url.startswith(("http://", "https://")) for file in files)
        assert all("/" not in file.name for file in files)
        unchecked = [file for file in files if file.md5 is None]
        assert not unchecked or name == "fgvc-aircraft"


def test_a_dataset_without_a_download_names_its_home_page() -> None:
    with pytest.raises(LatteError, match=r"knows no download of Stanford Cars(.|\n)*by hand: http"):
        remote_files(find_facts("stanford-cars"))
