"""Folders as people have them, drawn from made-up labelled sets."""

from __future__ import annotations

from dataclasses import replace

import numpy
import pytest
import torch
from latte_benchmarks.folder_cells import (
    CELL,
    CELLS,
    NAMES,
    NO_CLASS,
    TEST_IMAGES_PER_CLASS,
    Folder,
    FolderCell,
    can_draw,
    draw,
    lent_images,
    subset,
)

from tests.helpers.labelled_sets import labelled_set

WHOLE = labelled_set("birds")
OTHER = labelled_set("cars", classes=120, train=20)


def same(folder: Folder, other_folder: Folder) -> bool:
    tensors = (
        (
            each_folder.own.features,
            each_folder.own.labels,
            each_folder.test.labels,
            each_folder.texts,
            each_folder.mix,
        )
        for each_folder in (folder, other_folder)
    )
    return folder.names == other_folder.names and all(map(torch.equal, *tensors))


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_equal_arguments_give_an_equal_folder_and_another_seed_another(cell: FolderCell) -> None:
    folder = draw(WHOLE, cell, 3, [WHOLE, OTHER])
    assert same(folder, draw(WHOLE, cell, 3, [WHOLE, OTHER]))
    assert not same(folder, draw(WHOLE, cell, 4, [WHOLE, OTHER]))


def test_images_drawn_do_not_depend_on_the_clip() -> None:
    turned = replace(WHOLE, texts=WHOLE.texts.flip(1), logit_scale=20.0)
    for cell in CELLS:
        ours, theirs = (
            draw(labelled_set, cell, 0, [labelled_set, OTHER]) for labelled_set in (WHOLE, turned)
        )
        assert torch.equal(ours.own.labels, theirs.own.labels)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_mix_is_that_of_the_own_images_and_unseen_images_cover_it(cell: FolderCell) -> None:
    folder = draw(WHOLE, cell, 0, [WHOLE, OTHER])
    shown = folder.own.labels[folder.own.labels >= 0]
    shares = shown.bincount(minlength=len(folder.names)).double() / len(shown)
    assert torch.allclose(folder.mix, shares)
    assert {*folder.mix.nonzero().flatten().tolist()} <= {*folder.test.labels.tolist()}


def test_unseen_images_are_of_the_test_part_and_bounded_per_class() -> None:
    birds = labelled_set("birds", test=TEST_IMAGES_PER_CLASS + 5)
    folder = draw(birds, CELL["all names"], 0, [])
    assert folder.test.labels.bincount().tolist() == [TEST_IMAGES_PER_CLASS] * 10
    test_rows = {tuple(row) for row in birds.test.features.tolist()}
    assert all(tuple(row) in test_rows for row in folder.test.features.tolist())


@pytest.mark.parametrize(
    ("name", "occurring"),
    [("2 % of the names", 2), ("5 % of the names", 5), ("10 % of the names", 10)],
)
def test_names_that_do_not_occur_come_from_other_sets(name: str, occurring: int) -> None:
    folder = draw(WHOLE, CELL[name], 0, [WHOLE, OTHER])
    assert len(folder.own.labels.unique()) == occurring
    assert len(folder.names) == len(folder.texts) == NAMES
    assert folder.names[:10] == WHOLE.names
    assert all(name.startswith("cars") for name in folder.names[10:])
    assert torch.equal(folder.texts[:10], WHOLE.texts)
    places = [OTHER.names.index(name) for name in folder.names[10:]]
    assert torch.equal(folder.texts[10:], OTHER.texts[places])


def test_a_set_without_others_keeps_its_names_and_their_share_occurs() -> None:
    folder = draw(WHOLE, CELL["50 % of the names"], 0, [WHOLE])
    assert folder.names == WHOLE.names
    assert len(folder.own.labels.unique()) == 5


def test_names_and_images_are_not_lent_by_subsets_or_under_a_known_name() -> None:
    part = subset(WHOLE, 4, 0, "some birds")
    assert len(lent_images(WHOLE, [part])) == 0
    twin = labelled_set("photos", classes=20, train=3, prefix="BIRDS")
    assert len(lent_images(WHOLE, [twin])) == 10 * 3
    folder = draw(WHOLE, CELL["5 % of the names"], 0, [twin])
    assert {*folder.names[10:]} == {*twin.names[10:]}


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_images_of_no_class_have_label_minus_one_and_come_from_other_sets(share: float) -> None:
    folder = draw(WHOLE, CELL[f"{100 * share:.0f} % of no class"], 0, [WHOLE, OTHER])
    foreign = folder.own.labels == NO_CLASS
    assert float(foreign.double().mean()) == pytest.approx(share, abs=0.01)
    foreign_rows = {tuple(row) for row in OTHER.train.features.tolist()}
    assert all(tuple(row) in foreign_rows for row in folder.own.features[foreign].tolist())
    assert folder.names == WHOLE.names


def test_images_of_no_class_need_another_set() -> None:
    assert not can_draw(WHOLE, CELL["10 % of no class"], [WHOLE])
    assert can_draw(WHOLE, CELL["10 % of no class"], [WHOLE, OTHER])
    assert can_draw(WHOLE, CELL["all names"], [WHOLE])


@pytest.mark.parametrize("count", [25, 50, 100, 200])
def test_folders_of_few_images_have_just_so_many(count: int) -> None:
    assert len(draw(WHOLE, CELL[f"{count} images"], 0, []).own) == count


def test_a_class_that_runs_short_gives_fewer_images_and_none_twice() -> None:
    birds = labelled_set("birds", train=[2] + [40] * 9)
    folder = draw(birds, CELL["200 images"], 0, [])
    assert folder.own.labels.bincount().tolist()[0] == 2
    assert 180 <= len(folder.own) < 200
    assert len({tuple(row) for row in folder.own.features.tolist()}) == len(folder.own)


def test_classes_without_training_images_are_never_drawn() -> None:
    birds = labelled_set("birds", train=[0] + [40] * 9)
    for cell in CELLS:
        assert 0 not in draw(birds, cell, 0, [OTHER]).own.labels


def test_zipf_shares_fall_with_the_rank() -> None:
    counts = draw(WHOLE, CELL["Zipf 1"], 0, []).own.labels.bincount().sort(descending=True)
    expected = 40 / numpy.arange(1, 11)
    assert numpy.abs(counts.values.numpy() - expected).max() <= 3


def test_dominant_class_has_half_of_the_images() -> None:
    counts = draw(WHOLE, CELL["one dominant class"], 0, []).own.labels.bincount()
    assert float(counts.max() / counts.sum()) == pytest.approx(0.5, abs=0.03)


def test_each_image_twice() -> None:
    own_images = draw(WHOLE, CELL["each image twice"], 0, []).own
    half = len(own_images) // 2
    assert torch.equal(own_images.features[:half], own_images.features[half:])
    assert torch.equal(own_images.labels[:half], own_images.labels[half:])


def test_shuffled_names_keep_all_texts_at_other_places() -> None:
    texts = draw(WHOLE, CELL["shuffled names"], 0, []).texts
    assert not torch.equal(texts, WHOLE.texts)
    assert torch.equal(texts.sort(dim=0).values, WHOLE.texts.sort(dim=0).values)


def test_subset_keeps_images_and_texts_of_its_classes_alone() -> None:
    part = subset(WHOLE, 4, 7, "some birds")
    assert part.source == "birds"
    places = [WHOLE.names.index(name) for name in part.names]
    assert places == sorted(places)
    assert torch.equal(part.texts, WHOLE.texts[places])
    assert part.train.labels.bincount().tolist() == [40] * 4
    for place, label in enumerate(places):
        ours = part.train.features[part.train.labels == place]
        assert torch.equal(ours, WHOLE.train.features[WHOLE.train.labels == label])
