"""Class texts of several templates and several names."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.backbone.encode import ClassTexts
from latte.backbone.open_clip import OpenClipBackbone
from latte.interfaces import LatteError

TEMPLATES = ("a photo of a {class}.", "a drawing of a {class}.")


def test_template_without_class_raises_error() -> None:
    with pytest.raises(LatteError, match="does not mention the class"):
        ClassTexts.of(["a photo of a {}."], [("cat",)])


def test_every_template_is_filled_with_every_name() -> None:
    texts = ClassTexts.of(TEMPLATES, [("couch", "sofa"), ("cat",)])
    assert texts.sentences == [
        "a photo of a couch.",
        "a drawing of a couch.",
        "a photo of a sofa.",
        "a drawing of a sofa.",
        "a photo of a cat.",
        "a drawing of a cat.",
    ]


def test_class_with_one_sentence_has_exactly_its_feature() -> None:
    rows = torch.randn(2, 8)
    texts = ClassTexts.of(TEMPLATES[:1], [("cat",), ("dog",)])
    assert texts.features(lambda sentences: rows) is rows


def test_class_with_several_sentences_has_their_normalised_mean(
    tiny_backbone: OpenClipBackbone,
) -> None:
    texts = ClassTexts.of(TEMPLATES, [("couch", "sofa"), ("cat",)])
    with torch.no_grad():
        features = texts.features(tiny_backbone.encode_texts)
        couch = tiny_backbone.encode_texts(texts.sentences[:4]).mean(dim=0)
        cat = tiny_backbone.encode_texts(texts.sentences[4:]).mean(dim=0)
    expected = normalize(torch.stack([couch, cat]), dim=1)
    torch.testing.assert_close(features, expected, atol=1e-6, rtol=0)


def test_the_gradient_reaches_every_sentence_of_a_class() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = normalize(torch.randn(3, 8, generator=generator), dim=1).requires_grad_()

    def encode(sentences: Sequence[str]) -> Tensor:
        return rows

    texts = ClassTexts((("a", "b"), ("c",)))
    texts.features(encode)[:, 0].sum().backward()  # type: ignore[no-untyped-call]
    assert rows.grad is not None
    assert (rows.grad.abs().sum(dim=1) > 0).all()
