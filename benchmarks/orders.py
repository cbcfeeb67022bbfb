"""Accuracy by number of answers, for latte's order of asking and for those of papers.

Each set's training images are a folder, at most `--most` of them, and as many test images are
unseen. A simulated person gives the true class of ten images at a time, among a random part of the
folder; then the default labels all images again. Every order starts from the same labels, without
an answer, and sees the same part. The files `order_*.py` have the orders, one each.

Accuracy on own images leaves answered images out. With `--gains`, the gain that latte's order
expects of each ten answers is compared with what happened on all own images. `--half` takes the
first, third and so on of the sets, or the others.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev
from zlib import crc32

import torch
from latte_benchmarks.folder_cells import LabelledSet
from torch import Tensor

from benchmarks.answer_rivals import AnsweredSet
from benchmarks.folder_sets import load_sets, positive, set_parser
from benchmarks.measuring import say, table
from benchmarks.order_badge import badge_order
from benchmarks.order_margin import margin_order
from benchmarks.order_probcover import probcover_order
from benchmarks.order_problem import AskingProblem, Order
from benchmarks.order_random import random_order
from benchmarks.order_typiclust import typiclust_order
from benchmarks.order_uherding import uherding_order
from latte.api import AskingOrder, asking_order
from latte.toolkit.self_taught import Taught

OURS = "latte"
NUMBERS = (10, 30, 50)
_BATCH, _ROUNDS, _CONSIDERED = 10, 6, 0.7


def next_images(problem: AskingProblem, count: int) -> AskingOrder:
    """Return latte's order of asking, with expected gains."""
    confidence = problem.posterior.probabilities[:, 0]
    differs = problem.posterior.labels[:, 0] != problem.zero_shot
    return asking_order(problem.features, confidence, differs, problem.is_answered, count)


def latte_order(problem: AskingProblem, count: int) -> Tensor:
    """Return the images that latte asks about next."""
    return next_images(problem, count).rows


ORDERS: Mapping[str, Order] = {
    OURS: latte_order,
    "random": random_order,
    "margin": margin_order,
    "TypiClust": typiclust_order,
    "ProbCover": probcover_order,
    "BADGE": badge_order,
    "UHerding": uherding_order,
}


@dataclass(frozen=True)
class Step:
    """Accuracies after some answers, in percent."""

    answers: int
    own: float
    """On own images without an answer."""
    unseen: float
    all_own: float
    """On all own images; an answered image is right."""
    expected: float
    """Gain on all own images that latte's order expects of the ten answers before, in points."""


def main(arguments: Sequence[str]) -> None:
    """Print the tables. Raises `LatteError` for a mistake in arguments or files."""
    parser = set_parser("orders", __doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="plugin:tiny")
    parser.add_argument("--draws", type=positive, default=3)
    parser.add_argument("--most", type=positive, default=500)
    parser.add_argument("--half", type=int, choices=(1, 2), help="one half of the sets")
    parser.add_argument("--gains", action="store_true", help="also print expected gains")
    parser.add_argument("--orders", nargs="+", choices=ORDERS, default=[*ORDERS])
    options = parser.parse_args(arguments)
    sets = load_sets(options)
    sets = sets if options.half is None else sets[options.half - 1 :: 2]
    draws = {
        labelled.name: [
            {name: steps(labelled, ORDERS[name], draw, options.most) for name in options.orders}
            for draw in range(options.draws)
        ]
        for labelled in sets
    }
    for part in ("own", "unseen"):
        say("", f"{part} images, {len(sets)} sets, {options.draws} draws", "")
        say(means_table(draws, part, options.orders))
    if options.gains:
        say("", gains_table(draws))


def steps(labelled: LabelledSet, order: Order, draw: int, most: int) -> list[Step]:
    """Return the accuracies without an answer, and after each ten answers in this order."""
    generator = torch.Generator().manual_seed(crc32(f"{labelled.name} {draw}".encode()))
    answered = _part(labelled, most, generator)
    truth, images = answered.labelled.train.labels, len(answered.own)
    considered = torch.randperm(images, generator=generator)[: round(_CONSIDERED * images)]
    zero_shot = (answered.own @ answered.labelled.texts.T).argmax(dim=1)
    given = torch.full_like(truth, -1)
    found, expected = [], 0.0
    for _ in range(_ROUNDS + 1):
        taught = answered.taught(given)
        found.append(_step(answered, taught, given, expected))
        posterior = taught.posterior
        problem = AskingProblem(
            answered.own[considered],
            replace(
                posterior,
                labels=posterior.labels[considered],
                probabilities=posterior.probabilities[considered],
                none=None,
            ),
            zero_shot[considered],
            given[considered] >= 0,
            answered.classes,
            generator,
        )
        rows = considered[order(problem, _BATCH)]
        expected = 100 * float(next_images(problem, _BATCH).gains.sum())
        given[rows] = truth[rows]
    return found


def _part(labelled: LabelledSet, most: int, generator: torch.Generator) -> AnsweredSet:
    """Return a random part of a set, with at most `most` images of each kind."""
    parts = (
        images.take(torch.randperm(len(images), generator=generator)[:most].sort().values)
        for images in (labelled.train, labelled.test)
    )
    train, test = parts
    return AnsweredSet(replace(labelled, train=train, test=test))


def _step(answered: AnsweredSet, taught: Taught, given: Tensor, expected: float) -> Step:
    right = taught.posterior.labels[:, 0] == answered.labelled.train.labels
    unseen_labels = (answered.unseen @ taught.rows[0].T + taught.bias).argmax(dim=1)
    unseen = unseen_labels == answered.labelled.test.labels
    shares = [
        100 * float(part.double().mean())
        for part in (right[given < 0], unseen, right | (given >= 0))
    ]
    return Step(int((given >= 0).sum()), shares[0], shares[1], shares[2], expected)


def means_table(
    draws: Mapping[str, Sequence[Mapping[str, Sequence[Step]]]], part: str, orders: Sequence[str]
) -> str:
    """Return the mean over sets of each order, and its difference to latte's with error."""
    rows = []
    for name in orders:
        row = [name]
        for number in NUMBERS:
            values = set_means(draws, part, name, number)
            row.append(f"{mean(values):.1f}")
            if OURS in orders and name != OURS:
                ours = set_means(draws, part, OURS, number)
                apart = [theirs - our for theirs, our in zip(values, ours, strict=True)]
                row[-1] += f" ({mean(apart):+.1f} ± {error_of(apart):.1f})"
        rows.append(row)
    return table(["", *(f"{number} answers" for number in NUMBERS)], rows)


def set_means(
    draws: Mapping[str, Sequence[Mapping[str, Sequence[Step]]]], part: str, name: str, number: int
) -> list[float]:
    """Return the mean over draws of each set, after `number` answers."""
    place = number // _BATCH
    return [mean(getattr(draw[name][place], part) for draw in of_set) for of_set in draws.values()]


def error_of(values: Sequence[float]) -> float:
    """Return the standard error of the mean."""
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.inf


def gains_table(draws: Mapping[str, Sequence[Mapping[str, Sequence[Step]]]]) -> str:
    """Return, for each ten answers in latte's order, the expected gain and what happened."""
    rows = []
    for place in range(1, _ROUNDS + 1):
        pairs = [
            (run[OURS][place].expected, run[OURS][place].all_own - run[OURS][place - 1].all_own)
            for of_set in draws.values()
            for run in of_set
        ]
        expected, happened = (mean(values) for values in zip(*pairs, strict=True))
        rows.append(
            [
                f"{_BATCH * place}",
                f"{expected:.2f}",
                f"{happened:.2f}",
                f"{happened / expected:.2f}",
            ]
        )
    return table(["answers", "expected", "happened", "ratio"], rows)
