"""Accuracy of the labeler `choices` against the number of questions, with a simulated describer.

From any labelled sets and any CLIP, as `folders`. The questions pass through the run's own store
and budget. The simulated describer is right with probability p if the right answer is an option.
The errors of two questions about one image are correlated by 0.8; a wrong answer is the first
option with probability 0.3, otherwise a class that CLIP confuses with the images. With p `chance`,
the right answer is as probable as each other option.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import numpy
import torch
from latte_questions.interview import MIXED, Interview
from latte_questions.labeler import FEWEST_QUESTIONS, ChoicesLabeler
from latte_questions.options import ChoicesOptions
from PIL import Image
from torch import Tensor

from benchmarks.folder_cells import NO_CLASS, Folder, can_draw, cells_called, draw
from benchmarks.folder_methods import LEARNER, classify, context_of, no_descriptions, zero_shot
from benchmarks.folder_sets import read_plans
from benchmarks.measuring import say
from latte.api import LabelerPrototypes
from latte.cli.progress import make_progress
from latte.describe.plan import TrainingSet
from latte.interfaces import (
    Choice,
    ChoiceRequest,
    Describer,
    DescribeRequest,
    FeatureBank,
    ImageReference,
    NoOptions,
    Refusal,
    TrainingStart,
)
from latte.io.files import digest
from latte.registry.registry import load_registry
from latte.run.questions import StoredQuestions

_CORRELATION, _FIRST = 0.8, 0.3
_SHARE = 0.05
"""Share of the images that the budget of the arms `random` and `labels` is for."""
_CHANCE = "chance"
_OPTIONS = ChoicesOptions()


@dataclass(frozen=True)
class Accuracy:
    """Accuracies in percent: of own images that show a name, and of unseen images."""

    own: float
    unseen: float
    questions: float = 0

    def __str__(self) -> str:
        return f"{self.own:.1f} / {self.unseen:.1f}"


class SimulatedDescriber(Describer[NoOptions]):
    """Describer that knows the classes of a folder's images, and is right with probability `right`.

    It recognises an image by its colour, also on a sheet. The right answer about a sheet is the
    class of at least half of its images.
    """

    batch_size = 4096

    def __init__(self, folder: Folder, right: float | None, seed: int) -> None:
        super().__init__(NoOptions(), context_of(folder))
        self.folder = folder
        self.right = right
        self.seed = seed

    @property
    def fingerprint(self) -> str:
        """Identifier of the folder and the reliability."""
        return f"simulated {self.right} {self.seed}"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        """Return no text."""
        return [""] * len(requests)

    def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice | Refusal]:
        """Return one option for each request, with probability 1."""
        return [one.choice(self._weights(one)) for one in requests]

    def _weights(self, request: ChoiceRequest) -> list[float]:
        weights = [0.0] * len(request.letters)
        weights[self._answer(request)] = 1.0
        return weights

    def _answer(self, request: ChoiceRequest) -> int:
        """Return the index of the chosen option; the last one is "none of these"."""
        (image,) = request.images
        rows = shown_rows(image.open())
        label, count = Counter(self.folder.own.labels[rows].tolist()).most_common(1)[0]
        names = [one for one in request.options if one != MIXED]
        right = len(request.letters) - 1
        if label != NO_CLASS and self.folder.names[label] in names and 2 * count >= len(rows):
            right = request.options.index(self.folder.names[label])
        elif MIXED in request.options:
            right = request.options.index(MIXED)
        subject = image.key if len(rows) == 1 else f"{label} {sorted(names)}"
        own = self._draws(subject, *request.options)
        shared = own[0] < sqrt(_CORRELATION)
        correct, first, confusion = self._draws(subject)[1:] if shared else own[1:]
        if correct < (1 / len(request.letters) if self.right is None else self.right):
            return right
        if first < _FIRST and right != 0:
            return 0
        wrong = sorted(one for one in names if request.options.index(one) != right)
        known = [one for one in wrong if one in self.folder.names]
        if not known:
            return request.options.index(wrong[int(confusion * len(wrong))])
        wrong = known
        texts = self.folder.texts[[self.folder.names.index(one) for one in wrong]]
        chances = (self.folder.logit_scale * (texts @ image.features)).softmax(dim=0).cumsum(dim=0)
        chosen = min(int((chances < confusion).sum()), len(wrong) - 1)
        return request.options.index(wrong[chosen])

    def _draws(self, *parts: str) -> list[float]:
        seed = int(digest(f"{self.seed}", *parts)[:12], 16)
        found: list[float] = numpy.random.default_rng(seed).random(4).tolist()
        return found


class RandomInterview(Interview):
    """Interview about random images only."""

    cluster_share = 0.0

    def choose(self, posteriors: Tensor, asked: Tensor, count: int) -> Tensor:
        """Return random images."""
        order = torch.randperm(
            len(asked), generator=torch.Generator().manual_seed(int(asked.sum()))
        )
        return order[~asked[order]][:count]


class RandomLabeler(ChoicesLabeler):
    """Labeler `choices` that asks about random images only."""

    interview = RandomInterview


def picture(row: int) -> Image.Image:
    """Return a picture whose colour stands for image `row`."""
    number = row + 1
    return Image.new("RGB", (8, 8), (number % 256, number // 256 % 256, 255))


def shown_rows(shown: Image.Image) -> list[int]:
    """Return the images of a picture or sheet."""
    colours = shown.getcolors(shown.width * shown.height) or []
    return [red + 256 * green - 1 for _, (red, green, blue) in colours if blue == 255]


def answered(folder: Folder, describer: SimulatedDescriber, budget: int, **how: Any) -> Accuracy:
    """Return the accuracies after `budget` questions, through the store and budget of runs.

    `how` are arguments of `fitted`.
    """
    with TemporaryDirectory() as path:
        questions = StoredQuestions(
            lambda: describer,
            _training_set(folder),
            budget,
            Path(path),
            make_progress(quiet=True),
        )
        found = fitted(folder, questions=questions, **how)
    return Accuracy(found.own, found.unseen, questions.asked)


def fitted(
    folder: Folder,
    labeler_class: type[ChoicesLabeler] = ChoicesLabeler,
    options: ChoicesOptions = _OPTIONS,
    **start: Any,
) -> Accuracy:
    """Return the accuracies of the labeler with these parts of its `TrainingStart`."""
    context = context_of(folder)
    labeler = labeler_class(options, context)
    features = folder.own.features
    labeler.start(
        TrainingStart(
            folder.names,
            folder.texts,
            features,
            zero_shot(folder).own,
            no_descriptions,
            **start,
        )
    )
    info = labeler.on_epoch_start(
        {LEARNER: FeatureBank(features)}, {LEARNER: LabelerPrototypes(NoOptions(), context)}, 0
    )
    posterior = labeler.posterior(LEARNER)
    assert posterior is not None
    test = classify(info.classifiers[LEARNER], folder.test.features)
    return _accuracy(folder, posterior.labels[:, 0], test)


def _accuracy(folder: Folder, own: Tensor, test: Tensor) -> Accuracy:
    counted = folder.own.labels != NO_CLASS
    shares = [
        100 * float((found == truth).double().mean())
        for found, truth in (
            (own[counted], folder.own.labels[counted]),
            (test, folder.test.labels),
        )
    ]
    return Accuracy(*shares)


def _training_set(folder: Folder) -> TrainingSet:
    count = len(folder.own)
    return TrainingSet(
        images=[ImageReference(str(row), Path(str(row))) for row in range(count)],
        keys=[f"image {row}" for row in range(count)],
        features=folder.own.features,
        zero_shot_labels=zero_shot(folder).own,
        class_names=folder.names,
        template="{class}",
        open=lambda image: picture(int(image.id)),
    )


def curve(
    folder: Folder, right: float | None, seed: int, shares: Sequence[float], bounds: bool
) -> dict[str, Accuracy]:
    """Return the accuracies of all arms on one folder; without `bounds`, of the budgets only."""
    count = len(folder.own)
    before, describer = zero_shot(folder), SimulatedDescriber(folder, right, seed)
    found = {
        "zero-shot": _accuracy(folder, before.own, before.test),
        "no questions": fitted(folder),
    }
    for share in shares:
        budget = int(2 * share * count)
        asks = budget >= FEWEST_QUESTIONS
        found[f"{100 * share:g} %"] = answered(folder, describer, budget if asks else 0)
    if not bounds:
        return found
    budget = int(2 * _SHARE * count)
    found["random"] = answered(folder, describer, budget, labeler_class=RandomLabeler)
    found["all"] = answered(folder, describer, 2 * count + 2 * len(folder.names) + 8)
    labelled = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[: budget // 2]
    given = torch.full((count,), NO_CLASS)
    given[labelled] = folder.own.labels[labelled]
    found["labels"] = fitted(folder, corrections=given)
    return found


def main(arguments: Sequence[str]) -> None:
    """Draw folders, ask, fit, and print. Raises `LatteError` for a mistake in the arguments."""
    options = _arguments(arguments)
    torch.set_num_threads(1)
    loaded = read_plans(options.set, options.subset, options.images_per_class).load(
        options.model, load_registry(), make_progress()
    )
    for cell in cells_called(options.cells):
        for name in options.right:
            right = None if name == _CHANCE else float(name)
            say(f"\n{cell.name}, p = {name}: own / unseen")
            head = False
            for whole in loaded:
                if not can_draw(whole, cell, loaded):
                    continue
                found = [
                    curve(
                        draw(whole, cell, seed, loaded), right, seed, options.shares, options.bounds
                    )
                    for seed in range(options.seeds)
                ]
                if not head:
                    say(_line(["set", *found[0], "recovered"]))
                    say(_line(["---"] * (len(found[0]) + 2)))
                    head = True
                say(_line([whole.name, *_cells(found)]))


def _cells(found: Sequence[Mapping[str, Accuracy]]) -> list[str]:
    means = {
        arm: Accuracy(mean(one[arm].own for one in found), mean(one[arm].unseen for one in found))
        for arm in found[0]
    }
    before, budget = means["no questions"].own, means[f"{100 * _SHARE:g} %"].own
    every = means["all"].own if "all" in means else before
    recovered = f"{100 * (budget - before) / (every - before):.0f} %" if every > before + 1 else ""
    return [*map(str, means.values()), recovered]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks questions", description=__doc__)
    add = parser.add_argument
    add("--set", action="append", default=[], metavar="NAME=SPLIT:ROOT[:TEMPLATE]")
    add("--subset", action="append", default=[], metavar="NAME=SET:COUNT:SEED")
    add("--model", default="plugin:tiny", help="a CLIP (%(default)s)")
    add("--cells", nargs="+", default=["all names"], help="kinds of folders")
    add("--images-per-class", type=int, help="encode at most so many in `train` and in `test`")
    add("--seeds", type=int, default=3, help="draws of each folder (%(default)s)")
    add("--right", nargs="+", default=[_CHANCE, "0.5", "0.8", "0.95"], help="values of p")
    add(
        "--shares", nargs="+", type=float, default=[0.02, _SHARE, 0.1], help="of images asked about"
    )
    add("--no-bounds", dest="bounds", action="store_false", help="only the arms with a budget")
    return parser.parse_args(arguments)
