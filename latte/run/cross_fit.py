"""Measurement of a model that a person's answers taught, by leaving answers out in turn.

All answers teach the model that a run uses, so none of them can measure it. Instead the labelers
are fitted again without a fifth of the answers, and label the images of these answers. After five
fits, each answer was left out once. Answers about images of one series are left out together,
because a copy or another photo of the same burst would show the class of the left-out image. The
fits know fewer answers than the model, so they are hardly better than it. The gain is that on
images without an answer; see `latte.evaluate.answered_gain`. The same fits show which answers are
probably mistakes: those whose class is unlikely by all other answers. What the fits say about their
left-out answers also calibrates the model's confidence; see `latte.models.left_out`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

from latte.data.series import Series
from latte.describe.bank import DescriptionBank
from latte.evaluate.answered_gain import (
    AnsweredImages,
    UnansweredImages,
    answered_gain,
    expected_gains,
    zero_shot_accuracy,
)
from latte.evaluate.doubtful import doubtful_answers
from latte.interfaces import Posterior, Verdict
from latte.interfaces.answer_facts import AnswerFacts, LeftOutAnswers
from latte.models.left_out import LeftOutScores, joined
from latte.models.zero_shot import ZeroShot
from latte.run.corrections import Corrections
from latte.run.fitting import adapted_of, fit_again
from latte.run.images import Images
from latte.run.workspace import Workspace

FOLDS = 5
LEAST_SERIES = 6
"""With answers about fewer series, the gain is not measured."""


def taught_facts(
    workspace: Workspace,
    images: Images,
    zero_shot: ZeroShot,
    bank: DescriptionBank,
    find_series: Callable[[], Series],
) -> tuple[dict[str, Any], LeftOutScores | None]:
    """Return the fields of `TrainFacts` about what a person taught; see also `answer_facts`."""
    answers, left_out = answer_facts(workspace, images, zero_shot, bank, find_series)
    return {"answers": answers}, left_out


def answer_facts(
    workspace: Workspace,
    images: Images,
    zero_shot: ZeroShot,
    bank: DescriptionBank,
    find_series: Callable[[], Series],
) -> tuple[AnswerFacts | None, LeftOutScores | None]:
    """Return facts about the answers that teach the run, and what fits say that do not know them.

    Both are None without answers. The images are the joined ones, with the examples among the
    training images; `find_series` returns their series, and is called if there are answers. No
    answer is left out if the recipe has training steps, because each fit would train the model
    again, or if the answers are about too few series.
    """
    if images.corrections is None:
        return None, None
    rows = distinct_rows(images.training.keys, images.corrections)
    if not rows:  # a model answered, and no person
        return None, None
    labels = {key: images.corrections.labels[row] for key, row in rows.items()}
    numbers = find_series().numbers
    series = {key: int(numbers[row]) for key, row in rows.items()}
    facts = AnswerFacts(
        answers=len(labels), series=len({*series.values()}), classes=len({*labels.values()})
    )
    if workspace.recipe.train.takes_steps or len({*series.values()}) < LEAST_SERIES:
        return facts, None
    fold_of = folds(labels, series)
    keys = left_out_order(labels, series)
    left_out_folds, changes = [], []
    with workspace.progress.task("leave answers out", FOLDS, "fits") as task:
        for fold in range(FOLDS):
            left_out_keys = [key for key in keys if fold_of[key] == fold]
            fold_labels = [labels[key] for key in left_out_keys]
            sample = (left_out_keys, fold_labels, workspace, images, zero_shot, bank)
            fold_left_out, fold_changes = _fit_without(*sample)
            left_out_folds.append(fold_left_out)
            changes.append(fold_changes)
            task.advance()
    left_out = joined(left_out_folds)
    answered_rows = torch.tensor([rows[key] for key in keys])
    measured = _measured(left_out, answered_rows, numbers, changes, images, zero_shot)
    return facts.model_copy(update={"measured": measured, "left_out": len(keys)}), left_out


@dataclass(frozen=True)
class _Changes:
    """Labels of the N training images that a fit changes."""

    is_changed: Tensor
    """(N,): True where the fit changes the zero-shot label."""
    expected: Tensor
    """(N,): gains that the fit expects."""


def _measured(
    left_out: LeftOutScores,
    answered_rows: Tensor,
    series: Tensor,
    changes: Sequence[_Changes],
    images: Images,
    zero_shot: ZeroShot,
) -> LeftOutAnswers:
    """Return the gain by left-out answers, which are about the images `answered_rows`.

    `series` (N,) are the series of all images; the gain is that on images of series without an
    answer. `changes` are those of each fit. If all series have an answer, the left-out answers
    stand for others.
    """
    assert images.corrections is not None
    zero_shot_labels, taught = zero_shot.zero_shot_labels[answered_rows], left_out.own.labels[:, 0]
    answered_series = series[answered_rows]
    expected = expected_gains(left_out.own, zero_shot_labels)
    answered = AnsweredImages(left_out.answers, zero_shot_labels, taught, expected, answered_series)
    is_other = ~torch.isin(series, series[images.corrections.given >= 0])
    unanswered = UnansweredImages.of(answered.is_changed, answered.expected, answered_series)
    if bool(is_other.any()):
        is_changed = torch.stack([fit.is_changed[is_other] for fit in changes])
        gains = torch.stack([fit.expected[is_other] for fit in changes])
        unanswered = UnansweredImages.of(is_changed, gains, series[is_other])
    gain = answered_gain(answered, unanswered)
    accuracy = zero_shot_accuracy(answered, unanswered.changed)
    doubtful = answered_rows[doubtful_answers(left_out.own, left_out.answers)]
    return LeftOutAnswers(
        answers=len(left_out.answers),
        series=len(answered_series.unique()),  # type: ignore[no-untyped-call]
        folds=FOLDS,
        zero_shot=accuracy,
        adapted=min(1.0, max(0.0, accuracy + gain.value)),
        gain=gain,
        doubtful=tuple(images.training.images[row].id for row in doubtful.tolist()),
    )


def verdict_of(facts: AnswerFacts | None) -> Verdict | None:
    """Return the verdict that the answers measure; None if they do not measure the gain.

    The run uses the taught model, unless the interval of its gain is below zero.
    """
    if facts is None or facts.measured is None:
        return None
    return Verdict(
        float(facts.measured.gain.high >= 0),
        f"measured with {facts.measured.answers} answers, which were left out in turn",
        signals={"gain": facts.measured.gain.value},
        measured="better" if facts.measured.gain.low > 0 else None,
    )


def folds(labels: Mapping[str, int], series: Mapping[str, int]) -> dict[str, int]:
    """Return a fold per key, the same for all keys of a series.

    `labels` are the classes by key, and `series` are the numbers of the series. The series of a
    class spread over as many folds as possible. Series come in the order of the first of their
    keys, by class and by hash of the key, so an answer that is added moves few others.
    """
    ranked = sorted(labels, key=lambda key: (labels[key], blake2b(key.encode()).digest()))
    numbers: dict[int, int] = {}
    return {key: numbers.setdefault(series[key], len(numbers)) % FOLDS for key in ranked}


def left_out_order(labels: Mapping[str, int], series: Mapping[str, int]) -> list[str]:
    """Return the keys in the order in which they are left out; see `folds`."""
    fold_of = folds(labels, series)
    return sorted(labels, key=lambda key: fold_of[key])


def distinct_rows(keys: Sequence[str], corrections: Corrections) -> dict[str, int]:
    """Return the first row of each image whose class a person gave, by content key."""
    rows: dict[str, int] = {}
    for row, (key, label) in enumerate(zip(keys, corrections.labels, strict=True)):
        if label >= 0:
            rows.setdefault(key, row)
    return rows


def _fit_without(
    left_out: Sequence[str],
    answers: Sequence[int],
    workspace: Workspace,
    images: Images,
    zero_shot: ZeroShot,
    bank: DescriptionBank,
) -> tuple[LeftOutScores, _Changes]:
    """Return what a fit without the `answers` says about their images `left_out`, and changes."""
    assert images.corrections is not None
    hidden = {*left_out}
    pairs = zip(images.training.keys, images.corrections.labels, strict=True)
    visible = tuple(-1 if key in hidden else label for key, label in pairs)
    corrections = replace(images.corrections, labels=visible)
    without = replace(images, corrections=corrections)
    fitted = fit_again(workspace, without, zero_shot, bank)
    adapted, posterior = adapted_of(workspace, fitted, images.class_names), fitted.posterior
    is_changed, expected = fitted.labels != zero_shot.zero_shot_labels, torch.ones(len(visible))
    if posterior is not None:
        expected = expected_gains(posterior, zero_shot.zero_shot_labels)
    row_of = {key: row for row, key in reversed([*enumerate(images.training.keys)])}
    rows = torch.tensor([row_of[key] for key in left_out], dtype=torch.int64)
    features = [zero_shot.of(name).training[rows] for name in adapted.names]
    if posterior is not None:
        posterior = Posterior(posterior.labels[rows], posterior.probabilities[rows])
    fold_left_out = LeftOutScores(torch.tensor(answers), adapted.similarities(features), posterior)
    return fold_left_out, _Changes(is_changed, expected)
