"""Choose the one command that a finished run asks its reader to type next."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from latte.interfaces import LatteError, RunResults
from latte.io.paths import is_folder, relative
from latte.report.accuracy import measured_models, tone_of
from latte.report.numbers import count, plural
from latte.report.statement import Command
from latte.results.folder import RunFolder
from latte.results.run import Run
from latte.results.run_answers import waiting_answers
from latte.results.taught_runs import learned_runs, person_files

SECONDS_PER_GROUP = 15
"""Estimated time in which a person looks at the images of a group and names their class."""
MANY_GROUPS = 20
"""With more groups, the estimated time is that of the first groups, which have most images."""

_TEACHES = "Your answers teach the model and measure it."


@dataclass(frozen=True)
class NextStep:
    """A command with its purpose.

    Attributes:
        title: What the reader does, as an imperative clause.
        note: One sentence on what it brings.
        line: The command.
        brief: A shorter title.
    """

    title: str
    note: str
    line: str
    brief: str = ""

    @property
    def command(self) -> Command:
        """The command, with its title as purpose."""
        return Command(self.title, self.line)


def next_step(results: RunResults, run: str, *, is_measured: bool) -> NextStep:
    """Return the next step of a run; commands name the run folder by `run`.

    The step follows the answers that are stored now: answers that no run has learnt from yet are
    used first, and a newer run that learnt from them is named in place of this one.
    """
    failed = results.record.describe.failed
    if failed is not None:
        again = Run(RunFolder(results.folder)).repeat_command(name=run)
        note = f"{count(failed.count)} of {count(failed.requests)} requests failed."
        return NextStep("Send the failed requests again", note, again)
    return _of_answers(results, run) or _of_gain(results, run, is_measured=is_measured)


def _of_answers(results: RunResults, run: str) -> NextStep | None:
    """Return the step that uses stored answers; None if there are none."""
    reviewed = Run(RunFolder(results.folder))
    try:
        waiting = waiting_answers(reviewed)
    except LatteError:  # the review itself says what is damaged
        return None
    if not waiting:
        return None
    if taught := learned_runs(reviewed):
        newest = max(taught, key=lambda folder: (folder / "results.json").stat().st_mtime)
        line = shlex.join(["latte", "review", f"{Path(run).parent / newest.name}"])
        return NextStep("Go on with the run that your answers taught", _TEACHES, line)
    line = shlex.join(["latte", "review", run, "--learn"])
    return NextStep(f"Use your {plural(waiting, 'answer')}", "A new run learns from them.", line)


def _of_gain(results: RunResults, run: str, *, is_measured: bool) -> NextStep:
    if is_measured:
        models = measured_models(results.record)
        is_kept = results.record.judge.used == "zero-shot"
        adapted = models.adapted
        is_better = adapted is not None and adapted.gain and tone_of(adapted.gain) == "better"
        if is_better or results.record.train.trains_clip:
            return _sorting(results, run, uses_adapted=bool(is_kept and is_better))
    review = shlex.join(["latte", "review", run])
    if person_files(results.record.recipe):
        title = "Answer ten more questions, about 2 minutes"
        return NextStep(title, _TEACHES, review, "Answer ten more questions")
    groups = label_groups(results)
    title = f"Name {plural(groups, 'group')}, {naming_time(groups)}"
    return NextStep(title, _TEACHES, review, f"Name {plural(groups, 'group')}")


def naming_time(groups: int) -> str:
    """Return how long a person needs to name `groups` groups, or the first of many.

    Example: `about 2 minutes`, and `the first 20 take about 5 minutes`.
    """
    number = min(groups, MANY_GROUPS)
    minutes = plural(max(1, round(number * SECONDS_PER_GROUP / 60)), "minute")
    return f"about {minutes}" if number == groups else f"the first {number} take about {minutes}"


def label_groups(results: RunResults) -> int:
    """Return the number of classes that the adapted model gives to training images."""
    run = Run(RunFolder(results.folder))
    if run.folder.adapted_model.pseudo_labels.exists():
        return len({*run.rows.adapted_labels.adapted})
    return sum(adapted > 0 for _, adapted in results.pseudo_label_counts)


def _sorting(results: RunResults, run: str, *, uses_adapted: bool) -> NextStep:
    """Return the command that sorts the run's own images into folders by class."""
    use = ["--use", "adapted"] if uses_adapted else []
    photos = _photos(results)
    words = ["latte", "predict", run, photos or "IMAGES", "--sort-into", "sorted", *use]
    note = "Photos are copied; no file is moved or deleted."
    title = "Sort your photos into folders" if photos else "Sort other photos into folders"
    return NextStep(title, note, shlex.join(words))


def _photos(results: RunResults) -> str | None:
    """Return the folder of the run's images as a person would type it here; None if unknown."""
    dataset = results.record.recipe.get("dataset")
    root = dataset.get("root") if isinstance(dataset, Mapping) else None
    if not isinstance(root, str) or not root:
        return None
    recipe = Path(results.record.source.recipe)
    folder = Path(os.path.normpath(recipe.parent / root))
    shown = relative(folder)
    return shown if is_folder(folder) and not Path(shown).is_absolute() else None
