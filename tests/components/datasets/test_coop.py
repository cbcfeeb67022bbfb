from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from latte.components.datasets.local import CoopDataset, CoopOptions
from latte.interfaces import Context, LatteError
from tests.helpers.pictures import write_picture

SPLIT: dict[str, list[Any]] = {
    "train": [["cat/2.png", 1, "Tabby_Cat"], ["ant/1.png", 0, "Ant"]],
    "val": [["bee/3.png", 2, "honey_bee"]],
    "test": [["bee/9.png", 2, "honey_bee"], ["ant/8.png", 0, "Ant"], ["cat/7.png", 1, "Tabby_Cat"]],
}


@pytest.fixture(autouse=True)
def images(tmp_path: Path) -> None:
    for entries in SPLIT.values():
        for name, *_ in entries:
            write_picture(tmp_path / "images" / name)


def dataset(context: Context, split: object, **options: object) -> CoopDataset:
    text = split if isinstance(split, str) else json.dumps(split, indent=2)
    (context.base_dir / "split_zhou_Zoo.json").write_text(text)
    settings = {"split": "split_zhou_Zoo.json", "root": "images", **options}
    return CoopDataset(CoopOptions(**settings), context)


def refusal(context: Context, split: object) -> str:
    with pytest.raises(LatteError) as caught:
        source = dataset(context, split)
        source.training_images()
        source.evaluation_images()
    return str(caught.value)


def changed(**splits: list[Any]) -> dict[str, list[Any]]:
    return {**SPLIT, **splits}


def test_coop_trains_on_train_and_val_and_evaluates_on_test(context: Context) -> None:
    source = dataset(context, SPLIT)
    assert [image.id for image in source.training_images()] == [
        "ant/1.png",
        "bee/3.png",
        "cat/2.png",
    ]
    labelled = [(image.image.id, image.label) for image in source.evaluation_images()]
    assert labelled == [("ant/8.png", 0), ("bee/9.png", 2), ("cat/7.png", 1)]
    assert source.audit_labels() == {"ant/1.png": 0, "bee/3.png": 2, "cat/2.png": 1}
    assert all(image.read_bytes() for image in source.training_images())


def test_names_are_ordered_by_label_and_spelled_as_latteclip_does(context: Context) -> None:
    assert dataset(context, SPLIT).class_names == ("ant", "tabby cat", "honey bee")
    assert dataset(context, SPLIT, lower=False).class_names == ("Ant", "Tabby Cat", "honey bee")


def test_label_ids_may_have_gaps(context: Context) -> None:
    split = {
        "train": [["cat/2.png", 40, "cat"], ["ant/1.png", 7, "ant"]],
        "test": [["cat/7.png", 40, "cat"]],
    }
    source = dataset(context, split)
    assert source.class_names == ("ant", "cat")
    assert [image.label for image in source.evaluation_images()] == [1]


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_training_labels_change_nothing(context: Context, seed: int) -> None:
    plain = dataset(context, SPLIT)
    labels = [entry[1:] for entry in SPLIT["train"] + SPLIT["val"]]
    random.Random(seed).shuffle(labels)
    train = [[entry[0], *label] for entry, label in zip(SPLIT["train"], labels, strict=False)]
    val = [[SPLIT["val"][0][0], *labels[2]]]
    shuffled = dataset(context, changed(train=train[::-1], val=val))
    assert shuffled.training_images() == plain.training_images()
    assert shuffled.class_names == plain.class_names
    assert shuffled.evaluation_images() == plain.evaluation_images()


@pytest.mark.parametrize("empty", [[], [None], [None, None]])
def test_training_needs_no_labels_at_all(context: Context, empty: list[None]) -> None:
    plain = dataset(context, SPLIT)
    bare = {name: [[entry[0], *empty] for entry in SPLIT[name]] for name in ("train", "val")}
    source = dataset(context, changed(**bare))
    assert source.training_images() == plain.training_images()
    assert source.class_names == plain.class_names
    assert source.audit_labels() == {}


def test_without_a_test_split_there_is_nothing_to_evaluate(context: Context) -> None:
    split = {"train": SPLIT["train"]}
    assert dataset(context, split).evaluation_images() == ()


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ('{\n"train": [\n[}', "split_zhou_Zoo.json:3: malformed JSON"),
        ("[" * 100_000, "malformed JSON"),
        ([1], "is not a split file: it has no train split"),
        ({"test": []}, "is not a split file: it has no train split"),
        ({"train": {"a": 1}}, "split_zhou_Zoo.json train: is not a list of entries"),
        (changed(val=[["x.png", "0", "ant"]]), 'val[0]: ["x.png", "0", "ant"] is not [path'),
        (changed(val=[["x.png", True, "ant"]]), 'val[0]: ["x.png", true, "ant"] is not [path'),
        (changed(val=["x.png"]), 'val[0]: "x.png" is not [path, label, class name]'),
        (changed(test=[["ant/8.png"]]), "test[0]: an image of the test split has no label"),
        (changed(val=[["bee/3.png", 0, "bee"]]), "val[0]: label 0 is called 'bee'\n  It is called"),
        (changed(val=[["bee/3.png", 5, "ant"]]), "val[0]: class 'ant' occurs twice"),
        (changed(val=[["bee/3.png", 5, "_"]]), "val[0]: a class has an empty name"),
        (changed(val=[["ant/1.png"]]), "val[0]: ant/1.png is listed twice"),
        (changed(val=[["ant/8.png"]]), "1 evaluation images are training images too"),
        (changed(val=[["../x.png"]]), "val[0]: '../x.png' goes up with .."),
        (changed(val=[["/etc/x.png"]]), "val[0]: '/etc/x.png' is an absolute path"),
        (changed(val=[["link.png"]]), "val[0]: 'link.png' is a link that leads out of the root"),
        (changed(train=[["a.png"]], val=[]), "none of the 1 images exists"),
        ({"train": [["cat/2.png", 0, "cat"]]}, "1 class name; at least 2 are needed"),
    ],
)
def test_malformed_split_error_names_the_place(
    context: Context, tmp_path: Path, split: object, message: str
) -> None:
    write_picture(tmp_path / "outside.png")
    (tmp_path / "images" / "link.png").symlink_to(tmp_path / "outside.png")
    assert message in refusal(context, split)
