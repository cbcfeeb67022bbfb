"""The last blocks, LoRA and prompts keep the contract of their kind."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from latte_author.testing import StubClip

from latte.components.trainable import (
    LastBlocks,
    LastBlocksOptions,
    Lora,
    LoraOptions,
    Prompts,
    PromptsOptions,
)
from latte.interfaces import LatteError
from tests.helpers.clip_models import (
    SIGLIP_LIKE,
    TIMM_CLASSIFIER,
    TIMM_MLP,
    TINY_CLIP,
    build_clip,
    pixels,
)
from tests.helpers.training_driver import CONTEXT

pytestmark = pytest.mark.thorough

needs_peft = pytest.mark.skipif(
    importlib.util.find_spec("peft") is None, reason="peft is not installed"
)


def last_blocks(blocks: int) -> LastBlocks:
    return LastBlocks(LastBlocksOptions(blocks=blocks), CONTEXT)


@pytest.mark.parametrize("config", [TINY_CLIP, SIGLIP_LIKE, TIMM_CLASSIFIER])
def test_last_blocks_of_both_towers_and_projections_train(config: dict[str, object]) -> None:
    backbone = build_clip(config)
    names = {*last_blocks(1).select(backbone)}
    towers = backbone.blocks()
    assert len(towers) == 2
    for tower in towers:
        assert any(name.startswith(f"{tower[-1]}.") for name in names)
        assert not any(name.startswith(f"{tower[-2]}.") for name in names)
    assert {*backbone.parameters_of("projections")} < names


def test_more_blocks_than_a_tower_has_are_refused() -> None:
    with pytest.raises(LatteError, match="has 2 blocks, fewer than 3") as caught:
        last_blocks(3).select(build_clip(TINY_CLIP))
    assert caught.value.hint == "blocks: 2"


def test_backbone_without_module_is_refused() -> None:
    with pytest.raises(LatteError, match="StubClip has no torch module"):
        last_blocks(1).select(StubClip())


@needs_peft
def test_lora_updates_both_towers_also_if_one_is_convolutional() -> None:
    backbone = build_clip(TIMM_MLP)
    features_before = backbone.encode_images(pixels(backbone, 2))
    lora = Lora(LoraOptions(rank=2), CONTEXT)
    added = lora.select(backbone)
    assert {name.partition(".")[0] for name in added} == {"visual", "transformer"}
    with torch.no_grad():
        for added_weight in added.values():
            added_weight.add_(0.1)
        trained = backbone.encode_images(pixels(backbone, 2))
    lora.merge(backbone)
    assert not torch.allclose(trained, features_before, atol=1e-3)
    assert torch.allclose(backbone.encode_images(pixels(backbone, 2)), trained, atol=1e-6)


@needs_peft
def test_prompts_change_only_texts_with_their_words() -> None:
    backbone = build_clip(TINY_CLIP)
    texts = ["a photo of a cat", "red house"]
    features_before = backbone.encode_texts(texts)
    prompts = Prompts(PromptsOptions(), CONTEXT)
    (trained,) = prompts.select(backbone).values()
    assert trained.shape == (3, TINY_CLIP["text_cfg"]["width"])
    with torch.no_grad():
        trained.add_(torch.randn_like(trained))
        features_after = backbone.encode_texts(texts)
    assert not torch.allclose(features_before[0], features_after[0], atol=1e-3)
    assert torch.allclose(features_before[1], features_after[1], atol=1e-6)


@needs_peft
def test_prompts_without_a_token_are_refused() -> None:
    with pytest.raises(LatteError, match="no token") as caught:
        Prompts(PromptsOptions(words=" "), CONTEXT).select(build_clip(TINY_CLIP))
    assert caught.value.where == "trainable.words"


def test_missing_peft_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latte.components.trainable.importlib.util.find_spec", lambda name: None)
    with pytest.raises(LatteError, match="package peft") as caught:
        Prompts(PromptsOptions(), CONTEXT).check()
    assert caught.value.hint == 'pip install "latte-clip[peft]"'
