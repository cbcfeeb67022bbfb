from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor
from torch.nn.functional import normalize

from latte.components.phrases import (
    STANDS_OUT,
    PhraseDescriber,
    PhraseOptions,
    standard_scores,
    threshold_score,
)
from latte.interfaces import Backbone, DescribedImage, DescribeRequest, LatteError
from tests.helpers.describe_doubles import context, no_clip

BANK = """
[objects]
cat
dog
fish
[colours]
red
blue
[scenes]
on a table
under water
"""


class Clip:
    """A backbone double whose text features are random, seeded by the text."""

    def __init__(self, fingerprint: str = "clip-1") -> None:
        self.fingerprint = fingerprint
        self.encoded: list[str] = []

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        self.encoded += texts
        return torch.stack([self.feature(text) for text in texts])

    @staticmethod
    def feature(text: str) -> Tensor:
        generator = torch.Generator().manual_seed(sum(map(ord, text)) * len(text))
        return normalize(torch.randn(512, generator=generator), dim=0)


def describer(
    folder: Path, clip: object, bank: str | None = BANK, **options: int
) -> PhraseDescriber:
    path = None
    if bank is not None:
        (folder / "bank.txt").write_text(bank)
        path = Path("bank.txt")
    return PhraseDescriber(
        PhraseOptions(bank=path, **options),
        context(folder, lambda: clip),  # type: ignore[arg-type, return-value]
    )


def asks_about(*features: Tensor, prompt: str = "What?") -> DescribeRequest:
    def undecoded() -> object:
        raise AssertionError("phrases need no pixels")

    images = [DescribedImage(f"hash{i}", f, undecoded) for i, f in enumerate(features)]  # type: ignore[arg-type]
    return DescribeRequest(tuple(images), prompt)


def towards(*texts: str) -> Tensor:
    return normalize(torch.stack([Clip.feature(text) for text in texts]).sum(0), dim=0)


CAT = towards("a photo of a cat.", "a photo of a red thing.", "a photo of something on a table.")
FISH = towards(
    "a photo of a fish.", "a photo of a blue thing.", "a photo of something under water."
)


def test_the_nearest_phrases_make_the_sentence(tmp_path: Path) -> None:
    texts = describer(tmp_path, Clip(), top=1).describe([asks_about(CAT), asks_about(FISH)])
    assert texts == ["a red cat, on a table.", "a blue fish, under water."]


def test_a_group_is_described_by_what_its_images_share(tmp_path: Path) -> None:
    phrases = describer(tmp_path, Clip(), top=1)
    for images in ([CAT, FISH, FISH], [FISH, CAT, FISH], [FISH, FISH, CAT]):
        assert phrases.describe([asks_about(*images)]) == ["a blue fish, under water."]


def test_what_does_not_stand_out_is_not_said(tmp_path: Path) -> None:
    colours = [f"colour{i}" for i in range(12)]
    phrases = describer(
        tmp_path, Clip(), bank="[objects]\ncat\n[colours]\n" + "\n".join(colours), top=1
    )
    prompts = [f"a photo of a {colour} thing." for colour in colours]
    requests = [asks_about(towards(prompts[3])), asks_about(towards(*prompts[:6]))]
    assert phrases.describe(requests) == ["a colour3 cat.", "a cat."]


def test_a_phrase_that_is_like_all_texts_does_not_win_everywhere(tmp_path: Path) -> None:
    common, shown, *other_axes = torch.eye(8)
    bland = normalize(common + 0.2 * other_axes[0], dim=0)
    telling = normalize(common + 0.9 * shown, dim=0)
    features = torch.stack([bland, telling, normalize(common + 0.9 * other_axes[1], dim=0)])
    image = normalize(common + 0.3 * shown, dim=0)
    assert (features @ image).argmax() == 0, "the bland phrase is the nearest"

    clip = Clip()
    clip.encode_texts = lambda texts: features  # type: ignore[method-assign]
    phrases = describer(tmp_path, clip, bank="[objects]\nbland\ntelling\nother\n", top=1)
    assert phrases.describe([asks_about(image)]) == ["a telling."]


def test_phrases_are_encoded_once_and_only_when_needed(tmp_path: Path) -> None:
    clip = Clip()
    phrases = describer(tmp_path, clip)
    assert clip.encoded == []
    phrases.describe([asks_about(CAT)])
    phrases.describe([asks_about(FISH), asks_about(CAT)])
    assert len(clip.encoded) == len(set(clip.encoded)) == 7


def test_prompts_are_not_read(tmp_path: Path) -> None:
    text, text_of_prompt = describer(tmp_path, Clip()).describe(
        [asks_about(CAT), asks_about(CAT, prompt="Name the colour.")]
    )
    assert text == text_of_prompt


def test_a_describer_without_work_does_not_load_the_clip(tmp_path: Path) -> None:
    (tmp_path / "bank.txt").write_text(BANK)
    phrases = PhraseDescriber(PhraseOptions(bank=Path("bank.txt")), context(tmp_path, no_clip))
    assert phrases.max_images == 16


def test_a_bank_with_a_mistake_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(LatteError, match=r"bank.txt:1: unknown section \[object\]"):
        describer(tmp_path, Clip(), bank="[object]\ncat\n")


def test_the_fingerprint_names_everything_that_texts_depend_on(tmp_path: Path) -> None:
    prints = [
        describer(tmp_path, Clip()).fingerprint,
        describer(tmp_path, Clip("clip-2")).fingerprint,
        describer(tmp_path, Clip(), bank=BANK.replace("red", "green")).fingerprint,
        describer(tmp_path, Clip(), bank=None).fingerprint,
        describer(tmp_path, Clip(), words=12).fingerprint,
        describer(tmp_path, Clip(), top=1).fingerprint,
    ]
    assert len(set(prints)) == len(prints)
    assert all(name.startswith("phrases-1:") for name in prints)


def test_the_fingerprint_does_not_depend_on_where_the_bank_is(tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    moved = describer(tmp_path / "moved", Clip())
    assert moved.fingerprint == describer(tmp_path, Clip()).fingerprint


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 30), st.integers(1, 4))
def test_a_text_does_not_depend_on_its_batch(
    tmp_path_factory: pytest.TempPathFactory, seed: int, requests: int, images: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = normalize(torch.randn(requests, images, 512, generator=generator), dim=-1)
    described = [asks_about(*group) for group in features]
    phrases = describer(tmp_path_factory.mktemp("bank"), Clip())
    together = phrases.describe(described)
    assert together == [text for request in described for text in phrases.describe([request])]


def test_with_a_real_clip_texts_are_short_distinct_and_repeatable(
    tmp_path: Path, tiny_backbone: Backbone
) -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(40, 3, 32, 32, generator=generator)
    with torch.inference_mode():
        requests = [asks_about(feature) for feature in tiny_backbone.encode_images(pixels)]
    texts = describer(tmp_path, tiny_backbone, bank=None).describe(requests)
    assert describer(tmp_path, tiny_backbone, bank=None).describe(requests[::-1]) == texts[::-1]
    assert len(set(texts)) > 20
    assert max(len(text.split()) for text in texts) <= 20


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=50))
def test_scores_are_finite_and_never_change_the_order(similarities: list[float]) -> None:
    raw = torch.tensor(similarities)
    scores = standard_scores(raw)
    assert torch.isfinite(scores).all()
    assert (scores[raw.argsort()].diff() >= 0).all()


@given(st.integers(1, 5000))
def test_the_bar_is_lower_in_small_sections(phrases: int) -> None:
    assert 0 <= threshold_score(phrases) <= threshold_score(phrases + 1) <= STANDS_OUT


@pytest.mark.parametrize("phrases", [1, 2, 3, 10, 1000])
def test_one_phrase_far_above_the_others_is_said(phrases: int) -> None:
    similarities = torch.zeros(phrases)
    similarities[0] = 0.3
    assert float(standard_scores(similarities)[0]) >= threshold_score(phrases)


@pytest.mark.parametrize("options", [{"words": 7}, {"sections": 3}])
def test_invalid_option_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        PhraseOptions.model_validate(options)
