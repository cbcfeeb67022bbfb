"""Parameters of each named group, in every kind of tower."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from latte.backbone.open_clip import OpenClipBackbone
from latte.interfaces import LatteError, TrainableGroup
from tests.helpers import clip_models
from tests.helpers.clip_models import build_clip, pixels

pytestmark = pytest.mark.thorough

PROJECTIONS = {
    "CLIP": (clip_models.TINY_CLIP, {"visual.proj", "text_projection"}),
    "text tower apart": (clip_models.SEPARATE_TEXT, {"visual.proj", "text.text_projection"}),
    "linear text projection": (
        clip_models.LINEAR_TEXT_PROJECTION,
        {"visual.proj", "text_projection.weight", "text_projection.bias"},
    ),
    "residual network": (
        clip_models.RESNET,
        {"visual.attnpool.c_proj.weight", "visual.attnpool.c_proj.bias", "text_projection"},
    ),
    "timm with two layers": (
        clip_models.TIMM_MLP,
        {
            "visual.head.mlp.fc1.weight",
            "visual.head.mlp.fc1.bias",
            "visual.head.mlp.fc2.weight",
            "text_projection",
        },
    ),
    "timm with one layer": (clip_models.DROPOUT, {"visual.head.proj.weight", "text_projection"}),
    "timm's own classifier": (
        clip_models.TIMM_CLASSIFIER,
        {"visual.trunk.head.weight", "visual.trunk.head.bias", "text_projection"},
    ),
}


@pytest.mark.parametrize(("config", "names"), PROJECTIONS.values(), ids=PROJECTIONS)
def test_projections_are_the_last_maps_into_the_joint_space(
    config: dict[str, Any], names: set[str]
) -> None:
    assert set(build_clip(config).train_only("projections")) == names


def test_layer_norms_are_all_of_one_tower() -> None:
    backbone = build_clip(clip_models.TINY_CLIP)
    visual = backbone.train_only("visual_layer_norms")
    text = backbone.train_only("text_layer_norms")
    norms = {
        f"{path}.{end}"
        for path, module in backbone.model.named_modules()
        if isinstance(module, nn.LayerNorm)
        for end in ("weight", "bias")
    }
    assert set(visual) | set(text) == norms
    assert len(visual) == 12  # before, after, and two in each of two blocks
    assert all(name.startswith("visual.") for name in visual)
    assert {"ln_final.weight", "ln_final.bias"} <= set(text)
    assert len(text) == 10


@pytest.mark.parametrize(
    "config", [clip_models.TIMM_MLP, clip_models.RESNET], ids=["timm", "residual"]
)
def test_convolutional_towers_train_their_batch_norms_instead(config: dict[str, Any]) -> None:
    backbone = build_clip(config)
    weights = backbone.train_only("visual_layer_norms")
    norms = [m for m in backbone.model.visual.modules() if isinstance(m, nn.BatchNorm2d)]
    expected = {id(weight) for module in norms for weight in (module.weight, module.bias)}
    assert {id(weight) for weight in weights.values()} == expected


def test_group_of_norms_without_norms_raises_error() -> None:
    backbone = build_clip(clip_models.TINY_CLIP)
    backbone.model.visual.ln_pre = backbone.model.visual.ln_post = nn.Identity()
    for block in backbone.model.visual.transformer.resblocks:
        block.ln_1 = block.ln_2 = nn.Identity()
    with pytest.raises(LatteError, match="no LayerNorm or BatchNorm in its image tower"):
        backbone.train_only("visual_layer_norms")


def test_all_trains_the_logit_scale_but_not_a_sigmoid_bias() -> None:
    backbone = build_clip(clip_models.SIGLIP_LIKE)
    everything = {name for name, _ in backbone.model.named_parameters()}
    assert set(backbone.train_only("all")) == everything - {"logit_bias"}


def test_architecture_constants_do_not_train() -> None:
    backbone = build_clip(clip_models.with_parts({"pos_embed_type": "sin_cos_2d"}))
    assert "visual.positional_embedding" not in backbone.train_only("all")


@pytest.mark.parametrize(
    "group", ["all", "visual_layer_norms", "text_layer_norms", "projections", "none"]
)
def test_only_the_group_gets_gradients_and_changes(group: TrainableGroup) -> None:
    backbone = build_clip(clip_models.TINY_CLIP)
    state_before = {name: value.clone() for name, value in backbone.state().items()}
    backbone.train_only("all")
    trained = backbone.train_only(group)
    for name, weight in backbone.model.named_parameters():
        assert weight.requires_grad == (name in trained), name
    if not trained:
        return
    images, texts = backbone.encode_images(pixels(backbone, 3)), backbone.encode_texts(["a", "b"])
    (backbone.logit_scale * images @ texts.T).square().sum().backward()
    torch.optim.SGD(trained.values(), lr=0.1).step()
    moved = {
        name for name, value in backbone.state().items() if not value.equal(state_before[name])
    }
    assert moved <= set(trained)
    assert len(moved) > len(trained) * 0.9
    assert ("logit_scale" in trained) == (group == "all")


def test_a_fresh_backbone_is_frozen(tiny_backbone: OpenClipBackbone) -> None:
    assert not any(weight.requires_grad for weight in tiny_backbone.model.parameters())
    assert not tiny_backbone.encode_images(pixels(tiny_backbone, 1)).requires_grad


def test_blocks_of_a_residual_network_are_its_stages() -> None:
    layers = {"layers": [1, 1, 9, 1], "patch_size": None, "width": 16, "head_width": 8}
    image_tower, _ = build_clip(clip_models.with_parts(layers)).blocks()
    assert image_tower == [f"visual.layer{number}" for number in (1, 2, 3, 4)]


def test_text_decoder_of_coca_is_no_tower() -> None:
    towers = build_clip(clip_models.COCA).blocks()
    assert [len(tower) for tower in towers] == [2, 2]
    assert {tower[0].partition(".")[0] for tower in towers} == {"visual", "text"}
