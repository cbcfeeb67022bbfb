from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchvision.datasets import Flowers102

from latte.components.datasets.published.facts import find_facts
from latte.components.datasets.published.make_split import (
    Labelled,
    divide,
    make_split,
)
from latte.data.sources.splits import Splits, read_splits
from latte.interfaces import LatteError
from tests.helpers.dataset_trees import write_image


def images(sizes: list[int]) -> list[Labelled]:
    return [(f"{c}/{i}.jpg", c, f"class {c}") for c, size in enumerate(sizes) for i in range(size)]


def per_class(part: list[Labelled]) -> Counter[int]:
    return Counter(label for _, label, _ in part)


@given(st.lists(st.integers(3, 60), min_size=1, max_size=6), st.integers(0, 9))
def test_each_class_is_divided_by_coop_s_shares(sizes: list[int], seed: int) -> None:
    listed = images(sizes)
    train, val, test = divide(listed, (0.5, 0.2), random.Random(seed))
    assert sorted([*train, *val, *test]) == sorted(listed)
    for label, size in enumerate(sizes):
        assert per_class(train)[label] == round(size * 0.5)
        assert per_class(val)[label] == round(size * 0.2)


@given(st.lists(st.integers(3, 60), min_size=1, max_size=6), st.integers(0, 9))
def test_a_fifth_of_the_official_training_images_is_held_out(sizes: list[int], seed: int) -> None:
    listed = images(sizes)
    val, train = divide(listed, (0.2,), random.Random(seed))
    assert sorted([*train, *val]) == sorted(listed)
    assert all(per_class(val)[label] == round(n * 0.2) for label, n in enumerate(sizes))


def made(name: str, root: Path) -> Splits:
    facts = find_facts(name)
    make_split(facts, root)
    return read_splits(root / facts.split)


def seen(splits: Splits) -> dict[str, tuple[int | None, str]]:
    entries = [entry for part in splits.values() for entry in part]
    return {entry.path: (entry.label, entry.name) for entry in entries}


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def test_folders_are_classes_but_for_those_that_coop_leaves_out(tmp_path: Path) -> None:
    for folder in ("BACKGROUND_Google", "Faces", "Faces_easy", "airplanes", "crab"):
        for number in range(10):
            write_image(tmp_path / "101_ObjectCategories" / folder / f"image_{number:04}.jpg")
    splits = made("caltech101", tmp_path)
    assert [len(splits[part]) for part in ("train", "val", "test")] == [15, 6, 9]
    names = {*seen(splits).values()}
    assert names == {(0, "face"), (1, "airplane"), (2, "crab")}, "capitals come first"


def test_the_same_folders_give_the_same_split_and_it_says_what_it_is(tmp_path: Path) -> None:
    for folder in ("River", "SeaLake"):
        for number in range(10):
            write_image(tmp_path / "2750" / folder / f"{folder}_{number}.jpg")
    facts = find_facts("eurosat")
    what = make_split(facts, tmp_path)
    first = (tmp_path / facts.split).read_bytes()
    make_split(facts, tmp_path)
    assert (tmp_path / facts.split).read_bytes() == first
    assert json.loads(first)["made_by"] == what
    assert "not comparable with published ones" in what
    assert {*seen(made("eurosat", tmp_path)).values()} == {(0, "River"), (1, "Sea or Lake")}


def test_pets_come_from_the_official_lists(tmp_path: Path) -> None:
    lists = tmp_path / "annotations"
    training = [f"Abyssinian_{i} 1 1 1" for i in range(5)]
    training += [f"american_bulldog_{i} 2 2 1" for i in range(5)]
    write(lists / "trainval.txt", *training)
    write(lists / "test.txt", "#Image CLASS-ID SPECIES BREED-ID", "american_bulldog_99 2 2 1")
    splits = made("oxford-pets", tmp_path)
    assert [len(splits[part]) for part in ("train", "val", "test")] == [8, 2, 1]
    assert seen(splits)["Abyssinian_0.jpg"] == (0, "abyssinian")
    assert seen(splits)["american_bulldog_99.jpg"] == (1, "american_bulldog")


def test_scenes_are_read_backwards_without_their_letter(tmp_path: Path) -> None:
    write(tmp_path / "ClassName.txt", "/a/abbey", "/a/apse/indoor")
    write(tmp_path / "Training_01.txt", *(f"/a/apse/indoor/sun_{i}.jpg" for i in range(5)))
    write(tmp_path / "Testing_01.txt", "/a/abbey/sun_9.jpg")
    splits = made("sun397", tmp_path)
    assert seen(splits)["a/apse/indoor/sun_0.jpg"] == (1, "indoor apse")
    assert [entry.path for entry in splits["test"]] == ["a/abbey/sun_9.jpg"]
    assert [len(splits[part]) for part in ("train", "val")] == [4, 1]


def test_actions_are_split_at_capitals(tmp_path: Path) -> None:
    lists = tmp_path / "ucfTrainTestlist"
    write(lists / "classInd.txt", "1 ApplyEyeMakeup", "2 YoYo")
    videos = [f"ApplyEyeMakeup/v_ApplyEyeMakeup_g{i:02}_c01.avi 1" for i in range(5)]
    write(lists / "trainlist01.txt", *videos)
    write(lists / "testlist01.txt", "YoYo/v_YoYo_g01_c01.avi")
    splits = made("ucf101", tmp_path)
    expected = "Apply_Eye_Makeup/v_ApplyEyeMakeup_g00_c01.jpg"
    assert seen(splits)[expected] == (0, "Apply_Eye_Makeup")
    assert [entry.path for entry in splits["test"]] == ["Yo_Yo/v_YoYo_g01_c01.jpg"]


def test_flowers_have_their_labels_in_a_matlab_file(tmp_path: Path) -> None:
    scipy = pytest.importorskip("scipy.io")
    scipy.savemat(tmp_path / "imagelabels.mat", {"labels": [[2, 1, *[1] * 9, *[2] * 9]]})
    write(tmp_path / "cat_to_name.json", json.dumps({"1": "pink primrose", "2": "sweet pea"}))
    splits = made("flowers102", tmp_path)
    assert seen(splits)["image_00001.jpg"] == (1, "sweet pea")
    assert seen(splits)["image_00002.jpg"] == (0, "pink primrose")
    assert [len(splits[part]) for part in ("train", "val", "test")] == [10, 4, 6]


def test_flowers_without_names_file_use_torchvision_names(tmp_path: Path) -> None:
    scipy = pytest.importorskip("scipy.io")
    if not hasattr(Flowers102, "classes"):
        pytest.skip("this torchvision does not have them")
    scipy.savemat(tmp_path / "imagelabels.mat", {"labels": [[*[1] * 9, *[102] * 9]]})
    names = {*seen(made("flowers102", tmp_path)).values()}
    assert names == {(0, "pink primrose"), (101, "blackberry lily")}


def test_older_torchvision_without_flower_names_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scipy = pytest.importorskip("scipy.io")
    monkeypatch.setattr("torchvision.datasets.Flowers102", type("Older", (), {}))
    scipy.savemat(tmp_path / "imagelabels.mat", {"labels": [[*[1] * 9, *[102] * 9]]})
    with pytest.raises(LatteError, match="names of the flowers"):
        made("flowers102", tmp_path)


def test_cars_have_their_year_first(tmp_path: Path) -> None:
    scipy = pytest.importorskip("scipy.io")
    (tmp_path / "devkit").mkdir()
    names = ["AM General Hummer SUV 2000", "Audi TTS Coupe 2012"]
    scipy.savemat(tmp_path / "devkit" / "cars_meta.mat", {"class_names": _cells(names)})
    training = [(f"{i:05}.jpg", 1 + i % 2) for i in range(10)]
    _write_cars(tmp_path / "devkit" / "cars_train_annos.mat", training)
    _write_cars(tmp_path / "cars_test_annos_withlabels.mat", [("00001.jpg", 2), ("00002.jpg", 1)])
    splits = made("stanford-cars", tmp_path)
    assert seen(splits)["cars_train/00000.jpg"] == (0, "2000 AM General Hummer SUV")
    assert seen(splits)["cars_test/00001.jpg"] == (1, "2012 Audi TTS Coupe")
    assert [len(splits[part]) for part in ("train", "val", "test")] == [8, 2, 2]


def _cells(values: list[str]) -> object:
    import numpy

    cells = numpy.empty((1, len(values)), dtype=object)
    cells[0, :] = values
    return cells


def _write_cars(file: Path, rows: list[tuple[str, int]]) -> None:
    import numpy
    from scipy.io import savemat

    table = numpy.array([rows], dtype=[("fname", object), ("class", object)])
    savemat(file, {"annotations": table})


def test_a_list_that_is_missing_or_odd_is_named(tmp_path: Path) -> None:
    with pytest.raises(LatteError, match="no such file"):
        make_split(find_facts("sun397"), tmp_path)
    write(tmp_path / "annotations" / "trainval.txt", "Abyssinian_1 1 1 1", "Abyssinian_2 one")
    with pytest.raises(LatteError, match=r"trainval.txt:2: 'Abyssinian_2 one' is not as expected"):
        make_split(find_facts("oxford-pets"), tmp_path)
    write(tmp_path / "ClassName.txt", "/a/abbey")
    write(tmp_path / "Training_01.txt", "/a/abby/sun_1.jpg")
    with pytest.raises(LatteError, match="'a/abby' is in no list of classes"):
        make_split(find_facts("sun397"), tmp_path)
    assert not [*tmp_path.glob("split_*")]
