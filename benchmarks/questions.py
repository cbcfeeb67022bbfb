"""Accuracy of the labeler `choices` against the number of questions, with a simulated describer.

From any labelled sets and any CLIP, as `folders`; see `question_describer` for the describer. The
questions pass through the run's own store and budget. With p `chance`, the right answer is as
probable as each other option. `--captions` adds whole runs that train the tiny CLIP: see
`question_runs`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import torch
from latte_questions.belief import GRID, evidence, twice_right
from latte_questions.interview import Interview
from latte_questions.labeler import FEWEST_QUESTIONS, ChoicesLabeler
from latte_questions.options import ChoicesOptions
from torch import Tensor

from benchmarks.folder_cells import NO_CLASS, Folder, can_draw, cells_called, draw
from benchmarks.folder_methods import LEARNER, classify, context_of, no_descriptions, zero_shot
from benchmarks.folder_sets import read_plans
from benchmarks.measuring import say
from benchmarks.question_describer import SimulatedDescriber, training_set
from benchmarks.question_runs import captions_recipe, choices_recipe, make_registry, run_accuracy
from benchmarks.trained_draws import Drawn, draw_all_files, number
from latte.api import LabelerPrototypes
from latte.cli.progress import make_progress
from latte.interfaces import FeatureBank, NoOptions, TrainingStart
from latte.interfaces.settings import Budget
from latte.registry.registry import load_registry
from latte.run.questions import StoredQuestions

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


class RandomInterview(Interview):
    """Interview about random images only."""

    cluster_share = 0.0

    def choose(self, posteriors: Tensor, asked: Tensor, count: int) -> Tensor:
        """Return random images."""
        order = torch.randperm(
            len(asked), generator=torch.Generator().manual_seed(int(asked.sum()))
        )
        return order[~asked[order]][:count]


class ExpectingInterview(Interview):
    """Interview that computes the gain, in points, which its answers lead one to expect.

    For each image whose label changes, the gain is the probability of the new label minus that of
    the old one, under the mixture with the answers. The interval repeats this with the quantiles
    2.5 % and 97.5 % of the describer's reliability, for the same change of labels.
    """

    found: ClassVar[list[float]] = []
    """Expected gain, lower and upper end of the interval; zeros if no answer counts."""

    def evidence(self) -> Tensor | None:
        """Ask, and store the expected gain."""
        heard = super().evidence()
        self.found[:] = [0.0, 0.0, 0.0]
        if heard is not None:
            mass = self.record.posterior.cumsum(dim=0)
            ends = [float(GRID[int((mass < share).sum())]) for share in (0.025, 0.975)]
            labels = self.fit(self.texts, heard).posteriors.argmax(dim=1)
            of_ends = sorted(self._gain(labels, twice_right(end)) for end in ends)
            self.found[:] = [self._gain(labels, self.record.reliability), *of_ends]
        return heard

    def _gain(self, labels: Tensor, reliability: float) -> float:
        heard = evidence(self.answers, reliability, torch.zeros_like(self.before))
        rows, shares = torch.arange(len(labels)), self.fit(self.texts, heard).posteriors
        gains = shares[rows, labels] - shares[rows, self.before.argmax(dim=1)]
        return 100 * float(gains.mean())


class ExpectingLabeler(ChoicesLabeler):
    """Labeler `choices` that computes the expected gain."""

    interview = ExpectingInterview


class RandomLabeler(ChoicesLabeler):
    """Labeler `choices` that asks about random images only."""

    interview = RandomInterview


def answered(folder: Folder, describer: SimulatedDescriber, budget: int, **how: Any) -> Accuracy:
    """Return the accuracies after `budget` questions, through the store and budget of runs.

    `how` are arguments of `fitted`.
    """
    with TemporaryDirectory() as path:
        questions = StoredQuestions(
            lambda: describer,
            training_set(folder),
            Budget(questions=budget),
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
    found["all"] = answered(folder, describer, _every(folder))
    labelled = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[: budget // 2]
    given = torch.full((count,), NO_CLASS)
    given[labelled] = folder.own.labels[labelled]
    found["labels"] = fitted(folder, corrections=given)
    return found


def _every(folder: Folder) -> int:
    """Return a budget for all questions about the images of `folder`."""
    return 2 * len(folder.own) + 2 * len(folder.names) + 8


def trained(folder: Folder, drawn: Drawn, right: float | None, seed: int) -> dict[str, Accuracy]:
    """Return the accuracies of whole runs on one folder: with captions, and with choices.

    Runs sort the images by path, so the describer errs on other images than in `curve`. To compare
    the training, each budget is also run without it.
    """
    budgets = {f"{100 * _SHARE:g} %": int(2 * _SHARE * len(folder.own)), "all": _every(folder)}
    recipes = {"captions": captions_recipe(len(folder.own))}
    for name, budget in budgets.items():
        recipes[f"{name}, run"] = {**choices_recipe(budget), "train": {"max_steps": 0}}
        recipes[f"{name}, trained"] = choices_recipe(budget)
    registry, found = make_registry(), {}
    for arm, recipe in recipes.items():
        with TemporaryDirectory() as path:
            found[arm] = Accuracy(*run_accuracy(Path(path), drawn, recipe, right, seed, registry))
    return found


def say_gains(name: str, folder: Folder, right: float | None, seed: int) -> None:
    """Print expected gain, interval and measured gain of 5 % of the questions on own images."""
    budget = int(2 * _SHARE * len(folder.own))
    describer = SimulatedDescriber(folder, right, seed)
    after = answered(folder, describer, budget, labeler_class=ExpectingLabeler)
    expected, low, high = ExpectingInterview.found
    gain = after.own - fitted(folder).own
    cells = [name, str(seed), f"{expected:.1f}", f"{low:.1f} to {high:.1f}", f"{gain:.1f}"]
    say(_line(cells))


def main(arguments: Sequence[str]) -> None:
    """Draw folders, ask, fit, and print. Raises `LatteError` for a mistake in the arguments."""
    options = _arguments(arguments)
    torch.set_num_threads(1)
    sets = read_plans(options.set, options.subset, options.images_per_class)
    loaded = sets.load(options.model, load_registry(), make_progress())
    numbered = number(sets) if options.captions else None
    for cell in cells_called(options.cells):
        for name in options.right:
            right = None if name == _CHANCE else float(name)
            say(f"\n{cell.name}, p = {name}: own / unseen")
            head = False
            for whole in loaded:
                if not can_draw(whole, cell, loaded):
                    continue
                if options.gains:
                    for seed in range(options.seeds):
                        say_gains(whole.name, draw(whole, cell, seed, loaded), right, seed)
                    continue
                found = []
                for seed in range(options.seeds):
                    folder = draw(whole, cell, seed, loaded)
                    arms = curve(folder, right, seed, options.shares, options.bounds)
                    if numbered is not None:
                        drawn = draw_all_files(numbered, whole.name, cell, seed)
                        arms |= trained(folder, drawn, right, seed)
                    found.append(arms)
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
    add("--gains", action="store_true", help="the expected and the measured gain at 5 %% instead")
    add(
        "--captions",
        action="store_true",
        help="also train: LatteCLIP with captions of all images, and `latteclip-choices`",
    )
    return parser.parse_args(arguments)
