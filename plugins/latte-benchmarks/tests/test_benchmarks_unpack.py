from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from latte_benchmarks.unpack import unpack

from latte.api import LatteError


def tar(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            member.size = 4 if member.isfile() else 0
            archive.addfile(member, io.BytesIO(b"data") if member.isfile() else None)
    return path


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "data")
    return path


def test_both_kinds_are_unpacked_with_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unpack(tar(tmp_path / "a.tgz", tarfile.TarInfo("a/1.jpg")), tmp_path / "out")
    unpack(zipped(tmp_path / "b.zip", "b/2.jpg"), tmp_path / "out")
    assert (tmp_path / "out" / "a" / "1.jpg").read_text() == "data"
    assert (tmp_path / "out" / "b" / "2.jpg").read_text() == "data"
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "unpacking a.tgz" in shown.err
    assert "unpacking b.zip" in shown.err


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../outside.txt"),
        tarfile.TarInfo("a/../../outside.txt"),
        link("a/link", "../../outside.txt"),
        link("a/link", "/etc/passwd"),
        link("a/link", "inside.txt"),
    ],
)
def test_a_tar_cannot_write_outside(member: tarfile.TarInfo, tmp_path: Path) -> None:
    archive = tar(tmp_path / "bad.tar.gz", member)
    with pytest.raises(LatteError, match="is not safe to unpack"):
        unpack(archive, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tar.gz", "out"]


@pytest.mark.parametrize("name", ["../outside.txt", "/outside.txt", "a\\..\\..\\outside.txt"])
def test_a_zip_cannot_write_outside(name: str, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "bad.zip", "good.txt", name)
    with pytest.raises(LatteError, match="leads out of the folder"):
        unpack(archive, tmp_path / "out")
    assert [*(tmp_path / "out").iterdir()] == [], (
        "nothing is unpacked of an archive that is not safe"
    )


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar.gz", *(tarfile.TarInfo(f"{i}.jpg") for i in range(500)))
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(archive.read_bytes()[:800])
    with pytest.raises(LatteError, match=r"cut.tar.gz: cannot be unpacked(.|\n)*get it again"):
        unpack(cut, tmp_path / "out")
    (tmp_path / "page.zip").write_text("<html>")
    with pytest.raises(LatteError, match=r"page.zip: cannot be unpacked"):
        unpack(tmp_path / "page.zip", tmp_path / "out")


def test_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latte_benchmarks.unpack._ALWAYS_FINE", 1000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10**6))
    zeros = tarfile.TarInfo("zeros")
    zeros.size = 10**6
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as archive:
        archive.addfile(zeros, io.BytesIO(bytes(10**6)))
    for name in ("bomb.zip", "bomb.tar.gz"):
        with pytest.raises(LatteError, match="100 times its own size"):
            unpack(tmp_path / name, tmp_path / "out")
    assert [*(tmp_path / "out").iterdir()] == []


def test_an_encrypted_archive_is_named(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", "1.jpg")
    data = bytearray(path.read_bytes())
    for header in (b"PK\x03\x04", b"PK\x01\x02"):
        place = data.index(header) + (6 if header.endswith(b"\x04") else 8)
        data[place] |= 1
    path.write_bytes(data)
    with pytest.raises(LatteError, match=r"cannot be unpacked(.|\n)*encrypted"):
        unpack(path, tmp_path / "out")
