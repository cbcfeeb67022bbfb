"""Accuracy by number of answers, for latte's method and for other ways to use answers.

Each set's training images are a folder, and its test images are unseen. A simulated person gives
the true classes of some images: `5 per class`, `30 random` images, `2 per group`, the images
nearest the centre of each group that latte finds without answers, or `30 in order`, the
images that latte asks about first. In `5 sheets` the person names the five largest groups on a
sheet of the nine surest and three least sure images of each, of which those that show the sheet's
commonest class get an answer. `while worth asking` goes on in this order as long as ten
answers are expected to change a point. With `--wrong`, a share of the answers names another class.
Accuracy on own images leaves the answered images out. With `--recipe demo`, the whole recipe of
LatteCLIP is one more method; it needs `--set`, because it trains with the images.

The constants of the order of asking were chosen on sports22, weather6, grocery26, trash6, steel6,
brain4, cifar10 and emotions6, and judged on eight other sets; those of the method, see
`self_taught`.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from zlib import crc32

import torch
from latte_benchmarks.folder_cells import LabelledSet
from torch import Tensor

from benchmarks.answer_plans import NO_ANSWER, PLANS, WORTH_ASKING, answers, with_mistakes
from benchmarks.answer_recipes import RecipeRun
from benchmarks.answer_rivals import RIVALS, AnsweredSet, RivalLabels, RivalMethod, latte
from benchmarks.folder_files import number
from benchmarks.folder_sets import load_sets, positive, set_parser, sets_of
from benchmarks.measuring import say, table

LATTE = "latte"
METHODS: dict[str, RivalMethod] = {LATTE: latte, **RIVALS}


@dataclass(frozen=True)
class Accuracy:
    """Accuracies in per cent, on own images without an answer and on unseen images."""

    own: float
    unseen: float
    answers: int
    """Number of answers."""


AnswerResults = dict[tuple[str, str], dict[str, list[Accuracy]]]
"""Accuracies of each method, one per draw, by name of the set and plan."""


def main(arguments: Sequence[str]) -> None:
    """Print the accuracies by plan and method, and the differences to the best rival by set."""
    parser = set_parser("answers", __doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="plugin:tiny")
    parser.add_argument("--plan", action="append", choices=PLANS, help="default: all")
    parser.add_argument("--no-rivals", action="store_true", help="measure latte alone")
    parser.add_argument("--draws", type=positive, default=5)
    parser.add_argument("--wrong", type=float, default=0.0, help="share of wrong answers")
    parser.add_argument(
        "--recipe",
        action="append",
        choices=("demo", "flyp"),
        default=[],
        help="also run this recipe",
    )
    options = parser.parse_args(arguments)
    if options.recipe and not options.set:
        parser.error("--recipe needs --set")
    sets = load_sets(options)
    plans = options.plan or PLANS
    methods = {LATTE: latte} if options.no_rivals else dict(METHODS)
    with tempfile.TemporaryDirectory() as place:
        for recipe in options.recipe:
            methods[f"recipe {recipe}"] = RecipeRun(recipe, number(sets_of(options)), Path(place))
        _measure(options, sets, plans, methods)


def _measure(
    options: argparse.Namespace,
    sets: Sequence[LabelledSet],
    plans: Sequence[str],
    methods: Mapping[str, RivalMethod],
) -> None:
    results: AnswerResults = {}
    for labelled in sets:
        answered = AnsweredSet(labelled)
        for plan in plans:
            results[labelled.name, plan] = accuracies(
                answered, plan, methods, options.draws, options.wrong
            )
    names = [labelled.name for labelled in sets]
    for part in ("own", "unseen"):
        say("", f"{part} images: mean accuracy of {len(sets)} sets, {options.draws} draws", "")
        say(means_table(names, plans, methods, results, part), "")
        if not options.no_rivals:
            say(*(against_best_rival(names, plan, results, part) for plan in plans))
        if NO_ANSWER in plans:
            say(*(against_no_answer(names, plan, results, part) for plan in plans), "")
    if WORTH_ASKING in plans:
        numbers = {
            name: mean(draw.answers for draw in results[name, WORTH_ASKING][LATTE])
            for name in names
        }
        counts = ", ".join(f"{name} {number:.0f}" for name, number in numbers.items())
        say("", f"mean number of answers {WORTH_ASKING}: {counts}")


def accuracies(
    answered: AnsweredSet, plan: str, methods: Mapping[str, RivalMethod], draws: int, wrong: float
) -> dict[str, list[Accuracy]]:
    """Return the accuracies of each method, one per draw; all methods get the same answers."""
    method_accuracies: dict[str, list[Accuracy]] = {name: [] for name in methods}
    for draw in range(draws):
        generator = torch.Generator().manual_seed(crc32(f"{answered.name} {plan} {draw}".encode()))
        true = answers(answered, plan, generator)
        corrections = with_mistakes(true, wrong, answered.classes, generator)
        for name, method in methods.items():
            method_accuracies[name].append(
                accuracy(answered, corrections, method(answered, corrections))
            )
    return method_accuracies


def accuracy(answered: AnsweredSet, corrections: Tensor, labels: RivalLabels) -> Accuracy:
    """Return the accuracies of the labels in per cent."""
    is_right = (labels.own == answered.labelled.train.labels)[corrections < 0]
    unseen = labels.unseen == answered.labelled.test.labels
    shares = [100 * float(right.float().mean()) for right in (is_right, unseen)]
    return Accuracy(shares[0], shares[1], int((corrections >= 0).sum()))


def means_table(
    names: Sequence[str],
    plans: Sequence[str],
    methods: Iterable[str],
    results: AnswerResults,
    part: str,
) -> str:
    """Return a table of the mean over sets, with a row per method and a column per plan."""
    rows = [
        [method, *(f"{mean_of(names, plan, results, part, method):.1f}" for plan in plans)]
        for method in methods
    ]
    return table(["", *plans], rows)


def against_best_rival(names: Sequence[str], plan: str, results: AnswerResults, part: str) -> str:
    """Return a line on the differences to the rival with the highest mean, set by set.

    A set is marked with `!` if latte is below by more than two standard errors of paired draws.
    """
    best = max(RIVALS, key=lambda method: mean_of(names, plan, results, part, method))
    cells = []
    for name in names:
        pairs = zip(results[name, plan][LATTE], results[name, plan][best], strict=True)
        differences = [getattr(ours, part) - getattr(theirs, part) for ours, theirs in pairs]
        draws = len(differences)
        error = stdev(differences) / math.sqrt(draws) if draws > 1 else math.inf
        mark = "!" if mean(differences) < -2 * error else ""
        cells.append(f"{name} {mean(differences):+.1f}{mark}")
    return f"{plan}, minus {best}: {', '.join(cells)}"


def against_no_answer(names: Sequence[str], plan: str, results: AnswerResults, part: str) -> str:
    """Return a line on latte's differences to its accuracy without an answer, set by set."""
    cells = [
        f"{name} {mean_of([name], plan, results, part, LATTE) - unanswered:+.1f}"
        for name in names
        for unanswered in [mean_of([name], NO_ANSWER, results, part, LATTE)]
    ]
    return f"{plan}, minus {NO_ANSWER}: {', '.join(cells)}"


def mean_of(
    names: Sequence[str], plan: str, results: AnswerResults, part: str, method: str
) -> float:
    """Return the mean over sets of the mean over draws."""
    means = [mean(getattr(draw, part) for draw in results[name, plan][method]) for name in names]
    return float(mean(means))
