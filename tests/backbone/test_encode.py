"""Features of whole image sets and of class names."""

from __future__ import annotations

import pytest
import torch

from latte.backbone.encode import ClassTexts, encode_class_texts, encode_image_batches
from latte.backbone.open_clip import OpenClipBackbone
from latte.interfaces import LatteError
from tests.helpers.clip_models import pixels
from tests.helpers.recorded import RecordedProgress


def test_rows_are_in_index_order_for_any_order_of_batches(
    tiny_backbone: OpenClipBackbone, silent_progress: RecordedProgress
) -> None:
    images = pixels(tiny_backbone, 5)
    batches = [(torch.tensor(rows), images[rows]) for rows in ([3, 0], [4], [2, 1])]
    features = encode_image_batches(tiny_backbone, batches, 5, silent_progress, "encode")
    expected = tiny_backbone.encode_images(images)
    torch.testing.assert_close(features, expected, atol=1e-6, rtol=0)
    (task,) = silent_progress.tasks
    assert (task.name, task.total, task.done) == ("encode", 5, 5)
    assert task.closed


def test_features_can_enter_later_training(
    tiny_backbone: OpenClipBackbone, silent_progress: RecordedProgress
) -> None:
    tiny_backbone.train_only("all")
    batch = [(torch.arange(2), pixels(tiny_backbone, 2))]
    features = encode_image_batches(tiny_backbone, batch, 2, silent_progress, "encode")
    assert not features.requires_grad
    weight = torch.zeros(16, requires_grad=True)
    (features @ weight).sum().backward()  # an inference tensor would refuse
    assert weight.grad is not None


def test_missing_image_raises_error(
    tiny_backbone: OpenClipBackbone, silent_progress: RecordedProgress
) -> None:
    batch = [(torch.tensor([0, 2]), pixels(tiny_backbone, 2))]
    with pytest.raises(ValueError, match="1 of 3 images did not come"):
        encode_image_batches(tiny_backbone, batch, 3, silent_progress, "encode")


def test_features_that_are_not_finite_raise_error(
    tiny_backbone: OpenClipBackbone, silent_progress: RecordedProgress
) -> None:
    tiny_backbone.model.visual.proj.data.fill_(torch.nan)
    batch = [(torch.arange(2), pixels(tiny_backbone, 2))]
    with pytest.raises(LatteError, match="not finite") as error:
        encode_image_batches(tiny_backbone, batch, 2, silent_progress, "encode")
    assert "learning rate" in str(error.value.hint)


def test_zero_shot_classifier_has_one_unit_row_per_class(tiny_backbone: OpenClipBackbone) -> None:
    tiny_backbone.train_only("all")
    rows = encode_class_texts(
        tiny_backbone, ClassTexts.of(["a photo of a {class}."], [("cat",), ("dog",)])
    )
    assert not rows.requires_grad
    alone = tiny_backbone.fork().encode_texts(["a photo of a dog."])
    torch.testing.assert_close(rows[1:], alone, atol=1e-6, rtol=0)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(2))
