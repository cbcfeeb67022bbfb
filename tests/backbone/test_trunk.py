"""Trunks of open_clip's towers, and the parts in which a frozen image trunk processes a batch."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

from latte.components.trainable import LastBlocks, LastBlocksOptions
from latte.interfaces import TrainableGroup
from tests.helpers import clip_models
from tests.helpers.clip_models import build_clip, pixels, with_parts
from tests.helpers.training_driver import CONTEXT

DROPPING_TRUNK = with_parts(
    {"timm_model_name": "test_efficientnet", "timm_pool": "avg", "timm_drop_path": 0.5}
)
PATCH_DROPOUT = with_parts({"patch_dropout": 0.5, "image_size": 64})
WITHOUT_TRUNK = (clip_models.RESNET, clip_models.TIMM_CLASSIFIER, DROPPING_TRUNK, PATCH_DROPOUT)


def sizes_of_parts(trunk: nn.Module) -> list[int]:
    """Return a list that gets the number of images of each pass through `trunk` from now on."""
    image_counts: list[int] = []
    trunk.register_forward_pre_hook(lambda _, inputs: image_counts.append(len(inputs[0])))
    return image_counts


@pytest.mark.parametrize(
    ("group", "part_sizes"), [("projections", [35, 35]), ("none", [35, 35]), ("all", [70])]
)
def test_a_frozen_trunk_processes_a_batch_in_parts(
    group: TrainableGroup, part_sizes: list[int]
) -> None:
    backbone = build_clip(clip_models.TIMM_MLP)
    backbone.train_only(group)
    batch = pixels(backbone, 70)
    expected = backbone.model.encode_image(batch, normalize=True)
    image_counts = sizes_of_parts(backbone.model.visual.trunk)
    features = backbone.encode_images(batch)
    assert image_counts == part_sizes
    assert features.requires_grad == (group != "none")
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-6)
    image_counts.clear()
    with torch.no_grad():
        backbone.encode_images(batch)
    assert image_counts == [35, 35]


@pytest.mark.parametrize("images", [1, 31, 63])
def test_no_part_has_fewer_than_32_images_of_a_larger_batch(images: int) -> None:
    backbone = build_clip(clip_models.TIMM_MLP)
    image_counts = sizes_of_parts(backbone.model.visual.trunk)
    backbone.encode_images(pixels(backbone, images))
    assert image_counts == [images]


@pytest.mark.parametrize(
    ("config", "group"),
    [
        (clip_models.TINY_CLIP, "all"),
        (clip_models.TINY_CLIP, "visual_layer_norms"),
        *product(WITHOUT_TRUNK, ("projections", None)),
    ],
)
def test_a_trunk_that_trains_or_draws_random_numbers_is_not_offered(
    config: dict[str, Any], group: TrainableGroup | None
) -> None:
    """Without a group, the last block of each tower trains."""
    backbone = build_clip(config)
    if group is None:
        LastBlocks(LastBlocksOptions(blocks=1), CONTEXT).select(backbone)
    else:
        backbone.train_only(group)
    assert backbone.image_trunk() is None


def test_dropout_of_the_projection_acts_on_states() -> None:
    backbone = build_clip(clip_models.DROPOUT)
    backbone.train_only("projections")
    trunk = backbone.image_trunk()
    assert trunk is not None
    states = trunk.states(pixels(backbone, 3))
    assert not states.requires_grad
    assert not torch.equal(trunk.features(states), trunk.features(states))
    with torch.no_grad():
        assert torch.equal(trunk.features(states), trunk.features(states))


def features_and_gradients(
    weights: Mapping[str, nn.Parameter], *features: torch.Tensor
) -> list[torch.Tensor]:
    joined = torch.cat(features)
    loss = joined.cumsum(0).sin().sum()
    weight_gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    return [joined, *(gradient for gradient in weight_gradients if gradient is not None)]


@pytest.mark.parametrize("config", [clip_models.TINY_CLIP, clip_models.TIMM_MLP])
def test_states_of_a_block_give_the_bits_of_its_features_and_gradients(
    config: dict[str, Any],
) -> None:
    backbone = build_clip(config)
    weights = backbone.train_only("projections")
    # The shortest text first: whole towers sort texts by length, and gradients sum in this order.
    batch, texts = pixels(backbone, 5), ["hi", "a dog", "a photo of a big dog"]
    images, sentences = backbone.image_trunk(), backbone.text_trunk()
    assert images is not None
    assert sentences is not None
    states = images.states(batch), sentences.states(texts)
    assert all(
        torch.equal(tensor, other_tensor)
        for tensor, other_tensor in zip(
            features_and_gradients(
                weights, backbone.encode_images(batch), backbone.encode_texts(texts)
            ),
            features_and_gradients(
                weights,
                images.features(states[0]),
                sentences.features(states[1], sentences.lengths(texts)),
            ),
            strict=True,
        )
    )


@pytest.mark.parametrize("config", [clip_models.TINY_CLIP, clip_models.TIMM_MLP])
@pytest.mark.parametrize("recompute", [False, True])
def test_outputs_of_frozen_blocks_give_the_bits_of_the_tower(
    config: dict[str, Any], recompute: bool
) -> None:
    backbone = build_clip(config)
    weights = LastBlocks(LastBlocksOptions(blocks=1), CONTEXT).select(backbone)
    batch, trunk = pixels(backbone, 5), backbone.image_trunk()
    assert trunk is not None
    states = trunk.states(batch)
    assert states.shape == (5, trunk.width)
    assert not states.requires_grad
    expected = features_and_gradients(weights, backbone.encode_images(batch))
    if recompute:
        backbone.recompute_activations()
    from_states = features_and_gradients(weights, trunk.features(states))
    assert all(
        torch.equal(tensor, other_tensor)
        for tensor, other_tensor in zip(from_states, expected, strict=True)
    )
