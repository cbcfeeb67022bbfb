"""Accuracy of self-taught ridge regression and its rivals, and what each of its constants adds.

With answers, each set's training images are a folder, and a simulated person gives classes by nine
plans (see `answers`); two further plans answer about three of ten classes, and about a folder in
which a fifth of the names occurs. Without answers, five kinds of folder are drawn from each set
(see `folders`), and the guard `evidence` keeps zero-shot CLIP or not. Differences are in points of
accuracy, with the standard error over sets.

Sets are split into two halves by their order: the first, third and so on, and the others. With
`--constants`, each constant also has other values: one half chooses the best value, and the other
half judges it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from unittest.mock import patch
from zlib import crc32

import torch
from latte_benchmarks.folder_cells import CELL, NO_CLASS, LabelledSet, can_draw, draw, subset
from latte_selftaught import guard
from latte_selftaught.agreement import LEAST_REMOVED
from torch import Tensor

from benchmarks.answer_plans import answers
from benchmarks.answer_rivals import AnsweredSet, RivalLabels, latte
from benchmarks.folder_sets import load_sets, positive, set_parser
from benchmarks.measuring import no_clip, say, table
from benchmarks.ridge_rivals import RIVALS
from latte.interfaces import Context, Evidence, NoOptions
from latte.toolkit import self_taught as method

PLANS = (
    *("1 per class", "2 per class", "5 per class", "10 per class", "10 random", "30 random"),
    *("100 random", "1 per group", "2 per group"),
)
THREE, FIFTH = "3 of 10 classes", "a fifth, 10 random"
KINDS = ("all names", "a fifth of the set's names", "50 images", "long tail", "30 % of no class")
OURS, ZERO_SHOT = "self-taught", "zero-shot"
CONSTANTS: Mapping[str, tuple[float, ...]] = {
    "TEXT": (0.5, 1.0),
    "RIDGE": (0.25, 1.0),
    "TAUGHT": (0.0, 0.15, 0.4),
    "SURE": (0.6, 0.9, 1.0),
    "KEEP": (0.0, 0.15, 0.4),
    "NEIGHBOURS": (5, 10),
    "SMOOTH": (0.4, 0.6),
    "SMOOTHINGS": (0, 15),
    "ROUNDS": (1, 3),
}
"""Other values of the constants; `TAUGHT` 0 and `SMOOTHINGS` 0 leave a part of the method out."""


LEADS = (1.0, guard.MIN_LEAD, 1.1)
LIMITS = (-math.inf, 0.1, 0.15, 0.2, LEAST_REMOVED, 0.3, 0.35, 0.4)
"""Values of the guard's two limits."""


@dataclass(frozen=True)
class TeachingProblem:
    """A folder, unseen images, and answers about the folder."""

    place: tuple[str, str, int]
    """Name of the set, plan or kind of folder, and number of the draw."""
    answered: AnsweredSet
    answers: Tensor


TeachingMethod = Callable[[TeachingProblem], RivalLabels]
TeachingResults = dict[tuple[str, str, int], tuple[float, float]]
"""Accuracies in percent on own images and on unseen images, by `TeachingProblem.place`."""


def main(arguments: Sequence[str]) -> None:
    """Print the tables. Raises `LatteError` for a mistake in arguments or files."""
    parser = set_parser("self_taught", __doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="plugin:tiny")
    parser.add_argument("--draws", type=positive, default=3)
    parser.add_argument("--constants", action="store_true", help="also try other constants")
    options = parser.parse_args(arguments)
    sets = load_sets(options)
    halves = [{labelled.name for labelled in sets[start::2]} for start in (0, 1)]
    taught = [*problems_with_answers(sets, options.draws)]
    untaught = [*problems_without_answers(sets, options.draws)]
    taught_rivals = {OURS: self_taught, **few_answer_rivals()}
    with_answers = {name: measured(taught, one) for name, one in taught_rivals.items()}
    untaught_rivals = {ZERO_SHOT: zero_shot, OURS: self_taught}
    without = {name: measured(untaught, one) for name, one in untaught_rivals.items()}
    with_guard = {
        f"{name} with the guard": measured(untaught, guarded(one))
        for name, one in untaught_rivals.items()
        if name != ZERO_SHOT
    }
    say_means("with answers", with_answers, (*PLANS, THREE, FIFTH))
    say_differences(with_answers, halves, PLANS)
    say_means("without answers", without | with_guard, KINDS)
    say_losses(without[ZERO_SHOT], with_guard)
    say_differences(with_guard, halves, KINDS)
    if options.constants:
        say_limits(untaught, without[ZERO_SHOT], halves)
        say_constants(taught, untaught, halves)


def problems_with_answers(sets: Sequence[LabelledSet], draws: int) -> Iterator[TeachingProblem]:
    """Yield the folders with answers of each set, plan and draw."""
    for labelled in sets:
        whole = AnsweredSet(labelled)
        for number in range(draws):
            for plan in PLANS:
                yield _answered(whole, plan, plan, number)
            cell = CELL[KINDS[1]]
            folder = draw(labelled, cell, number, sets)
            few = AnsweredSet(replace(labelled, train=folder.own, test=folder.test))
            yield _answered(few, "10 random", FIFTH, number)
            if len(labelled.names) >= 10:
                ten = AnsweredSet(subset(labelled, 10, number, labelled.name))
                problem = _answered(ten, "5 per class", THREE, number)
                some = torch.where(problem.answers < 3, problem.answers, -1)
                yield replace(problem, answers=some)


def _answered(answered: AnsweredSet, plan: str, name: str, number: int) -> TeachingProblem:
    generator = torch.Generator().manual_seed(crc32(f"{answered.name} {plan} {number}".encode()))
    return TeachingProblem(
        (answered.name, name, number), answered, answers(answered, plan, generator)
    )


def problems_without_answers(sets: Sequence[LabelledSet], draws: int) -> Iterator[TeachingProblem]:
    """Yield the folders without answers of each set, kind and draw."""
    for labelled in sets:
        for kind in KINDS:
            for number in range(draws if can_draw(labelled, CELL[kind], sets) else 0):
                folder = draw(labelled, CELL[kind], number, sets)
                answered = AnsweredSet(replace(labelled, train=folder.own, test=folder.test))
                nothing = torch.full_like(folder.own.labels, -1)
                yield TeachingProblem((labelled.name, kind, number), answered, nothing)


def self_taught(problem: TeachingProblem) -> RivalLabels:
    """Label by self-taught ridge regression."""
    return latte(problem.answered, problem.answers)


def zero_shot(problem: TeachingProblem) -> RivalLabels:
    """Label by the nearest class text."""
    return problem.answered.classified(problem.answered.labelled.texts)


def few_answer_rivals() -> dict[str, TeachingMethod]:
    """Return the methods of `ridge_rivals`."""

    def bound(name: str) -> TeachingMethod:
        return lambda problem: RIVALS[name](
            problem.answered.own,
            problem.answered.labelled.texts,
            problem.answers,
            problem.answered.labelled.logit_scale,
            problem.answered.unseen,
        )

    return {name: bound(name) for name in RIVALS}


def measured(problems: Sequence[TeachingProblem], one: TeachingMethod) -> TeachingResults:
    """Return the accuracies of a method on own images without an answer, and on unseen images."""
    results: TeachingResults = {}
    for problem in problems:
        labels, labelled = one(problem), problem.answered.labelled
        counted = (problem.answers < 0) & (labelled.train.labels != NO_CLASS)
        results[problem.place] = (
            _percent(labels.own[counted] == labelled.train.labels[counted]),
            _percent(labels.unseen == labelled.test.labels),
        )
    return results


def _percent(is_right: Tensor) -> float:
    return 100 * float(is_right.double().mean())


def guarded(one: TeachingMethod) -> TeachingMethod:
    """Return the method that keeps zero-shot CLIP where the guard rejects the labels of `one`."""
    context = Context(Path.cwd(), Path.cwd(), "cpu", 0, no_clip)
    judge = guard.EvidenceGuard(NoOptions(), context).judge

    def labels(problem: TeachingProblem) -> RivalLabels:
        adapted, labelled = one(problem), problem.answered.labelled
        evidence = Evidence(
            labelled.names,
            labelled.texts,
            problem.answered.own,
            labelled.logit_scale,
            {},
            adapted.own,
            trained=False,
        )
        return adapted if judge(evidence).strength else zero_shot(problem)

    return labels


def say_means(title: str, methods: Mapping[str, TeachingResults], columns: Sequence[str]) -> None:
    """Print a row per method and part, with the mean over sets of each plan or kind."""
    rows = []
    for part, name_of_part in enumerate(("own", "unseen")):
        for name, results in methods.items():
            cells = [mean(by_set(results, part, (column,)).values()) for column in columns]
            overall = mean(cells[: len(PLANS)])
            rows.append([f"{name}, {name_of_part}", *(f"{cell:.1f}" for cell in (*cells, overall))])
    say("", table([title, *columns, "mean"], rows))


def say_losses(kept: TeachingResults, methods: Mapping[str, TeachingResults]) -> None:
    """Print how many folders lose more than a point of own images against zero-shot CLIP."""
    for name, results in methods.items():
        gains = [results[place][0] - kept[place][0] for place in kept]
        share = mean(gain < -1 for gain in gains)
        say(f"{name}: {share:.1%} of {len(gains)} folders lose, the worst {min(gains):+.1f}")


def say_differences(
    methods: Mapping[str, TeachingResults], halves: Sequence[set[str]], columns: Sequence[str]
) -> None:
    """Print the differences of the first method to the others, by half and by set."""
    ours, *others = methods
    for other in others:
        for part, name_of_part in enumerate(("own", "unseen")):
            difference = differences(methods[ours], methods[other], part, columns)
            say("", f"{ours} minus {other}, {name_of_part}: {_by_half(difference, halves)}")
            say(", ".join(f"{name} {value:+.1f}" for name, value in difference.items()))


def differences(
    first: TeachingResults, second: TeachingResults, part: int, columns: Sequence[str]
) -> dict[str, float]:
    """Return the mean difference of two methods per set."""
    parts = [by_set(results, part, columns) for results in (first, second)]
    return {name: parts[0][name] - parts[1][name] for name in parts[0]}


def by_set(results: TeachingResults, part: int, columns: Sequence[str]) -> dict[str, float]:
    """Return the mean accuracy per set, over these plans or kinds."""
    values: dict[str, list[float]] = {}
    for (name, column, _), accuracies in results.items():
        if column in columns:
            values.setdefault(name, []).append(accuracies[part])
    return {name: mean(accuracies) for name, accuracies in values.items()}


def _by_half(difference: Mapping[str, float], halves: Sequence[set[str]]) -> str:
    groups = [[*difference.values()]]
    groups += [[difference[name] for name in half if name in difference] for half in halves]
    return ", ".join(
        f"{title} {mean(values):+.2f} ± {stdev(values) / math.sqrt(len(values)):.2f}"
        for title, values in zip(("all", "first half", "second half"), groups, strict=True)
        if len(values) > 1
    )


def say_limits(
    problems: Sequence[TeachingProblem], kept: TeachingResults, halves: Sequence[set[str]]
) -> None:
    """Print gains and losses by half with other limits of the guard; -inf leaves the limit out."""
    labels = {problem.place: self_taught(problem) for problem in problems}
    for lead, removed in product(LEADS, LIMITS):
        with patch.dict(vars(guard), {"MIN_LEAD": lead, "LEAST_REMOVED": removed}):
            results = measured(problems, guarded(lambda problem: labels[problem.place]))
        texts = []
        for half in halves:
            gains = [results[place][0] - kept[place][0] for place in kept if place[0] in half]
            texts.append(f"{mean(gains):+.2f}, {sum(gain < -1 for gain in gains)} lose")
        say(f"lead {lead:g}, removed {removed:g}: first half {'; second half '.join(texts)}")


def say_constants(
    taught: Sequence[TeachingProblem],
    untaught: Sequence[TeachingProblem],
    halves: Sequence[set[str]],
) -> None:
    """Print the difference that each other value makes, and what each half would choose."""
    values: dict[str, dict[str, float]] = {"as shipped": {}} | {
        f"{name} {value:g}": {name: value} for name, others in CONSTANTS.items() for value in others
    }
    results: dict[str, tuple[TeachingResults, TeachingResults]] = {}
    for title, changes in values.items():
        with patch.dict(vars(method), changes):
            without = measured(untaught, guarded(self_taught))
            results[title] = measured(taught, self_taught), without
        for place, (kind, columns) in enumerate((("with", PLANS), ("without", KINDS))):
            ours, other = results["as shipped"][place], results[title][place]
            for part, name_of_part in enumerate(("own", "unseen")):
                difference = differences(other, ours, part, columns)
                say(f"{title}, {kind} answers, {name_of_part}: {_by_half(difference, halves)}")

    def score(title: str, half: set[str]) -> float:
        """Return the mean of own and unseen images, with answers and without."""
        means = [
            by_set(part_results, part, columns)
            for part_results, columns in zip(results[title], (PLANS, KINDS), strict=True)
            for part in (0, 1)
        ]
        return mean(mean(one[name] for name in half) for one in means)

    for chooser, judge in (halves, halves[::-1]):
        for name in CONSTANTS:
            titles = ["as shipped", *(title for title in values if title.startswith(f"{name} "))]
            best = max(titles, key=lambda title: score(title, chooser))
            gain = score(best, judge) - score("as shipped", judge)
            say(f"{name}: one half chooses {best}, which the other judges by {gain:+.2f}")
