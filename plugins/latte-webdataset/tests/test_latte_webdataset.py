"""The dataset keeps latte's contract, reads images from their place, and says what is wrong."""

from __future__ import annotations

import tarfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import webdataset_shards as shards
from latte_author.testing import DatasetContract, StubClip
from latte_webdataset.dataset import WebDataset, WebDatasetOptions
from pydantic import ValidationError

from latte.api import Context, LatteError


def opened(root: Path, **options: Any) -> WebDataset:
    context = Context(root, root / "cache", device="cpu", seed=0, frozen_clip=StubClip)
    return WebDataset(WebDatasetOptions(root=str(root), **options), context)


class TestNumbers(DatasetContract):
    component = "webdataset"
    options = {"root": "data"}  # noqa: RUF012

    def write_files(self, folder: Path) -> None:
        shards.write_benchmark(folder / "data")


class TestNamesInJson(DatasetContract):
    component = "webdataset"
    options = {"root": "data", "label": "json:class_name"}  # noqa: RUF012

    def write_files(self, folder: Path) -> None:
        shards.write_benchmark(folder / "data", labels="json")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shards.write_benchmark(tmp_path)
    return tmp_path


def test_each_image_is_read_from_its_place(root: Path) -> None:
    training = opened(root).training_images()
    assert [image.id for image in training] == [
        *(f"train/0.tar/{number:04}.png" for number in range(5)),
        *(f"train/1.tar/{number:04}.png" for number in range(5, 9)),
    ]
    for number, image in enumerate(training):
        assert image.read_bytes() == shards.picture(number % 3, number)


@pytest.mark.parametrize("labels", ["cls", "json"])
def test_labels_are_numbers_or_names(tmp_path: Path, labels: str) -> None:
    shards.write_benchmark(tmp_path, labels)
    label = "cls" if labels == "cls" else "json:class_name"
    dataset = opened(tmp_path, label=label)
    assert [labelled_image.label for labelled_image in dataset.evaluation_images()] == [
        n % 3 for n in range(20, 26)
    ]
    assert [*dataset.audit_labels().values()] == [n % 3 for n in range(9)]
    assert dataset.class_names == shards.NAMES


def test_training_reads_no_label(root: Path) -> None:
    """Labels that nobody could read change nothing but what reports ask for."""
    plain = opened(root)
    members = {
        name: b"\xff no label" if name.endswith("cls") else data
        for name, data in shards.samples(0, 5).items()
    }
    shards.write_tar(root / "train" / "0.tar", members)
    odd = opened(root)
    ids = [image.id for image in plain.training_images()]
    assert [image.id for image in odd.training_images()] == ids
    with pytest.raises(LatteError, match=r"train/0.tar 0000.cls: holds no label"):
        odd.audit_labels()


def test_training_shards_may_have_no_labels_and_there_may_be_no_evaluation(root: Path) -> None:
    images = {k: data for k, data in shards.samples(0, 5).items() if k.endswith("png")}
    shards.write_tar(root / "train" / "0.tar", images)
    dataset = opened(root, train="train/0.tar", evaluation=None)
    assert len(dataset.training_images()) == 5
    assert dataset.audit_labels() == {}
    assert [*dataset.evaluation_images()] == []


@pytest.mark.parametrize(
    ("train", "count"),
    [
        ("train", 9),
        ("train/*.tar", 9),
        ("train/{0..1}.tar", 9),
        (("train/1.tar", "train/0.tar", "train/1.tar"), 9),
        ("train/1.tar", 4),
    ],
)
def test_shards_are_named_in_several_ways(root: Path, train: Any, count: int) -> None:
    assert len(opened(root, train=train).training_images()) == count


def test_numbers_keep_their_zeros(tmp_path: Path) -> None:
    shards.write_benchmark(tmp_path)
    for number in (9, 10):
        shards.write_tar(tmp_path / f"a-{number:03}.tar", shards.samples(number * 10, 2))
    assert len(opened(tmp_path, train="a-{009..010}.tar").training_images()) == 4


def test_keys_end_at_the_first_dot_and_folders_belong_to_them(root: Path) -> None:
    members = {"a/1.png": b"x", "a/1.cls": b"0", "b/1.png": b"y", "b/1.seg.png": b"z", "b/.x": b""}
    shards.write_tar(root / "train" / "0.tar", members)
    ids = [image.id for image in opened(root, train="train/0.tar").training_images()]
    assert ids == ["train/0.tar/a/1.png", "train/0.tar/b/1.png"]


def test_a_large_shard_is_not_read_into_memory(root: Path) -> None:
    shards.write_tar(root / "train" / "0.tar", {"1.png": bytes(20_000_000), "2.png": b"x"})
    tracemalloc.start()
    opened(root).training_images()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def write_huge(shard: Path, name: str, kind: bytes = tarfile.REGTYPE) -> None:
    """Write a tar with a member of 3 GiB, which takes no space on the disk, and an image."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, 3 * 2**30
    image = shards.write_tar(shard, {"b.png": shards.picture(0, 0)}).read_bytes()
    with shard.open("wb") as file:
        file.write(member.tobuf())
        file.seek(member.size, 1)
        file.write(image)


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_image_of_3_gib_is_left_out_without_reading_it(root: Path) -> None:
    write_huge(root / "train" / "0.tar", "a.png")
    with little_memory():
        huge, image = opened(root, train="train/0.tar").training_images()
        with pytest.raises(OSError, match="more than 1,073,741,824 bytes"):
            huge.read_bytes()
        assert image.read_bytes() == shards.picture(0, 0)


def test_label_of_3_gib_is_refused_without_reading_it(root: Path) -> None:
    write_huge(root / "test" / "0.tar", "b.cls")
    with little_memory():
        message = failure(root)
    assert "a label has 3,221,225,472 bytes" in message


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_tar_header_of_3_gib_is_refused_without_reading_it(root: Path, kind: bytes) -> None:
    write_huge(root / "train" / "0.tar", "a", kind)
    with little_memory():
        message = failure(root)
    assert "0.tar: cannot be read as an uncompressed tar: a header has 3,221,225,472" in message


def failure(root: Path, **options: Any) -> str:
    with pytest.raises(LatteError) as caught:
        dataset = opened(root, **options)
        dataset.training_images()
        dataset.evaluation_images()
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": "trian"}, "holds 3 tars, such as test/0.tar"),
        ({"train": "trian/*.tar"}, "no shard matches 'trian/*.tar'"),
        ({"train": "train/{0..3}.tar"}, "no such shard"),
        ({"train": "../train"}, "leads out of root"),
        ({"evaluation": "train/1.tar"}, "has both training and evaluation images"),
        ({"classes": "names.txt"}, "no such file"),
        ({"images": ["jpg"]}, "no images in 2 shards"),
        ({"label": "json:class"}, "an evaluation image has no label: test/0.tar/0020.png"),
    ],
)
def test_wrong_options_are_answered(root: Path, options: dict[str, Any], message: str) -> None:
    assert message in failure(root, **options)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (b"3", "'3' is no class: there are 3, numbered from 0"),
        (b"red thin", "unknown class 'red thin'\n  Did you mean \"red thing\"?"),
        (b"\xff", "test/0.tar 1.cls: holds no label"),
    ],
)
def test_wrong_labels_are_named_with_their_place(root: Path, label: bytes, message: str) -> None:
    members = {"1.png": shards.picture(0, 1), "1.cls": label}
    shards.write_tar(root / "test" / "0.tar", members)
    assert message in failure(root)


def test_a_compressed_or_cut_shard_is_named(root: Path) -> None:
    shards.write_tar(root / "train" / "0.tar", shards.samples(0, 5), mode="w:gz")
    assert "train/0.tar: cannot be read as an uncompressed tar" in failure(root)
    content = shards.write_tar(root / "train" / "0.tar", {"1.png": bytes(5000)}).read_bytes()
    (root / "train" / "0.tar").write_bytes(content[:3000])
    assert "if it was cut short, get it again" in failure(root)


@pytest.mark.parametrize("damage", ["invalid header", "cut between members"])
def test_a_shard_damaged_at_a_later_header_is_named(root: Path, damage: str) -> None:
    shard = shards.write_tar(root / "train" / "0.tar", shards.samples(0, 5))
    with tarfile.open(shard) as tar:
        start = tar.getmembers()[4].offset
    content = shard.read_bytes()
    tail = b"x" * 30 + content[start + 30 :] if damage == "invalid header" else b""
    shard.write_bytes(content[:start] + tail)
    message = failure(root)
    assert "train/0.tar: cannot be read as an uncompressed tar: neither a header" in message
    assert "if it was cut short, get it again" in message


def test_a_tar_may_end_with_a_single_block_of_zeros(root: Path) -> None:
    shard = shards.write_tar(root / "train" / "0.tar", shards.samples(0, 5))
    with tarfile.open(shard) as tar:
        end = tar.getmembers()[-1].offset_data + 512
    shard.write_bytes(shard.read_bytes()[: end + 512])
    assert len(opened(root, train="train/0.tar").training_images()) == 5


def test_a_sample_with_two_images_is_named(root: Path) -> None:
    shards.write_tar(root / "train" / "0.tar", {"1.png": b"x", "1.jpg": b"y"})
    assert "sample 1 has several images: png, jpg" in failure(root)


@pytest.mark.parametrize("names", ["one\n", "one\ntwo\none\n"])
def test_class_names_are_distinct_and_at_least_two(root: Path, names: str) -> None:
    (root / "classnames.txt").write_text(names)
    assert "classnames.txt" in failure(root)


def test_class_names_are_read_below_root_only(root: Path) -> None:
    (root.parent / "private.txt").write_text("one\ntwo\n")
    (root / "link.txt").symlink_to(root.parent / "private.txt")
    for private in (str(root.parent / "private.txt"), "../private.txt", "link.txt"):
        assert "must stay below it" in failure(root, classes=private)


def test_a_template_without_class_is_refused() -> None:
    with pytest.raises(ValidationError, match="must contain"):
        WebDatasetOptions(root="x", template="a photo")
