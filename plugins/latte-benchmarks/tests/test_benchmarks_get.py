"""Downloaded archives end in CoOp's layout; existing files stay as they are."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import benchmark_trees as trees
import pytest
from benchmark_server import Server
from latte_benchmarks.download import RemoteFile
from latte_benchmarks.facts import DatasetFacts, find_facts
from latte_benchmarks.get import get_images

from latte.api import LatteError

# The archives as they are published: name, and the folder inside that stands for the dataset's.
PACKED = {
    "dtd": ("dtd-r1.0.1.tar.gz", "dtd"),
    "eurosat": ("EuroSAT.zip", "."),
    "fgvc-aircraft": ("fgvc-aircraft-2013b.tar.gz", "fgvc-aircraft-2013b/data"),
    "food101": ("food-101.tar.gz", "food-101"),
    "oxford-pets": ("images.tar.gz", "."),
    "sun397": ("SUN397.tar.gz", "."),
    "flowers102": ("102flowers.tgz", "."),
    "caltech101": ("101_ObjectCategories.tar.gz", "."),
}


def pack(name: str, folder: Path) -> bytes:
    """The archive of a small tree without its split."""
    file, inside = PACKED[name]
    facts = trees.write_tree(name, folder / inside)
    if facts.split:
        (folder / inside / facts.split).unlink()
    buffer = io.BytesIO()
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if file.endswith(".zip"):
        with zipfile.ZipFile(buffer, "w") as packed:
            for path in paths:
                packed.write(path, path.relative_to(folder))
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for path in paths:
                archive.add(path, path.relative_to(folder))
    return buffer.getvalue()


class ArchiveServer:
    """Serves archives and counts how often it is asked which there are."""

    def __init__(self, server: Server, **archives: bytes) -> None:
        self.asked = 0
        server.files.update(archives)
        self.files = [
            RemoteFile(server.url(name), name, hashlib.md5(data).hexdigest())
            for name, data in archives.items()
        ]

    def __call__(self, facts: DatasetFacts) -> Sequence[RemoteFile]:
        self.asked += 1
        return self.files


@pytest.mark.parametrize("name", [name for name in PACKED if name != "caltech101"])
def test_an_archive_ends_in_coop_s_layout(name: str, server: Server, tmp_path: Path) -> None:
    source = ArchiveServer(server, **{PACKED[name][0]: pack(name, tmp_path / "made")})
    facts, root = find_facts(name), tmp_path / "data" / "here"
    get_images(facts, root, source)
    for split in trees.splits(name).values():
        assert all((root / facts.images / path).is_file() for path, _, _ in split)
    left = sorted(path.name for path in root.iterdir())
    assert not [
        name_left
        for name_left in left
        if name_left.startswith(".") or name_left.endswith((".gz", ".zip", ".tgz"))
    ]


def test_an_archive_in_an_archive_is_unpacked_too(server: Server, tmp_path: Path) -> None:
    inner = pack("caltech101", tmp_path / "made")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("caltech-101/101_ObjectCategories.tar.gz", inner)
        packed.writestr("caltech-101/Annotations.tar", b"")
        packed.writestr("__MACOSX/caltech-101/._Annotations.tar", b"")
    source = ArchiveServer(server, **{"caltech-101.zip": buffer.getvalue()})
    root = tmp_path / "data"
    get_images(find_facts("caltech101"), root, source)
    assert [path.name for path in root.iterdir()] == ["101_ObjectCategories"]


def test_complete_dataset_is_not_downloaded(server: Server, tmp_path: Path) -> None:
    facts, source = trees.write_tree("dtd", tmp_path), ArchiveServer(server)
    contents = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    get_images(facts, tmp_path, source)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == contents
    (tmp_path / facts.split).unlink()
    get_images(facts, tmp_path, source)
    assert source.asked == 0, "a split file is in no archive"


def test_existing_files_are_not_replaced(server: Server, tmp_path: Path) -> None:
    facts = trees.write_tree("dtd", tmp_path / "made" / "dtd")
    with tarfile.open(tmp_path / "dtd.tar.gz", "w:gz") as archive:
        trees.write_image(tmp_path / "made" / "dtd" / "labels" / "1.txt")
        archive.add(tmp_path / "made" / "dtd", "dtd")
    source = ArchiveServer(server, **{"dtd.tar.gz": (tmp_path / "dtd.tar.gz").read_bytes()})
    person_file = tmp_path / "data" / "labels" / "own.txt"
    person_file.parent.mkdir(parents=True)
    person_file.write_text("mine")
    get_images(facts, tmp_path / "data", source)
    assert [path.name for path in person_file.parent.iterdir()] == ["own.txt"]


def test_an_archive_that_the_user_put_there_is_used(server: Server, tmp_path: Path) -> None:
    data = pack("dtd", tmp_path / "made")
    source = ArchiveServer(server, **{"dtd-r1.0.1.tar.gz": data})
    root = tmp_path / "data"
    root.mkdir()
    (root / "dtd-r1.0.1.tar.gz").write_bytes(data)
    get_images(find_facts("dtd"), root, source)
    assert (root / "images").is_dir()
    assert server.requests == []


def test_archive_of_another_layout_is_kept_and_reported(server: Server, tmp_path: Path) -> None:
    source = ArchiveServer(server, **{"dtd.tar.gz": pack("sun397", tmp_path / "made")})
    with pytest.raises(LatteError, match="the archive holds no dtd"):
        get_images(find_facts("dtd"), tmp_path / "data", source)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["dtd.tar.gz"]


@pytest.mark.parametrize("name", ["stanford-cars", "ucf101"])
def test_a_dataset_that_torchvision_lacks_changes_nothing(name: str, tmp_path: Path) -> None:
    get_images(find_facts(name), tmp_path)
    assert [*tmp_path.iterdir()] == []
