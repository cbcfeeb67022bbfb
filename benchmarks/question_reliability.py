"""Compare one reliability for all answers with one for each answer: `questions --reliability`."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from latte_benchmarks.folder_cells import Folder, FolderCell, LabelledSet, drawn_folders
from latte_questions.interview import Interview
from latte_questions.labeler import FEWEST_QUESTIONS

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
    cell: FolderCell,
    right: float | None,
    shares: Sequence[float],
    seeds: int,
    make: MakeDescriber,
) -> None:
    """Print the mean own accuracies with one reliability, and with one for each answer.

    A share of 1 stands for all questions.
    """
    say(table(["set", *("all" if share == 1 else f"{100 * share:g} %" for share in shares)]))
    columns_of_sets: list[list[tuple[float, float]]] = []
    for full_set, folders in drawn_folders(loaded, cell, seeds):
        set_pairs = []
        for share in shares:
            pairs = [
                _pair(folder, share, make(folder, right, seed))
                for seed, folder in enumerate(folders)
            ]
            set_pairs.append(_mean(pairs))
        columns_of_sets.append(set_pairs)
        say(table_row([full_set.name, *map(_cell, set_pairs)]))
    columns = zip(*columns_of_sets, strict=True)
    say(table_row(["mean", *(_cell(_mean(pairs)) for pairs in columns)]))


def _pair(folder: Folder, share: float, describer: SimulatedDescriber) -> tuple[float, float]:
    """Return both own accuracies, after a budget for this share of the images."""
    budget = every_question(folder) if share == 1 else int(2 * share * len(folder.own))
    budget = budget if budget >= FEWEST_QUESTIONS else 0
    overall = answered(folder, describer, budget, interview=OverallInterview)
    return overall.own, answered(folder, describer, budget).own


def _mean(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return mean(overall for overall, _ in pairs), mean(per_answer for _, per_answer in pairs)


def _cell(pair: tuple[float, float]) -> str:
    overall, per_answer = pair
    return f"{overall:.1f} / {per_answer:.1f} ({per_answer - overall:+.1f})"
