from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import benchmark_trees as trees
import pytest
from latte_author.testing import DatasetContract
from latte_benchmarks import dataset as datasets
from latte_benchmarks.dataset import PublishedOptions
from latte_benchmarks.facts import all_facts
from pydantic import ValidationError

from latte.api import Context, LatteError

NAMES = [*all_facts()]


class TestSplitFile(DatasetContract):
    component = "dtd"
    options: ClassVar[Mapping[str, Any]] = {"root": "data"}

    def write_files(self, folder: Path) -> None:
        trees.write_tree(self.component, folder / "data")


class TestOneListPerSplit(TestSplitFile):
    component = "fgvc-aircraft"


def opened(name: str, context: Context, **options: Any) -> datasets.PublishedDataset:
    component: type[datasets.PublishedDataset] = getattr(datasets, all_facts()[name].target)
    return component(PublishedOptions(**options), context)


@pytest.mark.parametrize("name", NAMES)
class TestEachLayout:
    def test_train_and_val_are_training_and_test_is_evaluation(
        self, name: str, latte_context: Context, tmp_path: Path
    ) -> None:
        trees.write_tree(name, tmp_path / "data")
        source = opened(name, latte_context, root="data")
        expected = [*trees.entries(name, "train"), *trees.entries(name, "val")]
        training = source.training_images()
        assert [image.id for image in training] == sorted(path for path, _, _ in expected)
        labels = {labelled.image.id: labelled.label for labelled in source.evaluation_images()}
        assert labels == {path: label for path, label, _ in trees.entries(name, "test")}
        assert all(image.read_bytes() for image in training)

    def test_classes_are_spelled_as_latteclip_does(
        self, name: str, latte_context: Context, tmp_path: Path
    ) -> None:
        trees.write_tree(name, tmp_path / "data")
        assert opened(name, latte_context, root="data").class_names == trees.SPELLED[name]

    def test_latte_data_holds_it_under_coop_s_name(
        self, name: str, latte_context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LATTE_DATA", str(tmp_path))
        trees.write_tree(name, tmp_path / all_facts()[name].folder)
        assert len(opened(name, latte_context).training_images()) == 8


def test_shuffled_training_labels_of_a_list_change_nothing(
    latte_context: Context, tmp_path: Path
) -> None:
    name = "fgvc-aircraft"
    facts = trees.write_tree(name, tmp_path / "data")
    plain = opened(name, latte_context, root="data")
    split = trees.splits(name)
    labels = [entry[1:] for entry in split["train"]]
    random.Random(3).shuffle(labels)
    train = [(path, *label) for (path, *_), label in zip(split["train"], labels, strict=True)]
    trees.write_splits(facts, tmp_path / "data", {**split, "train": train})
    shuffled = opened(name, latte_context, root="data")
    assert shuffled.training_images() == plain.training_images()
    assert shuffled.evaluation_images() == plain.evaluation_images()
    assert shuffled.class_names == plain.class_names


@pytest.mark.parametrize(
    ("name", "option", "template"),
    [
        ("oxford-pets", {}, "a photo of a {class}."),
        ("oxford-pets", {"template": "coop"}, "a photo of a {class}, a type of pet."),
        ("ucf101", {"template": "released"}, "a photo of a person doing {class}"),
        ("food101", {"template": "coop"}, "a photo of {class}, a type of food."),
        ("dtd", {"template": "supplement"}, "a photo of a {class}."),
        ("sun397", {"template": "at {class}."}, "at {class}."),
    ],
)
def test_templates(
    name: str, option: dict[str, str], template: str, latte_context: Context, tmp_path: Path
) -> None:
    trees.write_tree(name, tmp_path / "data")
    assert opened(name, latte_context, root="data", **option).template == template


def test_a_template_that_is_neither_is_refused() -> None:
    with pytest.raises(ValidationError, match="must be released, coop or supplement, or contain"):
        PublishedOptions(template="relased")


def test_another_split_file_may_be_named(latte_context: Context, tmp_path: Path) -> None:
    facts = trees.write_tree("dtd", tmp_path / "data")
    (tmp_path / "data" / facts.split).rename(tmp_path / "data" / "half.json")
    assert len(opened("dtd", latte_context, root="data", split="half.json").training_images()) == 8


def test_without_root_and_variable_the_error_says_what_to_do(
    latte_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LATTE_DATA", raising=False)
    with pytest.raises(LatteError) as caught:
        opened("sun397", latte_context)
    assert caught.value.where == "dataset.root"
    assert "latte datasets get sun397 --root DIR" in str(caught.value)
    assert caught.value.what == "LATTE_DATA is not set"


def test_a_missing_folder_and_a_missing_split_name_the_command(
    latte_context: Context, tmp_path: Path
) -> None:
    with pytest.raises(LatteError, match=r"no such folder(.|\n)*latte datasets get dtd --root"):
        opened("dtd", latte_context, root="data")
    facts = trees.write_tree("dtd", tmp_path / "data")
    (tmp_path / "data" / facts.split).unlink()
    with pytest.raises(LatteError, match=r"lacks split_zhou(.|\n)*DATASETS.md") as caught:
        opened("dtd", latte_context, root="data")
    assert "latte datasets check dtd --root" in str(caught.value)


def test_an_unknown_variant_is_named_with_its_line(latte_context: Context, tmp_path: Path) -> None:
    trees.write_tree("fgvc-aircraft", tmp_path / "data")
    (tmp_path / "data" / "images_variant_val.txt").write_text(
        "0000004 707-320\n\n1000004 Concord\n"
    )
    with pytest.raises(LatteError, match=r"images_variant_val.txt:3: 'Concord' is no variant"):
        opened("fgvc-aircraft", latte_context, root="data")
