from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from latte.components.datasets.published.check import check
from latte.components.datasets.published.download import RemoteFile
from latte.components.datasets.published.facts import Facts, all_facts, find_facts
from latte.components.datasets.published.get import get_dataset
from latte.interfaces import LatteError
from tests.helpers import dataset_trees
from tests.helpers.dataset_server import Server
from tests.helpers.recorded import RecordedProgress

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
    facts = dataset_trees.write_tree(name, folder / inside)
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


class Source:
    """Serves archives and counts how often it is asked which there are."""

    def __init__(self, server: Server, **archives: bytes) -> None:
        self.asked = 0
        self._server = server
        server.files.update(archives)
        self.files = [
            RemoteFile(server.url(name), name, hashlib.md5(data).hexdigest())
            for name, data in archives.items()
        ]

    def __call__(self, facts: Facts) -> Sequence[RemoteFile]:
        self.asked += 1
        return self.files


@pytest.mark.parametrize("name", [name for name in PACKED if name != "caltech101"])
def test_an_archive_ends_in_coop_s_layout(name: str, server: Server, tmp_path: Path) -> None:
    source = Source(server, **{PACKED[name][0]: pack(name, tmp_path / "made")})
    facts, root = find_facts(name), tmp_path / "data" / "here"
    get_dataset(facts, root, RecordedProgress(), archives=source)
    for split in dataset_trees.splits(name).values():
        assert all((root / facts.images / path).is_file() for path, _, _ in split)
    left = sorted(path.name for path in root.iterdir())
    assert not [one for one in left if one.startswith(".") or one.endswith((".gz", ".zip", ".tgz"))]


def test_an_archive_in_an_archive_is_unpacked_too(server: Server, tmp_path: Path) -> None:
    inner = pack("caltech101", tmp_path / "made")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("caltech-101/101_ObjectCategories.tar.gz", inner)
        packed.writestr("caltech-101/Annotations.tar", b"")
        packed.writestr("__MACOSX/caltech-101/._Annotations.tar", b"")
    source = Source(server, **{"caltech-101.zip": buffer.getvalue()})
    root = tmp_path / "data"
    get_dataset(find_facts("caltech101"), root, RecordedProgress(), archives=source)
    assert sorted(path.name for path in root.iterdir()) == [
        "101_ObjectCategories",
        "split_zhou_Caltech101.json",
    ]


def test_a_missing_split_is_made_and_called_a_stand_in(server: Server, tmp_path: Path) -> None:
    source, progress = (
        Source(server, **{"EuroSAT.zip": pack("eurosat", tmp_path / "made")}),
        RecordedProgress(),
    )
    facts, root = find_facts("eurosat"), tmp_path / "data"
    get_dataset(facts, root, progress, archives=source)
    assert json.loads((root / facts.split).read_text())["made_by"]
    assert any("is a stand-in" in line and "not comparable" in line for line in progress.lines)
    [note] = [one for one in check(facts, root) if one.level == "warning"]
    assert "The published split has other images" in note.hint


def test_complete_dataset_is_not_downloaded(server: Server, tmp_path: Path) -> None:
    facts, source = dataset_trees.write_tree("dtd", tmp_path), Source(server)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    get_dataset(facts, tmp_path, RecordedProgress(), archives=source)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert source.asked == 0


def test_what_is_there_of_an_archive_is_not_replaced(server: Server, tmp_path: Path) -> None:
    facts = dataset_trees.write_tree("dtd", tmp_path / "made" / "dtd")
    with tarfile.open(tmp_path / "dtd.tar.gz", "w:gz") as archive:
        dataset_trees.write_image(tmp_path / "made" / "dtd" / "labels" / "1.txt")
        archive.add(tmp_path / "made" / "dtd", "dtd")
    source = Source(server, **{"dtd.tar.gz": (tmp_path / "dtd.tar.gz").read_bytes()})
    own = tmp_path / "data" / "labels" / "own.txt"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    get_dataset(facts, tmp_path / "data", RecordedProgress(), archives=source)
    assert [path.name for path in own.parent.iterdir()] == ["own.txt"]


def test_an_archive_that_the_user_put_there_is_taken(server: Server, tmp_path: Path) -> None:
    data = pack("dtd", tmp_path / "made")
    source = Source(server, **{"dtd-r1.0.1.tar.gz": data})
    root = tmp_path / "data"
    root.mkdir()
    (root / "dtd-r1.0.1.tar.gz").write_bytes(data)
    get_dataset(find_facts("dtd"), root, RecordedProgress(), archives=source)
    assert (root / "images").is_dir()
    assert server.requests == []


def test_archive_of_another_layout_is_kept_and_reported(server: Server, tmp_path: Path) -> None:
    source = Source(server, **{"dtd.tar.gz": pack("sun397", tmp_path / "made")})
    with pytest.raises(LatteError, match="the archive holds no dtd"):
        get_dataset(find_facts("dtd"), tmp_path / "data", RecordedProgress(), archives=source)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["dtd.tar.gz"]


@pytest.mark.parametrize("name", ["stanford-cars", "ucf101"])
def test_manual_steps_are_printed(name: str, tmp_path: Path) -> None:
    progress = RecordedProgress()
    get_dataset(find_facts(name), tmp_path, progress)
    assert any(find_facts(name).by_hand in line for line in progress.lines)
    assert any("None can be made here" in line for line in progress.lines)
    assert [*tmp_path.iterdir()] == []


def test_every_other_dataset_is_in_torchvision() -> None:
    from latte.components.datasets.published.download import remote_files

    for facts in all_facts().values():
        if facts.torchvision:
            files = remote_files(facts)
            assert all(file.url.startswith(("http://", "https://")) for file in files)
            assert all("/" not in file.name for file in files)
            unchecked = [file for file in files if file.md5 is None]
            assert not unchecked or facts.name == "fgvc-aircraft"


def test_a_torchvision_that_knows_no_download_is_named() -> None:
    from latte.components.datasets.published.download import remote_files

    with pytest.raises(LatteError, match=r"knows no download of Stanford Cars(.|\n)*by hand: http"):
        remote_files(find_facts("stanford-cars"))
