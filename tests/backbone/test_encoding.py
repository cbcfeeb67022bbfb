"""Encoding by an open_clip backbone: text lengths, token cache, dropout and logit scale."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from latte.backbone.open_clip import OpenClipBackbone
from latte.backbone.texts import TokenCache, count_cut
from latte.interfaces import LatteError, PixelFormat
from tests.helpers import clip_models
from tests.helpers.clip_models import build_clip, pixels

pytestmark = pytest.mark.thorough

TEXTS = ["a photo of a dog.", "hi", "a photo of a dog.", "", "word " * 60, "ein Übermaß an Größe"]

PACKED = {
    "CLIP": clip_models.TINY_CLIP,
    "quick GELU": clip_models.QUICK_GELU,
    "text tower apart": clip_models.SEPARATE_TEXT,
    "linear projection": clip_models.LINEAR_TEXT_PROJECTION,
    "pooled at a named end token": clip_models.END_POOLING,
    "residual network": clip_models.RESNET,
    "timm tower": clip_models.TIMM_MLP,
}
CUT = {"custom blocks": clip_models.CUSTOM_BLOCKS}
FULL = {"bidirectional": clip_models.BIDIRECTIONAL, "like SigLIP": clip_models.SIGLIP_LIKE}
ALL = {**PACKED, **CUT, **FULL}


def open_clip_texts(backbone: OpenClipBackbone, texts: list[str]) -> Tensor:
    """open_clip's own features at the full context length, one text at a time."""
    rows = [
        backbone.model.encode_text(backbone.tokenizer([text]), normalize=True) for text in texts
    ]
    return torch.cat(rows)


@pytest.fixture(scope="module")
def shared_backbone() -> OpenClipBackbone:
    return build_clip(clip_models.TINY_CLIP)


@pytest.mark.parametrize("config", ALL.values(), ids=ALL)
def test_features_are_those_of_open_clip_at_full_context(config: dict[str, object]) -> None:
    backbone = build_clip(config)
    batch = pixels(backbone, 3)
    with torch.no_grad():
        expected = backbone.model.encode_image(batch, normalize=True)
        torch.testing.assert_close(backbone.encode_images(batch), expected, atol=1e-6, rtol=0)
        torch.testing.assert_close(
            backbone.encode_texts(TEXTS), open_clip_texts(backbone, TEXTS), atol=1e-6, rtol=0
        )


def token_embeddings_of(backbone: OpenClipBackbone) -> list[Tensor]:
    """Grows by the tokens of every pass through the text tower."""
    seen: list[Tensor] = []
    text = getattr(backbone.model, "text", backbone.model)
    text.token_embedding.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    return seen


@pytest.mark.parametrize("config", PACKED.values(), ids=PACKED)
def test_causal_towers_encode_no_token_after_the_end(config: dict[str, object]) -> None:
    backbone = build_clip(config)
    seen = token_embeddings_of(backbone)

    backbone.encode_texts(["a very red car", "a red car"])

    assert backbone.text_path == "packed"
    assert [len(tokens) for tokens in seen] == [5 + 6]  # start, words, end


@pytest.mark.parametrize("config", CUT.values(), ids=CUT)
def test_causal_towers_with_unknown_blocks_are_cut_at_the_longest_text(
    config: dict[str, object],
) -> None:
    backbone = build_clip(config)
    seen = token_embeddings_of(backbone)

    backbone.encode_texts(["a very red car", "a red car"])

    assert backbone.text_path == "cut"
    assert [tokens.shape for tokens in seen] == [(2, 6)]


@pytest.mark.parametrize("config", FULL.values(), ids=FULL)
def test_towers_without_causal_mask_use_full_context(config: dict[str, object]) -> None:
    assert build_clip(config).text_path == "full"


def test_texts_whose_last_word_is_cut_are_counted(tiny_backbone: OpenClipBackbone) -> None:
    texts = [
        [f"{'red ' * count}{last_word}" for count in range(25, 36)] for last_word in ("dog", "cat")
    ]
    features = [tiny_backbone.encode_texts(variants) for variants in texts]
    same = sum(torch.equal(dog, cat) for dog, cat in zip(*features, strict=True))
    assert 0 < same == tiny_backbone.count_cut(texts[0])
    assert tiny_backbone.count_cut([]) == 0


@pytest.mark.parametrize("left", [False, True])
def test_padding_is_not_counted_as_cut(left: bool) -> None:
    end = padding = 1

    def tokenizer(texts: list[str], context_length: int = 6) -> Tensor:
        rows = []
        for text in texts:
            row = [*text.encode()[: context_length - 1], end]
            pad = [padding] * (context_length - len(row))
            rows.append([*pad, *row] if left else [*row, *pad])
        return torch.tensor(rows)

    assert count_cut(tokenizer, ["", "abc", "abcde", "abcdef", "abcdefghij"]) == 2


@settings(deadline=None, max_examples=25)
@given(texts=st.lists(st.text(max_size=200), min_size=1, max_size=6))
def test_any_texts_give_unit_features_equal_to_open_clips(
    shared_backbone: OpenClipBackbone, texts: list[str]
) -> None:
    with torch.no_grad():
        features = shared_backbone.encode_texts(texts)
        expected = open_clip_texts(shared_backbone, texts)
    torch.testing.assert_close(features, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(len(texts)))


def test_a_long_list_is_encoded_in_passes_and_keeps_its_order(
    shared_backbone: OpenClipBackbone,
) -> None:
    texts = [f"{'very ' * (number * 7 % 20)}small {number}" for number in range(600)]
    with torch.no_grad():
        features = shared_backbone.encode_texts(texts)
        for number in (0, 1, 255, 256, 257, 599):
            alone = shared_backbone.encode_texts([texts[number]])[0]
            torch.testing.assert_close(features[number], alone, atol=1e-6, rtol=0)


def test_equal_texts_are_encoded_once_and_share_their_gradient(
    tiny_backbone: OpenClipBackbone,
) -> None:
    seen = token_embeddings_of(tiny_backbone)
    tiny_backbone.train_only("all")

    features = tiny_backbone.encode_texts(["a cat", "a dog", "a cat", "a cat"])

    assert [len(tokens) for tokens in seen] == [2 * 4]
    assert torch.equal(features[0], features[2])
    weights = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    (features * weights).sum().backward()
    shared = tiny_backbone.model.text_projection.grad.clone()
    tiny_backbone.model.text_projection.grad = None
    tokens = tiny_backbone.tokenizer(["a cat", "a dog", "a cat", "a cat"])
    (tiny_backbone.model.encode_text(tokens, normalize=True) * weights).sum().backward()
    torch.testing.assert_close(shared, tiny_backbone.model.text_projection.grad)


def test_no_texts_give_no_rows(tiny_backbone: OpenClipBackbone) -> None:
    assert tiny_backbone.encode_texts([]).shape == (0, 16)


def test_text_cached_in_inference_mode_can_train_later(tiny_backbone: OpenClipBackbone) -> None:
    with torch.inference_mode():
        tiny_backbone.encode_texts(["a cat"])
    embedding = tiny_backbone.train_only("all")["token_embedding.weight"]
    tiny_backbone.encode_texts(["a cat"])[0, 0].backward()
    assert embedding.grad is not None


def test_autocast_gives_unit_fp32_features(
    tiny_backbone: OpenClipBackbone,
) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        images = tiny_backbone.encode_images(pixels(tiny_backbone, 2))
        texts = tiny_backbone.encode_texts(["a cat"])
    for features in (images, texts):
        assert features.dtype == torch.float32
        torch.testing.assert_close(features.norm(dim=1), torch.ones(len(features)))


class TestTokenCache:
    def test_each_text_is_tokenised_once(self) -> None:
        tokenised: list[str] = []
        cache = TokenCache(counting_tokenizer(tokenised))
        first_tokens = cache(["a", "bb"])
        second_tokens = cache(["bb", "ccc", "a"])
        assert tokenised == ["a", "bb", "ccc"]
        assert first_tokens.tolist() == [[1, 1], [2, 2]]
        assert second_tokens.tolist() == [[2, 2], [3, 3], [1, 1]]

    def test_cache_is_limited_to_its_capacity(self) -> None:
        tokenised: list[str] = []
        cache = TokenCache(counting_tokenizer(tokenised), capacity=2)
        assert len(cache(["a", "bb", "ccc"])) == 3
        cache(["ccc", "bb"])
        assert tokenised == ["a", "bb", "ccc"]
        cache(["a"])
        assert tokenised == ["a", "bb", "ccc", "a"]


def counting_tokenizer(tokenised: list[str]):  # type: ignore[no-untyped-def]
    def tokenize(texts: list[str]) -> Tensor:
        tokenised.extend(texts)
        return torch.tensor([[len(text)] * 2 for text in texts])

    return tokenize


class TestModes:
    def test_dropout_is_active_only_while_a_gradient_is_recorded(self) -> None:
        backbone = build_clip(clip_models.DROPOUT)
        batch = pixels(backbone, 2)
        backbone.train_only("all")
        assert not torch.equal(backbone.encode_images(batch), backbone.encode_images(batch))
        with torch.no_grad():
            assert torch.equal(backbone.encode_images(batch), backbone.encode_images(batch))
        backbone.train_only("none")
        assert torch.equal(backbone.encode_images(batch), backbone.encode_images(batch))

    def test_batch_statistics_are_constant(self) -> None:
        backbone = build_clip(clip_models.TIMM_MLP)
        buffers_before = {name: value.clone() for name, value in backbone.model.named_buffers()}
        backbone.train_only("all")
        together = backbone.encode_images(pixels(backbone, 4))
        together.sum().backward()
        for name, value in backbone.model.named_buffers():
            assert torch.equal(value, buffers_before[name]), name
        alone = backbone.encode_images(pixels(backbone, 4)[:1])
        torch.testing.assert_close(together[:1], alone)

    def test_frozen_trunks_store_no_activations(self) -> None:
        def saved_elements(group: str) -> int:
            backbone = build_clip(clip_models.TINY_CLIP)
            backbone.train_only(group)  # type: ignore[arg-type]
            sizes: list[int] = []
            with torch.autograd.graph.saved_tensors_hooks(
                lambda saved: sizes.append(saved.numel()) or saved, lambda saved: saved
            ):
                backbone.encode_images(pixels(backbone, 8))
                backbone.encode_texts(["a cat", "a dog"])
            return sum(sizes)

        assert saved_elements("none") == 0
        assert saved_elements("projections") < saved_elements("all") / 50


class TestLogitScale:
    def test_logit_scale_is_the_exponential_of_the_weight(
        self, tiny_backbone: OpenClipBackbone
    ) -> None:
        assert tiny_backbone.logit_scale.shape == ()
        assert tiny_backbone.logit_scale.item() == pytest.approx(1 / 0.07)

    @pytest.mark.parametrize(("stored", "clamped"), [(9.0, 100.0), (-3.0, 1.0), (2.0, 7.389056)])
    def test_trained_logit_scale_is_clamped_to_1_and_100(
        self, tiny_backbone: OpenClipBackbone, stored: float, clamped: float
    ) -> None:
        scale = tiny_backbone.train_only("all")["logit_scale"]
        scale.data.fill_(stored)
        tiny_backbone.clamp_logit_scale()
        assert tiny_backbone.logit_scale.item() == pytest.approx(clamped, rel=1e-5)

    def test_canonicalised_texts_stay_so_in_a_saved_model(self, tmp_path: Path) -> None:
        config = clip_models.with_parts(
            custom_text=True, text={"tokenizer_kwargs": {"clean": "canonicalize"}}
        )
        build_clip(config).save(tmp_path / "one")
        loaded = clip_models.open_model(f"local-dir:{tmp_path / 'one'}", tmp_path)
        loaded.save(tmp_path / "two")
        reloaded = clip_models.open_model(f"local-dir:{tmp_path / 'two'}", tmp_path)
        for backbone in (loaded, reloaded):
            canonical, as_written = backbone.encode_texts(
                ["A photo, of a DOG!", "a photo of a dog"]
            )
            assert torch.equal(canonical, as_written)

    def test_trained_sigmoid_model_keeps_its_loaded_scale(self, tmp_path: Path) -> None:
        config = {**clip_models.SIGLIP_LIKE, "init_logit_scale": 4.77}
        backbone = clip_models.build_clip(config)
        scale = backbone.train_only("all")["logit_scale"]
        scale.data.add_(1.0)
        backbone.clamp_logit_scale()
        assert backbone.logit_scale.item() == pytest.approx(117.92, rel=1e-4)
        backbone.save(tmp_path / "saved")
        reloaded = clip_models.open_model("local-dir:saved", tmp_path)
        assert reloaded.logit_bias is not None
        assert reloaded.logit_bias.item() == -10

    def test_frozen_logit_scale_is_unchanged(self, tiny_backbone: OpenClipBackbone) -> None:
        tiny_backbone.model.logit_scale.data.fill_(4.8)  # as large as SigLIP's
        tiny_backbone.train_only("projections")
        tiny_backbone.clamp_logit_scale()
        assert tiny_backbone.logit_scale.item() == pytest.approx(121.51, rel=1e-4)


def test_pixel_format_comes_from_the_model_folder(tiny_backbone: OpenClipBackbone) -> None:
    assert tiny_backbone.pixel_format == PixelFormat(
        size=32,
        mean=(0.48145466, 0.4578275, 0.40821073),
        std=(0.26862954, 0.26130258, 0.27577711),
        interpolation="bicubic",
        resize_mode="shortest",
    )


def test_towers_for_oblong_images_raise_error() -> None:
    with pytest.raises(LatteError, match="takes 64x32 pixels"):
        build_clip(clip_models.with_parts({"image_size": [32, 64]}))
