"""The mixture of many images gives the labels that the mixture of few images gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from latte_author.testing import StubClip
from latte_transductive import large
from latte_transductive.labeler import TransductiveLabeler, TransductiveOptions
from latte_transductive.large import LargeMixture, fit_large_among_other_names, updates
from latte_transductive.mixture import Mixture
from latte_transductive.options import MixtureOptions
from latte_transductive.other_names import NAMES, fit_among_other_names
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import Context, FeatureBank, LabelerPrototypes, NoOptions, TrainingStart

SCALE, CLASSES, IMAGES, NAMES_PER_FIT, BALANCE = 20.0, 30, 600, 5, 0.25
CONTEXT = Context(Path(), Path(), "cpu", 0, StubClip)


def unit(rows: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(rows, 16, generator=generator, dtype=torch.float64), dim=1)


TEXTS, OTHERS = unit(CLASSES, 0), unit(len(NAMES), 1)
IMAGES_FEATURES = normalize(
    TEXTS[torch.arange(IMAGES) % CLASSES] + 0.5 * unit(CLASSES, 2).repeat(20, 1) + unit(IMAGES, 3),
    dim=1,
)


def exact(options: MixtureOptions) -> Mixture:
    settings = {"names": NAMES_PER_FIT, "balance": BALANCE}
    return fit_among_other_names(IMAGES_FEATURES, TEXTS, OTHERS, SCALE, options, **settings)  # type: ignore[arg-type]


def in_blocks(options: MixtureOptions) -> LargeMixture:
    return fit_large_among_other_names(
        IMAGES_FEATURES,
        TEXTS,
        OTHERS,
        SCALE,
        options,
        names=NAMES_PER_FIT,
        balance=BALANCE,
    )


@pytest.mark.parametrize("options", [MixtureOptions(), MixtureOptions(neighbours=0)])
def test_with_all_classes_of_each_image_it_is_the_mixture(
    monkeypatch: pytest.MonkeyPatch, options: MixtureOptions
) -> None:
    monkeypatch.setattr(large, "CLASSES", CLASSES + NAMES_PER_FIT)
    monkeypatch.setattr(large, "_STORED", CLASSES)
    monkeypatch.setattr(large, "_CHANGE", 0.0)
    expected, mixture = exact(options), in_blocks(options)
    posterior = mixture.posterior
    found = torch.zeros_like(expected.posteriors).float()
    found.scatter_(1, posterior.labels, posterior.probabilities)
    torch.testing.assert_close(found.double(), expected.posteriors, rtol=0, atol=1e-6)
    torch.testing.assert_close(mixture.rows, expected.rows)
    torch.testing.assert_close(mixture.bias, expected.bias)
    assert posterior.none is not None
    none = 1 - expected.posteriors.sum(dim=1)
    torch.testing.assert_close(posterior.none.double(), none, rtol=0, atol=1e-6)


def test_few_classes_of_each_image_change_hardly_any_label() -> None:
    options = MixtureOptions()
    expected, mixture = exact(options).posteriors, in_blocks(options)
    labels, zero_shot = mixture.posterior.labels[:, 0], (IMAGES_FEATURES @ TEXTS.T).argmax(dim=1)
    assert float((expected.argmax(dim=1) != labels).double().mean()) <= 0.005
    assert float((zero_shot != labels).double().mean()) > 0.05
    difference = expected.amax(dim=1) - mixture.posterior.probabilities[:, 0]
    assert float(difference.abs().mean()) < 0.01


def labeler_after_epoch(
    corrections: Tensor | None = None,
) -> TransductiveLabeler[TransductiveOptions]:
    labeler = TransductiveLabeler(TransductiveOptions(), CONTEXT)
    images, texts = IMAGES_FEATURES.float(), TEXTS.float()
    start = TrainingStart(
        class_names=tuple(map(str, range(CLASSES))),
        class_features=texts,
        image_features=images,
        zero_shot_labels=(images @ texts.T).argmax(dim=1),
        description_features=lambda name: images,
        corrections=corrections,
        encode_names=lambda names: OTHERS.float(),
    )
    labeler.start(start)
    aggregator = LabelerPrototypes(NoOptions(), CONTEXT)
    labeler.on_epoch_start({"main": FeatureBank(images)}, {"main": aggregator}, 0)
    return labeler


def test_labeler_fits_large_sets_in_blocks_unless_a_person_gave_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = labeler_after_epoch().posterior("main")
    fits: list[int] = []

    def counted(*arguments: object, **settings: object) -> LargeMixture:
        fits.append(1)
        return fit_large_among_other_names(*arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr("latte_transductive.labeler.fit_large_among_other_names", counted)
    monkeypatch.setattr(large, "LARGE", 100)
    many = labeler_after_epoch().posterior("main")
    assert fits == [1]
    assert few is not None
    assert many is not None
    assert float((few.labels[:, 0] != many.labels[:, 0]).double().mean()) <= 0.005
    given = torch.full((IMAGES,), -1)
    given[:10] = torch.arange(10)
    labeler_after_epoch(given)
    assert fits == [1]


def test_number_of_updates_is_that_of_the_calls() -> None:
    options, done = MixtureOptions(iterations=3), []
    fit_large_among_other_names(
        IMAGES_FEATURES,
        TEXTS,
        OTHERS,
        SCALE,
        options,
        names=NAMES_PER_FIT,
        balance=BALANCE,
        advance=lambda: done.append(1),
    )
    assert len(done) == updates(options, NAMES_PER_FIT) == 8


def test_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latte.toolkit.blocks.BLOCK_ENTRIES", 1000)
    threads, mixtures = torch.get_num_threads(), []
    for count in (1, 3):
        torch.set_num_threads(count)
        mixtures.append(in_blocks(MixtureOptions()))
    torch.set_num_threads(threads)
    first, second = mixtures
    assert torch.equal(first.posterior.labels, second.posterior.labels)
    assert torch.equal(first.posterior.probabilities, second.posterior.probabilities)
    assert torch.equal(first.rows, second.rows)
