"""Outputs of the text tower's frozen blocks, which are cached with a row per token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.backbone import open_clip
from latte.backbone.encode import _TEXTS_PER_PASS as PASS
from latte.backbone.encode import encode_text_states
from latte.backbone.open_clip import OpenClipBackbone
from latte.backbone.packed import rows_of, starts_of
from latte.interfaces import LatteError, TextTrunk
from latte.interfaces.progress import SilentProgress
from tests.helpers import clip_models
from tests.helpers.clip_models import build_clip
from tests.helpers.training_engine import LAST_BLOCK

TEXTS = ["a photo of a dog", "hi", "", "a dog, big", "word " * 60, "yes", "a photo of a cat"]
TOWERS = {
    "CLIP": clip_models.TINY_CLIP,
    "text tower apart": clip_models.SEPARATE_TEXT,
    "linear projection": clip_models.LINEAR_TEXT_PROJECTION,
    "pools the end token": clip_models.END_POOLING,
    "three layers": clip_models.with_parts(text={"layers": 3}),
}


def trunk_of(backbone: OpenClipBackbone) -> TextTrunk:
    trunk = backbone.text_trunk()
    assert trunk is not None
    return trunk


def cached(trunk: TextTrunk, texts: Sequence[str]) -> Tensor:
    return trunk.features(trunk.states(texts), trunk.lengths(texts))


def features_and_gradients(backbone: OpenClipBackbone, features: Tensor) -> list[Tensor]:
    loss = features.cumsum(0).sin().sum()
    weights = [weight for weight in backbone.model.parameters() if weight.requires_grad]
    weight_gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    gradients = [gradient for gradient in weight_gradients if gradient is not None]
    assert len(gradients) > 5
    return [features.detach(), *gradients]


def assert_same_bits(tensors: Sequence[Tensor], other_tensors: Sequence[Tensor]) -> None:
    assert all(
        torch.equal(tensor, other_tensor)
        for tensor, other_tensor in zip(tensors, other_tensors, strict=True)
    )


@pytest.mark.parametrize("recompute", [False, True], ids=["stored", "recomputed"])
@pytest.mark.parametrize("per_pass", [256, 3], ids="{} per pass".format)
@pytest.mark.parametrize("config", TOWERS.values(), ids=TOWERS)
def test_outputs_of_frozen_blocks_give_the_bits_of_the_tower(
    config: dict[str, Any], per_pass: int, recompute: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_clip, "_TEXTS_PER_PASS", per_pass)
    backbone = build_clip(config)
    LAST_BLOCK.select(backbone)
    if recompute:
        backbone.recompute_activations()
    expected = features_and_gradients(backbone, backbone.encode_texts(TEXTS))
    trunk = trunk_of(backbone)
    states, lengths = trunk.states(TEXTS), trunk.lengths(TEXTS)
    assert states.shape == (int(lengths.sum()), trunk.width)
    assert len({*lengths.tolist()}) > 3
    assert not states.requires_grad
    from_states = features_and_gradients(backbone, trunk.features(states, lengths))
    assert_same_bits(from_states, expected)


@pytest.mark.parametrize("config", TOWERS.values(), ids=TOWERS)
def test_features_agree_with_open_clip_on_one_padded_text_at_a_time(config: dict[str, Any]) -> None:
    backbone = build_clip(config)
    LAST_BLOCK.select(backbone)
    trunk, rows_chosen = trunk_of(backbone), torch.tensor([5, 0, 4, 2])
    states, lengths = trunk.states(TEXTS), trunk.lengths(TEXTS)
    rows = rows_of(starts_of(lengths)[rows_chosen], lengths[rows_chosen])
    features_found = trunk.features(states[rows], lengths[rows_chosen])
    for features, index in zip(features_found, rows_chosen.tolist(), strict=True):
        tokens = backbone.tokenizer([TEXTS[index]])
        expected = normalize(backbone.model.encode_text(tokens), dim=1)[0]
        torch.testing.assert_close(features, expected, rtol=0, atol=1e-6)


def test_rows_of_chosen_sequences_follow_each_other() -> None:
    lengths = torch.tensor([2, 3, 1, 4])
    starts, sequences = starts_of(lengths), torch.tensor([3, 0, 3])
    assert starts.tolist() == [0, 2, 5, 6]
    assert rows_of(starts[sequences], lengths[sequences]).tolist() == [6, 7, 8, 9, 0, 1, 6, 7, 8, 9]
    assert rows_of(starts[:0], lengths[:0]).tolist() == []


@pytest.mark.parametrize("value", [0.0, float("nan")])
@pytest.mark.parametrize("damaged", [0, PASS, PASS + 2])
def test_damaged_outputs_of_one_text_are_reported(damaged: int, value: float) -> None:
    texts = [str(number) for number in range(PASS + 3)]

    def states(part: Sequence[str]) -> Tensor:
        return torch.tensor([[value if text == texts[damaged] else 1.0] for text in part])

    lengths = torch.ones(len(texts), dtype=torch.int64)
    trunk = TextTrunk(1, lambda part: lengths[: len(part)], states, lambda rows, _: rows)
    with pytest.raises(LatteError, match="the text tower gives features that are zero or not"):
        encode_text_states(trunk, texts, lengths, SilentProgress(), torch.device("cpu"))


@pytest.mark.parametrize("config", [clip_models.BIDIRECTIONAL, clip_models.CUSTOM_BLOCKS])
def test_padded_texts_have_no_trunk(config: dict[str, Any]) -> None:
    backbone = build_clip(config)
    LAST_BLOCK.select(backbone)
    assert backbone.text_trunk() is None


@pytest.mark.parametrize("config", [clip_models.TINY_CLIP, clip_models.SEPARATE_TEXT])
@pytest.mark.parametrize("layer", ["token_embedding", "positional_embedding", "resblocks.0"])
def test_texts_whose_first_layers_train_have_no_trunk(config: dict[str, Any], layer: str) -> None:
    backbone = build_clip(config)
    last_weights = [*LAST_BLOCK.select(backbone)]
    names = [name for name, _ in backbone.model.named_parameters()]
    first_weights = [name for name in names if layer in name and not name.startswith("visual.")]
    backbone.train_parameters([*last_weights, *first_weights])
    assert backbone.text_trunk() is None
