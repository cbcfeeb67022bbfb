"""The labeler gives latte the method's labels, and leaves useless encoders out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from latte_author.testing import StubClip
from latte_selftaught.labeler import SelfTaughtLabeler, SelfTaughtOptions, members
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import (
    Batch,
    Classifier,
    Context,
    EpochInfo,
    FeatureBank,
    LabelerPrototypes,
    ModelAnswers,
    NoOptions,
    TrainingStart,
    self_taught,
)

IMAGES = 90
TRUE = torch.arange(IMAGES) % 3


def noisy(centres: Tensor, seed: int, noise: float = 0.6) -> Tensor:
    random = torch.randn(IMAGES, centres.shape[1], generator=torch.Generator().manual_seed(seed))
    return normalize(centres[TRUE] + noise * normalize(random, dim=1), dim=1)


TEXTS = torch.eye(3, 16)
FEATURES = noisy(TEXTS, 0)
TURN = torch.randn(16, 12, generator=torch.Generator().manual_seed(3)) / 4
CLEAR = {"clear": normalize(noisy(torch.eye(12)[:3], 1) + FEATURES @ TURN, dim=1)}
BLIND = {
    "blind": normalize(torch.randn(IMAGES, 12, generator=torch.Generator().manual_seed(2)), dim=1)
}


def labelled(
    features: Mapping[str, Tensor],
    corrections: Tensor | None = None,
    shows_none: Tensor | None = None,
    model_answers: ModelAnswers | None = None,
    **options: float,
) -> tuple[SelfTaughtLabeler, EpochInfo]:
    """Return a labeler after one epoch with these features of encoders, and its classifiers."""
    context = Context(Path(), Path(), "cpu", 0, StubClip)
    labeler = SelfTaughtLabeler(SelfTaughtOptions(**options), context)
    labels = (FEATURES @ TEXTS.T).argmax(dim=1)
    start = TrainingStart(
        ("a", "b", "c"),
        TEXTS,
        FEATURES,
        labels,
        lambda name: FEATURES,
        corrections=corrections,
        shows_none=shows_none,
        model_answers=model_answers,
        encoder_features=features,
    )
    labeler.start(start)
    prototypes = LabelerPrototypes(NoOptions(), context)
    prototypes.start(start)
    info = labeler.on_epoch_start({"main": FeatureBank(FEATURES)}, {"main": prototypes}, 0)
    return labeler, info


def test_useless_encoder_changes_no_bit() -> None:
    alone, blind = labelled({}), labelled(BLIND)
    assert [*blind[1].classifiers] == ["main"]
    classifiers = [info.classifiers["main"] for _, info in (alone, blind)]
    assert torch.equal(classifiers[0].weights, classifiers[1].weights)
    for name, tensor in alone[0].state().items():
        assert torch.equal(tensor, blind[0].state()[name])
    assert blind[0].extras()["Labels use blind"] == "no"


def test_mean_of_classifiers_labels_as_the_posterior() -> None:
    labeler, info = labelled(BLIND | CLEAR)
    assert {*info.classifiers} == {"main", "clear"}
    assert labeler.extras()["Labels use clear"] == "yes"
    parts = [
        info.classifiers["main"].similarities(FEATURES),
        info.classifiers["clear"].similarities(CLEAR["clear"]),
    ]
    labels = labeler.state()["labels.main"]
    same = torch.stack(parts).mean(dim=0).argmax(dim=1) == labels
    assert float(same.double().mean()) > 0.95
    assert float((labels == TRUE).double().mean()) > 0.9


def test_mean_of_members_is_the_mean_of_learners_with_their_encoder_parts() -> None:
    owners = torch.arange(3)
    learners = {
        name: Classifier(torch.randn(3, 16), owners, torch.randn(3)) for name in ("text", "visual")
    }
    rows = [{"clear": torch.randn(3, 12)}, {"clear": torch.randn(3, 12)}]
    together = members(learners, rows)
    parts = [together[name].similarities(FEATURES) for name in learners]
    parts.append(together["clear"].similarities(CLEAR["clear"]))
    expected = [
        learners[name].similarities(FEATURES) + CLEAR["clear"] @ part["clear"].T
        for name, part in zip(learners, rows, strict=True)
    ]
    torch.testing.assert_close(torch.stack(parts).mean(0), torch.stack(expected).mean(0))


def test_answers_of_none_give_a_probability_of_none() -> None:
    corrections = torch.full((IMAGES,), -1)
    assert labelled({}, corrections)[0].posterior("main").none is None  # type: ignore[union-attr]
    shows_none = torch.arange(IMAGES) < 2
    labeler, _ = labelled({}, corrections, shows_none)
    posterior = labeler.posterior("main")
    assert posterior is not None
    assert posterior.none is not None
    assert float(posterior.none[:2].min()) > 0.5
    assert labeler.extras()["Images of no class"] == int((posterior.none > 0.5).sum())


@pytest.mark.parametrize("encoders", [{}, CLEAR])
def test_answers_of_none_teach_the_classifier_of_new_images(encoders: dict[str, Tensor]) -> None:
    """The class "c" has no name: its images show none of the two other classes."""
    corrections = torch.where(torch.arange(IMAGES) < 6, TRUE, -1)
    shows_none = corrections == 2
    corrections = corrections.masked_fill(shows_none, -1)
    _, info = labelled(encoders, corrections, shows_none)
    assert {*info.classifiers} == {"main", *encoders}
    parts = [
        classifier.none_similarities(encoders.get(name, FEATURES))
        for name, classifier in info.classifiers.items()
    ]
    none = torch.stack([part for part in parts if part is not None])
    assert len(none) == len(info.classifiers)
    names = torch.stack(
        [
            classifier.similarities(encoders.get(name, FEATURES))
            for name, classifier in info.classifiers.items()
        ]
    )
    is_none = none.mean(dim=0) > names.mean(dim=0)[:, :2].amax(dim=1)
    assert float((is_none == (TRUE == 2)).double().mean()) > 0.9
    _, untaught = labelled(encoders, corrections)
    assert all(classifier.none is None for classifier in untaught.classifiers.values())


def test_answers_are_labels_of_their_images() -> None:
    corrections = torch.full((IMAGES,), -1)
    corrections[:3] = torch.tensor([2, 0, 1])
    labeler, _ = labelled({}, corrections)
    assert labeler.state()["labels.main"][:3].tolist() == [2, 0, 1]


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_weight_scales_the_stream(weight: float) -> None:
    labeler, _ = labelled({}, weight=weight)
    prototypes = LabelerPrototypes(NoOptions(), labeler.context)
    batch = Batch("main", torch.tensor([4, 0]), 0, 0)
    streams = labeler.assign(batch, FEATURES[[4, 0]], prototypes)
    assert [stream.scale for stream in streams] == ([weight] if weight else [])


def test_answers_of_a_model_count_by_reliability() -> None:
    """Beside those of a person, which are certain and come first."""
    some = torch.arange(IMAGES) < 9
    person = TRUE.where(some, -1)
    wrong, sure = (TRUE + 1) % 3, torch.full((IMAGES,), 0.9)
    model = ModelAnswers(wrong.where(torch.arange(IMAGES) < 18, -1), sure)
    labeler, info = labelled({}, person, model_answers=model)
    given = person.where(some, model.classes)
    taught = self_taught(FEATURES, TEXTS, given, reliabilities=sure.masked_fill(some, 1.0))
    posterior = labeler.posterior("main")
    assert posterior is not None
    assert torch.equal(posterior.labels, taught.posterior.labels)
    assert torch.equal(posterior.probabilities, taught.posterior.probabilities)
    nothing = ModelAnswers(torch.full((IMAGES,), -1), torch.zeros(IMAGES))
    certain = [labelled({}, person, model_answers=answers)[1] for answers in (None, nothing)]
    first, second = (part.classifiers["main"].weights for part in certain)
    assert torch.equal(first, second)
    assert not torch.equal(first, info.classifiers["main"].weights)
