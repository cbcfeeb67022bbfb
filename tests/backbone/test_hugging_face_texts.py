"""Text towers of Hugging Face that mask padding are cut at the longest text of a pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from open_clip.hf_model import HFTextEncoder
from open_clip.model import CustomTextCLIP
from torch import Tensor

from latte.backbone.open_clip import OpenClipBackbone
from tests.helpers import clip_models
from tests.helpers.clip_models import build_clip

pytestmark = pytest.mark.thorough

transformers = pytest.importorskip("transformers")

CONTEXT, PADDING = 12, 1
CHOSEN = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def tokenize(texts: list[str]) -> Tensor:
    """Each character a token, padded on the right."""
    rows = [[0, *(3 + ord(letter) % 50 for letter in text), 2][:CONTEXT] for text in texts]
    return torch.tensor([[*row, *[PADDING] * (CONTEXT - len(row))] for row in rows])


def build(kind: str, pooler: str, **changes: Any) -> OpenClipBackbone:
    config = transformers.AutoConfig.for_model(
        kind,
        vocab_size=60,
        pad_token_id=PADDING,
        intermediate_size=32,
        max_position_embeddings=20,
        attention_probs_dropout_prob=0.0,
        hidden_dropout_prob=0.0,
        **CHOSEN,
        **changes,
    )
    plain = build_clip(clip_models.SEPARATE_TEXT).model
    assert isinstance(plain, CustomTextCLIP)
    torch.manual_seed(0)
    plain.text = HFTextEncoder("", 16, config=config, pooler_type=pooler, proj_type="mlp")
    return OpenClipBackbone(plain, clip_models.SEPARATE_TEXT, tokenize)


TEXTS = ["abcd", "a", "abcdef", ""]


@pytest.mark.parametrize("pooler", ["mean_pooler", "cls_pooler", "cls_last_hidden_state_pooler"])
@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta"])
def test_cut_texts_equal_texts_at_full_context(kind: str, pooler: str) -> None:
    backbone = build(kind, pooler)
    assert backbone.text_path == "cut"
    seen: list[Tensor] = []
    handle = backbone.model.text.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    weights = torch.linspace(-1, 1, 4 * 16).reshape(4, 16)
    backbone.train_only("all")

    features = backbone.encode_texts(TEXTS)
    (features * weights).sum().backward()
    found_gradients = {
        name: weight.grad.clone()
        for name, weight in backbone.model.named_parameters()
        if weight.grad is not None
    }
    handle.remove()
    assert [tokens.shape for tokens in seen] == [(4, 8)]

    backbone.model.zero_grad()
    expected = backbone.model.encode_text(tokenize(TEXTS), normalize=True)
    (expected * weights).sum().backward()
    torch.testing.assert_close(features, expected, atol=1e-6, rtol=0)
    for name, gradient in found_gradients.items():
        full = dict(backbone.model.named_parameters())[name].grad
        torch.testing.assert_close(gradient, full, atol=1e-6, rtol=1e-4, msg=name)


def test_other_poolers_use_full_context() -> None:
    assert build("bert", "max_pooler").text_path == "full"


def test_other_architectures_use_full_context() -> None:
    backbone = build("bert", "mean_pooler")
    backbone.model.text.config.model_type = "unheard-of"
    unknown_architecture = OpenClipBackbone(backbone.model, clip_models.SEPARATE_TEXT, tokenize)
    assert unknown_architecture.text_path == "full"
