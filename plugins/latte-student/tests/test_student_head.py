"""The classifier that is fitted to the features of given weights before training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from latte_student.head import fit_head
from latte_student.lesson import Lesson
from PIL import Image
from torch import Tensor, nn

from latte.api import ImageReference
from latte.api.output import make_progress

GREYS = (20, 60, 120, 160, 200, 240)
"""Grey values of the images; the bright half is of class 1."""


class Greys(nn.Module):
    """Network whose feature is the mean of the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 2)

    def get_classifier(self) -> nn.Module:
        return self.head

    def forward_features(self, pixels: Tensor) -> Tensor:
        return pixels

    def forward_head(self, maps: Tensor, pre_logits: bool = False) -> Tensor:
        return maps.mean(dim=(1, 2, 3)).unsqueeze(1)


def view(image: Image.Image, index: int, epoch: int) -> Tensor:
    return torch.full((3, 4, 4), image.getpixel((0, 0))[0] / 255)  # type: ignore[index]


@pytest.fixture
def lesson(tmp_path: Path) -> Lesson:
    images = []
    for grey in GREYS:
        path = tmp_path / f"{grey}.png"
        Image.new("RGB", (4, 4), (grey,) * 3).save(path)
        images.append(ImageReference(path.name, path))
    labels = torch.tensor([grey > 140 for grey in GREYS]).long()
    return Lesson(
        ("dark", "bright"),
        tuple(images),
        tuple(map(str, GREYS)),
        torch.nn.functional.one_hot(labels, 2).float(),
        torch.ones(len(GREYS)),
        training=torch.tensor([0, 2, 3, 5]),
        left_out=torch.tensor([1, 4]),
    )


def test_the_fitted_classifier_separates_training_and_left_out_images(lesson: Lesson) -> None:
    network = Greys()
    fit_head(network, lesson, view, 4, "cpu", make_progress(quiet=True))
    features = torch.tensor(GREYS).unsqueeze(1) / 255
    assert network.head(features).argmax(dim=1).tolist() == [0, 0, 0, 1, 1, 1]


def test_an_image_of_weight_zero_does_not_teach(lesson: Lesson) -> None:
    fitted = []
    for wrong in (0.0, 1.0):
        network = Greys()
        lesson.targets[5] = torch.tensor([1 - wrong, wrong])
        lesson.weights[5] = 0.0
        fit_head(network, lesson, view, 4, "cpu", make_progress(quiet=True))
        fitted.append(network.head.weight.detach().clone())
    assert torch.equal(*fitted)


def test_a_network_without_linear_classifier_is_left_as_it_is(lesson: Lesson) -> None:
    network = Greys()
    network.get_classifier = nn.Identity  # type: ignore[method-assign]
    before = network.head.weight.detach().clone()
    fit_head(network, lesson, view, 4, "cpu", make_progress(quiet=True))
    assert torch.equal(before, network.head.weight)
