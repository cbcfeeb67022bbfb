"""Texts that are attended at once have the features and gradients of texts attended by length."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.backbone import varlen
from latte.backbone.open_clip import OpenClipBackbone
from latte.interfaces import LatteError
from tests.helpers import clip_models
from tests.helpers.clip_models import build_clip, with_parts
from tests.helpers.plain_varlen import replace_kernel

pytestmark = pytest.mark.thorough

TEXTS = ["a photo of a dog", "hi", "a photo of a big dog", "", "word " * 60, "a dog, big", "yes"]
TOWERS = {
    "CLIP": clip_models.TINY_CLIP,
    "text tower apart": clip_models.SEPARATE_TEXT,
    "layer scale": with_parts({"ls_init_value": 0.3}, {"ls_init_value": 0.3}),
    "one layer": with_parts({"layers": 1}, {"layers": 1}),
}


def twins(config: dict[str, Any]) -> tuple[OpenClipBackbone, OpenClipBackbone]:
    """Return two backbones with the same weights, of which the second attends at once."""
    by_length, at_once = build_clip(config), build_clip(config)
    at_once.check_kernels("varlen", None)
    at_once.use_kernels("varlen", None)
    return by_length, at_once


def features_and_gradients(backbone: OpenClipBackbone) -> tuple[Tensor, dict[str, Tensor]]:
    weights = backbone.train_only("all")
    features = backbone.encode_texts(TEXTS)
    factors = torch.linspace(-1, 1, features.numel(), dtype=features.dtype).sin()
    (features * factors.view_as(features)).sum().backward()
    return features.detach(), {
        name: weight.grad for name, weight in weights.items() if weight.grad is not None
    }


@pytest.mark.parametrize("recomputed", [False, True], ids=["stored", "recomputed"])
@pytest.mark.parametrize("config", TOWERS.values(), ids=TOWERS)
def test_features_and_gradients_agree_to_1e_12_in_float64(
    config: dict[str, Any], recomputed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = replace_kernel(monkeypatch, torch.float64)
    monkeypatch.setattr(
        "latte.backbone.open_clip._unit", lambda features: normalize(features, dim=-1)
    )
    pair = twins(config)
    for backbone in pair:
        backbone.model.double()
        if recomputed:
            backbone.recompute_activations()
    expected, expected_gradients = features_and_gradients(pair[0])
    assert calls.queries == []
    found, gradients = features_and_gradients(pair[1])
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    assert gradients.keys() == expected_gradients.keys()
    for name, gradient in expected_gradients.items():
        scale = gradient.abs().max().clamp_min(1e-3).item()
        torch.testing.assert_close(gradients[name], gradient, atol=1e-12 * scale, rtol=0)
    layers = config["text_cfg"]["layers"]
    assert len(calls.queries) == layers * (2 if recomputed else 1)
    assert calls.queries[layers - 1] == len(TEXTS)


def test_states_before_the_projection_are_attended_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = replace_kernel(monkeypatch, torch.float32)
    by_length, at_once = twins(clip_models.TINY_CLIP)
    states = []
    for backbone in (by_length, at_once):
        backbone.train_only("projections")
        trunk = backbone.text_trunk()
        assert trunk is not None
        with torch.no_grad():
            states.append(trunk.states(TEXTS))
    assert len(calls.queries) == 2
    torch.testing.assert_close(*states, atol=1e-5, rtol=0)


def test_half_precision_attends_at_once_and_fp32_by_length(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = replace_kernel(monkeypatch)
    by_length, at_once = twins(clip_models.TINY_CLIP)
    assert torch.equal(at_once.encode_texts(TEXTS), by_length.encode_texts(TEXTS))
    assert calls.queries == []
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = at_once.encode_texts(TEXTS), by_length.encode_texts(TEXTS)
    assert len(calls.queries) == 2
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0)


def test_image_towers_do_not_use_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = replace_kernel(monkeypatch, torch.float32)
    _, at_once = twins(clip_models.TINY_CLIP)
    at_once.encode_images(clip_models.pixels(at_once, 2))
    assert calls.queries == []


@pytest.mark.parametrize("config", [clip_models.BIDIRECTIONAL, clip_models.CUSTOM_BLOCKS])
def test_towers_whose_texts_are_padded_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(LatteError, match="pads the texts") as caught:
        build_clip(config).check_kernels("varlen", None)
    assert caught.value.where == "train.text_attention"


@pytest.mark.parametrize(("width", "heads"), [(12, 2), (528, 2)])
def test_heads_that_the_kernel_does_not_support_are_refused(width: int, heads: int) -> None:
    backbone = build_clip(with_parts(text={"width": width, "heads": heads}))
    with pytest.raises(LatteError, match=rf"heads of width {width // heads}\n"):
        backbone.check_kernels("varlen", None)


def test_torch_has_a_kernel_that_takes_the_arguments() -> None:
    assert varlen.kernel().__name__ == "varlen_attn"


def test_torch_without_the_kernel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch.nn.attention.varlen as module

    monkeypatch.setattr(module, "varlen_attn", lambda query, is_causal: query)
    varlen.kernel.cache_clear()
    with pytest.raises(LatteError, match="has no kernel for sequences of different lengths"):
        varlen.kernel()
    monkeypatch.undo()
    varlen.kernel.cache_clear()
    assert varlen.kernel() is module.varlen_attn
