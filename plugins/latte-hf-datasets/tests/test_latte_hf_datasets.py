"""The dataset keeps latte's contract for each form, and says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

datasets = pytest.importorskip("datasets")

import hf_tables as tables  # noqa: E402
from latte_author.testing import DatasetContract, StubClip  # noqa: E402
from latte_hf_datasets.dataset import HuggingFaceDataset  # noqa: E402
from latte_hf_datasets.images import references  # noqa: E402
from latte_hf_datasets.splits import HuggingFaceOptions  # noqa: E402

from latte.api import Context, LatteError  # noqa: E402

pytestmark = pytest.mark.thorough


@pytest.fixture(autouse=True)
def no_bars_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def opened(root: Path, **options: Any) -> HuggingFaceDataset:
    context = Context(root, root / "cache", device="cpu", seed=0, frozen_clip=StubClip)
    return HuggingFaceDataset(HuggingFaceOptions(**options), context)


class TestSaved(DatasetContract):
    component = "hf"
    options = {"path": "data"}  # noqa: RUF012

    def write_files(self, folder: Path) -> None:
        tables.write_saved(folder / "data")


class TestParquet(DatasetContract):
    component = "hf"
    options = {"path": "data"}  # noqa: RUF012

    def write_files(self, folder: Path) -> None:
        tables.write_parquet(folder / "data")


@pytest.fixture(params=["saved", "parquet"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write = tables.write_saved if request.param == "saved" else tables.write_parquet
    write(tmp_path / "data")
    return tmp_path


def test_rows_become_images_and_labels(root: Path) -> None:
    dataset = opened(root, path="data")
    training = dataset.training_images()
    assert [image.id for image in training] == [f"train/{row:06}" for row in range(9)]
    for number, image in enumerate(training):
        assert image.read_bytes() == tables.picture(number % 3, number)
    assert [labelled_image.label for labelled_image in dataset.evaluation_images()] == [
        n % 3 for n in range(20, 26)
    ]
    assert dataset.class_names == ("red thing", "green thing", "blue thing")
    assert [*dataset.audit_labels().values()] == [n % 3 for n in range(9)]


def test_embedded_images_are_copied_once_by_content(root: Path) -> None:
    images = opened(root, path="data").training_images()
    written = {image.path: image.path.stat().st_mtime_ns for image in images}
    reopened_images = opened(root, path="data").training_images()
    assert {image.path: image.path.stat().st_mtime_ns for image in reopened_images} == written
    assert all(path.is_relative_to(root / "cache" / "latte-hf-datasets") for path in written)
    assert not [*(root / "cache").rglob("*.tmp")]


def test_images_that_are_files_are_read_where_they_lie(tmp_path: Path) -> None:
    files = write_files(tmp_path / "photos")
    rows = references(named_by_path(files), "image", "train", tmp_path / "copies", [tmp_path])
    assert [image.path for image in rows] == files
    assert not (tmp_path / "copies").exists()


def test_a_table_from_elsewhere_cannot_name_images_that_lie_elsewhere(tmp_path: Path) -> None:
    files = write_files(tmp_path / "private")
    with pytest.raises(LatteError, match=r"train\[0\]: the row names .*private/0.png, which is"):
        references(named_by_path(files), "image", "train", tmp_path, [tmp_path / "data"])


def test_an_imagefolder_is_read_like_load_dataset_reads_it(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label, name in enumerate(tables.NAMES):
            file = tmp_path / "data" / split / name / "1.png"
            file.parent.mkdir(parents=True)
            file.write_bytes(tables.picture(label, 1))
    dataset = opened(tmp_path, path="data")
    assert dataset.class_names == ("blue thing", "green thing", "red thing")
    assert {image.path.parent.parent for image in dataset.training_images()} == {
        tmp_path / "data" / "train"
    }
    assert [labelled_image.label for labelled_image in dataset.evaluation_images()] == [0, 1, 2]


def write_files(folder: Path) -> list[Path]:
    folder.mkdir()
    files = [folder / f"{number}.png" for number in range(3)]
    for number, file in enumerate(files):
        file.write_bytes(tables.picture(number, number))
    return files


def named_by_path(files: list[Path]) -> Any:
    features = datasets.Features({"image": datasets.Image(decode=False)})
    return datasets.Dataset.from_dict({"image": [str(file) for file in files]}, features=features)


def test_training_labels_are_not_read(tmp_path: Path) -> None:
    plain = tables.splits()
    plain["train"] = plain["train"].remove_columns("label")
    plain.save_to_disk(str(tmp_path / "data"))
    dataset = opened(tmp_path, path="data")
    assert len(dataset.training_images()) == 9
    assert dataset.audit_labels() == {}
    assert dataset.class_names[0] == "red thing", "from the evaluation split"


def test_a_parquet_file_and_a_saved_table_have_one_split(tmp_path: Path) -> None:
    tables.table(0, 4).to_parquet(str(tmp_path / "rows.parquet"))
    tables.table(0, 4).save_to_disk(str(tmp_path / "rows"))
    for path in ("rows.parquet", "rows"):
        dataset = opened(tmp_path, path=path, evaluation=None)
        assert len(dataset.training_images()) == 4
        assert [*dataset.evaluation_images()] == []


def test_labels_may_be_texts_with_class_names_given(tmp_path: Path) -> None:
    kinds = ["Red Thing", "blue_thing", "green thing"]
    dataset_dict = datasets.DatasetDict(
        {"train": tables.table(0, 3, kind=kinds), "test": tables.table(3, 3, kind=kinds)}
    )
    dataset_dict.save_to_disk(str(tmp_path / "data"))
    names = ("red thing", "green thing", "blue thing")
    dataset = opened(tmp_path, path="data", label="kind", classes=names)
    assert [labelled_image.label for labelled_image in dataset.evaluation_images()] == [0, 2, 1]
    with pytest.raises(LatteError, match=r'unknown class .blue_thing.(.|\n)*"blue thin"'):
        opened(
            tmp_path, path="data", label="kind", classes=("red thing", "blue thin")
        ).evaluation_images()
    with pytest.raises(LatteError, match="'kind' knows no class names"):
        _ = opened(tmp_path, path="data", label="kind").class_names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": "trian"}, "trian"),
        ({"image": "img"}, "has no column 'img'\n  Its columns are image, label"),
        ({"label": "lable", "classes": ("a", "b", "c")}, "has no column 'lable'"),
        ({"classes": ("a", "b")}, "2 is no label of 2 classes"),
        ({"classes": ("a", "a", "b")}, "class names must be several, and distinct"),
    ],
)
def test_wrong_options_are_answered(root: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(LatteError) as caught:
        dataset = opened(root, path="data", **options)
        dataset.training_images()
        _ = dataset.class_names
        dataset.evaluation_images()
    assert message in str(caught.value)


def test_a_missing_path_is_answered(tmp_path: Path) -> None:
    with pytest.raises(LatteError, match="no such file or folder"):
        opened(tmp_path, path="nowhere")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs either path or repository"),
        ({"path": "a", "repository": "b", "revision": "c"}, "needs either path or repository"),
        ({"repository": "ethz/food101"}, "repository needs a revision"),
        ({"path": "a", "revision": "b"}, "revision belongs to repository"),
        ({"path": "a", "evaluation": "train"}, "training would see what it is measured on"),
        ({"path": "a", "template": "a photo"}, "must contain"),
    ],
)
def test_options_that_contradict_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        HuggingFaceOptions(**options)


def test_the_hub_is_asked_for_the_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def load(*arguments: Any, **options: Any) -> Any:
        calls.append((arguments, options))
        return tables.splits()[options["split"]]

    monkeypatch.setattr(datasets, "load_dataset", load)
    dataset = opened(tmp_path, repository="some/set", revision="abc123", config="small")
    assert len(dataset.training_images()) == 9
    assert calls == [(("some/set", "small"), {"split": "train", "revision": "abc123"})]


def test_without_a_network_the_hub_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: Any, **__: Any) -> Any:
        raise ConnectionError("Couldn't reach the Hub\nmore")

    monkeypatch.setattr(datasets, "load_dataset", load)
    dataset = opened(tmp_path, repository="some/set", revision="abc123")
    with pytest.raises(LatteError, match="some/set: split 'train' cannot be opened: Conn"):
        dataset.training_images()
