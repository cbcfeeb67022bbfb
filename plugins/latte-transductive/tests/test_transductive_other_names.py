"""Names of other things take what shows no class; balance moves the text logits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from latte_author.testing import StubClip
from latte_transductive.labeler import TransductiveLabeler, TransductiveOptions
from latte_transductive.mixture import fit_mixture
from latte_transductive.options import MixtureOptions
from latte_transductive.other_names import (
    NAMES,
    balancing_shifts,
    fit_among_other_names,
    unlike_texts,
)
from latte_transductive.taught import Default
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import Context, TrainingStart

SCALE = 25.0
OPTIONS = MixtureOptions()


def unit(rows: int, seed: int, width: int = 32) -> Tensor:
    return normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def near(texts: Tensor, images: int, seed: int) -> Tensor:
    labels = torch.arange(images) % len(texts)
    return normalize(texts[labels] + 0.6 * unit(images, seed), dim=1)


@pytest.fixture
def texts() -> Tensor:
    return unit(5, 0)


@pytest.fixture
def others() -> Tensor:
    return unit(len(NAMES), 1)


def fit(images: Tensor, texts: Tensor, others: Tensor, **settings: float) -> Tensor:
    chosen = {"names": 10, "balance": 0.5} | settings
    return fit_among_other_names(
        images,
        texts,
        others,
        SCALE,
        OPTIONS,
        names=int(chosen["names"]),
        balance=chosen["balance"],
    ).posteriors


def test_names_are_different_and_ordinary() -> None:
    assert len(NAMES) == len({*NAMES}) == 120
    assert all(name == name.strip().lower() for name in NAMES)


def test_foreign_images_lack_probability_and_own_ones_do_not(texts: Tensor, others: Tensor) -> None:
    foreign_texts = normalize(others[:3] + 0.3 * unit(3, 4), dim=1)
    images = torch.cat([near(texts, 100, 2), near(foreign_texts, 50, 3)])
    known = fit(images, texts, others).sum(dim=1)
    assert known[:100].mean() > 0.9
    assert known[100:].mean() < known[:100].mean() - 0.3
    alone = fit_mixture(images, texts, SCALE, OPTIONS).posteriors
    assert torch.allclose(alone.sum(dim=1), torch.ones(150))


def test_without_names_and_balance_it_is_the_mixture(texts: Tensor, others: Tensor) -> None:
    images = near(texts, 60, 2)
    plain = fit_mixture(images, texts, SCALE, OPTIONS).posteriors
    assert torch.allclose(fit(images, texts, others, names=0, balance=0), plain, atol=1e-6)


def test_names_like_a_class_are_not_used(texts: Tensor, others: Tensor) -> None:
    others[7] = texts[2]
    chosen = unlike_texts(others, texts, 10)
    assert [len(rows) for rows in chosen] == [10, 10]
    rows = torch.cat(chosen)
    assert len({tuple(row.tolist()) for row in rows}) == 20
    assert float((rows @ texts.T).max()) < float((others @ texts.T).amax(dim=1).quantile(0.75))


def test_shifts_make_all_classes_as_probable(texts: Tensor) -> None:
    logits = SCALE * near(texts, 200, 2) @ texts.T + torch.tensor([3.0, 0, 0, -1, 0])
    shifts = balancing_shifts(logits)
    shares = (logits + shifts).softmax(dim=1).mean(dim=0)
    assert float(shifts.mean()) == pytest.approx(0, abs=1e-5)
    assert torch.allclose(shares, torch.full((5,), 0.2), atol=1e-3)


def labeler(
    texts: Tensor, images: Tensor, corrections: Tensor | None = None
) -> TransductiveLabeler[TransductiveOptions]:
    made = TransductiveLabeler(TransductiveOptions(), Context(Path(), Path(), "cpu", 0, StubClip))
    labels = (images @ texts.T).argmax(dim=1)
    made.start(
        TrainingStart(
            tuple("abcde"),
            texts,
            images,
            labels,
            lambda name: images,
            corrections=corrections,
            encode_names=lambda names: unit(len(NAMES), 1),
        )
    )
    return made


@pytest.mark.parametrize("answered_classes", [2, 5])
def test_answers_keep_shifts_and_the_default_of_unanswered_classes(
    texts: Tensor, answered_classes: int
) -> None:
    images = unit(60, 2)
    truth = (images @ texts.T).argmax(dim=1)
    given = torch.where((torch.arange(60) < 30) & (truth < answered_classes), truth, -1)
    taught = labeler(texts, images, given)
    mixture = taught._fit(images, texts, None)
    scale = float(StubClip().logit_scale)
    logits = scale * (images @ texts.T)
    without = labeler(texts, images)._fit(images, texts, None).posteriors
    default = Default(
        TransductiveOptions().balance * balancing_shifts(logits),
        None if answered_classes == 5 else without,
    )
    expected = fit_mixture(
        images, texts, scale, TransductiveOptions(), given, text=logits, default=default
    )
    assert torch.allclose(mixture.posteriors, expected.posteriors, atol=1e-5)
    assert torch.allclose(mixture.bias, expected.bias, rtol=1e-4)
    alone = fit_mixture(images, texts, scale, TransductiveOptions(), given)
    assert float((mixture.posteriors - alone.posteriors).abs().max()) > 0.01


def test_without_an_answer_labels_are_those_of_the_default_to_the_bit(texts: Tensor) -> None:
    images = unit(60, 2)
    default = labeler(texts, images)._fit(images, texts, None)
    unanswered = labeler(texts, images, torch.full((60,), -1))._fit(images, texts, None)
    assert torch.equal(unanswered.posteriors, default.posteriors)
    assert torch.equal(unanswered.rows, default.rows)
    assert torch.equal(unanswered.bias, default.bias)
