from __future__ import annotations

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from latte.data.groups import draw_class_groups, draw_groups, grid

pytestmark = pytest.mark.thorough

labels_of = st.lists(st.integers(0, 6), max_size=60).map(
    lambda values: torch.tensor(values, dtype=torch.int64)
)


@given(labels_of, st.integers(1, 6), st.integers(0, 2**31))
def test_groups_have_one_label_and_repeat_only_if_too_few(
    labels: torch.Tensor, size: int, seed: int
) -> None:
    groups = draw_groups(labels, size, seed)
    assert groups.shape == (len(labels), size)
    assert groups.dtype == torch.int64
    assert torch.equal(labels[groups], labels[:, None].expand(-1, size))
    for label, group in zip(labels.tolist(), groups.tolist(), strict=True):
        if (labels == label).sum() >= size:
            assert len(set(group)) == size


@given(labels_of, st.integers(1, 6), st.integers(0, 2**31))
def test_groups_depend_on_labels_size_and_seed_alone(
    labels: torch.Tensor, size: int, seed: int
) -> None:
    torch.manual_seed(seed)
    groups = draw_groups(labels, size, seed)
    torch.rand(3)
    assert torch.equal(draw_groups(labels.clone(), size, seed), groups)


def test_groups_do_not_depend_on_the_numbers_of_classes() -> None:
    labels = torch.arange(40) % 4
    assert torch.equal(draw_groups(labels, 4, 0), draw_groups(labels * 3 + 5, 4, 0))


def test_seeds_give_different_groups() -> None:
    labels = torch.zeros(30, dtype=torch.int64)
    drawn = {draw_groups(labels, 4, seed).numpy().tobytes() for seed in range(10)}
    assert len(drawn) == 10
    assert len({tuple(group) for group in draw_groups(labels, 4, 0).tolist()}) > 25


def test_ordered_groups_are_equally_likely() -> None:
    labels = torch.zeros(5, dtype=torch.int64)
    groups = torch.cat([draw_groups(labels, 3, seed) for seed in range(2400)])
    codes = groups @ torch.tensor([25, 5, 1])
    _, counts = torch.unique(codes, return_counts=True)
    assert len(counts) == 5 * 4 * 3
    expected = len(groups) / 60
    chi_squared = float(((counts - expected) ** 2 / expected).sum())
    assert chi_squared < 98  # 0.1 % of draws with 59 degrees of freedom are above


def test_image_is_in_its_group_only_by_chance() -> None:
    labels = torch.zeros(400, dtype=torch.int64)
    groups = draw_groups(labels, 4, 0)
    inside = (groups == torch.arange(400)[:, None]).any(1).sum()
    assert inside < 20


def squares(count: int) -> list[Image.Image]:
    return [Image.new("RGB", (50, 50), (40 + 10 * i, 0, 0)) for i in range(count)]


@given(labels_of, st.integers(1, 6), st.integers(1, 9), st.integers(0, 2**31))
def test_class_groups_are_at_most_the_images_of_the_class(
    labels: torch.Tensor, size: int, groups_per_class: int, seed: int
) -> None:
    groups, group_labels = draw_class_groups(labels, size, groups_per_class, seed)
    of_group = labels[groups[:, 0]]
    assert torch.equal(labels[groups], of_group[:, None].expand(-1, size))
    assert torch.equal(of_group[group_labels], labels)
    for label in set(labels.tolist()):
        images = (labels == label).nonzero().squeeze(1)
        shared = group_labels[images].bincount(minlength=len(groups))[of_group == label]
        assert len(shared) == min(groups_per_class, len(images))
        assert int(shared.max() - shared.min()) <= 1, "images are dealt out evenly"
        if len(images) >= size:
            assert all(len({*group}) == size for group in groups[of_group == label].tolist())
    repeated = draw_class_groups(labels.clone(), size, groups_per_class, seed)
    assert torch.equal(repeated[0], groups)
    assert torch.equal(repeated[1], group_labels)


def test_seeds_assign_images_to_class_groups_differently() -> None:
    labels = torch.arange(30) % 2
    dealt = {draw_class_groups(labels, 4, 3, seed)[1].numpy().tobytes() for seed in range(10)}
    assert len(dealt) == 10


def test_four_images_fill_four_cells_of_326_pixels_20_apart() -> None:
    shown = numpy.asarray(grid(squares(4)))[:, :, 0]
    assert shown.shape == (672, 672)
    for i, (top, left) in enumerate([(0, 0), (0, 346), (346, 0), (346, 346)]):
        assert (shown[top : top + 326, left : left + 326] == 40 + 10 * i).all()
    assert (shown[326:346] == 0).all()
    assert (shown[:, 326:346] == 0).all()


def test_grid_of_two_images_has_an_empty_lower_row() -> None:
    shown = numpy.asarray(grid(squares(2)))[:, :, 0]
    assert (shown[:326, :326] == 40).all()
    assert (shown[:326, 346:] == 50).all()
    assert (shown[326:] == 0).all()


@pytest.mark.parametrize(("count", "cell"), [(5, 210), (9, 210), (10, 153), (16, 153)])
def test_grid_has_more_cells_for_more_images(count: int, cell: int) -> None:
    shown = numpy.asarray(grid(squares(count)))[:, :, 0]
    assert [value for value in numpy.unique(shown) if value] == [40 + 10 * i for i in range(count)]
    assert all((shown == 40 + 10 * i).sum() == cell * cell for i in range(count))


@pytest.mark.parametrize(("size", "shape"), [((100, 50), (326, 163)), ((30, 90), (109, 326))])
def test_grid_keeps_aspects_and_centres_images(
    size: tuple[int, int], shape: tuple[int, int]
) -> None:
    shown = grid([Image.new("RGB", size, (255, 255, 255))])
    left, top = (326 - shape[0]) // 2, (326 - shape[1]) // 2
    assert shown.getbbox() == (left, top, left + shape[0], top + shape[1])


def test_grid_shows_an_image_of_extreme_aspect() -> None:
    shown = grid([Image.new("RGB", (5000, 1), (255, 255, 255))])
    assert shown.getbbox() == (0, 162, 326, 163)


@pytest.mark.parametrize("count", [0, 1200])
def test_grid_rejects_too_few_or_too_many_images(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} images"):
        grid(squares(1) * count)
