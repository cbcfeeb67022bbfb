"""Packed towers give the features and gradients of open_clip's own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from latte.backbone import packed as attention
from latte.backbone.open_clip import OpenClipBackbone
from latte.backbone.packed import attend
from tests.helpers import clip_models
from tests.helpers.clip_models import build_clip, pixels, with_parts

pytestmark = pytest.mark.thorough

TEXTS = ["a photo of a dog", "hi", "a photo of a big dog", "", "word " * 60, "a dog, big", "yes"]
WITHOUT_PROJECTION = with_parts(text={"proj_type": "none", "width": 16, "heads": 1})
KNOWN = {
    "CLIP": clip_models.TINY_CLIP,
    "quick GELU": clip_models.QUICK_GELU,
    "text tower apart": clip_models.SEPARATE_TEXT,
    "linear projection": clip_models.LINEAR_TEXT_PROJECTION,
    "no text projection": WITHOUT_PROJECTION,
    "pooled at a named end token": clip_models.END_POOLING,
    "layer scale": with_parts({"ls_init_value": 0.3}, {"ls_init_value": 0.3}),
    "norm after pooling": with_parts({"final_ln_after_pool": True}),
    "no norm before": with_parts({"no_ln_pre": True}),
    "fixed positions": with_parts({"pos_embed_type": "sin_cos_2d"}),
    "one layer": with_parts({"layers": 1}, {"layers": 1}),
}
UNKNOWN_IMAGES = {
    "mean of all tokens": with_parts({"pool_type": "avg"}),
    "attentional pooling": with_parts({"attentional_pool": True, "attn_pooler_heads": 2}),
    "custom blocks": clip_models.CUSTOM_BLOCKS,
    "residual network": clip_models.RESNET,
    "timm tower": clip_models.TIMM_MLP,
}


def in_float64(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> OpenClipBackbone:
    """A backbone that trains in float64, and whose unit features stay float64."""
    backbone = build_clip(config)
    backbone.model.double()
    backbone.train_only("all")
    monkeypatch.setattr(
        "latte.backbone.open_clip._unit", lambda features: normalize(features, dim=-1)
    )
    return backbone


def gradients(backbone: OpenClipBackbone, features: Tensor) -> dict[str, Tensor]:
    """Gradients of a fixed linear function of the features, by name."""
    weights = torch.linspace(-1, 1, features.numel(), dtype=features.dtype).sin()
    backbone.model.zero_grad()
    (features * weights.reshape(features.shape)).sum().backward()
    return {
        name: weight.grad.clone()
        for name, weight in backbone.model.named_parameters()
        if weight.grad is not None
    }


def assert_equal_with_gradients(
    backbone: OpenClipBackbone,
    short: Callable[[], Tensor],
    plain: Callable[[], Tensor],
    tolerance: float,
) -> None:
    exact, expected = short(), plain()
    torch.testing.assert_close(exact, expected, atol=tolerance, rtol=0)
    found_gradients, expected_gradients = (
        gradients(backbone, features) for features in (exact, expected)
    )
    assert found_gradients.keys() == expected_gradients.keys()
    for name, gradient in expected_gradients.items():
        scale = gradient.abs().max().clamp_min(1e-3).item()
        torch.testing.assert_close(
            found_gradients[name],
            gradient,
            atol=tolerance * scale,
            rtol=0,
            msg=lambda m, n=name: f"{n}: {m}",
        )


@pytest.mark.parametrize("config", KNOWN.values(), ids=KNOWN)
class TestKnownTowers:
    def test_packed_texts_equal_texts_at_full_context(
        self, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backbone = in_float64(config, monkeypatch)
        assert backbone.text_path == "packed"
        tokens = backbone.tokenizer(TEXTS)
        assert_equal_with_gradients(
            backbone,
            lambda: backbone.encode_texts(TEXTS),
            lambda: backbone.model.encode_text(tokens, normalize=True),
            1e-12,
        )

    def test_class_token_path_equals_the_full_image_tower(
        self, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backbone = in_float64(config, monkeypatch)
        assert backbone.image_path == "class token"
        batch = pixels(backbone, 3).double()
        assert_equal_with_gradients(
            backbone,
            lambda: backbone.encode_images(batch),
            lambda: backbone.model.encode_image(batch, normalize=True),
            1e-12,
        )


@pytest.mark.parametrize("config", UNKNOWN_IMAGES.values(), ids=UNKNOWN_IMAGES)
def test_image_towers_with_other_pooling_use_the_full_path(config: dict[str, Any]) -> None:
    backbone = build_clip(config)
    assert backbone.image_path == "full"
    batch = pixels(backbone, 2)
    with torch.no_grad():
        expected = backbone.model.encode_image(batch, normalize=True)
        torch.testing.assert_close(backbone.encode_images(batch), expected, atol=1e-6, rtol=0)


def saved_bytes(backbone: OpenClipBackbone, batch: Tensor) -> int:
    """Return the bytes that autograd stores in a forward pass of both towers, without weights."""
    weights = {weight.data_ptr() for weight in backbone.model.parameters()}
    held: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        outputs = backbone.encode_images(batch), backbone.encode_texts(TEXTS)
    assert all(features.requires_grad for features in outputs)
    return sum(held.values())


def test_recomputed_activations_give_the_same_gradients_with_less_memory() -> None:
    plain, recomputing = (build_clip(clip_models.TINY_CLIP) for _ in range(2))
    assert recomputing.recompute_activations()
    assert (recomputing.text_path, recomputing.image_path) == ("packed", "class token")
    batch, gradients_of_both = pixels(plain, 3), []
    for backbone in (plain, recomputing):
        weights = backbone.train_only("all")
        features = torch.cat([backbone.encode_images(batch), backbone.encode_texts(TEXTS)])
        (features @ features.T).square().sum().backward()
        gradients_of_both.append({name: weight.grad for name, weight in weights.items()})
    for name, gradient in gradients_of_both[0].items():
        if gradient is not None:
            torch.testing.assert_close(gradients_of_both[1][name], gradient, atol=1e-6, rtol=1e-5)
    assert any(gradient is not None for gradient in gradients_of_both[0].values())
    assert saved_bytes(recomputing, batch) < saved_bytes(plain, batch) / 2


def test_full_path_towers_recompute_activations() -> None:
    backbone = build_clip(next(iter(UNKNOWN_IMAGES.values())))
    assert backbone.image_path == "full"
    assert backbone.recompute_activations()
    assert backbone.model.visual.transformer.grad_checkpointing


def test_patch_dropout_acts_on_the_class_token_path() -> None:
    backbone = build_clip(with_parts({"patch_dropout": 0.5, "image_size": 64}))
    backbone.train_only("all")
    batch = pixels(backbone, 2)
    torch.manual_seed(3)
    features = backbone.encode_images(batch)
    torch.manual_seed(3)
    expected = backbone.model.encode_image(batch, normalize=True)
    torch.testing.assert_close(features, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_as_matrix_products_equals_fused_kernel(
    causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[torch.dtype] = []
    as_products = attention._as_products
    monkeypatch.setattr(
        attention,
        "_as_products",
        lambda *arguments, **keywords: (
            used.append(arguments[0].dtype) or as_products(*arguments, **keywords)
        ),
    )
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(3, 2, 4, 5, 8, generator=generator, dtype=torch.float64)

    def results(dtype: torch.dtype) -> list[Tensor]:
        leaves = inputs.to(dtype, copy=True).requires_grad_()
        attended = attend(*leaves.unbind(), causal=causal)
        attended.sin().sum().backward()
        assert leaves.grad is not None
        return [attended.double(), leaves.grad.double()]

    for exact, short in zip(results(torch.float64), results(torch.bfloat16), strict=True):
        torch.testing.assert_close(short, exact, atol=0.05, rtol=0.05)
    assert used == [torch.bfloat16]
    results(torch.float32)
    with torch.no_grad():
        attend(*inputs.bfloat16().unbind(), causal=causal)
    assert len(used) == 1


class NextAttention(nn.Module):
    """Attention with the interface of `nn.MultiheadAttention`, but of another class."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor, **options: Any) -> Any:
        return self.module(*inputs, **options)


class NextTransformer(nn.Module):
    """Transformer without the attribute `batch_first`."""

    def __init__(self, resblocks: nn.ModuleList) -> None:
        super().__init__()
        self.resblocks = resblocks

    def forward(self, states: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        for block in self.resblocks:
            states = block(states, attn_mask=attn_mask)
        return states

    def get_cast_dtype(self) -> torch.dtype:
        return torch.float32


@pytest.mark.parametrize("change", ["attention", "transformer", "both"])
@pytest.mark.parametrize("config", [clip_models.TINY_CLIP, clip_models.SEPARATE_TEXT])
def test_towers_of_another_version_fall_back_and_say_so(
    monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], change: str
) -> None:
    supported = build_clip(config)
    model = copy.deepcopy(supported.model)
    for tower in (model.visual, getattr(model, "text", model)):
        for block in tower.transformer.resblocks:
            if change != "transformer":
                block.attn = NextAttention(block.attn)
        if change != "attention":
            tower.transformer = NextTransformer(tower.transformer.resblocks)
    if change != "attention":  # the other version's class has the same name
        monkeypatch.setattr(attention, "Transformer", NextTransformer)
    unsupported = OpenClipBackbone(model, config, supported.tokenizer)
    assert (supported.text_path, supported.image_path, supported.notes) == (
        "packed",
        "class token",
        (),
    )
    assert unsupported.text_path == ("cut" if change == "attention" else "full")
    assert unsupported.image_path == "full"
    assert len(unsupported.notes) == 2
    assert torch.allclose(unsupported.encode_texts(TEXTS), supported.encode_texts(TEXTS), atol=1e-6)
    images = pixels(supported, 2)
    assert torch.allclose(
        unsupported.encode_images(images), supported.encode_images(images), atol=1e-6
    )
