"""Learning curves of a review's teaching queues, with simulated reviewers.

Folders are drawn as in `folders`. A simulated reviewer answers the questions of a real review with
the true labels. The mixture of the default recipe is then fitted again with these answers, without
its guard or, with `--method transductive+evidence`, with it. Accuracy is measured on unseen images,
and on the folder's own evidence images, about which teaching queues never ask.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import cast

import torch
from torch import Tensor

from benchmarks.folder_cells import NO_CLASS, Folder, can_draw, cells_called, draw
from benchmarks.folder_methods import Answers, Method, method_called, zero_shot
from benchmarks.folder_sets import read_plans
from benchmarks.measuring import say
from latte.cli.progress import make_progress
from latte.registry.registry import load_registry
from latte.results.answers import latest, read_answers
from latte.results.finished import FinishedRun, PseudoLabels
from latte.results.folder import RunFolder
from latte.review.population import draw as draw_image
from latte.review.population import teaches
from latte.review.queues import QueueName
from latte.review.session import Review

_COUNTS = (5, 10, 20, 40, 80)
_QUEUES: tuple[QueueName, ...] = ("clusters", "uncertain", "balanced")
_ARMS = (*_QUEUES, "clusters, all images", "random")
_MIXED = 0.25
"""A simulated reviewer calls a sheet mixed if no class has this share of its images."""


@dataclass(frozen=True)
class Accuracy:
    """Share of correctly classified images: own evidence images, and unseen images."""

    own: float
    unseen: float


@dataclass(frozen=True)
class Case:
    """One folder, with the content keys that divide its images into evidence and teaching."""

    folder: Folder
    keys: tuple[str, ...]
    fitted: Answers
    """Classes by the mixture without answers and without a guard."""
    method: Method
    """Method that is fitted again with the answers."""

    @property
    def evidence(self) -> Tensor:
        """True (N,) for own images that are evidence and so never teach."""
        return torch.tensor([not teaches(key) for key in self.keys])

    def accuracy(self, found: Answers) -> Accuracy:
        """Return the accuracies of the labels `found`."""
        own, test = self.folder.own, self.folder.test
        right = (found.own == own.labels)[self.evidence]
        return Accuracy(
            float(right.double().mean()), float((found.test == test.labels).double().mean())
        )

    def taught(self, labels: Mapping[str, int]) -> Accuracy:
        """Return the accuracies after a fit with fixed `labels` of some images, by content key."""
        given = torch.tensor([labels.get(key, -1) for key in self.keys])
        return self.accuracy(self.method(replace(self.folder, corrections=given)))

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
            training_keys=self.keys,
            training_ids=self.keys,
            pseudo_labels=PseudoLabels(*(tuple(one.tolist()) for one in columns)),
            has_candidate=False,
            recipe={},
            source=SimpleNamespace(recipe=str(path / "recipe.yaml")),
        )
        return Review(cast("FinishedRun", run))


def curves(case: Case) -> dict[str, list[Accuracy]]:
    """Return the accuracies by arm (a queue or random images), after each number of answers."""
    truth = dict(zip(case.keys, case.folder.own.labels.tolist(), strict=True))
    found: dict[str, list[Accuracy]] = {arm: [] for arm in _ARMS}
    for queue in _QUEUES:
        with TemporaryDirectory() as path:
            review = case.review(Path(path))
            for number in range(1, max(_COUNTS) + 1):
                _answer_next(review, queue, truth)
                if number in _COUNTS:
                    labels = _labels(review)
                    found[queue].append(case.taught(labels))
                    if queue == "clusters":
                        spread = _spread(review, labels)
                        found["clusters, all images"].append(case.taught(spread))
    order = sorted((key for key in case.keys if teaches(key)), key=draw_image)
    for count in _COUNTS:
        labels = {key: truth[key] for key in order[:count] if truth[key] != NO_CLASS}
        found["random"].append(case.taught(labels))
    return found


def _answer_next(review: Review, queue: QueueName, truth: Mapping[str, int]) -> None:
    """Answer the queue's next question without mistakes; do nothing if none is left."""
    question = review.next(queue)
    if question is None:
        return
    keys = [one.key for one in question.images]
    label, count = Counter(truth[key] for key in keys).most_common(1)[0]
    if count < _MIXED * len(keys):
        review.answer([], "unsure", None, queue, others=keys)
        return
    named = [key for key in keys if truth[key] == label]
    others = [key for key in keys if truth[key] != label]
    if label == NO_CLASS:
        review.answer(named, "none", None, queue, others)
    else:
        review.answer(named, "class", str(label), queue, others)


def _labels(review: Review) -> dict[str, int]:
    given = latest(read_answers(review.file))
    return {key: int(one.label) for key, one in given.items() if one.label is not None}


def _spread(review: Review, labels: Mapping[str, int]) -> dict[str, int]:
    """Return `labels`, with each named cluster's class also for images that no sheet showed."""
    answers = review.answers()
    teaching = [one for one in review.population.images if teaches(one.key)]
    name = {one.adapted: labels[one.key] for one in teaching if one.key in labels}
    rest = {
        one.key: name[one.adapted]
        for one in teaching
        if one.adapted in name and one.key not in answers
    }
    return {**rest, **labels}


def main(arguments: Sequence[str]) -> None:
    """Draw folders, answer, fit and print. Raises `LatteError` for a mistake in the arguments."""
    options = _arguments(arguments)
    torch.set_num_threads(1)
    registry, progress = load_registry(), make_progress()
    first = method_called("transductive", registry)
    method = method_called(options.method, registry)
    loaded = read_plans(options.set, options.subset, options.images_per_class).load(
        options.model, registry, progress
    )
    for cell in cells_called(options.cells):
        say(f"\n{cell.name}: own / unseen\n\n{_head()}")
        rows: dict[str, list[list[Accuracy]]] = {}
        for whole in loaded:
            if not can_draw(whole, cell, loaded):
                continue
            drawn = [
                _case(draw(whole, cell, seed, loaded), seed, first, method)
                for seed in range(options.seeds)
            ]
            for arm, found in _rows(drawn).items():
                rows.setdefault(arm, []).append(found)
                say(_row(f"{whole.name}, {arm}", found))
        for arm, several in rows.items():
            say(_row(f"**all sets, {arm}**", [_mean(one) for one in zip(*several, strict=True)]))


def _case(folder: Folder, seed: int, first: Method, method: Method) -> Case:
    keys = tuple(f"{seed} {row}" for row in range(len(folder.own)))
    return Case(folder, keys, first(folder), method)


def _rows(cases: Sequence[Case]) -> dict[str, list[Accuracy]]:
    """Return each arm's mean accuracies: before, per number of answers, with majority names."""
    before = _mean([one.accuracy(one.fitted) for one in cases])
    majority = _mean([one.majority_names() for one in cases])
    found = [curves(one) for one in cases]
    middle = {
        arm: [_mean(several) for several in zip(*(one[arm] for one in found), strict=True)]
        for arm in _ARMS
    }
    return {arm: [before, *values, majority] for arm, values in middle.items()}


def _mean(found: Sequence[Accuracy]) -> Accuracy:
    return Accuracy(mean(one.own for one in found), mean(one.unseen for one in found))


def _head() -> str:
    columns = ["queue", "0", *map(str, _COUNTS), "majority names"]
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"


def _row(name: str, found: Sequence[Accuracy]) -> str:
    cells = [f"{100 * one.own:.1f} / {100 * one.unseen:.1f}" for one in found]
    return f"| {' | '.join([name, *cells])} |"


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks teaching", description=__doc__)
    add = parser.add_argument
    add("--set", action="append", default=[], metavar="NAME=SPLIT:ROOT[:TEMPLATE]")
    add("--subset", action="append", default=[], metavar="NAME=SET:COUNT:SEED")
    add("--model", default="plugin:tiny", help="a CLIP (%(default)s)")
    add("--method", default="transductive", help="a method of `folders` (%(default)s)")
    add("--cells", nargs="+", default=["all names", "25 % of the names"], help="kinds of folders")
    add("--images-per-class", type=int, help="encode at most so many in `train` and in `test`")
    add("--seeds", type=int, default=5, help="draws of each folder (%(default)s)")
    return parser.parse_args(arguments)
