"""The mixture with answers starts at the mixture without, and each answer moves it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from latte_transductive.labeler import TransductiveLabeler, TransductiveOptions
from latte_transductive.mixture import Mixture, fit_mixture
from latte_transductive.other_names import NAMES, balancing_shifts
from latte_transductive.taught import Default
from latte_transductive.with_answers import pooled
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import Context, TrainingStart
from latte.testing import StubClip

pytestmark = pytest.mark.thorough

CLASSES, IMAGES, WIDTH = 20, 60, 32


def unit(rows: int, seed: int) -> Tensor:
    return normalize(torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(seed)), dim=1)


def mixture(seed: int) -> Mixture:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(IMAGES, CLASSES, generator=generator)
    bias = torch.randn(CLASSES, generator=generator)
    return Mixture(logits.softmax(dim=1), unit(CLASSES, seed), bias, {"e": unit(CLASSES, seed + 9)})


def given(answers: int) -> Tensor:
    return torch.where(torch.arange(IMAGES) < answers, torch.arange(IMAGES) % CLASSES, -1)


@pytest.mark.parametrize("answers", [1, 9, 40])
def test_default_counts_as_one_answer_per_twenty_classes(answers: int) -> None:
    default, taught = mixture(0), mixture(1)
    pool = pooled(default, taught, given(answers))
    share = answers / (answers + 1)
    images, encoded = unit(5, 3), unit(5, 4)

    def logits(part: Mixture) -> Tensor:
        return images @ part.rows.T + encoded @ part.encoder_rows["e"].T + part.bias

    expected = (1 - share) * logits(default) + share * logits(taught)
    assert torch.allclose(logits(pool), expected, atol=1e-5)
    powers = default.posteriors ** (1 - share) * taught.posteriors**share
    expected = powers / powers.sum(dim=1, keepdim=True)
    assert torch.allclose(pool.posteriors[answers:], expected[answers:], atol=1e-4)


def test_images_with_an_answer_keep_it_whatever_the_default_says() -> None:
    default, taught = mixture(0), mixture(1)
    taught.posteriors[0] = torch.eye(CLASSES)[0]
    default.posteriors[0] = torch.eye(CLASSES)[7]
    assert torch.equal(pooled(default, taught, given(1)).posteriors[0], torch.eye(CLASSES)[0])


def test_impossible_classes_give_finite_probabilities() -> None:
    default, taught = mixture(0), mixture(1)
    default.posteriors[:] = torch.eye(CLASSES)[7]
    taught.posteriors[:] = torch.eye(CLASSES)[8]
    posteriors = pooled(default, taught, given(3)).posteriors
    assert torch.allclose(posteriors.sum(dim=1), torch.ones(IMAGES))
    assert set(posteriors[3:].argmax(dim=1).tolist()) == {8}


def labeler(
    texts: Tensor, images: Tensor, corrections: Tensor | None = None
) -> TransductiveLabeler[TransductiveOptions]:
    made = TransductiveLabeler(TransductiveOptions(), Context(Path(), Path(), "cpu", 0, StubClip))
    names = tuple(str(number) for number in range(len(texts)))
    made.start(
        TrainingStart(
            names,
            texts,
            images,
            (images @ texts.T).argmax(dim=1),
            lambda name: images,
            corrections=corrections,
            encode_names=lambda names: unit(len(NAMES), 1),
        )
    )
    return made


@pytest.mark.parametrize("answered_classes", [2, 5])
def test_labeler_pools_the_default_with_a_mixture_that_knows_its_shifts_and_labels(
    answered_classes: int,
) -> None:
    texts, images = unit(5, 0), unit(IMAGES, 2)
    truth = (images @ texts.T).argmax(dim=1)
    answers = torch.where((torch.arange(IMAGES) < 30) & (truth < answered_classes), truth, -1)
    fitted = labeler(texts, images, answers)._fit(images, texts, None)
    default = labeler(texts, images)._fit(images, texts, None)
    options, scale = TransductiveOptions(), float(StubClip().logit_scale)
    logits = scale * (images @ texts.T)
    parts = Default(options.balance * balancing_shifts(logits), default.posteriors)
    taught = fit_mixture(images, texts, scale, options, answers, text=logits, default=parts)
    expected = pooled(default, taught, answers)
    assert torch.allclose(fitted.posteriors, expected.posteriors, atol=1e-5)
    assert torch.allclose(fitted.bias, expected.bias, rtol=1e-4)
    alone = fit_mixture(images, texts, scale, options, answers)
    assert float((fitted.posteriors - alone.posteriors).abs().max()) > 0.01


def test_without_an_answer_labels_are_those_of_the_default_to_the_bit() -> None:
    texts, images = unit(5, 0), unit(IMAGES, 2)
    default = labeler(texts, images)._fit(images, texts, None)
    unanswered = labeler(texts, images, torch.full((IMAGES,), -1))._fit(images, texts, None)
    assert torch.equal(unanswered.posteriors, default.posteriors)
    assert torch.equal(unanswered.rows, default.rows)
    assert torch.equal(unanswered.bias, default.bias)


def test_one_answer_against_its_text_changes_few_labels_of_many_classes() -> None:
    texts = unit(50, 5)
    truth = torch.arange(200) % 50
    images = normalize(texts[truth] + 0.9 * unit(200, 6), dim=1)
    answers = torch.where(torch.arange(200) == 0, (truth + 25) % 50, -1)
    default = labeler(texts, images)._fit(images, texts, None).posteriors.argmax(dim=1)
    labels = labeler(texts, images, answers)._fit(images, texts, None).posteriors.argmax(dim=1)
    assert float((labels != default)[1:].double().mean()) < 0.05
