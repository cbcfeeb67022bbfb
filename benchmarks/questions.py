"""Accuracy of the labeler `choices` by number of questions, with simulated answerers.

Each set's training images are a folder, at most `--most` of them, and as many test images are
unseen. `question_answerers` has the answerers. The questions pass through the run's own store and
budget. Answers of a person are true. With `--random`, all are asked about random images instead of
those in latte's order.

Accuracy on own images counts answered images, too. The number of questions includes the control
questions of `choices`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from statistics import mean

import torch
from latte_benchmarks.folder_cells import Folder, LabelledSet
from latte_questions.interview import Interview
from latte_questions.options import FEWEST_QUESTIONS

from benchmarks.folder_methods import FolderAccuracy, zero_shot
from benchmarks.folder_methods import accuracy as accuracy_of
from benchmarks.folder_sets import load_sets, positive, set_parser
from benchmarks.measuring import say, table
from benchmarks.order_random import random_order
from benchmarks.orders import latte_order
from benchmarks.question_answerers import ANSWERERS
from benchmarks.question_arms import RandomInterview, answered, fitted, person

NUMBERS = (10, 30, 60, 120)
PERSON = "a person"

Arm = Callable[[Folder, int, int], FolderAccuracy]
"""Function of a folder, a draw and a number of questions."""


def main(arguments: Sequence[str]) -> None:
    """Print the mean accuracies. Raises `LatteError` for a mistake in the arguments."""
    parser = set_parser("questions", __doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="plugin:tiny")
    parser.add_argument("--draws", type=positive, default=1)
    parser.add_argument("--most", type=positive, default=500)
    parser.add_argument("--numbers", type=positive, nargs="+", default=[*NUMBERS])
    parser.add_argument("--answerers", nargs="+", choices=ANSWERERS, default=[*ANSWERERS])
    parser.add_argument("--random", action="store_true", help="ask about random images")
    options = parser.parse_args(arguments)
    sets = load_sets(options)
    folders = [
        (draw, part_of(labelled, draw, options.most))
        for labelled in sets
        for draw in range(options.draws)
    ]
    rows = [
        ["zero-shot", *_repeated(folders, _zero_shot, options.numbers)],
        ["no answers", *_repeated(folders, fitted, options.numbers)],
    ]
    for name, arm in arms_of(options.answerers, random=options.random).items():
        rows.append([name, *(_cell(folders, arm, number) for number in options.numbers)])
    say(f"own / unseen images, mean of {len(sets)} sets, {options.draws} draws", "")
    say(table(["answers by", *(f"{number} questions" for number in options.numbers)], rows))


def arms_of(answerers: Sequence[str], *, random: bool) -> Mapping[str, Arm]:
    """Return the answerers, and a person."""
    interview = RandomInterview if random else Interview
    order = random_order if random else latte_order
    arms: dict[str, Arm] = {
        PERSON: lambda folder, draw, number: person(folder, number, order),
    }
    return arms | {name: _describer(name, interview) for name in answerers}


def part_of(labelled: LabelledSet, draw: int, most: int) -> Folder:
    """Return a random part of a set as a folder, with at most `most` images of each kind."""
    generator = torch.Generator().manual_seed(draw)
    own, test = (
        images.take(torch.randperm(len(images), generator=generator)[:most].sort().values)
        for images in (labelled.train, labelled.test)
    )
    counts = torch.from_numpy(own.counts(len(labelled.names)))
    return Folder(
        labelled.names, labelled.texts, labelled.logit_scale, own, test, counts / counts.sum()
    )


def _describer(name: str, interview: type[Interview]) -> Arm:
    def arm(folder: Folder, draw: int, number: int) -> FolderAccuracy:
        if number < FEWEST_QUESTIONS:
            return fitted(folder)
        return answered(folder, ANSWERERS[name](folder, draw), number, interview=interview)

    return arm


def _zero_shot(folder: Folder) -> FolderAccuracy:
    return accuracy_of(folder, zero_shot(folder))


def _repeated(
    folders: Sequence[tuple[int, Folder]],
    measure: Callable[[Folder], FolderAccuracy],
    numbers: Sequence[int],
) -> list[str]:
    """Return the same cell for each number of questions."""
    return [_mean([measure(folder) for _, folder in folders])] * len(numbers)


def _cell(folders: Sequence[tuple[int, Folder]], arm: Arm, number: int) -> str:
    return _mean([arm(folder, draw, number) for draw, folder in folders])


def _mean(accuracies: Sequence[FolderAccuracy]) -> str:
    own, unseen = (mean(getattr(draw, part) for draw in accuracies) for part in ("own", "unseen"))
    return f"{own:.1f} / {unseen:.1f}"
