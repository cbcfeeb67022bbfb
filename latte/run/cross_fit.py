"""Measurement of a model that a person's answers taught, by leaving answers out in turn.

All answers teach the model that a run uses, so none of them can measure it. Instead the labelers
are fitted again without a fifth of the answers, and label the images of these answers. After five
fits, each answer was left out once. The fits know fewer answers than the model, so they are hardly
better than it. The same fits show which answers are probably mistakes: those whose class is
unlikely by all other answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b

import torch

from latte.describe.bank import DescriptionBank
from latte.evaluate.doubtful import doubtful_answers
from latte.evaluate.metrics import paired_gain_interval
from latte.interfaces import Posterior, Verdict
from latte.interfaces.record import AnswerFacts, LeftOutAnswers
from latte.models.zero_shot import ZeroShot
from latte.run.corrections import Corrections
from latte.run.fitting import fit_again
from latte.run.images import Images
from latte.run.workspace import Workspace

FOLDS = 5
LEAST_ANSWERS = 6
"""With fewer answers that can be left out, the gain is not measured."""


def answer_facts(
    workspace: Workspace, images: Images, zero_shot: ZeroShot, bank: DescriptionBank
) -> AnswerFacts | None:
    """Return facts about the answers that teach the run; None if there are none.

    The images are the joined ones, with the examples among the training images. The gain is not
    measured if the recipe has training steps, because each fit would train the model again, or if
    too few answers can be left out.
    """
    if images.corrections is None:
        return None
    rows = _distinct(images.training.keys, images.corrections)
    labels = {key: images.corrections.labels[row] for key, row in rows.items()}
    per_class = Counter(labels.values())
    usable = {key: label for key, label in labels.items() if per_class[label] > 1}
    facts = AnswerFacts(answers=len(labels), classes=len(per_class))
    if workspace.recipe.train.takes_steps or len(usable) < LEAST_ANSWERS:
        return facts
    fold_of = folds(usable)
    keys = sorted(usable, key=lambda key: fold_of[key])
    fold_posteriors = []
    with workspace.progress.task("leave answers out", FOLDS, "fits") as task:
        for fold in range(FOLDS):
            left_out = [key for key in keys if fold_of[key] == fold]
            fold_posteriors.append(_posterior_without(left_out, workspace, images, zero_shot, bank))
            task.advance()
    posterior = Posterior(
        torch.cat([fold_posterior.labels for fold_posterior in fold_posteriors]),
        torch.cat([fold_posterior.probabilities for fold_posterior in fold_posteriors]),
    )
    answers = torch.tensor([usable[key] for key in keys])
    adapted = (posterior.labels[:, 0] == answers).tolist()
    answered_rows = torch.tensor([rows[key] for key in keys])
    frozen = (zero_shot.zero_shot_labels[answered_rows] == answers).tolist()
    doubtful = answered_rows[doubtful_answers(posterior, answers)]
    pairs = Counter(zip(adapted, frozen, strict=True))
    left_out_answers = LeftOutAnswers(
        answers=len(usable),
        folds=FOLDS,
        zero_shot=sum(frozen) / len(usable),
        adapted=sum(adapted) / len(usable),
        gain=paired_gain_interval(pairs[True, False], pairs[False, True], len(usable)),
        doubtful=tuple(images.training.images[row].id for row in doubtful.tolist()),
    )
    return facts.model_copy(update={"measured": left_out_answers})


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


def folds(labels: Mapping[str, int]) -> dict[str, int]:
    """Return a fold per key, so that the answers of a class spread over as many folds as possible.

    `labels` are the classes by key. The order is that of hashes of the keys, so an answer that is
    added moves few others.
    """
    ranked = sorted(labels, key=lambda key: (labels[key], blake2b(key.encode()).digest()))
    return {key: number % FOLDS for number, key in enumerate(ranked)}


def _distinct(keys: Sequence[str], corrections: Corrections) -> dict[str, int]:
    """Return the first row of each image whose class a person gave, by content key."""
    rows: dict[str, int] = {}
    for row, (key, label) in enumerate(zip(keys, corrections.labels, strict=True)):
        if label >= 0:
            rows.setdefault(key, row)
    return rows


def _posterior_without(
    left_out: Sequence[str],
    workspace: Workspace,
    images: Images,
    zero_shot: ZeroShot,
    bank: DescriptionBank,
) -> Posterior:
    """Return class probabilities of the images `left_out` by a fit without their answers.

    If no labeler returns probabilities, each image has one label of probability 1.
    """
    assert images.corrections is not None
    hidden = {*left_out}
    pairs = zip(images.training.keys, images.corrections.labels, strict=True)
    kept = tuple(-1 if key in hidden else label for key, label in pairs)
    corrections = replace(images.corrections, labels=kept)
    without = replace(images, corrections=corrections)
    fitted = fit_again(workspace, without, zero_shot, bank)
    posterior = fitted.posterior
    if posterior is None:
        labels = fitted.labels.unsqueeze(1)
        posterior = Posterior(labels, torch.ones_like(labels, dtype=torch.float32))
    row_of = {key: row for row, key in reversed([*enumerate(images.training.keys)])}
    rows = torch.tensor([row_of[key] for key in left_out], dtype=torch.int64)
    return Posterior(posterior.labels[rows], posterior.probabilities[rows])
