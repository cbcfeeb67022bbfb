"""Names of other things take what shows no class; balance moves the text logits."""

from __future__ import annotations

import pytest
import torch
from latte_transductive.mixture import fit_mixture
from latte_transductive.options import MixtureOptions
from latte_transductive.other_names import (
    NAMES,
    balancing_shifts,
    fit_among_other_names,
    unlike_texts,
)
from torch import Tensor
from torch.nn.functional import normalize

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
