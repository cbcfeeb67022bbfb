"""Accuracy of the labeler `choices` against the number of questions, with a simulated describer.

From any labelled sets and any CLIP, as `folders`; see `question_describer` for the describer. The
questions pass through the run's own store and budget. With p `chance`, the right answer is as
probable as each other option. `--captions` adds whole runs that train the tiny CLIP: see
`question_runs`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from latte_benchmarks.folder_cells import NO_CLASS, Folder, cells_called, drawn_folders
from latte_questions.interview import Interview
from latte_questions.labeler import FEWEST_QUESTIONS
from torch import Tensor

from benchmarks.confused_describer import ConfusedDescriber
from benchmarks.folder_files import Drawn, draw_files, number
from benchmarks.folder_methods import FolderAccuracy, accuracy, zero_shot
from benchmarks.folder_sets import load_sets, set_parser, sets_of
from benchmarks.measuring import say, table, table_row
from benchmarks.question_arms import answered, every_question, fitted
from benchmarks.question_describer import CHANCE, SimulatedDescriber, right_of
from benchmarks.question_gains import say_calibration
from benchmarks.question_reliability import say_reliabilities
from benchmarks.question_runs import captions_recipe, choices_recipe, run_accuracy
from latte.interfaces import LatteError

_SHARE = 0.05
"""Share of the images that the budget of the arms `random` and `labels` is for."""


class RandomInterview(Interview):
    """Interview about random images only."""

    cluster_share = 0.0

    def choose(self, posteriors: Tensor, is_asked: Tensor, count: int) -> Tensor:
        """Return random images."""
        order = torch.randperm(
            len(is_asked), generator=torch.Generator().manual_seed(int(is_asked.sum()))
        )
        return order[~is_asked[order]][:count]


def curve(
    folder: Folder, describer: SimulatedDescriber, seed: int, shares: Sequence[float], bounds: bool
) -> dict[str, FolderAccuracy]:
    """Return the accuracies of all arms on one folder; without `bounds`, of the budgets only."""
    count = len(folder.own)
    arms = {"zero-shot": accuracy(folder, zero_shot(folder)), "no questions": fitted(folder)}
    for share in shares:
        budget = int(2 * share * count)
        asks = budget >= FEWEST_QUESTIONS
        arms[f"{100 * share:g} %"] = answered(folder, describer, budget if asks else 0)
    if not bounds:
        return arms
    budget = int(2 * _SHARE * count)
    arms["random"] = answered(folder, describer, budget, interview=RandomInterview)
    arms["all"] = answered(folder, describer, every_question(folder))
    labelled = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[: budget // 2]
    corrections = torch.full((count,), NO_CLASS)
    corrections[labelled] = folder.own.labels[labelled]
    arms["labels"] = fitted(folder, corrections=corrections)
    return arms


def trained(
    folder: Folder, drawn: Drawn, right: float | None, seed: int
) -> dict[str, FolderAccuracy]:
    """Return the accuracies of whole runs on one folder: with captions, and with choices.

    Runs sort the images by path, so the describer errs on other images than in `curve`. To compare
    the training, each budget is also run without it.
    """
    budgets = {
        f"{100 * _SHARE:g} %": int(2 * _SHARE * len(folder.own)),
        "all": every_question(folder),
    }
    recipes = {"captions": captions_recipe(len(folder.own))}
    for name, budget in budgets.items():
        recipes[f"{name}, run"] = {**choices_recipe(budget), "train": {"max_steps": 0}}
        recipes[f"{name}, trained"] = choices_recipe(budget)
    arms = {}
    for arm, recipe in recipes.items():
        with TemporaryDirectory() as path:
            arms[arm] = FolderAccuracy(*run_accuracy(Path(path), drawn, recipe, right, seed))
    return arms


def main(arguments: Sequence[str]) -> None:
    """Draw folders, ask, fit, and print. Raises `LatteError` for a mistake in the arguments."""
    options = _arguments(arguments)
    loaded = load_sets(options)
    cells = cells_called(options.cells)
    make = ConfusedDescriber if options.confused else SimulatedDescriber
    if options.confused and options.captions:
        raise LatteError("the describer that confuses pairs writes no captions", where="--captions")
    if options.gains:
        rights = [right_of(name) for name in options.right]
        say_calibration(loaded, cells, rights, options.shares, options.seeds, make)
        return
    numbered = number(sets_of(options)) if options.captions else None
    for cell, name in product(cells, options.right):
        right = right_of(name)
        if options.reliability:
            say(f"\n{cell.name}, p = {name}: own accuracy, one reliability / one per answer")
            say_reliabilities(loaded, cell, right, options.shares, options.seeds, make)
            continue
        say(f"\n{cell.name}, p = {name}: own / unseen")
        head = False
        for full_set, folders in drawn_folders(loaded, cell, options.seeds):
            draws = []
            for seed, folder in enumerate(folders):
                describer = make(folder, right, seed)
                arms = curve(folder, describer, seed, options.shares, options.bounds)
                if numbered is not None:
                    drawn = draw_files(numbered, full_set.name, cell, seed)
                    arms |= trained(folder, drawn, right, seed)
                draws.append(arms)
            if not head:
                say(table(["set", *draws[0], "recovered"]))
                head = True
            say(table_row([full_set.name, *_cells(draws)]))


def _cells(draws: Sequence[Mapping[str, FolderAccuracy]]) -> list[str]:
    means = {arm: FolderAccuracy.mean([arms[arm] for arms in draws]) for arm in draws[0]}
    accuracy_before, budget = means["no questions"].own, means[f"{100 * _SHARE:g} %"].own
    accuracy_of_all = means["all"].own if "all" in means else accuracy_before
    recovered = (
        f"{100 * (budget - accuracy_before) / (accuracy_of_all - accuracy_before):.0f} %"
        if accuracy_of_all > accuracy_before + 1
        else ""
    )
    return [*map(str, means.values()), recovered]


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = set_parser("questions", __doc__)
    add = parser.add_argument
    add("--model", default="plugin:tiny", help="a CLIP (%(default)s)")
    add("--cells", nargs="+", default=["all names"], help="kinds of folders")
    add("--seeds", type=int, default=3, help="draws of each folder (%(default)s)")
    add("--right", nargs="+", default=[CHANCE, "0.5", "0.8", "0.95"], help="values of p")
    shares = [0.02, _SHARE, 0.1]
    add("--shares", nargs="+", type=float, default=shares, help="of images asked about")
    add("--no-bounds", dest="bounds", action="store_false", help="only the arms with a budget")
    add("--confused", action="store_true", help="a describer that confuses some pairs of classes")
    add("--reliability", action="store_true", help="compare reliabilities of answers instead")
    add("--gains", action="store_true", help="calibrate the expected gain instead")
    add(
        "--captions",
        action="store_true",
        help="also train: LatteCLIP with captions of all images, and `latteclip-choices`",
    )
    return parser.parse_args(arguments)
