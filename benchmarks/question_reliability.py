"""Compare one reliability for all answers with one for each answer: `questions --reliability`."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from latte_questions.interview import Interview
from latte_questions.labeler import FEWEST_QUESTIONS

from benchmarks.folder_cells import Cell, Folder, LabelledSet, drawn_folders
from benchmarks.measuring import say, table, table_row
from benchmarks.question_arms import answered, every_question
from benchmarks.question_describer import MakeDescriber, SimulatedDescriber


class OverallInterview(Interview):
    """Interview that believes all answers about images equally."""

    def of_images(self) -> dict[int, float]:
        """Return no reliabilities of single answers."""
        return {}


def say_reliabilities(
    loaded: Sequence[LabelledSet],
    cell: Cell,
    right: float | None,
    shares: Sequence[float],
    seeds: int,
    make: MakeDescriber,
) -> None:
    """Print the mean own accuracies with one reliability, and with one for each answer.

    A share of 1 stands for all questions.
    """
    say(table(["set", *("all" if share == 1 else f"{100 * share:g} %" for share in shares)]))
    found: list[list[tuple[float, float]]] = []
    for whole, folders in drawn_folders(loaded, cell, seeds):
        own = []
        for share in shares:
            pairs = [
                _pair(folder, share, make(folder, right, seed))
                for seed, folder in enumerate(folders)
            ]
            own.append(_mean(pairs))
        found.append(own)
        say(table_row([whole.name, *map(_cell, own)]))
    columns = zip(*found, strict=True)
    say(table_row(["mean", *(_cell(_mean(one)) for one in columns)]))


def _pair(folder: Folder, share: float, describer: SimulatedDescriber) -> tuple[float, float]:
    """Return both own accuracies, after a budget for this share of the images."""
    budget = every_question(folder) if share == 1 else int(2 * share * len(folder.own))
    budget = budget if budget >= FEWEST_QUESTIONS else 0
    one = answered(folder, describer, budget, interview=OverallInterview)
    return one.own, answered(folder, describer, budget).own


def _mean(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return mean(one for one, _ in pairs), mean(two for _, two in pairs)


def _cell(own: tuple[float, float]) -> str:
    before, after = own
    return f"{before:.1f} / {after:.1f} ({after - before:+.1f})"
