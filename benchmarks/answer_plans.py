"""Plans of which images a simulated person answers about, for the measurement `answers`."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.answer_rivals import AnsweredSet
from latte.api import AskingOrder, Posterior, asking_order

NO_ANSWER, IN_ORDER, WORTH_ASKING = "0 per class", "in order", "while worth asking"
PLANS = (
    *(NO_ANSWER, "1 per class", "2 per class", "5 per class", "10 per class"),
    *("3 random", "10 random", "30 random", "100 random", "1 per group", "2 per group"),
    *("5 sheets", "1 sheet per group"),
    *(f"{number} {IN_ORDER}" for number in (10, 15, 30, 50, 100)),
    WORTH_ASKING,
)
_CONSIDERED = 0.7
"""Share of a group's or folder's images that a draw considers, so that draws differ."""
_SUREST, _LEAST_SURE = 9, 3
"""Numbers of a group's images on a sheet."""
_MIXED = 0.25
"""A sheet is mixed, and its group gets no answer, if no class has this share of its images."""
_REFIT_AFTER = 10
"""Number of answers in latte's order after which the model is fitted again."""


def answers(answered: AnsweredSet, plan: str, generator: torch.Generator) -> Tensor:
    """Return the true classes (N,) of the images that `plan` asks about, and -1 elsewhere."""
    truth = answered.labelled.train.labels
    order = torch.randperm(len(truth), generator=generator)
    if plan == WORTH_ASKING:
        rows = _in_order(answered, order, None)
    elif plan.endswith(IN_ORDER):
        rows = _in_order(answered, order, _number(plan))
    elif "sheet" in plan:
        sheets = [*_sheets(answered, generator)]
        rows = torch.cat(sheets if plan.endswith("group") else sheets[: _number(plan)])
    elif plan.endswith("random"):
        rows = order[: _number(plan)]
    elif plan.endswith("class"):
        rows = torch.cat(
            [order[truth[order] == label][: _number(plan)] for label in range(answered.classes)]
        )
    else:
        rows = torch.cat([*_nearest_centres(answered, _number(plan), generator)])
    return torch.full_like(truth, -1).index_copy(0, rows, truth[rows])


def with_mistakes(true: Tensor, share: float, classes: int, generator: torch.Generator) -> Tensor:
    """Return the answers, where each is another random class with the probability `share`."""
    mistaken = (torch.rand(len(true), generator=generator) < share) & (true >= 0)
    other_classes = (
        true + torch.randint(1, max(2, classes), true.shape, generator=generator)
    ) % classes
    return torch.where(mistaken, other_classes, true)


def _number(plan: str) -> int:
    return int(plan.split()[0])


def _nearest_centres(
    answered: AnsweredSet, number: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield, per group that latte finds, the images nearest its centre, of a random part."""
    groups = answered.without_answers.labels[:, 0]
    for label in groups.unique().tolist():  # type: ignore[no-untyped-call]
        rows = (groups == label).nonzero().squeeze(1)
        centre = normalize(answered.own[rows].mean(dim=0), dim=0)
        ranked = rows[(answered.own[rows] @ centre).argsort(descending=True)]
        considered = torch.rand(len(ranked), generator=generator) < _CONSIDERED
        yield torch.cat([ranked[considered], ranked[~considered]])[:number]


def _sheets(answered: AnsweredSet, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the images that get an answer on each group's sheet, the largest group first."""
    truth = answered.labelled.train.labels
    posterior = answered.without_answers
    confidence, groups = posterior.probabilities[:, 0], posterior.labels[:, 0]
    is_considered = torch.rand(len(truth), generator=generator) < _CONSIDERED
    for label in groups.bincount().argsort(descending=True, stable=True).tolist():
        rows = ((groups == label) & is_considered).nonzero().squeeze(1)
        ranked = rows[confidence[rows].argsort(descending=True, stable=True)]
        least_sure = ranked[_SUREST:]
        sheet = torch.cat([ranked[:_SUREST], least_sure[max(0, len(least_sure) - _LEAST_SURE) :]])
        shows = truth[sheet]
        if len(sheet) and int(shows.bincount().max()) >= _MIXED * len(sheet):
            yield sheet[shows == shows.mode().values]


def _in_order(answered: AnsweredSet, shuffled: Tensor, number: int | None) -> Tensor:
    """Return images in latte's order of asking, of a random part of the folder.

    Without a `number`, asking ends when it is no longer worth it.
    """
    considered = shuffled[: round(_CONSIDERED * len(shuffled))]
    truth = answered.labelled.train.labels
    corrections, posterior = torch.full_like(truth, -1), answered.without_answers
    asked_rows = considered[:0]
    while len(asked_rows) < (len(considered) if number is None else number):
        order = _next(answered, considered, posterior, corrections)
        if number is None and not order.is_worth_asking:
            break
        rows = considered[order.rows]
        asked_rows, corrections[rows] = torch.cat([asked_rows, rows]), truth[rows]
        posterior = answered.taught(corrections).posterior
    return asked_rows[:number]


def _next(
    answered: AnsweredSet, considered: Tensor, posterior: Posterior, corrections: Tensor
) -> AskingOrder:
    confidence = posterior.probabilities[considered, 0]
    labels = posterior.labels[considered, 0]
    texts, features = answered.labelled.texts, answered.own[considered]
    differs = labels != (features @ texts.T).argmax(dim=1)
    return asking_order(features, confidence, differs, corrections[considered] >= 0, _REFIT_AFTER)
