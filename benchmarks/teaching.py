"""Learning curves of a review's teaching tasks, with simulated reviewers.

Folders are drawn as in `folders`. A simulated reviewer answers the questions of a real review with
the true labels. The mixture of the default recipe is then fitted again with these answers, without
its guard or, with `--method transductive+evidence`, with it. Accuracy is measured on unseen images,
and on the folder's own images that have no answer.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import cast

import torch
from torch import Tensor

from benchmarks.folder_cells import NO_CLASS, Folder, cells_called, drawn_folders
from benchmarks.folder_methods import (
    Accuracy,
    Answers,
    Method,
    accuracy,
    method_called,
    zero_shot,
)
from benchmarks.folder_sets import load_sets, set_parser
from benchmarks.measuring import say, table, table_row
from latte.interfaces.record import TrainFacts
from latte.registry.registry import load_registry
from latte.results.answers import latest, read_answers
from latte.results.folder import RunFolder
from latte.results.rows import PseudoLabels
from latte.results.run import Run
from latte.review.session import Mark, Review
from latte.review.tasks import Place, TaskName

_COUNTS = (5, 10, 20, 40, 80)
_TASKS: tuple[TaskName, ...] = ("clusters", "images")
_ARMS = (*_TASKS, "clusters, all images")
_MIXED = 0.25
"""A simulated reviewer calls a sheet mixed if no class has this share of its images."""


@dataclass(frozen=True)
class Case:
    """One folder, with the content keys of its images, which give the order of questions."""

    folder: Folder
    keys: tuple[str, ...]
    fitted: Answers
    """Classes by the mixture without answers and without a guard."""
    method: Method
    """Method that is fitted again with the answers."""

    def accuracy(self, found: Answers, answered: Tensor | None = None) -> Accuracy:
        """Return the accuracies of `found`, without own images where `answered` (N,) is true."""
        return accuracy(self.folder, found, None if answered is None else ~answered)

    def taught(self, labels: Mapping[str, int]) -> Accuracy:
        """Return the accuracies after a fit with fixed `labels` of some images, by content key."""
        given = torch.tensor([labels.get(key, -1) for key in self.keys])
        return self.accuracy(self.method(replace(self.folder, corrections=given)), given >= 0)

    def majority_names(self) -> Accuracy:
        """Return the accuracies if each cluster of the first fit gets its majority name."""
        name = torch.arange(len(self.folder.names))
        for label in self.fitted.own.unique().tolist():
            shown = self.folder.own.labels[self.fitted.own == label]
            name[label] = shown.mode().values
        return self.accuracy(Answers(name[self.fitted.own], name[self.fitted.test]))

    def review(self, path: Path) -> Review:
        """Return a review of the first fit; answers are written to the folder `path`."""
        assert self.fitted.confidence is not None
        columns = (zero_shot(self.folder).own, self.fitted.own, self.fitted.confidence)
        run = SimpleNamespace(
            folder=RunFolder(path),
            class_names=tuple(map(str, range(len(self.folder.names)))),
            rows=SimpleNamespace(
                training_keys=self.keys,
                training_ids=self.keys,
                pseudo_labels=PseudoLabels(*(tuple(one.tolist()) for one in columns)),
            ),
            record=SimpleNamespace(train=TrainFacts()),
            recipe={},
            recipe_path=path / "recipe.yaml",
        )
        return Review(cast("Run", run))


def curves(case: Case) -> dict[str, list[Accuracy]]:
    """Return the accuracies by arm, after each number of answers."""
    truth = dict(zip(case.keys, case.folder.own.labels.tolist(), strict=True))
    found: dict[str, list[Accuracy]] = {arm: [] for arm in _ARMS}
    for task in _TASKS:
        with TemporaryDirectory() as path:
            review = case.review(Path(path))
            for number in range(1, max(_COUNTS) + 1):
                _answer_next(review, task, truth)
                if number in _COUNTS:
                    labels = _labels(review)
                    found[task].append(case.taught(labels))
                    if task == "clusters":
                        spread = _spread(review, labels)
                        found["clusters, all images"].append(case.taught(spread))
    return found


def _answer_next(review: Review, task: TaskName, truth: Mapping[str, int]) -> None:
    """Answer the task's next question without mistakes; do nothing if none is left."""
    keys = _next_keys(review, task)
    if not keys:
        return
    label, count = Counter(truth[key] for key in keys).most_common(1)[0]
    is_mixed = count < _MIXED * len(keys)
    review.save(task, [_mark(key, label, is_mixed or truth[key] != label) for key in keys])


def _next_keys(review: Review, task: TaskName) -> list[str]:
    """Return the content keys of the task's next question: a group, or an image at random."""
    if task == "clusters":
        return [image.key for image in next(review.questions(Place(task=task)), ())]
    answers = review.answers()
    return [image.key for image in review.images if image.key not in answers][:1]


def _mark(key: str, label: int, is_unsure: bool) -> Mark:
    if is_unsure:
        return Mark(key, "unsure")
    return Mark(key, "none") if label == NO_CLASS else Mark(key, "class", str(label))


def _labels(review: Review) -> dict[str, int]:
    given = latest(read_answers(review.file))
    return {key: int(one.label) for key, one in given.items() if one.label is not None}


def _spread(review: Review, labels: Mapping[str, int]) -> dict[str, int]:
    """Return `labels`, with each named cluster's class also for images that no sheet showed."""
    answers = review.answers()
    images = review.population.images
    name = {image.adapted: labels[image.key] for image in images if image.key in labels}
    rest = {
        image.key: name[image.adapted]
        for image in images
        if image.adapted in name and image.key not in answers
    }
    return {**rest, **labels}


def main(arguments: Sequence[str]) -> None:
    """Draw folders, answer, fit and print. Raises `LatteError` for a mistake in the arguments."""
    options = _arguments(arguments)
    registry = load_registry()
    first = method_called("transductive", registry)
    method = method_called(options.method, registry)
    loaded = load_sets(options)
    for cell in cells_called(options.cells):
        head = table(["task", "0", *map(str, _COUNTS), "majority names"])
        say(f"\n{cell.name}: own / unseen\n\n{head}")
        rows: dict[str, list[list[Accuracy]]] = {}
        for whole, folders in drawn_folders(loaded, cell, options.seeds):
            drawn = [_case(folder, seed, first, method) for seed, folder in enumerate(folders)]
            for arm, found in _rows(drawn).items():
                rows.setdefault(arm, []).append(found)
                say(table_row([f"{whole.name}, {arm}", *map(str, found)]))
        for arm, several in rows.items():
            means = map(Accuracy.mean, zip(*several, strict=True))
            say(table_row([f"**all sets, {arm}**", *map(str, means)]))


def _case(folder: Folder, seed: int, first: Method, method: Method) -> Case:
    keys = tuple(f"{seed} {row}" for row in range(len(folder.own)))
    return Case(folder, keys, first(folder), method)


def _rows(cases: Sequence[Case]) -> dict[str, list[Accuracy]]:
    """Return each arm's mean accuracies: before, per number of answers, with majority names."""
    before = Accuracy.mean([one.accuracy(one.fitted) for one in cases])
    majority = Accuracy.mean([one.majority_names() for one in cases])
    found = [curves(one) for one in cases]
    middle = {
        arm: map(Accuracy.mean, zip(*(one[arm] for one in found), strict=True)) for arm in _ARMS
    }
    return {arm: [before, *values, majority] for arm, values in middle.items()}


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = set_parser("teaching", __doc__)
    add = parser.add_argument
    add("--model", default="plugin:tiny", help="a CLIP (%(default)s)")
    add("--method", default="transductive", help="a method of `folders` (%(default)s)")
    add("--cells", nargs="+", default=["all names", "25 % of the names"], help="kinds of folders")
    add("--seeds", type=int, default=5, help="draws of each folder (%(default)s)")
    return parser.parse_args(arguments)
